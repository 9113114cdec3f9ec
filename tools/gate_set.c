// SPDX-License-Identifier: GPL-2.0-only
/* What a gate is to be, as the kernel takes it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "set.h"
#include "show.h"

#define LOOPBACK "(src net 127.0.0.0/8 and dst net 127.0.0.0/8) or (src host ::1 and dst host ::1)"

/* What is excepted, to be freed, or NULL. */
static char *compile_exceptions(const struct gate_options *options)
{
	const struct said *except = &options->except;
	char *expression, *program;

	if (!options->loopback.value)
		return except->value ? expression_compile(except) : NULL;
	if (!except->value)
		return expression_compile(&(struct said){ options->loopback.name, LOOPBACK });
	/* It must be one by itself: parentheses might make one of what is none. */
	free(expression_compile(except));
	expression = xasprintf("(%s) or " LOOPBACK, except->value);
	program = expression_compile(&(struct said){ except->name, expression });
	free(expression);
	return program;
}

char *gate_text(const char *name, const char *policy, const struct gate_options *options)
{
	const struct said *log = &options->log;
	struct text text = { };
	uint64_t group = 0;
	char *program;

	if (strcmp(policy, "accept") && strcmp(policy, "drop"))
		misused("%s%s%s is neither accept nor drop", name ? name : "", name ? " " : "",
			show_quoted(policy));
	if (options->loopback.value && strcmp(policy, "drop"))
		misused("%s is for drop", options->loopback.name);
	if (log->value && (!parse_u64(log->value, &group) || group > UINT16_MAX))
		misused("%s %s: not a group of NFLOG, 0 to 65535", log->name,
			show_quoted(log->value));
	if (options->dry)
		text_puts(&text, "dry ");
	text_puts(&text, policy);
	if (log->value)
		text_printf(&text, " log %" PRIu64, group);
	program = compile_exceptions(options);
	if (program) {
		text_printf(&text, " except %s", program);
		free(program);
	}
	text_puts(&text, "\n");
	return text.s;
}

char *gate_text_of(const struct gate *gate)
{
	struct text text = { };

	text_printf(&text, "%s%s", gate->dry ? "dry " : "", gate->policy);
	if (gate->log)
		text_printf(&text, " log %s", gate->log);
	if (gate->except)
		text_printf(&text, " except %s", gate->except);
	if (gate->except && gate->label)
		text_printf(&text, " # %s", gate->label);
	text_puts(&text, "\n");
	return text.s;
}

void gate_write(const char *directory, const char *text, const char *shown)
{
	int error = kernel_write_target(directory, "gate", text);

	switch (error) {
	case 0:
		return;
	case -ENXIO:
		refuse(shown, "is gone; 'nsgate list' shows what lives");
	case -ENOENT:
		if (strstr(text, " log "))
			refuse(shown, "the kernel has no NFLOG, whose module is nfnetlink_log");
		refuse(shown, "is gone; 'nsgate list' shows what lives");
	case -EPERM:
		refuse(shown, "the kernel refuses: the initial network namespace is cut off only if the module was loaded with gate_init_net=1");
	default:
		refuse(shown, "the kernel refuses the gate: %s; 'dmesg' tells why",
		       strerror(-error));
	}
}
