/* The servers that are measured: umbra and QEMU on the guest `bench`, or `smp2` with two
 * processors, each started by itself and driven over its own Unix socket.
 *
 * A server that does not start, does not answer or stops where it should not is lost: it is out of
 * the race, one line on stderr says why, and every later request to it does nothing. */
#ifndef PEER_H
#define PEER_H

#include "rsp_client.h"

#include <stdbool.h>
#include <sys/types.h>

/* Gdbserver has the guest's 32-bit code as a process of the host, from any label but the first on.
 */
enum peer { PEER_UMBRA_SOFT, PEER_UMBRA_KVM, PEER_QEMU_TCG, PEER_QEMU_KVM, PEER_GDBSERVER };

/* The guest's labels: bench_ is in front of those of `bench`. */
enum label {
	LABEL_START,
	LABEL_LOOP,
	LABEL_RANGE,
	LABEL_RANGE_END,
	LABEL_PIO,
	LABEL_SPIN,
	LABEL_ALU,
	LABEL_BESIDE,
	LABEL_STORE,
	LABEL_END,
	LABEL_NEAR,
	LABEL_FAR,
	LABEL_BUFFER,
	LABEL_BENCH, /* how many those of the guest `bench` are; of `smp2': */
	LABEL_LIMIT = LABEL_BENCH,
	LABEL_COUNT
};

/* One run of a program: its command line, and what follows from that. */
struct bench {
	const char *umbra, *guest;
	const char *qemu;      /* NULL: not installed */
	const char *gdbserver; /* the same */
	bool is_quick;
	unsigned cpus; /* 1 for `bench', 2 for `smp2' */
	unsigned windows;
	double window_s;
	unsigned long label[LABEL_COUNT];
};

struct server {
	const struct bench *bench;
	enum peer peer;
	pid_t pid; /* 0: ended by itself */
	char socket[64];
	struct rsp_client client;
	char thread[40]; /* the first one's id */
	bool is_lost;
	double first_reply_ms;
	double resident_mib;
};

/* [--quick] UMBRA GUEST [QEMU [GDBSERVER]] for a guest of @cpus; ends the program when that cannot
 * be.  --quick is one very short window: everything is tried and checked, the figures mean nothing.
 */
void bench_open(struct bench *b, unsigned cpus, int argc, char **argv);

const char *peer_name(enum peer peer);

/* Start a server and connect to it; is_lost says whether that failed. */
void server_start(struct server *s, const struct bench *b, enum peer peer);
void server_stop(struct server *s);
/* Start one and run it to the guest's bench_start, where its stack is set up. */
void server_start_guest(struct server *s, const struct bench *b, enum peer peer);

void server_ask(struct server *s, const char *payload);
/* @action 'Z' or 'z'. */
void server_breakpoint(struct server *s, char action, enum label at);
void server_watchpoint(struct server *s, char action, enum label at);
/* Prepare @turns of the work at @from, with RIP there. */
void server_aim(struct server *s, enum label from, unsigned long turns);
/* Resume, or step, the first thread. */
void server_go(struct server *s, const char *action);
/* Is RIP at @at?  If not, the server is lost. */
void server_expect(struct server *s, enum label at);
/* Run @turns of the work at @from as far as bench_end. */
void server_run(struct server *s, enum label from, unsigned long turns);
/* Seconds of processor time that the server has used; exact while the guest is stopped. */
double server_cpu_s(const struct server *s);

#endif
