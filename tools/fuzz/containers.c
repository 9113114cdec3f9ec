// SPDX-License-Identifier: GPL-2.0-only
/* Hands mutated states and configurations to the hook and to the plugin, each in a
 * process of its own, with files in place of the kernel's: scripts/check/fuzz-containers.
 * What is made up depends on the seed alone. Each answer must be one of those that
 * there are, and what is refused must be released again.
 *
 * usage: containers VIEW PARAMETERS RUN COUNT SEED
 */
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../util.h"
#include "containers.h"

#define SANITIZER_EXIT 99	/* as ASAN_OPTIONS and UBSAN_OPTIONS have it */

static const char *view, *parameters, *run_directory;
static char *netns;		/* the namespace that there is */
static uint32_t inode;
static pid_t container;

/* ---- what is made up ---- */

static uint64_t state_of_random;

static uint32_t any(uint32_t below)
{
	state_of_random ^= state_of_random << 13;
	state_of_random ^= state_of_random >> 7;
	state_of_random ^= state_of_random << 17;
	return (state_of_random >> 11) % below;
}

/* One of those before the NULL. */
static const char *any_of(const char *const *strings)
{
	uint32_t count = 0;

	while (strings[count])
		count++;
	return strings[any(count)];
}

static const char *const configs[] = {
	"{\"cniVersion\": \"1.0.0\", \"name\": \"net\", \"type\": \"nsgate-cni\", \"prevResult\": {\"cniVersion\": \"1.0.0\", \"ips\": [{\"address\": \"10.0.0.1/24\"}]}}",
	"{\"cniVersion\": \"0.4.0\", \"name\": \"net\", \"gate\": \"drop\", \"except\": \"icmp and host 10.0.0.1\", \"log\": 7, \"loopback\": true, \"prevResult\": {}}",
	"{\"cniVersion\": \"1.0.0\", \"name\": \"net\", \"capabilities\": {\"bandwidth\": true}, \"runtimeConfig\": {\"bandwidth\": {\"ingressRate\": 8000000, \"ingressBurst\": 800000, \"egressRate\": 4000, \"egressBurst\": 2147483647}}, \"prevResult\": {\"a\": [1, 2.5, null]}}",
	"{\"cniVersion\": \"1.0.0\", \"name\": \"net\", \"quotaIn\": \"5G\", \"quotaOut\": 7000, \"dryRun\": true, \"required\": false, \"ingressRate\": 8, \"egressBurst\": 1, \"egressRate\": 80, \"prevResult\": {}}",
	NULL
};

static const char *const states[] = {
	"{\"ociVersion\": \"1.0.2\", \"id\": \"box\", \"status\": \"creating\", \"pid\": @, \"bundle\": \"/b\", \"annotations\": {\"nsgate.bind\": \"1\"}}",
	"{\"id\": \"box\", \"status\": \"created\", \"pid\": @, \"bundle\": \"/b\", \"annotations\": {\"nsgate.gate\": \"drop\", \"nsgate.except\": \"host 10.0.0.1\", \"nsgate.log\": \"1\", \"nsgate.loopback\": \"1\"}}",
	"{\"id\": \"box\", \"status\": \"created\", \"pid\": @, \"annotations\": {\"nsgate.in\": \"20mbit\", \"nsgate.out\": \"2.5mbps\", \"nsgate.burst-in\": \"64k\", \"nsgate.burst-out\": \"1Mi\", \"nsgate.quota-in\": \"5G\", \"nsgate.quota-out\": \"0\", \"nsgate.dry-run\": \"1\"}}",
	"{\"id\": \"box\", \"status\": \"stopped\", \"pid\": 0, \"bundle\": \"/b\", \"annotations\": {\"nsgate.in\": \"1mbit\", \"other\": \"x\"}}",
	"{\"id\": \"box\", \"status\": \"created\", \"pid\": @, \"annotations\": {\"other\": \"x\"}}",
	NULL
};

