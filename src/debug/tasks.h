/* The tasks of a Linux guest, found through its symbols and its own type information.
 * Private to src/debug; control thread, world STOPPED.  Nothing is written. */
#ifndef DEBUG_TASKS_H
#define DEBUG_TASKS_H

#include "umbra/err.h"
#include "umbra/types.h"

struct debug_target;

struct task {
	uint32_t pid;  /* of the thread; the kernel's name for it */
	uint32_t tgid; /* of the process */
	uint32_t parent;
	char comm[16]; /* with its end */
	char state;    /* as ps shows it: R, S, D, T, t, Z, X, I, or ? */
};

typedef void (*task_fn)(void *ctx, const struct task *task);

/* Tell of each process, or of each thread if @is_threads, in the order of the kernel's lists.  A
 * list that ends nowhere, in a guest that is broken, is followed for TASKS_MAX. Errors, with the
 * reason: -ENOENT no such symbols or types; -EFAULT not mapped; -ENOMEM. */
#define TASKS_MAX 16384u
int tasks_walk(struct debug_target *target, unsigned vcpu, bool is_threads, task_fn fn, void *ctx,
	       struct umbra_err *err);

#endif
