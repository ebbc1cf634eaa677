/* umbra's UART, PIC, PIT and RTC beside QEMU's (-machine isapc): random port operations and steps
 * of time on both, every result compared, interrupt lines by what the PIC shows and gives.
 *
 *   --cases N      sequences of each group (default 6)
 *   --seconds N    new sequences for as long as that, instead
 *   --seed S       other sequences; one depends on the seed, its group and its number alone
 *   --first N      begin with this number: with --cases 1, one that was printed
 *   --only GROUP   uart, pic, pit or rtc; known: the listings of known.c alone
 *   --replay FILE  run a listing (sequence.h), with --only's pace, and print both results
 *   --image FILE   with --replay: leave what QEMU runs in FILE, and print the command for it
 *
 * A difference is shrunk and printed as a listing.  Those that are known stand in known_*.c. */
#include "gen.h"
#include "known.h"
#include "shrink.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CASES_DEFAULT 6u
#define SEED_DEFAULT  20240229u
#define TRIALS	      3u /* QEMUs at a time: most of its start is waiting */
#define LISTING_BYTES 65536u
#define RESULT_MAX    80u

static const struct group groups[] = {
	{"uart", {.shift = 10}, gen_uart},
	{"pic", {.shift = 10}, gen_pic},
	{"pit", {.shift = 3, .is_aligned = true}, gen_pit},
	{"rtc", {.shift = 10}, gen_rtc},
};
#define GROUP_COUNT (sizeof(groups) / sizeof(groups[0]))

struct options {
	uint64_t cases, seconds, seed, first;
	const char *only, *replay, *image;
};

/* What a listing says that the two give. */
struct expected {
	struct results ours, theirs;
};

struct bench {
	struct options options;
	struct trial trial[TRIALS];
	struct expected expected[TRIALS];
	unsigned results, failures;
};

static void report(struct bench *b, bool is_good, const char *text)
{
	b->failures += !is_good;
	printf("%sok %u - %s\n", is_good ? "" : "not ", ++b->results, text);
	fflush(stdout);
}

static bool is_wanted(const struct bench *b, const char *name)
{
	return !b->options.only || strcmp(b->options.only, name) == 0;
}

/* Random sequences. */

static void fill(struct trial *t, const struct group *group, uint64_t seed, uint64_t number)
{
	struct rng r = {.state = seed ^ number << 32};

	rng_next(&r);
	t->s.pace = group->pace;
	t->s.count = 0;
	group->fill(&r, &t->s);
}

/* Finish sequence @number; false when it failed. */
static bool finish(struct trial *t, const struct group *group, uint64_t number)
{
	trial_finish(t);
	if (!t->is_failed && t->differs_at == NO_DIFFERENCE)
		return true;
	printf("# %s number %" PRIu64 ":\n", group->name, number);
	if (!t->is_failed) {
		trial_shrink(t);
		trial_print(t);
	}
	return false;
}

/* Operations of @s that are left; the others were in the way of what is known (ours.h). */
static unsigned count_kept(const struct sequence *s)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->count; i++)
		kept += s->op[i].kind != OP_WAIT || s->op[i].ns > 0;
	return kept;
}

static bool is_time_up(const struct bench *b, uint64_t started, time_t end)
{
	return b->options.seconds ? time(NULL) >= end : started == b->options.cases;
}

static void run_group(struct bench *b, const struct group *group)
{
	time_t end = time(NULL) + (time_t)(b->options.seconds / GROUP_COUNT);
	uint64_t started = 0, finished = 0, bad = 0, ops = 0, kept = 0;
	char text[RESULT_MAX];

	while (bad == 0) {
		if (started - finished < TRIALS && !is_time_up(b, started, end)) {
			struct trial *t = &b->trial[started % TRIALS];

			fill(t, group, b->options.seed, b->options.first + started++);
			trial_start(t, false);
		} else if (finished < started) {
			struct trial *t = &b->trial[finished % TRIALS];

			ops += t->s.count;
			kept += count_kept(&t->s);
			bad += !finish(t, group, b->options.first + finished++);
		} else {
			break;
		}
	}
	while (finished < started)
		trial_finish(&b->trial[finished++ % TRIALS]);
	snprintf(text, sizeof(text), "%s: %" PRIu64 " sequences, %" PRIu64 " operations",
		 group->name, finished, ops);
	printf("# %s: %" PRIu64 " operations were dropped for what is known\n", group->name,
	       ops - kept);
	report(b, bad == 0, text);
}

/* The listings of what is known. */

static bool known_start(struct trial *t, const struct known *row, struct expected *out)
{
	static const struct expected none;

	*out = none;
	t->s.pace = row->pace;
	t->s.count = 0;
	if (!seq_parse(&t->s, row->listing, &out->ours, &out->theirs))
		return false;
	trial_start(t, true);
	return true;
}

