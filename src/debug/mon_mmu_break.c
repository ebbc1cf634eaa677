/* `mmu break` and `mmu why`: stops when a mapping changes, and what the last one was. */
#include "mon_mmu.h"

#include "mmu_tell.h"

#include <errno.h>
#include <stdio.h>

#define ENTRY_BYTES 8u

/* Arguments. */

/* "present,gone": a mask of MMU_CHANGE_*.  False after an error was told. */
static bool parse_changes(struct mmu_call *call, const char *list, unsigned *out_mask)
{
	for (*out_mask = 0; *list;) {
		size_t len = strcspn(list, ",");
		unsigned bit = 0;

		while (mmu_change_name(bit) && (strlen(mmu_change_name(bit)) != len ||
						strncmp(mmu_change_name(bit), list, len) != 0))
			bit++;
		if (!mmu_change_name(bit)) {
			mmu_error(call, MMU_BADARG,
				  "no such change: '%.*s'; they are present, gone, gpa, rights and "
				  "ad",
				  (int)len, list);
			return false;
		}
		*out_mask |= 1u << bit;
		list += len + (list[len] == ',');
	}
	return true;
}

/* Argument @n as a number, or what is there already. */
static bool optional_number(struct mmu_call *call, unsigned n, uint64_t *value)
{
	return n >= call->argc || mmu_parse_number(call, call->argv[n], value);
}

/* Nothing can be mapped where no address is. */
static bool parse_linear(struct mmu_call *call, const char *text, uint64_t *gva)
{
	bool is_canonical;
	unsigned bits = x86_linear_bits(x86_paging_mode(&call->regs), &is_canonical);
	uint64_t top;

	if (!mmu_parse_number(call, text, gva))
		return false;
	top = *gva >> (bits - is_canonical);
	if (top == 0 || (is_canonical && top == UINT64_MAX >> (bits - 1)))
		return true;
	mmu_error(call, MMU_NONCANON, "there is no linear address %s", text);
	return false;
}

/* One parser for each kind: the rest of @what from call->argv[1] on. */

static bool parse_map(struct mmu_call *call, struct mmu_break *what)
{
	uint64_t gva, len = 1;

	if (!parse_linear(call, call->argv[1], &gva) || !optional_number(call, 2, &len) ||
	    (call->on && !parse_changes(call, call->on, &what->on)))
		return false;
	what->gva = gva;
	what->len = len;
	what->is_any_root = call->is_any_root;
	what->root = call->regs;
	return true;
}

static bool parse_pte(struct mmu_call *call, struct mmu_break *what)
{
	uint64_t gpa;

	what->len =
		x86_paging_mode(&call->regs) == X86_PAGING_32BIT ? ENTRY_BYTES / 2 : ENTRY_BYTES;
	if (!mmu_parse_number(call, call->argv[1], &gpa) || !optional_number(call, 2, &what->len))
		return false;
	what->gpa = gpa;
	return true;
}

/* break pa GPA [any of rwx] [LEN] */
static bool parse_pa(struct mmu_call *call, struct mmu_break *what)
{
	const char *rights = call->argc > 2 ? call->argv[2] : "w";
	uint64_t gpa;

	what->len = 1;
	if (strspn(rights, "rwx") != strlen(rights) || !*rights) {
		mmu_error(call, MMU_BADARG, "'%s' is not made of r, w and x", rights);
		return false;
	}
	if (!mmu_parse_number(call, call->argv[1], &gpa) || !optional_number(call, 3, &what->len))
		return false;
	what->gpa = gpa;
	what->on_read = strchr(rights, 'r') != NULL;
	what->on_write = strchr(rights, 'w') != NULL;
	what->on_exec = strchr(rights, 'x') != NULL;
	return true;
}

static bool parse_value(struct mmu_call *call, struct mmu_break *what)
{
	what->has_value = call->argc > 1;
	return optional_number(call, 1, &what->value);
}

static bool parse_invlpg(struct mmu_call *call, struct mmu_break *what)
{
	uint64_t gva = 0;

	what->has_value = call->argc > 1;
	if (call->argc > 1 && !parse_linear(call, call->argv[1], &gva))
		return false;
	what->gva = gva;
	return true;
}