static const char *const words[] = {
	"nsgate.in", "nsgate.", "nsgate.bind", "nsgate.gate", "nsgate.quota-in", "nsgate.x",
	"gate", "except", "log", "quotaIn", "quotaOut", "quotain", "required", "ingressRate",
	"egressBurst", "runtimeConfig", "bandwidth", "prevResult", "cniVersion", "name", "id",
	"pid", "status", "annotations", "bundle", "drop", "accept", "dry drop", "icmp", "1.0.0",
	"1.1.0", "20mbit", "5G", "-1", "0", "1e99", "18446744073709551615", "../x", "",
	"\x01\x7f", "%s%n", "\xc3\xbc", "host and port", "created", "stopped", "true", "null",
	NULL
};

static const json_int_t numbers[] = {
	0, 1, -1, 7, 8, 65535, 65536, INT32_MAX, UINT32_MAX, INT64_MAX, INT64_MIN, 4194304,
	1000000000000, 8000000000001,
};

static json_t *any_value(void)
{
	char *long_one;
	json_t *json;

	switch (any(9)) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(any(2));
	case 2:
		return json_real(any(1000) / 7.0 - 50);
	case 3:
		return json_array();
	case 4:
		return json_pack("{s:s}", any_of(words), any_of(words));
	case 5:
		long_one = xmalloc(100001);
		memset(long_one, "a0(."[any(4)], 100000);
		long_one[1 + any(100000)] = '\0';
		json = json_string(long_one);
		free(long_one);
		return json;
	case 6:
		return json_integer(numbers[any(ARRAY_SIZE(numbers))]);
	default:
		return json_string(any_of(words));
	}
}

static json_t *any_object_in(json_t *json)
{
	const char *key;
	json_t *value;

	json_object_foreach(json, key, value)
		if (json_is_object(value) && any(2))
			return any_object_in(value);
	return json;
}

/* A member gets another value, or another name, or goes; or a new one comes. */
static void change_member(json_t *json)
{
	json_t *object = any_object_in(json), *value;
	size_t chosen = json_object_size(object) ? any(json_object_size(object)) : 0;
	const char *key;
	char *copy;

	json_object_foreach(object, key, value) {
		if (chosen--)
			continue;
		copy = xstrdup(key);
		if (any(3))
			json_object_set_new(object, copy, any_value());
		else if (any(2))
			json_object_del(object, copy);
		else
			json_object_set(object, any_of(words), value);
		free(copy);
		break;
	}
	if (!any(4))
		json_object_set_new(object, any_of(words), any_value());
}

static void change_bytes(struct text *text)
{
	size_t at = text->length ? any(text->length) : 0, length = text->length - at;
	const char *word = any_of(words);

	switch (any(4)) {
	case 0:
		if (length)
			text->s[at] = any(256);
		break;
	case 1:
		text->length = at;
		break;
	case 2:
		length = any(length + 1);
		memmove(text->s + at, text->s + at + length, text->length - at - length);
		text->length -= length;
		break;
	default:
		text_add(text, "", 0);
		text_puts(text, word);
		if (strlen(word) <= length)
			memcpy(text->s + at, word, strlen(word));
	}
}

/* What a runtime might say, changed in some places. */
static void make_up(struct text *text, const char *from)
{
	const char *pid = strchr(from, '@');
	size_t i, changes = any(5);
	json_t *json;
	char *dump;

	if (pid)
		text_printf(text, "%.*s%d%s", (int)(pid - from), from, (int)container, pid + 1);
	else
		text_puts(text, from);
	if (any(3)) {
		json = json_loads(text->s, 0, NULL);
		for (i = 0; i < changes; i++)
			change_member(json);
		dump = json_dumps(json, 0);
		text->length = 0;
		text_puts(text, dump);
		free(dump);
		json_decref(json);
		return;
	}
	for (i = 0; i < changes; i++)
		change_bytes(text);
}

/* ---- a call ---- */

struct call {
	struct text input;
	bool plugin;
	const char *command;		/* of the plugin */
	int status;			/* as wait() has it */
	char *out, *err;
};

static void write_path(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	if (!file || fputs(text, file) < 0 || fclose(file))
		die(EXIT_FAILED, "%s: %m", path);
}

static char *parameter_path(void)
{
	return xasprintf("%s/inode", parameters);
}