/* Both sides do as the listing says, and not the same. */
static bool known_finish(struct trial *t, const struct expected *e)
{
	bool is_good;

	trial_finish(t);
	is_good = !t->is_failed && t->differs_at != NO_DIFFERENCE;
	for (unsigned i = 0; is_good && i < t->s.count; i++)
		is_good = t->ours.value[i] == e->ours.value[i] &&
			  t->theirs.value[i] == e->theirs.value[i];
	if (!is_good && !t->is_failed)
		trial_print(t);
	return is_good;
}

static const char *right_name(enum known_right right)
{
	switch (right) {
	case RIGHT_UMBRA:
		return "umbra is right";
	case RIGHT_QEMU:
		return "QEMU is right";
	case RIGHT_BOTH:
		return "either is right";
	}
	return NULL;
}

static void report_known(struct bench *b, unsigned index, bool is_started)
{
	unsigned slot = index % TRIALS;
	const struct known *row = known_row(index);
	char text[2 * RESULT_MAX];
	bool is_good = is_started && known_finish(&b->trial[slot], &b->expected[slot]);

	snprintf(text, sizeof(text), "known, %s: %s", row->device, row->what);
	printf("# %s; %s\n", row->decides, right_name(row->right));
	report(b, is_good, text);
}

static void run_known(struct bench *b)
{
	unsigned started = 0, finished = 0;
	bool is_started[TRIALS];

	while (known_row(finished)) {
		const struct known *row = known_row(started);
		unsigned slot = started % TRIALS;

		if (row && started - finished < TRIALS) {
			is_started[slot] = known_start(&b->trial[slot], row, &b->expected[slot]);
			started++;
		} else {
			report_known(b, finished, is_started[finished % TRIALS]);
			finished++;
		}
	}
}

/* One listing. */

static bool read_listing(const char *path, struct sequence *s)
{
	char *text = calloc(1, LISTING_BYTES + 1);
	FILE *file = fopen(path, "r");
	bool is_good = text && file && fread(text, 1, LISTING_BYTES, file) > 0 &&
		       seq_parse(s, text, NULL, NULL);

	if (file)
		fclose(file);
	free(text);
	return is_good;
}

static bool write_image(const char *path, const struct trial *t)
{
	FILE *file = fopen(path, "w");
	bool is_good = file && fwrite(t->image.byte, IMAGE_BYTES, 1, file) == 1;

	if (file && fclose(file) != 0)
		is_good = false;
	theirs_print_command(path, &t->s);
	return is_good;
}

static int replay(struct bench *b)
{
	struct trial *t = &b->trial[0];

	t->s.pace = groups[0].pace;
	for (unsigned i = 0; i < GROUP_COUNT; i++) {
		if (is_wanted(b, groups[i].name) && b->options.only)
			t->s.pace = groups[i].pace;
	}
	if (!read_listing(b->options.replay, &t->s)) {
		fprintf(stderr, "%s: not a listing that can be read\n", b->options.replay);
		return 2;
	}
	trial_start(t, true);
	trial_finish(t);
	trial_print(t);
	if (b->options.image && !write_image(b->options.image, t))
		return 2;
	return t->is_failed ? 2 : t->differs_at != NO_DIFFERENCE;
}

static bool parse(int argc, char **argv, struct options *out)
{
	static const struct option OPTIONS[] = {
		{"cases", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 't'},
		{"seed", required_argument, NULL, 's'},	 {"first", required_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'},	 {"replay", required_argument, NULL, 'r'},
		{"image", required_argument, NULL, 'i'}, {NULL, 0, NULL, 0},
	};
	int c;

	*out = (struct options){.cases = CASES_DEFAULT, .seed = SEED_DEFAULT};
	while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
		if (c == 'c')
			out->cases = strtoull(optarg, NULL, 0);
		else if (c == 't')
			out->seconds = strtoull(optarg, NULL, 0);
		else if (c == 's')
			out->seed = strtoull(optarg, NULL, 0);
		else if (c == 'f')
			out->first = strtoull(optarg, NULL, 0);
		else if (c == 'o')
			out->only = optarg;
		else if (c == 'r')
			out->replay = optarg;
		else if (c == 'i')
			out->image = optarg;
		else
			return false;
	}
	return optind == argc;
}

static int run(struct bench *b)
{
	if (b->options.replay)
		return replay(b);
	printf("# seed %" PRIu64 "\n", b->options.seed);
	if (is_wanted(b, "known"))
		run_known(b);
	for (unsigned i = 0; i < GROUP_COUNT; i++) {
		if (is_wanted(b, groups[i].name))
			run_group(b, &groups[i]);
	}
	printf("1..%u\n", b->results);
	return b->failures ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	const char *missing;
	int rc;

	if (!b || !parse(argc, argv, &b->options)) {
		fprintf(stderr,
			"usage: %s [--cases N | --seconds N] [--seed S] [--first N] "
			"[--only GROUP] [--replay FILE [--image FILE]]\n",
			argv[0]);
		free(b);
		return 2;
	}
	missing = theirs_missing();
	if (missing) {
		printf("1..0 # SKIP %s\n", missing);
		rc = 77;
	} else {
		rc = run(b);
	}
	free(b);
	return rc;
}