/* break fault [ERR[/MASK]] */
static bool parse_fault(struct mmu_call *call, struct mmu_break *what)
{
	uint64_t error, mask = UINT32_MAX;
	char text[24];
	char *slash;

	if (call->argc < 2)
		return true;
	snprintf(text, sizeof(text), "%s", call->argv[1]);
	slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	if (!mmu_parse_number(call, text, &error) ||
	    (slash && !mmu_parse_number(call, slash + 1, &mask)))
		return false;
	what->error = (uint32_t)error;
	what->error_mask = (uint32_t)mask;
	return true;
}

/* Without the model there is nothing to stop for. */
static bool parse_hazard(struct mmu_call *call, struct mmu_break *what)
{
	struct umbra_err err = {.text = ""};
	struct mmu_hazard *hazard = mmu_watch_hazard(&call->target->mmu, &err);

	(void)what;
	if (hazard && (mmu_hazard_is_on(hazard) || mmu_hazard_set(hazard, true) == 0))
		return true;
	mmu_error(call, call->mmu ? MMU_BACKEND : MMU_NOCAP, "%s",
		  hazard ? "too many listen to the shadow already" : err.text);
	return false;
}

static bool parse_nothing(struct mmu_call *call, struct mmu_break *what)
{
	(void)call;
	(void)what;
	return true;
}

static bool parse_shadow(struct mmu_call *call, struct mmu_break *what)
{
	if (call->argc < 2)
		return true;
	what->kinds = mmu_trace_kinds_of(call->argv[1]);
	if (strcmp(call->argv[1], "fill") == 0 || strcmp(call->argv[1], "zap") == 0 ||
	    strcmp(call->argv[1], "wp") == 0)
		return true;
	mmu_error(call, MMU_BADARG, "shadow wants fill, zap or wp, not '%s'", call->argv[1]);
	return false;
}

static const struct {
	enum mmu_break_kind kind;
	const char *args, *help;
	unsigned min_args, max_args;
	bool (*parse)(struct mmu_call *call, struct mmu_break *what);
} KINDS[] = {
	{MMU_BREAK_MAP, "GVA [LEN] [--on present,gone,gpa,rights,ad] [--any|--cr3 X]",
	 "the mapping changes", 1, 2, parse_map},
	{MMU_BREAK_PTE, "GPA [LEN]", "an entry of a table is written", 1, 2, parse_pte},
	{MMU_BREAK_PA, "GPA [rwx] [LEN]", "physical memory is used, by any alias", 1, 3, parse_pa},
	{MMU_BREAK_CR3, "[VALUE]", "CR3 is loaded", 0, 1, parse_value},
	{MMU_BREAK_INVLPG, "[GVA]", "INVLPG, or INVPCID of one address", 0, 1, parse_invlpg},
	{MMU_BREAK_FAULT, "[ERR[/MASK]]", "the guest gets a page fault", 0, 1, parse_fault},
	{MMU_BREAK_WX, "", "a page becomes writable and executable, or is first used so", 0, 0,
	 parse_nothing},
	{MMU_BREAK_HAZARD, "", "a use without a flush; turns `mmu hazard` on", 0, 0, parse_hazard},
	{MMU_BREAK_SHADOW, "[fill|zap|wp]", "the shadow itself changes", 0, 1, parse_shadow},
};

void mmu_help_break(const struct print_sink *out)
{
	print_to(out, "Kinds; who did it is in the stop's line, which `mmu why` repeats:\n");
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(KINDS); i++)
		print_to(out, "  %s%s%s\n      %s\n", mmu_break_kind_name(KINDS[i].kind),
			 *KINDS[i].args ? " " : "", KINDS[i].args, KINDS[i].help);
}

/* The table of breaks. */

/* An answer that has nothing else says at least that. */
static void tell_count(struct mmu_call *call, unsigned count)
{
	record_begin(&call->record, "breaks");
	record_number(&call->record, "count", count);
	record_end(&call->record);
}

static void tell_all(struct mmu_call *call)
{
	const struct mmu_breaks *breaks = call->target->mmu.breaks;
	struct mmu_break_info info;
	unsigned count = 0;

	for (; breaks && mmu_breaks_at(breaks, count, &info); count++)
		mmu_tell_break(&call->record, &info);
	tell_count(call, count);
}

