/* See tasks.h.
 * Sources: the Linux kernel's include/linux/sched.h, sched/signal.h, fs/proc/array.c (6.1). */
#include "tasks.h"
#include "btf.h"
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BTF_MAX (64ull << 20) /* Debian's has 6 MiB */

const char *const tasks_symbol_name[TASKS_SYMBOLS] = {
	[TASKS_INIT_TASK] = "init_task",
	[TASKS_BTF_START] = "__start_BTF",
	[TASKS_BTF_STOP] = "__stop_BTF",
};

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

static const struct {
	const char *structure, *member;
} FIELDS[FIELD_COUNT] = {
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
	struct debug_target *target;
	unsigned vcpu;
	uint64_t slide; /* what the debugger's addresses lack */
	uint32_t offset[FIELD_COUNT];
	unsigned left; /* tasks that may be read yet */
	struct umbra_err *err;
};

static int read_guest(const struct walk *w, gva_t va, void *buf, size_t len)
{
	if (vcpu_mem_read(w->target->world, w->vcpu, va, buf, len) == len)
		return 0;
	return umbra_err_set(w->err, EFAULT, "cpu %u has no mapping of 0x%llx", w->vcpu,
			     (unsigned long long)va);
}

static int read_pointer(const struct walk *w, gva_t va, gva_t *out)
{
	uint8_t bytes[8];
	int error = read_guest(w, va, bytes, sizeof(bytes));

	*out = le64_get(bytes);
	return error;
}

static int read_u32(const struct walk *w, gva_t va, uint32_t *out)
{
	uint8_t bytes[4];
	int error = read_guest(w, va, bytes, sizeof(bytes));

	*out = le32_get(bytes);
	return error;
}

/* Types. */

/* The debugger may hold symbols where the kernel was linked, or where it is. */
static bool find_btf(struct walk *w, gva_t start, uint8_t header[BTF_HEADER_BYTES])
{
	gva_t text;

	w->slide = 0;
	if (read_guest(w, start, header, BTF_HEADER_BYTES) == 0 && btf_bytes(header))
		return true;
	if (!target_linux_text(w->target, w->vcpu, &text))
		return false;
	w->slide = text - vm_linux_text(w->target->vm);
	return read_guest(w, start + w->slide, header, BTF_HEADER_BYTES) == 0 && btf_bytes(header);
}

static int find_fields(struct walk *w, const uint8_t *bytes, size_t len)
{
	struct btf btf;

	if (!btf_open(&btf, bytes, len))
		return umbra_err_set(w->err, ENOENT, "the kernel's BTF is damaged");
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		if (!btf_offset_of(&btf, FIELDS[i].structure, FIELDS[i].member, &w->offset[i]))
			return umbra_err_set(w->err, ENOENT, "the kernel's BTF has no %s in %s",
					     FIELDS[i].member, FIELDS[i].structure);
	}
	return 0;
}

static int load_types(struct walk *w, const struct tasks_symbols *symbols)
{
	gva_t start = symbols->addr[TASKS_BTF_START];
	uint64_t len = symbols->addr[TASKS_BTF_STOP] - start;
	uint8_t header[BTF_HEADER_BYTES];
	uint8_t *bytes;
	int error;

	if (!start || !symbols->addr[TASKS_INIT_TASK])
		return umbra_err_set(
			w->err, ENOENT, "the debugger knows no %s or %s: load the kernel's symbols",
			tasks_symbol_name[TASKS_INIT_TASK], tasks_symbol_name[TASKS_BTF_START]);
	if (!find_btf(w, start, header))
		return umbra_err_set(w->err, ENOENT,
				     "there is no BTF at 0x%llx: the kernel was built without it, "
				     "or does not run yet",
				     (unsigned long long)start);
	if (len < btf_bytes(header) || len > BTF_MAX)
		return umbra_err_set(w->err, ENOENT, "the kernel's BTF has an impossible size");
	bytes = malloc(len);
	if (!bytes)
		return umbra_err_set(w->err, ENOMEM, "no memory for the kernel's BTF");
	error = read_guest(w, start + w->slide, bytes, len);
	if (error == 0)
		error = find_fields(w, bytes, len);
	free(bytes);
	return error;
}

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
	int error = read_u32(w, addr + w->offset[FIELD_PID], &out->pid);

	if (error == 0)
		error = read_u32(w, addr + w->offset[FIELD_TGID], &out->tgid);
	if (error == 0)
		error = read_guest(w, addr + w->offset[FIELD_COMM], out->comm, sizeof(out->comm));
	if (error == 0)
		error = read_u32(w, addr + w->offset[FIELD_STATE], &state);
	if (error == 0)
		error = read_u32(w, addr + w->offset[FIELD_EXIT_STATE], &exit_state);
	if (error == 0)
		error = read_pointer(w, addr + w->offset[FIELD_PARENT], &parent);
	if (error == 0)
		error = read_u32(w, parent + w->offset[FIELD_TGID], &out->parent);
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
	int error = read_pointer(w, leader + w->offset[FIELD_SIGNAL], &signal);

	head = signal + w->offset[FIELD_HEAD];
	if (error == 0)
		error = read_pointer(w, head, &node);
	while (error == 0 && node != head && w->left > 0) {
		w->left--;
		error = tell(w, node - w->offset[FIELD_NODE], fn, ctx);
		if (error == 0)
			error = read_pointer(w, node, &node);
	}
	return error;
}

int tasks_walk(struct debug_target *target, unsigned vcpu, bool is_threads, task_fn fn, void *ctx,
	       struct umbra_err *err)
{
	struct walk w = {.target = target, .vcpu = vcpu, .left = TASKS_MAX, .err = err};
	unsigned count = world_vcpu_count(target->world);
	gva_t first, at;
	int error = -EFAULT;

	/* One in user mode may not have the kernel in its tables. */
	for (unsigned i = 0; error && i < count; i++) {
		w.vcpu = (vcpu + i) % count;
		error = load_types(&w, &target->symbols);
	}
	first = target->symbols.addr[TASKS_INIT_TASK] + w.slide;
	at = first;
	/* The first one is every processor's idle task, which is no process. */
	while (error == 0 && w.left-- > 0) {
		gva_t node;

		error = read_pointer(&w, at + w.offset[FIELD_TASKS], &node);
		at = node - w.offset[FIELD_TASKS];
		if (error || at == first)
			break;
		error = is_threads ? tell_threads(&w, at, fn, ctx) : tell(&w, at, fn, ctx);
	}
	return error;
}
