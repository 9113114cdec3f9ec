// SPDX-License-Identifier: GPL-2.0-only
/* A hook of OCI runtimes: binds the namespace of a container that has annotations
 * that begin with "nsgate.", before its first process runs, and releases it.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "attach.h"
#include "command.h"
#include "show.h"

#define ANNOTATION "nsgate."
#define JOURNAL "/run/systemd/journal/socket"

/* Of the container that is looked at, once it is known. */
static const char *known_id;

/* Some runtimes show nothing of what a hook says; crun is one. */
static void tell_of_death(enum exit_status status, const char *message)
{
	fprintf(stderr, "nsgate: %s\n", message);
	if (access(JOURNAL, F_OK))
		return;
	sd_journal_send("MESSAGE=container %.12s: %s", known_id ? known_id : "", message,
			"PRIORITY=3", "SYSLOG_IDENTIFIER=nsgate",
			"CONTAINER_ID_FULL=%s", known_id ? known_id : "",
			"EXIT_STATUS=%d", status, NULL);
}

/* What the annotations say. */
struct wanted {
	struct said bind, gate, dry;
	struct gate_options gate_options;
	struct limit_options limit;
	size_t count;
};

struct key {
	const char *name;
	size_t offset;			/* of a struct said in struct wanted */
};

#define KEY(name, member) { ANNOTATION name, offsetof(struct wanted, member) }

static const struct key keys[] = {
	KEY("bind", bind),
	KEY("gate", gate),
	KEY("except", gate_options.except),
	KEY("loopback", gate_options.loopback),
	KEY("log", gate_options.log),
	KEY("in", limit.in.rate),
	KEY("out", limit.out.rate),
	KEY("burst-in", limit.in.burst),
	KEY("burst-out", limit.out.burst),
	KEY("quota-in", limit.in.quota),
	KEY("quota-out", limit.out.quota),
	KEY("dry-run", dry),
};

static struct said *find_key(struct wanted *wanted, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].name, name))
			return (struct said *)((char *)wanted + keys[i].offset);
	return NULL;
}

static bool is_yes(const struct said *said)
{
	if (!said->value)
		return false;
	if (!strcmp(said->value, "1") || !strcmp(said->value, "true"))
		return true;
	if (strcmp(said->value, "0") && strcmp(said->value, "false"))
		misused("annotation %s %s is neither 1 nor 0", said->name,
			show_quoted(said->value));
	return false;
}

/* One that nobody knows may be a gate with a slip of the pen: it stops the start. */
static void read_annotation(struct wanted *wanted, const char *name, json_t *value)
{
	struct said *said = find_key(wanted, name);

	if (!said)
		misused("there is no annotation %s", show_quoted(name));
	if (!json_is_string(value))
		misused("annotation %s is no string", name);
	said->value = json_string_value(value);
	wanted->count++;
}

static bool has_limit(const struct limit_options *limit)
{
	return limit->in.rate.value || limit->in.quota.value || limit->out.rate.value ||
	       limit->out.quota.value;
}

/* What belongs together, and what was said for nothing. */
static void check_wanted(struct wanted *wanted)
{
	const struct gate_options *gate = &wanted->gate_options;
	const struct said *lonely = gate->except.value ? &gate->except :
				    gate->log.value ? &gate->log : &gate->loopback;

	if (!wanted->gate.value && lonely->value)
		misused("annotation %s is for a gate: %s is missing", lonely->name,
			wanted->gate.name);
	if (wanted->bind.value && !is_yes(&wanted->bind) && wanted->count > 1)
		misused("annotation %s is %s, but there are others", wanted->bind.name,
			wanted->bind.value);
	if (is_yes(&wanted->dry) && !wanted->gate.value && !has_limit(&wanted->limit))
		misused("annotation %s is for a gate or a limit", wanted->dry.name);
	if (!is_yes(&gate->loopback))
		wanted->gate_options.loopback.value = NULL;
	if (wanted->gate.value && starts_with(wanted->gate.value, "dry ")) {
		wanted->gate.value += 4;
		wanted->gate_options.dry = true;
	}
	if (is_yes(&wanted->dry)) {
		wanted->gate_options.dry = true;
		wanted->limit.dry = true;
	}
}

