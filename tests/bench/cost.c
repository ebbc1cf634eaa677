/* `make bench`, the price of debugging: what a point that is not hit, and stepping through a range,
 * cost a guest, on umbra's software CPU and on QEMU's translator.
 *
 *   cost [--quick] UMBRA GUEST.elf [QEMU]
 *
 * Speeds are in instructions of the guest per second of processor time that the server used, so
 * that what else the host does disturbs little.  In each window a piece of work runs plainly and
 * then debugged, the servers one after the other; each figure is the median of the windows, the
 * factor that of their ratios.  Exit status 1: the software CPU was lost. */

#include "figures.h"
#include "peer.h"

#include <stdio.h>

#define PEERS	    2u
#define FIRST_TURNS 1000u
#define MAX_TURNS   0x40000000u

/* Prepare and run @turns of the work at @work to its end. */
typedef void run_fn(struct server *s, enum label work, unsigned long turns);

struct row {
	const char *name;
	enum label work;
	unsigned per_turn; /* instructions */
	/* What is set meanwhile, or NULL; and how the work runs then. */
	void (*set)(struct server *s, char action, enum label at);
	enum label at;
	run_fn *run;
};

static void step_range(struct server *s, enum label work, unsigned long turns)
{
	char text[96];

	server_aim(s, work, turns);
	snprintf(text, sizeof(text), "vCont;r%lx,%lx:p1.1", s->bench->label[LABEL_RANGE],
		 s->bench->label[LABEL_RANGE_END]);
	server_ask(s, text);
	server_expect(s, LABEL_RANGE_END);
}

static const struct row rows[] = {
	{"breakpoint on the loop's page", LABEL_ALU, 8, server_breakpoint, LABEL_BESIDE,
	 server_run},
	{"watchpoint on another page", LABEL_STORE, 7, server_watchpoint, LABEL_FAR, server_run},
	{"watchpoint on the written page", LABEL_STORE, 7, server_watchpoint, LABEL_NEAR,
	 server_run},
	{"stepped inside one vCont;r", LABEL_RANGE, 2, NULL, LABEL_RANGE_END, step_range},
};

static const enum peer order[PEERS] = {PEER_UMBRA_SOFT, PEER_QEMU_TCG};

/* Millions of instructions a second.  Enough turns for a window: they grow until they take half of
 * it, which also leaves the translation of the code out. */
static double speed_of(struct server *s, const struct row *row, run_fn *run)
{
	unsigned long turns = FIRST_TURNS / 4;
	double used_s;

	do {
		double begin = server_cpu_s(s);

		turns *= 4;
		run(s, row->work, turns);
		used_s = server_cpu_s(s) - begin;
	} while (used_s < s->bench->window_s / 2 && turns < MAX_TURNS && !s->is_lost);
	return s->is_lost || used_s <= 0 ? 0 : (double)turns * row->per_turn / used_s / 1e6;
}

struct result {
	double plain[MAX_WINDOWS], debugged[MAX_WINDOWS], factor[MAX_WINDOWS];
};

static bool can_do(const struct row *row, const struct server *s)
{
	/* QEMU has no range stepping. */
	return !s->is_lost && (row->run == server_run || s->peer == PEER_UMBRA_SOFT);
}

static void measure(const struct row *row, struct server *s, struct result *out, unsigned window)
{
	double plain = speed_of(s, row, server_run), debugged;

	if (row->set)
		row->set(s, 'Z', row->at);
	debugged = speed_of(s, row, row->run);
	if (row->set)
		row->set(s, 'z', row->at);
	out->plain[window] = plain;
	out->debugged[window] = debugged;
	out->factor[window] = debugged > 0 ? plain / debugged : 0;
}

static void measure_row(const struct bench *b, const struct row *row, struct server server[PEERS])
{
	struct result result[PEERS] = {0};

	for (unsigned w = 0; w < b->windows; w++) {
		for (unsigned i = 0; i < PEERS; i++) {
			if (can_do(row, &server[i]))
				measure(row, &server[i], &result[i], w);
		}
	}
	printf("%-32s", row->name);
	for (unsigned i = 0; i < PEERS; i++) {
		print_cell(median(result[i].plain, b->windows), 11);
		print_cell(median(result[i].debugged, b->windows), 10);
		print_ratio(median(result[i].factor, b->windows), 10);
	}
	printf("\n");
}

static void print_head(const struct bench *b)
{
	printf("The price of debugging, MIPS: medians of %u windows of %.0f ms\n%-32s", b->windows,
	       b->window_s * 1e3, "");
	for (unsigned i = 0; i < PEERS; i++)
		printf(" %11s %10s %10s", peer_name(order[i]), "debugged", "slower");
	printf("\n");
}

int main(int argc, char **argv)
{
	struct bench b;
	struct server server[PEERS] = {0};
	unsigned peers;
	bool is_good;

	bench_open(&b, 1, argc, argv);
	peers = b.qemu ? PEERS : 1;
	for (unsigned i = 0; i < PEERS; i++)
		server[i].is_lost = i >= peers;
	for (unsigned i = 0; i < peers; i++)
		server_start_guest(&server[i], &b, order[i]);
	print_head(&b);
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		measure_row(&b, &rows[r], server);
	is_good = !server[0].is_lost;
	for (unsigned i = 0; i < peers; i++)
		server_stop(&server[i]);
	return is_good ? 0 : 1;
}
