/* `monitor catch`: what of the guest's own stops it.  See catch.h for what gdb's `handle` adds. */
#include "monitor.h"
#include "stop.h"
#include "target.h"

#include <errno.h>
#include <stdlib.h>

static int run_help(struct mon_call *call)
{
	print_to(
		call->out,
		"catch                       what is caught\n"
		"catch signals               exceptions, as gdb's `handle` says of their signals:\n"
		"                            #PF SIGSEGV, #UD SIGILL, #DE #MF #XM SIGFPE, #GP #SS "
		"#NP\n"
		"                            SIGBUS; without it a signal counts once `handle` "
		"changed it\n"
		"catch VECTOR                an exception: pf, ud, gp ..., or its number\n"
		"catch port P[-LAST] [r|w]   IN and OUT, in front of them\n"
		"catch msr M[-LAST] [r|w]    RDMSR and WRMSR\n"
		"catch off                   nothing any more\n"
		"gdb's `catch syscall` stops at system calls.  `continue` gives the guest its\n"
		"exception, `signal 0` tries the instruction again.\n");
	return 0;
}

static void list_ranges(const struct mon_call *call, const char *what,
			const struct accel_catch_range *range, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct accel_catch_range *r = &range[i];

		print_to(call->out, "%s %#x-%#x %s%s\n", what, r->first, r->last,
			 r->on_read ? "r" : "", r->on_write ? "w" : "");
	}
}

static int list(struct mon_call *call)
{
	const struct accel_catch *wanted = &call->target->catch.wanted;
	uint32_t vectors = catch_vectors(&call->target->catch);

	for (unsigned i = 0; i < 32; i++) {
		if (vectors >> i & 1)
			print_to(call->out, "#%s, vector %u\n", x86_vector_name(i), i);
	}
	if (wanted->has_syscalls)
		print_to(call->out, "system calls\n");
	list_ranges(call, "port", wanted->port, wanted->port_count);
	list_ranges(call, "msr", wanted->msr, wanted->msr_count);
	if (!vectors && !wanted->has_syscalls && !wanted->port_count && !wanted->msr_count)
		print_to(call->out, "nothing is caught; `catch help` says what can be\n");
	return 0;
}

static int update(struct mon_call *call)
{
	struct umbra_err err = {.text = ""};

	if (target_update_catch(call->target, &err) == 0)
		return 0;
	call->target->catch.wanted = (struct accel_catch){.vectors = 0};
	call->target->catch.takes_all = false;
	print_to(call->out, "%s\n", err.text);
	return ENOTSUP;
}

static bool parse_number(const char *text, const char **out_end, uint32_t *out)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	*out_end = end;
	*out = (uint32_t)value;
	return *text >= '0' && *text <= '9' && errno == 0 && value <= UINT32_MAX;
}

/* FIRST or FIRST-LAST, and r or w; the word before names the kind. */
static bool parse_range(const struct mon_call *call, uint32_t most, struct accel_catch_range *out)
{
	const char *how = call->argc == 3 ? call->argv[2] : "rw";
	const char *end;

	if (call->argc < 2 || call->argc > 3 || !parse_number(call->argv[1], &end, &out->first))
		return false;
	out->last = out->first;
	if (*end == '-' && !parse_number(end + 1, &end, &out->last))
		return false;
	out->on_read = strchr(how, 'r') != NULL;
	out->on_write = strchr(how, 'w') != NULL;
	return *end == '\0' && out->first <= out->last && out->last <= most &&
	       (strcmp(how, "rw") == 0 || strcmp(how, "r") == 0 || strcmp(how, "w") == 0);
}

static int add_range(struct mon_call *call, struct accel_catch_range *range, unsigned *count,
		     uint32_t most)
{
	struct accel_catch_range one;

	if (!parse_range(call, most, &one)) {
		print_to(call->out, "usage: catch %s FIRST[-LAST] [r|w], up to %#x\n",
			 call->argv[0], most);
		return EINVAL;
	}
	if (*count == ACCEL_CATCH_RANGES) {
		print_to(call->out, "%u ranges are all there can be; `catch off` drops them\n",
			 ACCEL_CATCH_RANGES);
		return ENOSPC;
	}
	range[(*count)++] = one;
	return update(call);
}

static int add_vector(struct mon_call *call, const char *text)
{
	const char *end;
	uint32_t vector = 0;

	while (vector < 32 && strcasecmp(x86_vector_name(vector), text) != 0)
		vector++;
	if (vector == 32 && (!parse_number(text, &end, &vector) || *end || vector >= 32)) {
		print_to(call->out,
			 "'%s' is no exception, 0 to 31; `catch help` says what can be "
			 "caught\n",
			 text);
		return EINVAL;
	}
	call->target->catch.wanted.vectors |= 1u << vector;
	return update(call);
}

int mon_catch(struct mon_call *call)
{
	struct catch *catch = &call->target->catch;
	struct accel_catch *wanted = &catch->wanted;
	const char *what = call->argc ? call->argv[0] : "";

	if (!*what)
		return list(call);
	if (strcmp(what, "port") == 0)
		return add_range(call, wanted->port, &wanted->port_count, UINT16_MAX);
	if (strcmp(what, "msr") == 0)
		return add_range(call, wanted->msr, &wanted->msr_count, UINT32_MAX);
	if (call->argc != 1) {
		print_to(call->out, "`catch help` says what can be caught\n");
		return EINVAL;
	}
	if (strcmp(what, "help") == 0)
		return run_help(call);
	if (strcmp(what, "off") == 0) {
		catch->takes_all = false;
		memset(catch->touched, 0, sizeof(catch->touched));
		*wanted = (struct accel_catch){.vectors = 0};
		return update(call);
	}
	if (strcmp(what, "signals") == 0) {
		catch->takes_all = true;
		return update(call);
	}
	return add_vector(call, what);
}