static void read_annotations(struct wanted *wanted, json_t *state)
{
	json_t *annotations = json_object_get(state, "annotations"), *value;
	const char *name;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		find_key(wanted, keys[i].name)->name = keys[i].name;
	if (annotations && !json_is_object(annotations) && !json_is_null(annotations))
		misused("the state has annotations that are no object");
	json_object_foreach(annotations, name, value)
		if (starts_with(name, ANNOTATION))
			read_annotation(wanted, name, value);
	check_wanted(wanted);
}

static void raise_to(uint64_t *used, uint64_t least)
{
	if (*used < least)
		*used = least;
}

static void raise_used(struct attachment *attachment, uint32_t inode, uint64_t cookie)
{
	struct target target;

	if (!target_read_same(&target, inode, cookie, READ_LIMIT))
		return;
	raise_to(&attachment->used_in, target.limit.in.used);
	raise_to(&attachment->used_out, target.limit.out.used);
	target_free(&target);
}

static void use(struct limit_side_options *side, uint64_t used)
{
	side->used = used;
	side->has_used = true;
}

/* A quota goes on from before a restart, as the tenant may restart it as he likes; and
 * where others of its namespace went on, from what they have used. Nobody may have told
 * us that it had ended: what runs hooks was killed, or lost its patience.
 */
static void use_on(struct limit_options *limit, struct attachment *attachment,
		   const struct ns *ns)
{
	struct attachment before;

	if (!attach_read(&before, attachment->kind, attachment->id))
		return;
	if (attach_has_quota(&before) && !(before.inode && before.cookie == ns->cookie)) {
		if (before.inode)
			raise_used(&before, before.inode, before.cookie);
		if (ns->bound)
			raise_used(&before, ns->inode, ns->cookie);
		use(&limit->in, before.used_in);
		use(&limit->out, before.used_out);
	}
	attachment->used_in = before.used_in;
	attachment->used_out = before.used_out;
	attach_free(&before);
}

/* Its monitor knows it already; what has none is called by its ID. */
static void name_container(const struct ns *ns, const char *id)
{
	struct containers containers;
	struct processes processes;
	char *name = NULL;
	bool pod = false;
	size_t i;

	processes_read(&processes);
	containers_read(&containers, &processes);
	for (i = 0; i < containers.count && !name; i++) {
		const struct container *container = &containers.rows[i];

		if (!container->id || strcmp(container->id, id))
			continue;
		name = xasprintf("%s:%s", container->kind, container->name);
		pod = container->pod;
	}
	if (!name)
		name = xasprintf("oci:%.12s", id);
	attach_name(ns, name, pod);
	free(name);
	containers_free(&containers);
	processes_free(&processes);
}

static void find_namespace(struct ns *ns, json_t *state)
{
	json_int_t pid = json_integer_value(json_object_get(state, "pid"));
	char *said;

	if (pid <= 0 || pid > INT32_MAX)
		misused("the state has no pid");
	said = xasprintf("pid:%d", (int)pid);
	ns_demand(ns, &said, 1);
	free(said);
	if (ns->inode == process_inode(getpid()))
		die(EXIT_NO_NAMESPACE,
		    "the container has no network namespace of its own: it is in the host's, which no annotation binds");
}

static char *sum_up(const struct target *target, const char *id)
{
	char *gate = gate_show(&target->gate), *limit = limit_show(&target->limit);
	char *text = xasprintf("container %s has ended: in %" PRIu64 " packets, %" PRIu64
			       " bytes, out %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64
			       " packets dropped; gate %s, limit %s", id, target->in.packets,
			       target->in.bytes, target->out.packets, target->out.bytes,
			       target->dropped_packets, gate, limit);

	free(gate);
	free(limit);
	return text;
}

