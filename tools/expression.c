// SPDX-License-Identifier: GPL-2.0-only
/* Expressions of pcap-filter(7), which libpcap compiles. */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "set.h"
#include "show.h"

#define LABEL_LENGTH 255
#define MOST_INSTRUCTIONS 4096	/* BPF_MAXINSNS of the kernel */

/* Loads from here on are of what isn't in the packet, or not at the same place
 * where a gate sees it.
 */
#define NOT_OF_PACKET 0x80000000u

static bool is_of_packet(const struct bpf_program *program)
{
	unsigned int i;

	for (i = 0; i < program->bf_len; i++) {
		const struct bpf_insn *insn = &program->bf_insns[i];
		unsigned int class = BPF_CLASS(insn->code), mode = BPF_MODE(insn->code);

		if (insn->k >= NOT_OF_PACKET &&
		    ((class == BPF_LD && mode == BPF_ABS) || (class == BPF_LDX && mode == BPF_MSH)))
			return false;
	}
	return true;
}

/* The label: no control characters, no blanks in front, which the kernel would not keep,
 * and no more bytes than there may be, but whole characters.
 */
static void add_label(struct text *text, const char *expression)
{
	char *copy = xstrdup(expression), *clean, *c;
	size_t length = 0;

	for (c = copy; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	clean = clean_string(copy + strspn(copy, " "));
	if (strlen(clean) <= LABEL_LENGTH) {
		text_puts(text, clean);
	} else {
		while (length + utf8_length(clean + length) <= LABEL_LENGTH - 3)
			length += utf8_length(clean + length);
		text_add(text, clean, length);
		text_puts(text, "...");
	}
	free(clean);
	free(copy);
}

static void check_empty(const struct said *expression)
{
	if (!expression->value[strspn(expression->value, " \t\n\v\f\r")])
		die(EXIT_BAD_EXPRESSION, "%s: the expression is empty", expression->name);
}

/* An option is known to who has just said it. */
static char *lead(const struct said *expression)
{
	return starts_with(expression->name, "--") ? "" : xasprintf("%s: ", expression->name);
}

static void compile(struct bpf_program *program, const struct said *expression)
{
	pcap_t *pcap = pcap_open_dead(DLT_RAW, 262144);
	char error[PCAP_ERRBUF_SIZE];
	int status;

	if (!pcap)
		die(EXIT_FAILED, "out of memory");
	status = pcap_compile(pcap, program, expression->value, 1, PCAP_NETMASK_UNKNOWN);
	snprintf(error, sizeof(error), "%s", pcap_geterr(pcap));
	pcap_close(pcap);
	if (status)
		die(EXIT_BAD_EXPRESSION,
		    "%slibpcap refuses the expression %s, and nothing has changed. It says, as it does to tcpdump: %s",
		    lead(expression), show_quoted(expression->value), error);
}

static void check(struct bpf_program *program, const struct said *expression)
{
	unsigned int length = program->bf_len;
	bool of_packet = is_of_packet(program);

	if (of_packet && length <= MOST_INSTRUCTIONS)
		return;
	pcap_freecode(program);
	if (!of_packet)
		die(EXIT_BAD_EXPRESSION,
		    "%sthe expression %s asks for what isn't in the packet (as its direction, or its device), which means something else in a gate; nothing has changed",
		    lead(expression), show_quoted(expression->value));
	die(EXIT_BAD_EXPRESSION,
	    "%sthe expression makes %u instructions, and a gate has no more than %d; nothing has changed",
	    lead(expression), length, MOST_INSTRUCTIONS);
}

/* As tcpdump -ddd -y RAW does it. */
char *expression_compile(const struct said *expression)
{
	struct bpf_program program;
	struct text text = { };
	unsigned int i;

	check_empty(expression);
	compile(&program, expression);
	check(&program, expression);
	text_putu(&text, program.bf_len);
	for (i = 0; i < program.bf_len; i++) {
		const struct bpf_insn *insn = &program.bf_insns[i];

		text_printf(&text, ",%u %u %u %u", insn->code, insn->jt, insn->jf, insn->k);
	}
	text_puts(&text, " # ");
	add_label(&text, expression->value);
	pcap_freecode(&program);
	return text.s;
}
