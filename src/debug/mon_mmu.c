/* The table of `mmu` words, their options, errors, and the members that many records share. */
#include "mon_mmu.h"

#include "umbra/nearest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_MAX 256u
/* Half a second at most: every table that 64 GiB of guest can hold. */
#define BUDGET (1ull << 26)

static const struct mmu_word WORDS[] = {
	{"info", "", "paging, the shadow, and the memory slots", "mmu info", 0, 0, mmu_word_info},
	{"addr", "[gva|gpa|hva|hpa] ADDR", "all four addresses in one line, from any of them",
	 "mmu addr hva 0x7f11d6f31a68", 1, 2, mmu_word_addr},
	{"walk", "GVA", "every table entry on the way, the shadow's beside it",
	 "mmu walk 0x401000 -j", 1, 1, mmu_word_walk},
	{"probe", "[r|w|x] [cpl=N] [ac=N] GVA", "would this access fault, and why",
	 "mmu probe w cpl=3 0x401000", 1, 4, mmu_word_probe},
	{"map", "[LO [HI]]", "what is mapped, in ranges; --filter u,x,w,big,g,nx, --phys",
	 "mmu map 0xffff800000000000 --filter w,x", 0, 2, mmu_word_map},
	{"rmap", "GPA", "every address in every known root that maps it", "mmu rmap 0x2f31a68", 1,
	 1, mmu_word_rmap},
	{"find", "phys GPA|pte VALUE[/MASK]|wx|user|alias",
	 "pages by frame or entry; audits over all roots", "mmu find pte 0x63/0xfff", 1, 2,
	 mmu_word_find},
	{"roots", "", "the sets of tables that are known", "mmu roots -j", 0, 0, mmu_word_roots},
	{"tables", "[GPA]", "which pages are tables, at which level, named by whom",
	 "mmu tables 0x1a42000", 0, 1, mmu_word_tables},
	{"shadow", "[SP|GVA]", "shadow pages; the entries of one; the way of an address",
	 "mmu shadow 19", 0, 1, mmu_word_shadow},
	{"verify", "", "check the shadow's invariants I1 to I11", "mmu verify", 0, 0,
	 mmu_word_verify},
	{"stats", "", "what the shadow has done", "mmu stats", 0, 0, mmu_word_stats},
	{"tlb", "[GVA]", "what the micro-TLBs hold", "mmu tlb --cpu 0", 0, 1, mmu_word_tlb},
	{"ad", "[clear]", "pages that were accessed; clear takes their A bits", "mmu ad --filter u",
	 0, 1, mmu_word_ad},
	{"dump", "--dot|--json", "the tables as a graph", "mmu dump --dot", 0, 0, mmu_word_dump},
	{"snap", "[NAME|drop NAME]", "remember what is mapped now", "mmu snap before", 0, 2,
	 mmu_word_snap},
	{"diff", "FROM [TO]", "what changed since a snapshot, and who did it",
	 "mmu diff before now", 1, 2, mmu_word_diff},
	{"break", "[KIND ...|delete|enable|disable ID|all]",
	 "stop when a mapping changes; `mmu help break` has all kinds",
	 "mmu break map 0x401000 --on present,rights", 0, 4, mmu_word_break},
	{"why", "", "what the last stop of `mmu break` or `mmu step` was", "mmu why", 0, 0,
	 mmu_word_why},
	{"trace", "[on [KINDS]|off|clear]",
	 "keep the shadow's events; `mmu help trace` has all kinds",
	 "mmu trace on fault,ptw,fill,zap,cr3,invlpg", 0, 2, mmu_word_trace},
	{"log", "[-n N]", "the last events of the trace", "mmu log -n 6", 0, 0, mmu_word_log},
	{"step", "[KINDS]", "`continue` then stops behind the next event: S1 to S4",
	 "mmu step fault,ptw", 0, 1, mmu_word_step},
	{"hazard", "[on [GRACE]|off]", "translations used without the flush that they needed",
	 "mmu hazard on", 0, 2, mmu_word_hazard},
	{"track", "[lazy|trap|off]", "how table writes are seen; what changed since the last stop",
	 "mmu track", 0, 1, mmu_word_track},
	{"zap", "", "drop the shadow, or the accelerator's own: it fills again", "mmu zap", 0, 0,
	 mmu_word_zap},
#ifdef UMBRA_INJECT
	{"inject", "spte|rmap|wp GVA", "break the shadow, for `mmu verify` to find",
	 "mmu inject spte 0x401000", 2, 2, mmu_word_inject},
#endif
};

