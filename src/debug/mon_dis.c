/* `monitor dis`: disassembly by the mode that the guest's code segment is in.  gdb has one
 * architecture whatever the processor's mode, and may decode 16-bit code as if it were 64-bit. */
#include "monitor.h"
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DIS_DEFAULT_COUNT 10u
#define DIS_MAX_COUNT	  1000u

static const char *const SEGMENT_NAMES[X86_SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

/* Arguments. */

/* @base as for strtoull: 0 takes 0x for hexadecimal. */
static bool parse_number(const char *text, const char *end, int base, uint64_t *out_value)
{
	char *stop;

	if (text == end || text[0] == '-' || text[0] == '+')
		return false;
	errno = 0;
	*out_value = strtoull(text, &stop, base);
	return errno == 0 && stop == end;
}

static const char *parse_segment(const struct x86_state *st, const char *text, const char *end,
				 uint64_t *out_base)
{
	enum x86_mode mode = x86_mode_of(st);
	uint64_t selector;

	for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
		if (end - text == 2 && strncmp(text, SEGMENT_NAMES[i], 2) == 0) {
			bool is_flat = mode == X86_MODE_LONG64 && i != X86_FS && i != X86_GS;

			*out_base = is_flat ? 0 : st->seg[i].base;
			return NULL;
		}
	}
	if (!parse_number(text, end, 16, &selector))
		return "neither a segment register nor a number";
	if (mode != X86_MODE_REAL && mode != X86_MODE_V86)
		return "a segment number means something in real mode only; name a register";
	if (selector > 0xffff)
		return "a segment has 16 bits";
	*out_base = selector << 4;
	return NULL;
}

const char *mon_parse_address(const struct x86_state *st, const char *text, gva_t *out_va)
{
	const char *colon = strchr(text, ':');
	const char *number = colon ? colon + 1 : text;
	uint64_t base = 0, offset;
	const char *error = NULL;

	if (colon)
		error = parse_segment(st, text, colon, &base);
	if (error)
		return error;
	if (!parse_number(number, number + strlen(number), colon ? 16 : 0, &offset))
		return "not a number (0x for hexadecimal)";
	*out_va = base + offset;
	return NULL;
}

static int parse_args(const struct mon_call *call, const struct x86_state *st, gva_t *out_va,
		      uint64_t *out_count)
{
	const char *error = NULL;

	if (call->argc > 0)
		error = mon_parse_address(st, call->argv[0], out_va);
	if (error) {
		print_to(call->out, "address '%s': %s\n", call->argv[0], error);
		return EINVAL;
	}
	if (call->argc < 2)
		return 0;
	if (!parse_number(call->argv[1], call->argv[1] + strlen(call->argv[1]), 0, out_count) ||
	    *out_count == 0 || *out_count > DIS_MAX_COUNT) {
		print_to(call->out, "count '%s': 1 to %u\n", call->argv[1], DIS_MAX_COUNT);
		return EINVAL;
	}
	return 0;
}

/* Lines. */

struct dis_line {
	gva_t va;
	uint64_t offset; /* in the code segment */
	unsigned length; /* 1 for bytes that are no instruction */
	uint8_t bytes[X86_INSN_MAX];
	char text[X86_INSN_TEXT_MAX];
};

/* Branch targets are offsets in the code segment, as the instruction has them; they are linear
 * addresses wherever the segment's base is 0.  False: @line->va is not mapped. */
static bool read_line(const struct mon_call *call, const struct x86_state *st,
		      struct dis_line *line)
{
	enum x86_mode mode = x86_mode_of(st);
	uint64_t base = mode == X86_MODE_LONG64 ? 0 : st->seg[X86_CS].base;
	size_t got = vcpu_mem_read(call->target->world, call->vcpu, line->va, line->bytes,
				   sizeof(line->bytes));
	int length;

	if (got == 0)
		return false;
	line->offset = line->va - base;
	length = x86_insn_format(mode, line->offset, line->bytes, got, line->text);
	line->length = length > 0 ? (unsigned)length : 1;
	return true;
}

static void print_line(const struct mon_call *call, const struct x86_state *st,
		       const struct dis_line *line)
{
	char bytes[3 * X86_INSN_MAX + 1] = "";
	char where[32] = "";

	for (unsigned i = 0; i < line->length; i++)
		snprintf(bytes + 3 * (size_t)i, sizeof(bytes) - 3 * (size_t)i, "%02x ",
			 line->bytes[i]);
	if (line->offset != line->va)
		snprintf(where, sizeof(where), "  %04x:%04llx", st->seg[X86_CS].selector,
			 (unsigned long long)line->offset);
	print_to(call->out, "%s 0x%llx%s:  %-24s %s\n", line->va == x86_linear_pc(st) ? "=>" : "  ",
		 (unsigned long long)line->va, where, bytes, line->text);
}

static int say_unmapped(const struct mon_call *call, gva_t va)
{
	print_to(call->out, "0x%llx is not mapped\n", (unsigned long long)va);
	return EFAULT;
}

int mon_dis(struct mon_call *call)
{
	const struct x86_state *st = monitor_state(call, X86_STATE_GPR | X86_STATE_SREG);
	uint64_t count = DIS_DEFAULT_COUNT;
	struct dis_line line = {.va = 0};
	int error;

	if (!st)
		return EIO;
	line.va = x86_linear_pc(st);
	error = parse_args(call, st, &line.va, &count);
	if (error)
		return error;
	for (uint64_t i = 0; i < count; i++) {
		if (!read_line(call, st, &line))
			return say_unmapped(call, line.va);
		print_line(call, st, &line);
		line.va += line.length;
	}
	return 0;
}

/* One line an instruction: "0xADDR LENGTH TEXT".  It ends early, without a word, at the end of
 * what is mapped: a script asks for a page and takes what there is. */
int mon_dis_raw(struct mon_call *call)
{
	const struct x86_state *st = monitor_state(call, X86_STATE_GPR | X86_STATE_SREG);
	struct dis_line line = {.va = 0};
	uint64_t count = 1;
	int error;

	if (!st)
		return EIO;
	if (call->argc < 2) {
		print_to(call->out, "usage: dis-raw ADDR COUNT\n");
		return EINVAL;
	}
	error = parse_args(call, st, &line.va, &count);
	if (error)
		return error;
	for (uint64_t i = 0; i < count; i++) {
		if (!read_line(call, st, &line))
			return i == 0 ? say_unmapped(call, line.va) : 0;
		print_to(call->out, "0x%llx %u %s\n", (unsigned long long)line.va, line.length,
			 line.text);
		line.va += line.length;
	}
	return 0;
}
