/* `make bench`, stops: how long a debugger waits for processors that are busy, umbra beside QEMU on
 * the guest `smp2`, whose two processors count for ever.
 *
 *   stops [--quick] UMBRA GUEST.elf [QEMU]
 *
 * Times are on the clock on the wall, of the stops of all windows together; the servers take turns
 * window by window.  Exit status 1: the software CPU was lost. */

#include "figures.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PEERS		 4u
#define STOPS_PER_WINDOW 40u
#define MAX_STOPS	 (STOPS_PER_WINDOW * MAX_WINDOWS)

static const enum peer order[PEERS] = {PEER_UMBRA_SOFT, PEER_QEMU_TCG, PEER_UMBRA_KVM,
				       PEER_QEMU_KVM};

struct column {
	struct server server;
	unsigned count;
	double us[MAX_STOPS];
};

/* The guest runs; the server's spinning has ended; not always at the same point of its time. */
static void let_run(unsigned turn)
{
	const struct timespec pause = {.tv_nsec = 1500000 + (long)(turn * 37 % 100) * 10000};

	nanosleep(&pause, NULL);
}

/* Ctrl-C, all processors stop. */
static double interrupt_us(struct server *s, unsigned turn)
{
	double begin;

	rsp_send(&s->client, "vCont;c");
	let_run(turn);
	begin = now_s();
	rsp_send_interrupt(&s->client);
	s->is_lost = !rsp_receive(&s->client);
	return (now_s() - begin) * 1e6;
}

/* Stop processor @cpu, whatever the other one does. */
static double stop_one_us(struct server *s, unsigned cpu)
{
	char text[32];
	double begin = now_s(), took_s;

	snprintf(text, sizeof(text), "vCont;t:p1.%u", cpu);
	rsp_send(&s->client, text);
	s->is_lost |= !rsp_receive_note(&s->client);
	took_s = now_s() - begin;
	server_ask(s, "vStopped");
	return took_s * 1e6;
}

/* One is stopped while the other goes on; then that one, for the next server is to have the host
 * for itself.  QEMU has no such mode. */
static double first_stop_us(struct server *s, unsigned turn)
{
	double us;

	server_ask(s, "vCont;c");
	let_run(turn);
	us = stop_one_us(s, 1);
	stop_one_us(s, 2);
	return us;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The share @part of the stops took at most so long. */
static double quantile(struct column *c, double part)
{
	if (c->server.is_lost || c->count == 0)
		return 0;
	qsort(c->us, c->count, sizeof(c->us[0]), by_size);
	return c->us[(unsigned)(part * (c->count - 1))];
}

static void print_quantile(const char *name, struct column column[PEERS], double part)
{
	printf("%-36s", name);
	for (unsigned i = 0; i < PEERS; i++)
		print_cell(quantile(&column[i], part), 11);
	printf("\n");
}

static void measure(const struct bench *b, struct column column[PEERS],
		    double (*stop)(struct server *s, unsigned turn))
{
	for (unsigned i = 0; i < PEERS; i++)
		column[i].count = 0;
	for (unsigned w = 0; w < b->windows; w++) {
		for (unsigned i = 0; i < PEERS; i++) {
			struct column *c = &column[i];

			for (unsigned n = 0; n < STOPS_PER_WINDOW && !c->server.is_lost; n++)
				c->us[c->count++] = stop(&c->server, n);
		}
	}
}

/* Both processors are up and count. */
static void start(struct column *c, const struct bench *b, enum peer peer)
{
	struct server *s = &c->server;
	char text[64];

	server_start(s, b, peer);
	/* It is counted to 2^62. */
	snprintf(text, sizeof(text), "M%lx,8:0000000000000040", b->label[LABEL_LIMIT]);
	server_ask(s, text);
	for (unsigned n = 0; n < 50 && !s->is_lost; n++)
		interrupt_us(s, n);
}

static bool is_umbra(enum peer peer)
{
	return peer == PEER_UMBRA_SOFT || peer == PEER_UMBRA_KVM;
}

int main(int argc, char **argv)
{
	static struct column column[PEERS];
	struct bench b;
	bool is_good;

	bench_open(&b, 2, argc, argv);
	printf("Stops of two busy processors, us\n%-36s", "");
	for (unsigned i = 0; i < PEERS; i++) {
		printf(" %11s", peer_name(order[i]));
		column[i].server.is_lost = !is_umbra(order[i]) && !b.qemu;
		/* Its BIOS alone may take seconds. */
		column[i].server.is_lost |= order[i] == PEER_QEMU_KVM && b.is_quick;
		if (!column[i].server.is_lost)
			start(&column[i], &b, order[i]);
	}
	printf("\n");
	measure(&b, column, interrupt_us);
	print_quantile("Ctrl-C to stop reply, median", column, 0.5);
	print_quantile("99 of 100 within", column, 0.99);
	for (unsigned i = 0; i < PEERS; i++) {
		if (is_umbra(order[i]))
			server_ask(&column[i].server, "QNonStop:1");
		else
			column[i].server.is_lost = true;
	}
	measure(&b, column, first_stop_us);
	print_quantile("one of them, the other runs: median", column, 0.5);
	print_quantile("99 of 100 within", column, 0.99);
	is_good = !column[0].server.is_lost;
	for (unsigned i = 0; i < PEERS; i++) {
		if (column[i].server.pid)
			server_stop(&column[i].server);
	}
	return is_good ? 0 : 1;
}
