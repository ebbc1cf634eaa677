/* See sequence.h. */
#include "sequence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 128u

void seq_add(struct sequence *s, struct op op)
{
	if (s->count < SEQ_OPS_MAX)
		s->op[s->count++] = op;
}

void seq_out(struct sequence *s, uint16_t port, unsigned value)
{
	seq_add(s, (struct op){.kind = OP_OUT, .port = port, .value = (uint8_t)value});
}

void seq_in(struct sequence *s, uint16_t port)
{
	seq_add(s, (struct op){.kind = OP_IN, .port = port});
}

void seq_wait(struct sequence *s, uint32_t ns)
{
	seq_add(s, (struct op){.kind = OP_WAIT, .ns = ns});
}

void seq_inta(struct sequence *s)
{
	seq_add(s, (struct op){.kind = OP_INTA});
}

bool op_has_result(const struct op *op)
{
	return op->kind == OP_IN || op->kind == OP_INTA;
}

static void op_print(const struct op *op)
{
	switch (op->kind) {
	case OP_OUT:
		printf("# outb 0x%x 0x%02x", op->port, op->value);
		break;
	case OP_IN:
		printf("# inb 0x%x", op->port);
		break;
	case OP_WAIT:
		printf("# clock_step %" PRIu32, op->ns);
		break;
	case OP_INTA:
		printf("# inta");
		break;
	}
}

void seq_print(const struct sequence *s, const struct results *ours, const struct results *theirs,
	       unsigned first, unsigned end)
{
	for (unsigned i = first; i < end; i++) {
		op_print(&s->op[i]);
		if (ours && op_has_result(&s->op[i]))
			printf(" 0x%02x 0x%02x%s", ours->value[i], theirs->value[i],
			       ours->value[i] == theirs->value[i] ? "" : " # differ");
		printf("\n");
	}
}

/* One line without its end; true also for one that says nothing. */
static bool parse_line(struct sequence *s, char *line, struct results *ours, struct results *theirs)
{
	unsigned at = s->count;
	unsigned a = 0, b = 0;
	int read;

	line[strcspn(line, "#")] = '\0';
	if (line[strspn(line, " \t\r")] == '\0')
		return true;
	if (at == SEQ_OPS_MAX)
		return false;
	read = sscanf(line, " outb %i %i", (int *)&a, (int *)&b);
	if (read == 2) {
		seq_out(s, (uint16_t)a, b);
		return true;
	}
	if (sscanf(line, " clock_step %i", (int *)&a) == 1) {
		seq_wait(s, a);
		return true;
	}
	if (sscanf(line, " inb %i%n", (int *)&a, &read) == 1) {
		seq_in(s, (uint16_t)a);
		line += read;
	} else {
		line += strspn(line, " \t");
		if (strncmp(line, "inta", 4) != 0)
			return false;
		seq_inta(s);
		line += 4;
	}
	read = sscanf(line, "%i %i", (int *)&a, (int *)&b);
	if (read == 2 && ours) {
		ours->value[at] = (uint16_t)a;
		theirs->value[at] = (uint16_t)b;
	}
	return read == 2 || line[strspn(line, " \t\r")] == '\0';
}

bool seq_parse(struct sequence *s, const char *text, struct results *ours, struct results *theirs)
{
	char line[LINE_BYTES];

	while (*text) {
		size_t len = strcspn(text, "\n;");

		if (len >= sizeof(line)) {
			printf("# a line is too long: %.*s\n", (int)LINE_BYTES, text);
			return false;
		}
		memcpy(line, text, len);
		line[len] = '\0';
		if (!parse_line(s, line, ours, theirs)) {
			printf("# not a line of a listing: %.*s\n", (int)len, text);
			return false;
		}
		text += len + (text[len] != '\0');
	}
	return true;
}
