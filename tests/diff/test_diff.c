/* The native oracle: random legal instructions in random state, each run by the host's processor
 * and by the software CPU, and everything that both leave behind compared.
 *
 *   --count N      cases (default 1,000,000)
 *   --seed S       another sequence of cases; a case depends on the seed and its number alone
 *   --first N      begin with this case: with --count 1, one case that was printed
 *   --only NAME    one mnemonic
 *   --bits 32      32-bit code (default 64)
 *   --verbose      print every case
 *
 * An instruction is run at CPL 3 in the same pages at the same addresses on both sides (layout.h).
 * What is not compared stands in known.c, with reasons.  Every difference counts; the first few are
 * printed, and how many there were for each mnemonic. */
#include "compare.h"
#include "forms.h"
#include "gen.h"
#include "guest.h"
#include "native.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_DEFAULT 1000000u
#define SEED_DEFAULT  20240229u
#define PRINTED_MAX   20u

struct options {
	uint64_t count, seed, first;
	unsigned bits;
	const char *only;
	bool is_verbose;
};

#define TRIES 3u

struct oracle {
	struct options options;
	struct native *native;
	struct guest *guest;
	struct forms forms;
	uint64_t different, raised;
	uint64_t *different_of; /* by mnemonic */
};

static void run_case(struct oracle *o, uint64_t number, struct diff_case *dc)
{
	struct diff_result native, guest;
	ZydisDecodedInstruction z;

	gen_case(&o->forms, o->options.seed, number, dc, &z);
	if (o->options.is_verbose) {
		compare_print_case(dc);
		fflush(stdout);
	}
	/* An interrupt of the host between iterations of REP leaves other flags behind at a fault
	 * than a run without one: a difference must come again. */
	for (unsigned i = 0; i < TRIES; i++) {
		native_run(o->native, dc, &native);
		guest_run(o->guest, dc, &guest);
		if (i == 0 && native.state.vector != DIFF_NO_VECTOR)
			o->raised++;
		if (compare_results(dc, &z, &native, &guest, guest_memory(o->guest)))
			return;
	}
	o->different++;
	o->different_of[z.mnemonic]++;
	if (o->different <= PRINTED_MAX)
		compare_report(dc, &native, &guest);
}

static void run_all(struct oracle *o)
{
	struct diff_case dc = {.fs_base = native_fs_base()};
	uint64_t end = o->options.first + o->options.count;

	for (uint64_t number = o->options.first; number < end; number++)
		run_case(o, number, &dc);
}

static bool set_up(struct oracle *o)
{
	o->different_of = calloc(ZYDIS_MNEMONIC_MAX_VALUE + 1, sizeof(*o->different_of));
	if (!o->different_of)
		return false;
	o->native = native_create();
	if (!o->native)
		return false;
	o->guest = guest_create(o->options.bits, native_fs_base());
	if (forms_create(&o->forms, guest_vm(o->guest), o->options.bits, o->options.only))
		return true;
	fprintf(stderr, "diff: no form of %s\n", o->options.only ? o->options.only : "anything");
	return false;
}

static bool has_form(const struct forms *f, unsigned mnemonic)
{
	for (unsigned i = 0; i < f->group_count; i++) {
		if (f->group[i].mnemonic == mnemonic)
			return true;
	}
	return false;
}

/* What of the model was not run: privileged, in known.c with the reason, or of the other mode. */
static void report_left_out(const struct oracle *o)
{
	printf("# left out:");
	for (unsigned i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
		if (o->forms.row[i] && !has_form(&o->forms, i))
			printf(" %s", ZydisMnemonicGetString((ZydisMnemonic)i));
	}
	printf("\n");
}

static int report(const struct oracle *o)
{
	if (!o->options.only)
		report_left_out(o);
	printf("# %u mnemonics in %u forms, %" PRIu64 " cases raised an exception\n",
	       o->forms.group_count, o->forms.count, o->raised);
	for (unsigned i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
		if (o->different_of[i])
			printf("# %-12s %" PRIu64 " differ\n",
			       ZydisMnemonicGetString((ZydisMnemonic)i), o->different_of[i]);
	}
	printf("1..1\n%sok 1 - %" PRIu64 " cases of %u-bit code, %" PRIu64 " differ\n",
	       o->different ? "not " : "", o->options.count, o->options.bits, o->different);
	return o->different ? 1 : 0;
}

static bool parse(int argc, char **argv, struct options *out)
{
	static const struct option OPTIONS[] = {
		{"count", required_argument, NULL, 'c'},
		{"seed", required_argument, NULL, 's'},
		{"first", required_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'},
		{"bits", required_argument, NULL, 'b'},
		{"verbose", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*out = (struct options){.count = COUNT_DEFAULT, .seed = SEED_DEFAULT, .bits = 64};
	while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
		if (c == 'c')
			out->count = strtoull(optarg, NULL, 0);
		else if (c == 's')
			out->seed = strtoull(optarg, NULL, 0);
		else if (c == 'f')
			out->first = strtoull(optarg, NULL, 0);
		else if (c == 'o')
			out->only = optarg;
		else if (c == 'b')
			out->bits = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'v')
			out->is_verbose = true;
		else
			return false;
	}
	return optind == argc && (out->bits == 64 || out->bits == 32);
}

int main(int argc, char **argv)
{
	struct oracle o = {.different = 0};
	int rc;

	if (!parse(argc, argv, &o.options)) {
		fprintf(stderr,
			"usage: %s [--count N] [--seed S] [--first N] [--only MNEMONIC] "
			"[--bits 64|32] [--verbose]\n",
			argv[0]);
		return 2;
	}
	printf("# seed %" PRIu64 "\n", o.options.seed);
	if (!set_up(&o))
		return 2;
	run_all(&o);
	rc = report(&o);
	forms_destroy(&o.forms);
	guest_destroy(o.guest);
	native_destroy(o.native);
	free(o.different_of);
	return rc;
}
