/* See tasks.h.
 * Sources: the Linux kernel's include/linux/sched.h, sched/signal.h, fs/proc/array.c (6.1). */
#include "tasks.h"
#include "linux_view.h"
#include "target.h"

#include <errno.h>

enum field {
	FIELD_TASKS,
	FIELD_PID,
	FIELD_TGID,
	FIELD_COMM,
	FIELD_STATE,
	FIELD_EXIT_STATE,
	FIELD_PARENT,
	FIELD_SIGNAL,
	FIELD_NODE,
	FIELD_HEAD,
	FIELD_COUNT
};

static const struct linux_field FIELDS[FIELD_COUNT] = {
	[FIELD_TASKS] = {"task_struct", "tasks"},
	[FIELD_PID] = {"task_struct", "pid"},
	[FIELD_TGID] = {"task_struct", "tgid"},
	[FIELD_COMM] = {"task_struct", "comm"},
	[FIELD_STATE] = {"task_struct", "__state"},
	[FIELD_EXIT_STATE] = {"task_struct", "exit_state"},
	[FIELD_PARENT] = {"task_struct", "real_parent"},
	[FIELD_SIGNAL] = {"task_struct", "signal"},
	[FIELD_NODE] = {"task_struct", "thread_node"},
	[FIELD_HEAD] = {"signal_struct", "thread_head"},
};

struct walk {
	struct linux_view view;
	uint32_t offset[FIELD_COUNT];
	unsigned left; /* tasks that may be read yet */
};

/* Tasks. */

/* TASK_REPORT's letters; a task that is only idle sleeps without being interruptible. */
static char state_letter(uint32_t state, uint32_t exit_state)
{
	static const char letters[] = "SDTtXZP";

	state |= exit_state;
	if ((state & 0x402) == 0x402)
		return 'I';
	if (state == 0)
		return 'R';
	for (unsigned bit = 0; letters[bit]; bit++) {
		if (state >> bit & 1)
			return letters[bit];
	}
	return '?';
}

static int read_task(const struct walk *w, gva_t addr, struct task *out)
{
	uint32_t state, exit_state;
	gva_t parent;
	int error = linux_read_u32(&w->view, addr + w->offset[FIELD_PID], &out->pid);

	if (error == 0)
		error = linux_read_u32(&w->view, addr + w->offset[FIELD_TGID], &out->tgid);
	if (error == 0)
		error = linux_read(&w->view, addr + w->offset[FIELD_COMM], out->comm,
				   sizeof(out->comm));
	if (error == 0)
		error = linux_read_u32(&w->view, addr + w->offset[FIELD_STATE], &state);
	if (error == 0)
		error = linux_read_u32(&w->view, addr + w->offset[FIELD_EXIT_STATE], &exit_state);
	if (error == 0)
		error = linux_read_pointer(&w->view, addr + w->offset[FIELD_PARENT], &parent);
	if (error == 0)
		error = linux_read_u32(&w->view, parent + w->offset[FIELD_TGID], &out->parent);
	if (error)
		return error;
	out->comm[sizeof(out->comm) - 1] = '\0';
	out->state = state_letter(state, exit_state);
	return 0;
}

static int tell(struct walk *w, gva_t addr, task_fn fn, void *ctx)
{
	struct task task;
	int error = read_task(w, addr, &task);

	if (error == 0)
		fn(ctx, &task);
	return error;
}

/* The threads of the process that @leader leads. */
static int tell_threads(struct walk *w, gva_t leader, task_fn fn, void *ctx)
{
	gva_t signal, head, node;
	int error = linux_read_pointer(&w->view, leader + w->offset[FIELD_SIGNAL], &signal);

	head = signal + w->offset[FIELD_HEAD];
	if (error == 0)
		error = linux_read_pointer(&w->view, head, &node);
	while (error == 0 && node != head && w->left > 0) {
		w->left--;
		error = tell(w, node - w->offset[FIELD_NODE], fn, ctx);
		if (error == 0)
			error = linux_read_pointer(&w->view, node, &node);
	}
	return error;
}

int tasks_walk(struct debug_target *target, unsigned vcpu, bool is_threads, task_fn fn, void *ctx,
	       struct umbra_err *err)
{
	struct walk w = {.left = TASKS_MAX};
	gva_t first, at;
	int error = linux_view_open(&w.view, target, vcpu, err);

	if (error == 0)
		error = linux_view_fields(&w.view, FIELDS, FIELD_COUNT, w.offset);
	first = linux_view_symbol(&w.view, LINUX_INIT_TASK);
	if (error == 0 && !first)
		error = umbra_err_set(err, ENOENT,
				      "the debugger knows no %s: load the kernel's symbols",
				      linux_symbol_name[LINUX_INIT_TASK]);
	at = first;
	/* The first one is every processor's idle task, which is no process. */
	while (error == 0 && w.left-- > 0) {
		gva_t node;

		error = linux_read_pointer(&w.view, at + w.offset[FIELD_TASKS], &node);
		at = node - w.offset[FIELD_TASKS];
		if (error || at == first)
			break;
		error = is_threads ? tell_threads(&w, at, fn, ctx) : tell(&w, at, fn, ctx);
	}
	return error;
}
