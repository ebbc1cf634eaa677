/* `make bench`, the wire: what a debugger's packets take, umbra beside QEMU and gdbserver, on the
 * same guest in the same run.
 *
 *   wire [--quick] UMBRA GUEST.elf [QEMU [GDBSERVER]]
 *
 * Every figure is the median of several windows of time on the wall; the servers take turns window
 * by window, so that a machine that slows down slows down all of them.  Exit status 1: an umbra
 * stopped answering. */

#include "figures.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PEERS	       5u
#define INTERRUPTS     25u
#define FIRST_TURNS    1000u
#define MAX_TURNS      0x40000000u
#define STEPS_PER_TURN 2 /* of bench_range */

/* Operations: each returns a rate, or a time, of one window. */

static double rate_of(struct server *s, const char *payload)
{
	double begin = now_s(), end;
	unsigned count = 0;

	do {
		for (unsigned i = 0; i < 16; i++)
			server_ask(s, payload);
		count += 16;
		end = now_s();
	} while (end - begin < s->bench->window_s && !s->is_lost);
	return count / (end - begin);
}

static double steps_per_s(struct server *s)
{
	char text[64];

	server_aim(s, LABEL_SPIN, 0);
	snprintf(text, sizeof(text), "vCont;s:%s", s->thread);
	return rate_of(s, text);
}

static double g_per_s(struct server *s)
{
	return rate_of(s, "g");
}

static double read_mb_per_s(struct server *s)
{
	size_t bytes = s->client.packet_size / 2 - 16;
	char text[64];

	snprintf(text, sizeof(text), "m%lx,%zx", s->bench->label[LABEL_BUFFER], bytes);
	return rate_of(s, text) * (double)bytes / 1e6;
}

/* QEMU has neither of the two, and gdbserver 13 X alone. */
static bool has_binary(const struct server *s, bool is_write)
{
	return s->peer == PEER_UMBRA_SOFT || s->peer == PEER_UMBRA_KVM ||
	       (is_write && s->peer == PEER_GDBSERVER);
}

static double binary_read_mb_per_s(struct server *s)
{
	size_t bytes = s->client.packet_size / 2 - 16;
	char text[64];

	if (!has_binary(s, false))
		return 0;
	snprintf(text, sizeof(text), "x%lx,%zx", s->bench->label[LABEL_BUFFER], bytes);
	return rate_of(s, text) * (double)bytes / 1e6;
}

static double binary_write_mb_per_s(struct server *s)
{
	size_t bytes = s->client.packet_size / 2 - 16;
	char *data = calloc(1, bytes);
	double begin = now_s(), end = begin;
	unsigned count = 0;
	char head[64];

	snprintf(head, sizeof(head), "X%lx,%zx:", s->bench->label[LABEL_BUFFER], bytes);
	while (data && has_binary(s, true) && end - begin < s->bench->window_s && !s->is_lost) {
		rsp_send_bytes(&s->client, head, data, bytes);
		s->is_lost = !rsp_receive(&s->client) || strcmp(s->client.reply, "OK") != 0;
		count++;
		end = now_s();
	}
	free(data);
	return count ? (double)count * (double)bytes / 1e6 / (end - begin) : 0;
}

static double breaks_per_s(struct server *s)
{
	double rate;

	server_aim(s, LABEL_LOOP, MAX_TURNS);
	server_breakpoint(s, 'Z', LABEL_LOOP);
	server_ask(s, "vCont;c");
	rate = rate_of(s, "vCont;c");
	server_expect(s, LABEL_LOOP);
	server_breakpoint(s, 'z', LABEL_LOOP);
	return rate;
}

static double interrupt_us(struct server *s)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	double us[INTERRUPTS];

	server_aim(s, LABEL_SPIN, 0);
	for (unsigned i = 0; i < INTERRUPTS && !s->is_lost; i++) {
		double begin;

		rsp_send(&s->client, "vCont;c");
		nanosleep(&pause, NULL); /* the guest runs; the server's spinning has ended */
		begin = now_s();
		rsp_send_interrupt(&s->client);
		s->is_lost = !rsp_receive(&s->client);
		us[i] = (now_s() - begin) * 1e6;
	}
	return s->is_lost ? 0 : median(us, INTERRUPTS);
}

/* Turns a second of something that takes a count of turns: enough of them for a window. */
static double turns_per_s(struct server *s, void (*run)(struct server *s, unsigned long turns))
{
	double took_s;
	unsigned long turns = FIRST_TURNS / 4;

	do {
		double begin = now_s();

		turns *= 4;
		run(s, turns);
		took_s = now_s() - begin;
	} while (took_s < s->bench->window_s / 2 && turns < MAX_TURNS && !s->is_lost);
	return (double)turns / took_s;
}

static void step_range(struct server *s, unsigned long turns)
{
	char text[96];

	server_aim(s, LABEL_RANGE, turns);
	snprintf(text, sizeof(text), "r%lx,%lx", s->bench->label[LABEL_RANGE],
		 s->bench->label[LABEL_RANGE_END]);
	server_go(s, text);
	server_expect(s, LABEL_RANGE_END);
}