/* Where there is no journal, what runs us may keep what we say. */
static void report(const struct target *target, const char *id)
{
	char *text = sum_up(target, id);

	if (access(JOURNAL, F_OK) ||
	    sd_journal_send("MESSAGE=%s", text, "PRIORITY=6", "SYSLOG_IDENTIFIER=nsgate",
			    "CONTAINER_ID_FULL=%s", id,
			    "NSGATE_INODE=%" PRIu32, target->inode,
			    "NSGATE_COOKIE=%" PRIu64, target->cookie,
			    "NSGATE_IN_PACKETS=%" PRIu64, target->in.packets,
			    "NSGATE_IN_BYTES=%" PRIu64, target->in.bytes,
			    "NSGATE_OUT_PACKETS=%" PRIu64, target->out.packets,
			    "NSGATE_OUT_BYTES=%" PRIu64, target->out.bytes,
			    "NSGATE_DROPPED_PACKETS=%" PRIu64, target->dropped_packets, NULL))
		fprintf(stderr, "nsgate: %s\n", text);
	free(text);
}

static void start(json_t *state, const char *id)
{
	struct attachment attachment = { .kind = "oci" };
	const char *bundle = json_string_value(json_object_get(state, "bundle"));
	struct wanted wanted = { };
	struct ns ns;
	char *limit;

	read_annotations(&wanted, state);
	if (!wanted.count || (wanted.bind.value && !is_yes(&wanted.bind)))
		return;
	attachment.id = xstrdup(id);
	if (wanted.gate.value)
		attachment.gate = gate_text(wanted.gate.name, wanted.gate.value,
					    &wanted.gate_options);
	attachment.limit = limit_text(&wanted.limit);
	attachment.bundle = bundle ? xstrdup(bundle) : NULL;
	if (!is_real_root())
		die(EXIT_NO_HOST,
		    "this runtime is rootless, and root must bind: have root run the container, or bind it by 'nsgate bind' or 'nsgate follow'");
	kernel_check(command_name);
	attach_lock();
	attach_tidy("oci", report);
	find_namespace(&ns, state);
	use_on(&wanted.limit, &attachment, &ns);
	limit = limit_text(&wanted.limit);
	attach(&attachment, &ns, limit);
	name_container(&ns, id);
	free(limit);
	ns_free(&ns);
	attach_free(&attachment);
}

static void stop(const char *id)
{
	if (!is_real_root())
		return;
	attach_lock();
	detach("oci", id, report);
	attach_tidy("oci", report);
}

/* It is the name of a file. */
static const char *id_of(json_t *state)
{
	const char *id = json_string_value(json_object_get(state, "id"));

	if (!id || !attach_is_id(id))
		misused("the state has no id, or a bad one");
	return id;
}

static json_t *read_state(void)
{
	json_error_t error;
	json_t *state;
	size_t length;
	char *text = read_all(STDIN_FILENO, &length);

	if (!text)
		die(EXIT_FAILED, "the state of the container could not be read: %m");
	state = json_loadb(text, length, 0, &error);
	free(text);
	if (!state)
		misused("the state on the standard input is no JSON: %s", error.text);
	if (!json_is_object(state))
		misused("the state on the standard input is no object");
	return state;
}

/* Whether a container starts: by the name of the hook if it is said. */
static bool is_start(json_t *state, const char *hook)
{
	const char *status = json_string_value(json_object_get(state, "status"));

	if (hook && (!strcmp(hook, "createRuntime") || !strcmp(hook, "prestart")))
		return true;
	if (hook && !strcmp(hook, "poststop"))
		return false;
	if (hook)
		misused("%s is neither createRuntime nor poststop", show_quoted(hook));
	if (status && (!strcmp(status, "creating") || !strcmp(status, "created") ||
		       !strcmp(status, "running")))
		return true;
	if (!status || strcmp(status, "stopped"))
		misused("the state has no status, or one that no hook is called with");
	return false;
}

int command_oci_hook(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *id;
	json_t *state;

	while (next_option(argc, argv, ":h", options) >= 0)
		;
	count_arguments(argc, argv, 0, 1, "");
	die_hook = tell_of_death;
	state = read_state();
	id = id_of(state);
	known_id = id;
	if (is_start(state, argv[optind]))
		start(state, id);
	else
		stop(id);
	json_decref(state);
	return EXIT_DONE;
}