/* Errors. */

static const char *const ERROR_NAMES[] = {
	[MMU_NOADDR] = "noaddr", [MMU_NONCANON] = "noncanon", [MMU_NOTPRESENT] = "notpresent",
	[MMU_BADARG] = "badarg", [MMU_NOCAP] = "nocap",	      [MMU_BACKEND] = "backend",
};

void mmu_error(struct mmu_call *call, enum mmu_error code, const char *fmt, ...)
{
	struct mon_record text;
	char words[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	if (!call->record.is_json) {
		print_to(call->record.out, "error %s %s\n", ERROR_NAMES[code], words);
		return;
	}
	print_to(call->record.out, "{\"error\":\"%s\"", ERROR_NAMES[code]);
	record_init(&text, call->record.out, true);
	text.is_first = false;
	record_string(&text, "text", words);
	record_end(&text);
}

bool mmu_needs_shadow(struct mmu_call *call)
{
	if (!call->mmu)
		mmu_error(call, MMU_NOCAP,
			  "the %s back end translates by itself and has no shadow to show; "
			  "-accel soft has",
			  vm_accel(call->target->vm)->name);
	return call->mmu;
}

bool mmu_parse_number(struct mmu_call *call, const char *text, uint64_t *out_value)
{
	char *end;

	errno = 0;
	*out_value = strtoull(text, &end, 0);
	if (errno == 0 && end != text && !*end && *text >= '0' && *text <= '9')
		return true;
	mmu_error(call, MMU_BADARG, "'%s' is no number (0x for hexadecimal)", text);
	return false;
}

/* Limits. */

bool mmu_has_room(struct mmu_call *call)
{
	if (call->shown >= call->max || call->record.total >= MON_RECORD_TOTAL_MAX)
		return false;
	call->shown++;
	return true;
}

void mmu_tell_more(struct mmu_call *call, uint64_t next)
{
	record_begin(&call->record, "more");
	record_hex(&call->record, "next", next);
	record_end(&call->record);
}

enum mmu_view_end mmu_run_view(struct mmu_call *call, struct mmu_view *view, uint64_t most,
			       gva_t *out_next)
{
	uint64_t given = most ? u64_min(most, call->budget) : call->budget;
	enum mmu_view_end end;

	*out_next = view->lo;
	if (given == 0)
		return MMU_VIEW_BUDGET;
	view->budget = given;
	end = mmu_view_run(view, out_next);
	call->budget -= given - view->budget;
	return end;
}

/* Shared members. */

const char *mmu_size_name(uint64_t bytes)
{
	switch (bytes) {
	case 1u << 12:
		return "4K";
	case 1u << 21:
		return "2M";
	case 1u << 22:
		return "4M";
	case 1u << 30:
		return "1G";
	default:
		return "-"; /* no paging, so no page */
	}
}

void mmu_tell_size(struct mon_record *record, uint64_t bytes)
{
	if (record->is_json)
		record_number(record, "page", mmu_size_name(bytes)[0] == '-' ? 0 : bytes);
	else
		record_string(record, "page", mmu_size_name(bytes));
}

unsigned mmu_walk_rights(const struct x86_walk *walk)
{
	return (walk->is_writable ? MMU_RIGHT_W : 0) | (walk->is_user ? MMU_RIGHT_U : 0) |
	       (walk->is_executable ? MMU_RIGHT_X : 0);
}

void mmu_tell_rights(struct mmu_call *call, const struct x86_paging *regs, unsigned rights,
		     const char *prefix)
{
	bool is_paging = x86_paging_mode(regs) != X86_PAGING_NONE;
	bool is_user = rights & MMU_RIGHT_U;
	bool k_writes = (rights & MMU_RIGHT_W) || !(regs->cr0 & X86_CR0_WP);
	bool k_fetches =
		(rights & MMU_RIGHT_X) && !(is_paging && is_user && (regs->cr4 & X86_CR4_SMEP));
	char u[4] = "---", k[4] = "r--";

	if (is_user) {
		u[0] = 'r';
		u[1] = rights & MMU_RIGHT_W ? 'w' : '-';
		u[2] = rights & MMU_RIGHT_X ? 'x' : '-';
	}
	k[1] = k_writes ? 'w' : '-';
	k[2] = k_fetches ? 'x' : '-';
	record_object(&call->record, "rights", prefix);
	record_pair(&call->record, "u", u);
	record_pair(&call->record, "k", k);
	record_object_end(&call->record);
}

void mmu_format_flags(enum x86_paging_mode mode, unsigned level, bool is_page, uint64_t entry,
		      char out[11])
{
	static const struct {
		char letter;
		uint64_t bit;
	} columns[] = {
		{'P', X86_PTE_P}, {'W', X86_PTE_RW}, {'U', X86_PTE_US}, {'X', X86_PTE_NX},
		{'A', X86_PTE_A}, {'D', X86_PTE_D},  {'S', X86_PTE_PS}, {'G', X86_PTE_G},
		{'c', 1u << 4},	  {'t', 1u << 3},
	};
	bool is_pdpte = mode == X86_PAGING_PAE && level == 3;

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(columns); i++) {
		char letter = columns[i].letter;
		bool is_set = ((entry & columns[i].bit) != 0) != (letter == 'X');

		out[i] = '-';
		if (is_set)
			out[i] = letter;
		if ((letter == 'D' && !is_page) || (is_pdpte && strchr("WUXA", letter)))
			out[i] = '.';
		else if ((letter == 'G' && !is_page) || (letter == 'S' && level == 1))
			out[i] = '-';
	}
	out[10] = '\0';
}