static void add(struct mmu_call *call, const struct mmu_break *what)
{
	struct umbra_err err = {.text = ""};
	struct mmu_break_info info;
	unsigned id;
	int rc = mmu_watch_add(&call->target->mmu, what, &id, &err);

	if (rc) {
		mmu_error(call, rc == -ENOTSUP ? MMU_NOCAP : MMU_BADARG, "%s", err.text);
		return;
	}
	for (unsigned i = 0; mmu_breaks_at(call->target->mmu.breaks, i, &info); i++) {
		if (info.id == id)
			mmu_tell_break(&call->record, &info);
	}
}

static int change_one(struct mmu_watch *watch, const char *word, unsigned id, struct umbra_err *err)
{
	if (strcmp(word, "delete") == 0)
		return mmu_watch_delete(watch, id);
	return mmu_watch_enable(watch, id, strcmp(word, "enable") == 0, err);
}

/* mmu break delete|enable|disable ID|all: what is there afterwards is the answer. */
static void change(struct mmu_call *call)
{
	bool is_all = call->argc == 2 && strcmp(call->argv[1], "all") == 0;
	struct mmu_watch *watch = &call->target->mmu;
	unsigned ids[MMU_BREAKS_MAX], count = 0;
	struct umbra_err err = {.text = ""};
	struct mmu_break_info info;
	uint64_t id = 0;

	if (call->argc != 2) {
		mmu_error(call, MMU_BADARG, "usage: mmu break %s ID|all", call->argv[0]);
		return;
	}
	if (!is_all && !mmu_parse_number(call, call->argv[1], &id))
		return;
	for (unsigned i = 0; watch->breaks && mmu_breaks_at(watch->breaks, i, &info); i++) {
		if (is_all || info.id == id)
			ids[count++] = info.id;
	}
	if (!count && !is_all) {
		mmu_error(call, MMU_BADARG, "there is no break %llu; `mmu break` lists them",
			  (unsigned long long)id);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		if (change_one(watch, call->argv[0], ids[i], &err))
			mmu_error(call, MMU_BACKEND, "%s", err.text);
	}
	tell_all(call);
}

static bool is_change(const char *word)
{
	return strcmp(word, "delete") == 0 || strcmp(word, "enable") == 0 ||
	       strcmp(word, "disable") == 0;
}

/* mmu break [KIND ...|delete ID|enable ID|disable ID] */
void mmu_word_break(struct mmu_call *call)
{
	size_t i = 0;

	if (call->argc == 0) {
		tell_all(call);
		return;
	}
	if (is_change(call->argv[0])) {
		change(call);
		return;
	}
	while (i < UMBRA_ARRAY_SIZE(KINDS) &&
	       strcmp(mmu_break_kind_name(KINDS[i].kind), call->argv[0]) != 0)
		i++;
	if (i == UMBRA_ARRAY_SIZE(KINDS)) {
		mmu_error(call, MMU_BADARG,
			  "no break on '%s'; they are map, pte, pa, cr3, invlpg, fault, wx, hazard "
			  "and shadow",
			  call->argv[0]);
	} else if (call->argc - 1 < KINDS[i].min_args || call->argc - 1 > KINDS[i].max_args) {
		mmu_error(call, MMU_BADARG, "usage: mmu break %s%s%s", call->argv[0],
			  *KINDS[i].args ? " " : "", KINDS[i].args);
	} else {
		struct mmu_break what = {.kind = KINDS[i].kind};

		if (KINDS[i].parse(call, &what))
			add(call, &what);
	}
}

/* mmu why */
void mmu_word_why(struct mmu_call *call)
{
	const struct mmu_watch *watch = &call->target->mmu;
	struct mmu_stop stop;

	if (!mmu_watch_last(watch, &stop)) {
		mmu_error(call, MMU_NOTPRESENT, "the last stop was for no break of `mmu break`");
		return;
	}
	mmu_tell_stop(&call->record, &stop);
	mmu_watch_tell_steps(watch, &call->record, call->mem, &stop);
}