static void reset(void)
{
	char *path = parameter_path(), *pattern = xasprintf("%s/[oc][cn]i/*", run_directory);
	glob_t found;
	size_t i;

	write_path(path, "");
	if (!glob(pattern, 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
		globfree(&found);
	}
	free(pattern);
	free(path);
}

static void set_variables(struct call *call)
{
	static const char *const ids[] = { "c1", "c1", "c1", "c1", "../x", "", "a b", NULL };
	static const char *const interfaces[] = { "eth0", "eth0", "eth0", "a/b", "", NULL };
	static const char *const args[] = {
		"", "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0", ";;=;K8S_POD_NAME=", "x", NULL
	};
	const char *const paths[] = {
		netns, netns, netns, netns, "/nowhere", "/etc/passwd", "", NULL
	};

	setenv("CNI_COMMAND", call->command, 1);
	setenv("CNI_CONTAINERID", any_of(ids), 1);
	setenv("CNI_IFNAME", any_of(interfaces), 1);
	setenv("CNI_NETNS", any_of(paths), 1);
	setenv("CNI_ARGS", any_of(args), 1);
	setenv("CNI_PATH", "/nowhere", 1);
}

noreturn static void be_called(const struct call *call, int in, int out, int err)
{
	char plugin[] = "nsgate-cni", command[] = "nsgate", hook[] = "oci-hook";

	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(SANITIZER_EXIT);
	if (call->plugin)
		exit(plugin_main(1, (char *[]){ plugin, NULL }));
	exit(command_main(2, (char *[]){ command, hook, NULL }));
}

static char *content(int fd)
{
	char *s;

	lseek(fd, 0, SEEK_SET);
	s = read_all(fd, NULL);
	close(fd);
	return s ? s : xstrdup("");
}

static void make_call(struct call *call)
{
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	int err = memfd_create("err", MFD_CLOEXEC);
	pid_t child;

	if (write(in, call->input.s, call->input.length) != (ssize_t)call->input.length)
		die(EXIT_FAILED, "memfd: %m");
	lseek(in, 0, SEEK_SET);
	fflush(NULL);
	child = fork();
	if (!child)
		be_called(call, in, out, err);
	if (child < 0 || waitpid(child, &call->status, 0) != child)
		die(EXIT_FAILED, "fork: %m");
	close(in);
	call->out = content(out);
	call->err = content(err);
}

/* ---- what must hold ---- */

static bool is_error(const json_t *json)
{
	const char *message = json_string_value(json_object_get(json, "msg"));

	return json_object_size(json) == 4 && message && *message &&
	       json_integer_value(json_object_get(json, "code")) > 0 &&
	       json_is_string(json_object_get(json, "cniVersion")) &&
	       json_is_string(json_object_get(json, "details"));
}

static const char *judge_plugin(const struct call *call, int status)
{
	json_t *json = json_loads(call->out, 0, NULL);
	json_t *input = json_loadb(call->input.s, call->input.length, 0, NULL);
	json_t *before = json_object_get(input, "prevResult");
	const char *wrong = NULL;

	/* It is handed on in the version of the configuration. */
	json_object_set(before, "cniVersion", json_object_get(input, "cniVersion"));
	if (status == 1)
		wrong = is_error(json) ? NULL : "no error of the specification";
	else if (status)
		wrong = "a status that there is not";
	else if (!strcmp(call->command, "ADD"))
		wrong = json_equal(json, before) ? NULL : "not the result before";
	else if (!strcmp(call->command, "VERSION"))
		wrong = json_object_get(json, "supportedVersions") ? NULL : "no versions";
	else if (*call->out)
		wrong = "an answer where there is none";
	json_decref(json);
	json_decref(input);
	return wrong;
}

static bool has_annotation(const struct call *call)
{
	json_t *input = json_loadb(call->input.s, call->input.length, 0, NULL), *value;
	bool found = false;
	const char *key;

	json_object_foreach(json_object_get(input, "annotations"), key, value)
		found |= starts_with(key, "nsgate.");
	json_decref(input);
	return found;
}

static const char *judge_hook(const struct call *call, int status)
{
	const char *end = strchr(call->err, '\n');

	if (status < 0 || status > 6)
		return "a status that there is not";
	if (status && (!starts_with(call->err, "nsgate: ") || !end || end[1]))
		return "not one line that says why";
	return NULL;
}

static const char *judge(const struct call *call, char sign)
{
	int status = WIFEXITED(call->status) ? WEXITSTATUS(call->status) : -1;
	const char *wrong;

	if (status < 0 || status == SANITIZER_EXIT)
		return "a crash";
	wrong = call->plugin ? judge_plugin(call, status) : judge_hook(call, status);
	if (wrong)
		return wrong;
	if (status && sign == '+')
		return "refused, but bound";
	if (!status && sign == '+' &&
	    (call->plugin ? strcmp(call->command, "ADD") : !has_annotation(call)))
		return "bound, but nobody asked for it";
	return NULL;
}

/* '+' if it was bound last, '-' if it was released, else 0. */
static char last_sign(void)
{
	char *path = parameter_path(), *text = read_file(AT_FDCWD, path, NULL), sign = *text;

	free(text);
	free(path);
	return sign;
}

struct sums {
	unsigned int calls, done, refused, bound, wrong;
};

static void try_one(struct sums *sums, bool plugin)
{
	static const char *const commands[] = {
		"ADD", "ADD", "ADD", "ADD", "CHECK", "DEL", "VERSION", "GC", "STATUS", "x",
		NULL
	};
	struct call call = { .plugin = plugin, .command = any_of(commands) };
	const char *wrong;
	char sign;

	make_up(&call.input, plugin ? any_of(configs) : any_of(states));
	set_variables(&call);
	reset();
	make_call(&call);
	sign = last_sign();
	wrong = judge(&call, sign);
	sums->calls++;
	sums->done += !call.status;
	sums->refused += call.status != 0;
	sums->bound += sign == '+';
	if (wrong) {
		sums->wrong++;
		printf("%s %s: %s, status %#x\n%.*s\n--- out: %s--- err: %s", plugin ? "plugin" : "hook",
		       plugin ? call.command : "", wrong, call.status, (int)call.input.length,
		       call.input.s, call.out, call.err);
	}
	text_free(&call.input);
	free(call.out);
	free(call.err);
}

/* ---- in place of the kernel ---- */

static void start_container(void)
{
	int ready[2];
	struct stat st;
	char byte;

	if (pipe(ready))
		die(EXIT_FAILED, "pipe: %m");
	container = fork();
	if (!container) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	netns = xasprintf("/proc/%d/ns/net", (int)container);
	if (read(ready[0], &byte, 1) != 1 || stat(netns, &st))
		die(EXIT_FAILED, "a network namespace takes root");
	inode = st.st_ino;
}

static void write_in(const char *directory, const char *name, char *text)
{
	char *path = xasprintf("%s/%s", directory, name);

	write_path(path, text);
	free(path);
	free(text);
}

static void write_files(void)
{
	char *directory = xasprintf("%s/%" PRIu32, view, inode);

	mkdir(directory, 0700);
	write_in(view, "namespaces",
		 xasprintf("inode cookie devices bound\n%" PRIu32 " 7 1 -\n", inode));
	write_in(directory, "state",
		 xasprintf("version 1\nstatus live\ninode %" PRIu32 "\ncookie 7\n", inode));
	write_in(directory, "gate", xstrdup("policy accept\nexcept none\nlog none\n"));
	write_in(directory, "limit", xstrdup("mode none\nin_rate none\n"));
	write_in(directory, "stats", xstrdup("hook family proto packets bytes\n"));
	free(directory);
}

int main(int argc, char **argv)
{
	struct sums sums = { };
	unsigned long i, count;

	if (argc != 6)
		die(EXIT_BAD_USAGE, "usage: containers VIEW PARAMETERS RUN COUNT SEED");
	view = argv[1];
	parameters = argv[2];
	run_directory = argv[3];
	count = strtoul(argv[4], NULL, 10);
	state_of_random = strtoull(argv[5], NULL, 10) * 2 + 1;
	start_container();
	write_files();
	for (i = 0; i < count; i++)
		try_one(&sums, i % 2);
	kill(container, SIGKILL);
	free(netns);
	printf("seed %s: %u calls, %u done, %u refused, %u bound, %u wrong\n", argv[5], sums.calls,
	       sums.done, sums.refused, sums.bound, sums.wrong);
	return sums.wrong || !sums.bound || !sums.refused ? EXIT_FAILED : EXIT_DONE;
}