const char *mmu_mode_name(enum x86_paging_mode mode)
{
	switch (mode) {
	case X86_PAGING_NONE:
		return "none";
	case X86_PAGING_32BIT:
		return "32bit";
	case X86_PAGING_PAE:
		return "pae";
	case X86_PAGING_4LEVEL:
		return "4level";
	case X86_PAGING_5LEVEL:
		break;
	}
	return "5level";
}

const struct mem_region *mmu_slot_of(const struct mmu_call *call, gpa_t gpa, unsigned *out_index)
{
	const struct mem_region *region;

	for (*out_index = 0; (region = mem_region_at(call->mem, *out_index)) != NULL;
	     ++*out_index) {
		if (range_fits(gpa, 1, region->gpa, region->len))
			break;
	}
	return region;
}

void mmu_tell_hpa(struct mon_record *record, const uint8_t *host)
{
	uint64_t hpa;
	int error = mmu_host_page(host, &hpa);

	if (error == 0)
		record_hex(record, "hpa", hpa);
	else
		record_string(record, "hpa", error == -ENODATA ? "not-resident" : "hidden");
}

/* Help. */

#define HELP_COLUMN 36 /* where the text begins; a call that is longer has a line of its own */

static void help_one(const struct print_sink *out, const struct mmu_word *word)
{
	char left[96];

	snprintf(left, sizeof(left), "mmu %s%s%s", word->name, *word->args ? " " : "", word->args);
	if (strlen(left) > HELP_COLUMN)
		print_to(out, "  %s\n  %-*s", left, HELP_COLUMN, "");
	else
		print_to(out, "  %-*s", HELP_COLUMN, left);
	print_to(out, " %s\n  %-*s (gdb) monitor %s\n", word->help, HELP_COLUMN, "", word->example);
}

