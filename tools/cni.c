// SPDX-License-Identifier: GPL-2.0-only
/* A plugin of CNI, which is chained behind those that make devices: it binds the
 * namespace of a container, whatever its devices are, and gives it a gate and a
 * limit. See nsgate-cni(8).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cni.h"
#include "show.h"

#define USAGE \
"usage: nsgate-cni, called by a runtime of containers as CNI has it: the command in\n" \
"the variable CNI_COMMAND, the configuration on the standard input. nsgate-cni(8)\n" \
"has the keys. It knows the specifications 0.4.0 and 1.0.0.\n"

/* What runtimes tell by variables. */
struct arguments {
	const char *command, *id, *netns, *interface, *args, *path;
	char *key;			/* ID@INTERFACE */
};

/* What answers are written in: that of the configuration, once it is known. */
static struct cni_config config;

static const char *version_now(void)
{
	return config.version ? config.version : cni_versions[ARRAY_SIZE(cni_versions) - 1];
}

noreturn static void answer_error(enum cni_error code, const char *message, const char *details)
{
	json_t *json = json_pack("{s:s, s:i, s:o, s:o}", "cniVersion", version_now(),
				 "code", code, "msg", json_clean(message),
				 "details", json_clean(details));

	json_dumpf(json, stdout, JSON_INDENT(4));
	json_decref(json);
	putchar('\n');
	fflush(stdout);
	exit(1);
}

void cni_fail(enum cni_error code, const char *details, const char *format, ...)
{
	char *message;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = xstrdup("out of memory");
	va_end(args);
	answer_error(code, message, details);
}

void misused(const char *format, ...)
{
	char *message;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = xstrdup("out of memory");
	va_end(args);
	die(EXIT_BAD_USAGE, "%s", message);
}

/* What the parts that we share with nsgate(8) end with. */
static void answer_death(enum exit_status status, const char *message)
{
	bool again = kernel_answer == -ENOMEM || kernel_answer == -E2BIG ||
		     kernel_answer == -EAGAIN;
	char *of_netns;

	switch (status) {
	case EXIT_BAD_USAGE:
	case EXIT_BAD_EXPRESSION:
		answer_error(CNI_INVALID_CONFIG, message, "");
	case EXIT_NO_NAMESPACE:
		of_netns = xasprintf("CNI_NETNS: %s", message);
		answer_error(CNI_INVALID_ENVIRONMENT, of_netns, "");
	case EXIT_NO_HOST:
		answer_error(CNI_NOT_ROOT, message, "");
	default:
		answer_error(again ? CNI_TRY_AGAIN : CNI_REFUSED, message, "");
	}
}

static void read_variable(const char *name, const char **value, bool needed, struct text *missing)
{
	*value = getenv(name);
	if (*value && **value)
		return;
	*value = NULL;
	if (needed)
		text_printf(missing, "%s%s", missing->length ? "," : "", name);
}

static void check_interface(const char *name)
{
	if (strlen(name) > 15 || !strcmp(name, ".") || !strcmp(name, "..") ||
	    strpbrk(name, "/: \t\n\v\f\r"))
		cni_fail(CNI_INVALID_ENVIRONMENT, "",
			 "CNI_IFNAME %s can't be the name of an interface", show_quoted(name));
}

static void check_container(const char *id)
{
	if (!attach_is_id(id) || strchr("_-", *id) || strchr(id, '+'))
		cni_fail(CNI_INVALID_ENVIRONMENT, "",
			 "CNI_CONTAINERID %s can't be the name of a container", show_quoted(id));
}

static void read_arguments(struct arguments *arguments)
{
	struct text missing = { };
	bool attaches, known;

	read_variable("CNI_COMMAND", &arguments->command, true, &missing);
	attaches = arguments->command &&
		   (!strcmp(arguments->command, "ADD") || !strcmp(arguments->command, "CHECK"));
	known = attaches || (arguments->command && !strcmp(arguments->command, "DEL"));
	read_variable("CNI_CONTAINERID", &arguments->id, known, &missing);
	read_variable("CNI_NETNS", &arguments->netns, attaches, &missing);
	read_variable("CNI_IFNAME", &arguments->interface, known, &missing);
	read_variable("CNI_ARGS", &arguments->args, false, &missing);
	read_variable("CNI_PATH", &arguments->path, known, &missing);
	if (!arguments->command)
		fputs(USAGE, stderr);
	if (missing.length)
		cni_fail(CNI_INVALID_ENVIRONMENT, "",
			 "required env variables [%s] missing", missing.s);
}

/* A value of CNI_ARGS, to be freed, or NULL; those that we don't know are others'. */
static char *find_arg(const char *args, const char *key)
{
	char *copy = xstrdup(args ? args : ""), *value = NULL, *part, *rest = NULL;
	size_t length = strlen(key);

	for (part = strtok_r(copy, ";", &rest); part; part = strtok_r(NULL, ";", &rest))
		if (starts_with(part, key) && part[length] == '=' && part[length + 1])
			value = xstrdup(part + length + 1);
	free(copy);
	return value;
}

/* By the pod, where a kubelet is behind it; podman tells the container's name so, too. */
static void name_namespace(const struct ns *ns, const struct arguments *arguments)
{
	char *namespace = find_arg(arguments->args, "K8S_POD_NAMESPACE");
	char *pod = find_arg(arguments->args, "K8S_POD_NAME"), *name;

	if (namespace && pod)
		name = xasprintf("cni:%s/%s", namespace, pod);
	else if (pod)
		name = xasprintf("cni:%s", pod);
	else
		name = xasprintf("cni:%.12s", arguments->id);
	attach_name(ns, name, namespace && pod);
	free(namespace);
	free(pod);
	free(name);
}