static double range_steps_per_s(struct server *s)
{
	/* QEMU has no range stepping. */
	if (s->peer == PEER_QEMU_TCG || s->peer == PEER_QEMU_KVM)
		return 0;
	return STEPS_PER_TURN * turns_per_s(s, step_range);
}

static void write_port(struct server *s, unsigned long turns)
{
	server_run(s, LABEL_PIO, turns);
}

static double pio_per_s(struct server *s)
{
	/* A process may not. */
	if (s->peer == PEER_GDBSERVER)
		return 0;
	return turns_per_s(s, write_port);
}

/* Table. */

struct row {
	const char *name;
	double (*measure)(struct server *s);
	bool is_smaller_better;
};

static const struct row rows[] = {
	{"steps/s, one packet each", steps_per_s, false},
	{"steps/s inside one vCont;r", range_steps_per_s, false},
	{"g packets/s", g_per_s, false},
	{"memory reads, MB/s", read_mb_per_s, false},
	{"the same by x", binary_read_mb_per_s, false},
	{"memory writes by X, MB/s", binary_write_mb_per_s, false},
	{"breakpoint cycles/s", breaks_per_s, false},
	{"interrupt to stop reply, us", interrupt_us, true},
	{"port writes/s", pio_per_s, false},
};

static const enum peer order[PEERS] = {PEER_UMBRA_SOFT, PEER_QEMU_TCG, PEER_UMBRA_KVM,
				       PEER_QEMU_KVM, PEER_GDBSERVER};

static void print_better(double ours, double theirs, bool is_smaller_better)
{
	if (ours > 0 && theirs > 0)
		print_ratio(is_smaller_better ? theirs / ours : ours / theirs, 9);
	else
		print_ratio(0, 9);
}

/* Columns 0 and 1, 2 and 3, and 0 and 4, are compared. */
static void print_row(const char *name, const double value[PEERS], bool is_smaller_better)
{
	printf("%-28s", name);
	for (unsigned i = 0; i < PEERS; i++)
		print_cell(value[i], 11);
	print_better(value[0], value[1], is_smaller_better);
	print_better(value[2], value[3], is_smaller_better);
	print_better(value[0], value[4], is_smaller_better);
	printf("\n");
}

static bool is_wanted(const struct bench *b, enum peer peer)
{
	if (peer == PEER_GDBSERVER)
		return b->gdbserver;
	if (peer == PEER_QEMU_KVM)
		return b->qemu && !b->is_quick; /* its BIOS alone may take seconds */
	return b->qemu || peer != PEER_QEMU_TCG;
}

static void measure_starts(const struct bench *b)
{
	double first[PEERS][MAX_WINDOWS] = {{0}}, resident[PEERS][MAX_WINDOWS] = {{0}};
	double value[PEERS];
	bool is_out[PEERS] = {false};

	for (unsigned w = 0; w < b->windows; w++) {
		for (unsigned i = 0; i < PEERS; i++) {
			struct server s;

			if (is_out[i] || !is_wanted(b, order[i]))
				continue;
			server_start(&s, b, order[i]);
			first[i][w] = s.first_reply_ms;
			resident[i][w] = s.resident_mib;
			is_out[i] = s.is_lost;
			server_stop(&s);
		}
	}
	for (unsigned i = 0; i < PEERS; i++)
		value[i] = is_out[i] ? 0 : median(first[i], b->windows);
	print_row("start to first reply, ms", value, true);
	for (unsigned i = 0; i < PEERS; i++)
		value[i] = is_out[i] ? 0 : median(resident[i], b->windows);
	print_row("resident after attach, MiB", value, true);
}

static void measure_row(const struct bench *b, const struct row *row, struct server server[PEERS])
{
	double window[PEERS][MAX_WINDOWS] = {{0}}, value[PEERS];

	for (unsigned w = 0; w < b->windows; w++) {
		for (unsigned i = 0; i < PEERS; i++) {
			if (!server[i].is_lost)
				window[i][w] = row->measure(&server[i]);
		}
	}
	for (unsigned i = 0; i < PEERS; i++)
		value[i] = server[i].is_lost ? 0 : median(window[i], b->windows);
	print_row(row->name, value, row->is_smaller_better);
}

/* True unless umbra's software CPU, which runs everywhere, was lost. */
static bool measure_rows(const struct bench *b)
{
	struct server server[PEERS] = {0};
	bool is_good;

	for (unsigned i = 0; i < PEERS; i++) {
		server[i].is_lost = !is_wanted(b, order[i]);
		if (!server[i].is_lost)
			server_start_guest(&server[i], b, order[i]);
	}
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		measure_row(b, &rows[r], server);
	is_good = !server[0].is_lost;
	for (unsigned i = 0; i < PEERS; i++) {
		if (is_wanted(b, order[i]))
			server_stop(&server[i]);
	}
	return is_good;
}

int main(int argc, char **argv)
{
	struct bench b;

	bench_open(&b, 1, argc, argv);
	printf("The wire: medians of %u windows of %.0f ms\n%-28s", b.windows, b.window_s * 1e3,
	       "");
	for (unsigned i = 0; i < PEERS; i++)
		printf(" %11s", peer_name(order[i]));
	printf(" %9s %9s %9s\n", "soft:tcg", "kvm:kvm", "soft:gdbs");
	measure_starts(&b);
	return measure_rows(&b) ? 0 : 1;
}