/* What one line has no room for. */
static void help_more(const struct print_sink *out, const struct mmu_word *word)
{
	if (word->run == mmu_word_break)
		mmu_help_break(out);
	else if (word->run == mmu_word_trace || word->run == mmu_word_step)
		mmu_help_kinds(out);
}

static const struct mmu_word *find_word(struct mmu_call *call, const char *name)
{
	const char *names[UMBRA_ARRAY_SIZE(WORDS)];
	const struct mmu_word *found = NULL;
	const char *nearest;
	unsigned matches = 0;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(WORDS); i++) {
		names[i] = WORDS[i].name;
		if (strcmp(WORDS[i].name, name) == 0)
			return &WORDS[i];
		if (strncmp(WORDS[i].name, name, strlen(name)) == 0) {
			found = &WORDS[i];
			matches++;
		}
	}
	if (matches == 1)
		return found;
	nearest = nearest_word(name, names, UMBRA_ARRAY_SIZE(WORDS));
	if (matches > 1)
		mmu_error(call, MMU_BADARG, "'%s' could be several words; `mmu help` lists them",
			  name);
	else if (nearest)
		mmu_error(call, MMU_BADARG, "no such word: '%s'; did you mean '%s'?", name,
			  nearest);
	else
		mmu_error(call, MMU_BADARG, "no such word: '%s'; `mmu help` lists them", name);
	return NULL;
}

static void help(struct mmu_call *call)
{
	const struct print_sink *out = call->record.out;
	const struct mmu_word *word;

	if (call->argc) {
		word = find_word(call, call->argv[0]);
		if (word) {
			help_one(out, word);
			help_more(out, word);
		}
		return;
	}
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(WORDS); i++)
		help_one(out, &WORDS[i]);
	print_to(out, "Options anywhere: -j one JSON object a line; --cpu N; --cr3 X or --pcid N "
		      "other tables than\nthe cpu's; --max N records, --from X the ones behind an "
		      "answer that ended in `more next=X`; --raw\npage by page.\n");
}

/* Options. */

enum option_kind { OPTION_FLAG, OPTION_NUMBER, OPTION_TEXT };

/* Returns the words taken: 0 = no option, or an error was told (*out_is_bad). */
static unsigned take_option(struct mmu_call *call, unsigned argc, const char **argv,
			    bool *out_is_bad)
{
	uint64_t cpu = call->cpu;
	const struct {
		const char *name;
		enum option_kind kind;
		void *to;
		bool *has;
	} options[] = {
		{"-j", OPTION_FLAG, &call->record.is_json, NULL},
		{"--json", OPTION_FLAG, &call->record.is_json, NULL},
		{"--dot", OPTION_FLAG, &call->is_dot, NULL},
		{"--raw", OPTION_FLAG, &call->is_raw, NULL},
		{"--phys", OPTION_FLAG, &call->is_physical, NULL},
		{"--any", OPTION_FLAG, &call->is_any_root, NULL},
		{"--cpu", OPTION_NUMBER, &cpu, NULL},
		{"--cr3", OPTION_NUMBER, &call->cr3, &call->has_cr3},
		{"--pcid", OPTION_NUMBER, &call->pcid, &call->has_pcid},
		{"--max", OPTION_NUMBER, &call->max, NULL},
		{"--from", OPTION_NUMBER, &call->from, NULL},
		{"-n", OPTION_NUMBER, &call->last, &call->has_last},
		{"--on", OPTION_TEXT, &call->on, NULL},
		{"--filter", OPTION_TEXT, &call->filter, NULL},
	};
	size_t i = 0;

	while (i < UMBRA_ARRAY_SIZE(options) && strcmp(options[i].name, argv[0]) != 0)
		i++;
	if (i == UMBRA_ARRAY_SIZE(options)) {
		*out_is_bad = argv[0][0] == '-';
		if (*out_is_bad)
			mmu_error(call, MMU_BADARG, "no such option: '%s'", argv[0]);
		return 0;
	}
	if (options[i].kind == OPTION_FLAG) {
		*(bool *)options[i].to = true;
		return 1;
	}
	*out_is_bad = argc < 2;
	if (*out_is_bad)
		mmu_error(call, MMU_BADARG, "%s wants a value", argv[0]);
	else if (options[i].kind == OPTION_TEXT)
		*(const char **)options[i].to = argv[1];
	else
		*out_is_bad = !mmu_parse_number(call, argv[1], options[i].to);
	if (options[i].has)
		*options[i].has = true;
	call->cpu = cpu > ACCEL_MAX_VCPUS ? ACCEL_MAX_VCPUS : (unsigned)cpu;
	return 2;
}