static void find_netns(struct ns *ns, const struct arguments *arguments)
{
	char *said = xasprintf("path:%s", arguments->netns);

	ns_demand(ns, &said, 1);
	free(said);
	if (ns->inode == process_inode(getpid()))
		die(EXIT_NO_NAMESPACE, "%s is the host's own namespace", ns->shown);
}

/* In the version of the configuration, which what came before us may not tell. */
static void print_result(void)
{
	json_object_set_new(config.previous, "cniVersion", json_string(config.version));
	json_dumpf(config.previous, stdout, JSON_INDENT(4) | JSON_REAL_PRECISION(17));
	putchar('\n');
}

/* False if we may do without it. */
static bool is_loaded(const char *id)
{
	if (!is_real_root())
		cni_fail(CNI_NOT_ROOT, "", "this runtime is rootless, and root must bind");
	if (!access(PARAMETERS, F_OK) || kernel_loaded()) {
		kernel_check("list");
		return true;
	}
	if (config.required)
		cni_fail(CNI_NOT_LOADED, "'modprobe nsgate' loads it; with \"required\": false the container would start without a limit and a gate",
			 "the module nsgate is not loaded");
	fprintf(stderr, "nsgate-cni: the module nsgate is not loaded: container %s has no limit and no gate\n",
		id);
	return false;
}

static void need_previous(void)
{
	if (!config.previous)
		cni_fail(CNI_INVALID_CONFIG, "nsgate-cni makes no device: it stands behind another plugin in a list",
			 "prevResult is missing");
}

static void add(const struct arguments *arguments)
{
	struct attachment attachment = { .kind = "cni", .id = arguments->key };
	struct ns ns;

	need_previous();
	cni_read_wanted(&config);
	if (is_loaded(arguments->id)) {
		attach_lock();
		attach_tidy("cni", NULL);
		find_netns(&ns, arguments);
		attachment.gate = config.gate;
		attachment.limit = config.limit;
		attach(&attachment, &ns, config.limit);
		name_namespace(&ns, arguments);
		ns_free(&ns);
	}
	print_result();
}

static void check(const struct arguments *arguments)
{
	struct ns ns;

	need_previous();
	cni_read_wanted(&config);
	if (!is_loaded(arguments->id))
		return;
	find_netns(&ns, arguments);
	cni_check_target(&config, &ns);
	ns_free(&ns);
}

/* Whatever is gone already, and whatever the configuration says now. */
static void del(const struct arguments *arguments)
{
	if (!is_real_root())
		return;
	attach_lock();
	detach("cni", arguments->key, NULL);
	attach_tidy("cni", NULL);
}

/* In the version that was asked for, if there is such; who types it asks for none. */
static void print_versions(void)
{
	size_t length, i;
	char *text = isatty(STDIN_FILENO) ? NULL : read_all(STDIN_FILENO, &length);
	json_t *json = text ? json_loadb(text, length, 0, NULL) : NULL;
	const char *said = json_string_value(json_object_get(json, "cniVersion"));

	for (i = 0; said && i < ARRAY_SIZE(cni_versions); i++)
		if (!strcmp(said, cni_versions[i]))
			config.version = cni_versions[i];
	printf("{\"cniVersion\": \"%s\", \"supportedVersions\": [\"%s\", \"%s\"]}\n",
	       version_now(), cni_versions[0], cni_versions[1]);
	json_decref(json);
	free(text);
}

static void run(struct arguments *arguments)
{
	if (!strcmp(arguments->command, "VERSION")) {
		print_versions();
		return;
	}
	if (!strcmp(arguments->command, "GC") || !strcmp(arguments->command, "STATUS"))
		cni_fail(CNI_INVALID_ENVIRONMENT, "the versions here are 0.4.0 and 1.0.0",
			 "unsupported CNI_COMMAND: %s is of specification 1.1.0",
			 arguments->command);
	if (strcmp(arguments->command, "ADD") && strcmp(arguments->command, "CHECK") &&
	    strcmp(arguments->command, "DEL"))
		cni_fail(CNI_INVALID_ENVIRONMENT, "", "unknown CNI_COMMAND: %s",
			 show_quoted(arguments->command));
	cni_read_config(&config);
	check_container(arguments->id);
	check_interface(arguments->interface);
	arguments->key = xasprintf("%s@%s", arguments->id, arguments->interface);
	if (!strcmp(arguments->command, "ADD"))
		add(arguments);
	else if (!strcmp(arguments->command, "CHECK"))
		check(arguments);
	else
		del(arguments);
	free(arguments->key);
}

int main(int argc, char **argv)
{
	struct arguments arguments = { };

	show_init();
	if (argc > 1) {
		fputs(USAGE, strcmp(argv[1], "--help") ? stderr : stdout);
		return strcmp(argv[1], "--help") ? EXIT_BAD_USAGE : EXIT_DONE;
	}
	die_hook = answer_death;
	read_arguments(&arguments);
	run(&arguments);
	if (config.json)
		cni_free_config(&config);
	if (fflush(stdout) || ferror(stdout))
		return 1;
	return EXIT_DONE;
}
