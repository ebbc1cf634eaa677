/* `make bench`, what the target does by itself: what it costs a guest to meet a breakpoint whose
 * condition does not hold, and a tracepoint.
 *
 *   agents [--quick] UMBRA GUEST.elf
 *
 * The guest goes round a loop of four instructions that has the point at its beginning.  A figure
 * is nanoseconds of processor time a round, without what the round takes alone, as the median of
 * windows in which the back ends take turns.  QEMU has neither conditions nor tracepoints.  Exit
 * status 1: the software CPU was lost. */

#include "figures.h"
#include "peer.h"

#include <stdio.h>

#define PEERS	    2u
#define FIRST_TURNS 100u
#define MAX_TURNS   0x10000000u
#define PACKET_MAX  256u

/* What a condition compares with never comes. */
#define NEVER 0x7ffffff7u

struct row {
	const char *name;
	/* Set the point, which lies at bench_loop, and take it back. */
	void (*set)(struct server *s);
	void (*unset)(struct server *s);
};

static unsigned long loop_of(const struct server *s)
{
	return s->bench->label[LABEL_LOOP];
}

/* Conditions. */

/* $rcx == NEVER: reg 2, const32, equal, end. */
static void set_register_condition(struct server *s)
{
	char text[PACKET_MAX];

	snprintf(text, sizeof(text), "Z0,%lx,1;Xa,26000224%08x1327", loop_of(s), NEVER);
	server_ask(s, text);
}

/* *(unsigned int *)bench_page == NEVER: const32, ref32, const32, equal, end. */
static void set_memory_condition(struct server *s)
{
	char text[PACKET_MAX];

	snprintf(text, sizeof(text), "Z0,%lx,1;Xd,24%08lx1924%08x1327", loop_of(s),
		 s->bench->label[LABEL_NEAR], NEVER);
	server_ask(s, text);
}

static void unset_breakpoint(struct server *s)
{
	char text[PACKET_MAX];

	snprintf(text, sizeof(text), "z0,%lx,1", loop_of(s));
	server_ask(s, text);
}

/* Tracepoints. */

static void start_trace(struct server *s, const char *actions)
{
	char text[PACKET_MAX];

	server_ask(s, "QTinit");
	server_ask(s, "QTBuffer:circular:1");
	snprintf(text, sizeof(text), "QTDP:1:%lx:E:0:0%s", loop_of(s), actions[0] ? "-" : "");
	server_ask(s, text);
	if (actions[0]) {
		snprintf(text, sizeof(text), "QTDP:-1:%lx:%s", loop_of(s), actions);
		server_ask(s, text);
	}
	server_ask(s, "QTStart");
}

static void set_bare_trace(struct server *s)
{
	start_trace(s, "");
}

static void set_register_trace(struct server *s)
{
	start_trace(s, "RFFFF");
}

static void set_full_trace(struct server *s)
{
	char actions[PACKET_MAX / 2];

	snprintf(actions, sizeof(actions), "RFFFFM-1,%lx,40", s->bench->label[LABEL_NEAR]);
	start_trace(s, actions);
}

static void stop_trace(struct server *s)
{
	server_ask(s, "QTStop");
}

static const struct row rows[] = {
	{"condition on a register", set_register_condition, unset_breakpoint},
	{"condition on memory", set_memory_condition, unset_breakpoint},
	{"tracepoint, nothing collected", set_bare_trace, stop_trace},
	{"tracepoint, registers", set_register_trace, stop_trace},
	{"tracepoint, registers and 64 bytes", set_full_trace, stop_trace},
};

static const enum peer order[PEERS] = {PEER_UMBRA_SOFT, PEER_UMBRA_KVM};

/* Processor time of a round in ns; turns grow until they fill half a window. */
static double round_ns(struct server *s)
{
	unsigned long turns = FIRST_TURNS / 4;
	double used_s;

	do {
		double begin = server_cpu_s(s);

		turns *= 4;
		server_run(s, LABEL_LOOP, turns);
		used_s = server_cpu_s(s) - begin;
	} while (used_s < s->bench->window_s / 2 && turns < MAX_TURNS && !s->is_lost);
	return s->is_lost ? 0 : used_s / (double)turns * 1e9;
}

static double measure(const struct row *row, struct server *s)
{
	double plain = round_ns(s), met;

	row->set(s);
	met = round_ns(s);
	row->unset(s);
	return met > plain ? met - plain : 0;
}

static void measure_row(const struct bench *b, const struct row *row, struct server server[PEERS])
{
	double cost[PEERS][MAX_WINDOWS] = {{0}};

	for (unsigned w = 0; w < b->windows; w++) {
		for (unsigned i = 0; i < PEERS; i++)
			cost[i][w] = server[i].is_lost ? 0 : measure(row, &server[i]);
	}
	printf("%-36s", row->name);
	for (unsigned i = 0; i < PEERS; i++)
		print_cell(median(cost[i], b->windows), 11);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct bench b;
	struct server server[PEERS] = {0};
	bool is_good;

	bench_open(&b, 1, argc, argv);
	for (unsigned i = 0; i < PEERS; i++)
		server_start_guest(&server[i], &b, order[i]);
	printf("What the target does by itself, ns a time: medians of %u windows of %.0f ms\n%-36s",
	       b.windows, b.window_s * 1e3, "");
	for (unsigned i = 0; i < PEERS; i++)
		printf(" %11s", peer_name(order[i]));
	printf("\n");
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		measure_row(&b, &rows[r], server);
	is_good = !server[0].is_lost;
	for (unsigned i = 0; i < PEERS; i++)
		server_stop(&server[i]);
	return is_good ? 0 : 1;
}