/* Take the options out of the arguments.  False after an error was told. */
static bool take_options(struct mmu_call *call, unsigned argc, const char **argv)
{
	bool is_bad = false;

	call->argv = argv;
	/* Errors about the others are to come in the form that was asked for. */
	for (unsigned i = 0; i < argc; i++)
		call->record.is_json |= strcmp(argv[i], "-j") == 0;
	for (unsigned i = 0; i < argc;) {
		unsigned taken = take_option(call, argc - i, argv + i, &is_bad);

		if (is_bad)
			return false;
		if (taken == 0)
			argv[call->argc++] = argv[i++];
		i += taken;
	}
	return true;
}

/* The registers that the word is to go by. */
static bool resolve_regs(struct mmu_call *call)
{
	struct mmu_roots roots;
	const struct mmu_known_root *root = NULL;

	if (call->cpu >= world_vcpu_count(call->target->world)) {
		mmu_error(call, MMU_BADARG, "no such cpu; they are 0 to %u",
			  world_vcpu_count(call->target->world) - 1);
		return false;
	}
	call->st = vcpu_state(call->target->world, call->cpu, X86_STATE_GPR | X86_STATE_SREG);
	if (!call->st || !mmu_regs_of(call->target, call->cpu, &call->regs)) {
		mmu_error(call, MMU_BACKEND, "the state of cpu %u could not be read", call->cpu);
		return false;
	}
	if (!call->has_cr3 && !call->has_pcid)
		return true;
	mmu_roots_get(call->target, &roots);
	if (call->has_pcid)
		root = mmu_roots_find_pcid(&roots, call->pcid);
	else
		root = mmu_roots_find_cr3(&roots, call->cr3);
	if (call->has_pcid && !root) {
		mmu_error(call, MMU_BADARG, "no known root has this PCID; `mmu roots` lists them");
		return false;
	}
	/* What the cpu would see with this CR3; a root of another mode brings its own registers. */
	if (root && x86_paging_mode(&root->regs) != x86_paging_mode(&call->regs)) {
		call->regs = root->regs;
		return true;
	}
	call->regs.cr3 = root ? root->regs.cr3 : call->cr3;
	call->regs.has_pdpte = root && root->regs.has_pdpte;
	if (root)
		memcpy(call->regs.pdpte, root->regs.pdpte, sizeof(call->regs.pdpte));
	return true;
}

int mon_mmu(struct mon_call *mon)
{
	struct mmu_call call = {.target = mon->target,
				.mem = vm_mem(mon->target->vm),
				.mmu = vm_mmu(mon->target->vm),
				.cpu = mon->vcpu,
				.max = DEFAULT_MAX,
				.budget = BUDGET};
	const struct mmu_word *word;

	record_init(&call.record, mon->out, false);
	if (!take_options(&call, mon->argc, mon->argv))
		return 0;
	if (call.argc == 0 || strcmp(call.argv[0], "help") == 0) {
		call.argc -= call.argc > 0;
		call.argv++;
		help(&call);
		return 0;
	}
	word = find_word(&call, call.argv[0]);
	call.argc--;
	call.argv++;
	if (!word)
		return 0;
	if (call.argc < word->min_args || call.argc > word->max_args) {
		mmu_error(&call, MMU_BADARG, "usage: mmu %s%s%s", word->name,
			  *word->args ? " " : "", word->args);
	} else if (resolve_regs(&call)) {
		mmu_track_begin(&call);
		word->run(&call);
	}
	return 0;
}
