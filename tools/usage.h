/* SPDX-License-Identifier: GPL-2.0-only */
/* What --help says: each on a screen of 80 x 24. */
#define USAGE \
"usage: nsgate COMMAND [ARGUMENT...], nsgate COMMAND --help, nsgate --version\n" \
"\n" \
"  list                    all network namespaces, and what lives in them\n" \
"  bind NS...              make them targets: meter and gate them\n" \
"  release NS...           undo it; this takes their figures away\n" \
"  status, top [NS]        the targets at a glance, or one in full; live rates\n" \
"  gate NS [accept|drop]   show the gate of a target, or set it\n" \
"  limit NS [...|none]     show its rates and quotas, or set them\n" \
"  auto [off|children|all] whether new namespaces become targets by themselves\n" \
"  metrics                 what Prometheus reads\n" \
"  exporter ...            hand the metrics to node_exporter, or to a socket\n" \
"  follow NAME             keep the namespace of that name bound\n" \
"  oci-hook                for runtimes of containers, by annotations\n" \
"\n" \
"NS is the name of ip-netns(8) or of a container, a PID, an inode or a path. To\n" \
"say which: netns:NAME, pid:PID, inode:NUMBER, path:PATH, docker:NAME,\n" \
"podman:NAME, lxc:NAME, machine:NAME, containerd:NAME and others of nsgate(8).\n" \
"What is gone has its name until released.\n" \
"\n" \
"exit status  0 done                            4 it is not a target\n" \
"             1 the kernel or system refused    5 no module, not root, or not\n" \
"             2 bad command line                  on the host\n" \
"             3 there is no such namespace      6 an expression that libpcap or\n" \
"                                                 the gate has no use for\n"

#define USAGE_LIST \
"usage: nsgate list [--json]\n" \
"\n" \
"Shows every network namespace: its inode; its cookie, which is never used again;\n" \
"whether it is a target; devices; processes, of which two are named; and the\n" \
"names that it has: of ip-netns(8) as they are, of containers as docker:NAME,\n" \
"podman:NAME, lxc:NAME, machine:NAME and so on.\n" \
"\n" \
"  --json  an array of objects, with all processes\n"

#define USAGE_BIND \
"usage: nsgate bind NS...\n" \
"\n" \
"Makes the namespaces targets: nsgate counts what passes in them, and their gates\n" \
"are open, unless the module was loaded with policy=drop. If one of them can't be\n" \
"bound, none is. What is a target already stays as it is.\n" \
"\n" \
"A namespace that is deleted takes its bind along: to have the next one of the\n" \
"same name bound, too, use 'nsgate follow' or nsgate@NAME.service.\n"

#define USAGE_RELEASE \
"usage: nsgate release NS...\n" \
"\n" \
"Takes nsgate out of the namespaces; their figures go. A name also stands for\n" \
"those of that name that are gone.\n"

#define USAGE_STATUS \
"usage: nsgate status [NS] [--json]\n" \
"\n" \
"Shows all targets, those that are gone too: how long they have been bound, the\n" \
"gate, bytes in and out, packets dropped, the use of the flow table, and limits.\n" \
"In and out is what passes the namespace's edge; a module or kernel that doesn't\n" \
"count there has prerouting and postrouting. With NS: its state, and all its\n" \
"counters.\n" \
"\n" \
"  --json  an array of objects; with NS, an object with the counters\n"

#define USAGE_TOP \
"usage: nsgate top [NS] [-d SECONDS] [-n TIMES] [--json]\n" \
"\n" \
"Shows what goes on now: with NS, rates by hook and protocol, and the flows (the\n" \
"1000 of most bytes are looked at); without, the rates of all targets, in and out\n" \
"together. When the output is no terminal, prints a line for each.\n" \
"\n" \
"  -d, --delay SECONDS  between two looks (default: 2)\n" \
"  -n, --count TIMES    end after so many (default: on a terminal no end, else 1)\n" \
"  --json               an object a line\n" \
"\n" \
"Keys: b sort by bytes, p by packets, t by bytes since the bind, q quit.\n"

#define USAGE_GATE \
"usage: nsgate gate NS [--json]\n" \
"       nsgate gate NS accept|drop [--except EXPR] [--loopback] [--log GROUP]\n" \
"                                  [--dry-run]\n" \
"Shows the gate of a target, or sets it: accept lets all packets pass, drop none.\n" \
"\n" \
"  --except EXPR  but do the contrary with what EXPR matches, an expression of\n" \
"                 pcap-filter(7) that looks at nothing but the packet\n" \
"  --loopback     with drop: except what stays between loopback addresses, too\n" \
"  --log GROUP    hand what is dropped to NFLOG group GROUP of the host:\n" \
"                 'tcpdump -i nflog:GROUP' shows it\n" \
"  --dry-run      drop nothing, only count what would be dropped\n" \
"  --json         an object\n" \
"\n" \
"Name both ends of an exception, for who is cut off may send from any address:\n" \
"\n" \
"  nsgate gate web drop --except 'host 10.0.0.1 and host 10.0.0.9 and port 22'\n" \
"\n" \
"ARP, neighbour discovery and ICMP errors about what is excepted pass with it.\n"

