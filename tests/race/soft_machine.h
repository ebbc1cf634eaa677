/* A machine on the software CPU, its debugger being the test: shared by the programs of this
 * folder. Whatever goes wrong ends the program with "not ok". */
#ifndef TESTS_SOFT_MACHINE_H
#define TESTS_SOFT_MACHINE_H

#include "umbra/vm.h"

#define MACHINE_MAX_VCPUS 8u

struct machine {
	struct loop *loop;
	struct vm *vm;
	struct world *world;
	unsigned vcpus, seed;
	unsigned stops; /* so far */
	int stop_fd;	/* an eventfd, readable when there is a stop to take */
};

struct machine_config {
	const char *image; /* under build/guests/; NULL: no image, RAM is the test's */
	const char *serial;
	unsigned vcpus;
	bool is_parallel, is_paranoid;
};

void require(bool condition, const char *what);

/* The world is STOPPED afterwards, nothing has run. */
void machine_open(struct machine *m, const struct machine_config *config);
void machine_close(struct machine *m);
/* Wait until the world stops, for ten seconds at most. */
void machine_wait(struct machine *m, struct cpu_stop *out_stop);
void machine_run(struct machine *m);		     /* every vCPU */
void machine_step(struct machine *m, unsigned vcpu); /* that one; the others run meanwhile */
unsigned machine_chance(struct machine *m, unsigned below);
/* Let the host do something else for a while: 0 to @most looks at other threads. */
void machine_dawdle(struct machine *m, unsigned most);

/* All that the guest could know: for comparison. */
struct machine_picture {
	unsigned vcpus;
	struct x86_state state[MACHINE_MAX_VCPUS];
	uint64_t retired[MACHINE_MAX_VCPUS];
	uint64_t ram;
};
void machine_picture(struct machine *m, struct machine_picture *out_picture);
/* Print what differs, each line beginning with @title.  Returns the number of lines. */
unsigned machine_compare(const struct machine_picture *a, const struct machine_picture *b,
			 const char *title);

#endif