#define USAGE_LIMIT \
"usage: nsgate limit NS [--json]\n" \
"       nsgate limit NS [--in RATE] [--out RATE] [--burst-in SIZE]\n" \
"                       [--burst-out SIZE] [--quota-in SIZE] [--quota-out SIZE]\n" \
"                       [--reset] [--dry-run]\n" \
"       nsgate limit NS none\n" \
"\n" \
"Shows how fast and how much a target, with all of its family, may receive (in)\n" \
"and send (out), or sets it: what isn't named has no limit then.\n" \
"\n" \
"  RATE          as tc(8) has it: 100mbit, 2gbit; 10mbps is bytes\n" \
"  SIZE          bytes: 64k, 500G; 1k is 1000, 1Ki is 1024\n" \
"  --burst-...   what may pass at once (default: a 20th of a second's, or 64 KiB)\n" \
"  --quota-...   what may pass in all; what was used goes on being counted\n" \
"  --reset       begin the quotas anew; alone, of the limit that is there\n" \
"  --dry-run     drop nothing, only count what would be dropped\n" \
"  --json        an object\n"

#define USAGE_AUTO \
"usage: nsgate auto [--json]\n" \
"       nsgate auto off|children|all\n" \
"\n" \
"Shows which namespaces become targets when they are made, and how many did, or\n" \
"sets it: none, those that are made by processes in targets, or all. It holds for\n" \
"namespaces that are made from then on.\n" \
"\n" \
"  --json  an object\n"

#define USAGE_METRICS \
"usage: nsgate metrics\n" \
"\n" \
"Prints the figures of all targets, those that are gone too, in the text format\n" \
"of Prometheus. Labels: inode and cookie, and netns, the name that the namespace\n" \
"had when it was bound or first seen.\n"

#define USAGE_EXPORTER \
"usage: nsgate exporter textfile [FILE] [--interval SECONDS] [--once]\n" \
"       nsgate exporter http\n" \
"\n" \
"textfile writes the metrics to FILE for the textfile collector of node_exporter\n" \
"(default: /var/lib/prometheus/node-exporter/nsgate.prom), again and again, and\n" \
"removes it when it is told to end.\n" \
"\n" \
"http answers one request on its standard input: nsgate-exporter.socket of\n" \
"systemd calls it so.\n" \
"\n" \
"  --interval SECONDS  between two writes (default: 15)\n" \
"  --once              write it once, and leave it there\n" \
"\n" \
"While the module is not loaded, nsgate_up is 0.\n"

#define USAGE_FOLLOW \
"usage: nsgate follow NAME [accept|drop [--except EXPR] [--loopback]\n" \
"                                       [--log GROUP] [--dry-run]]\n" \
"\n" \
"Keeps the namespace that ip-netns(8) calls NAME bound, until it is told to end:\n" \
"then it releases it. When it is deleted and made anew, the new one is bound at\n" \
"once, and gets the gate and limit that the old one had; a quota goes on. The\n" \
"first gets the gate that is given here, if any. nsgate@NAME.service is this.\n" \
"\n" \
"NAME may be docker:NAME, podman:NAME, lxc:NAME and so on, too: a container is\n" \
"followed over its restarts.\n" \
"\n" \
"  --instance     NAME is escaped as in the name of a unit of systemd\n"

#define USAGE_OCI_HOOK \
"usage: nsgate oci-hook [createRuntime|poststop]\n" \
"\n" \
"Runtimes of containers call this with the state of a container on the standard\n" \
"input, before its first process runs and after its last. It binds the namespace of\n" \
"a container that has one of these annotations, and releases it:\n" \
"\n" \
"  nsgate.bind=1                  only bind it\n" \
"  nsgate.gate=accept|drop        and nsgate.except=EXPR, nsgate.loopback=1,\n" \
"                                 nsgate.log=GROUP, as 'nsgate gate' has them\n" \
"  nsgate.in=RATE, nsgate.out=RATE, nsgate.burst-in=SIZE, nsgate.burst-out=SIZE,\n" \
"  nsgate.quota-in=SIZE, nsgate.quota-out=SIZE\n" \
"                                 as 'nsgate limit' has them\n" \
"  nsgate.dry-run=1               drop nothing, only count\n" \
"\n" \
"  podman run --annotation nsgate.in=100mbit ...\n" \
"\n" \
"A bad one stops the start. The final figures go to the journal.\n"
