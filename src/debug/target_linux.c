/* What is asked of a guest that is Linux: librspstub's osdata and symbol operations. */
#include "target.h"
#include "tasks.h"

#include <stdio.h>

typedef void (*put_fn)(void *ctx, const char *name, const char *value);

struct rows {
	put_fn put;
	void *ctx;
	bool is_threads;
};

static void put_number(const struct rows *rows, const char *name, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	rows->put(rows->ctx, name, text);
}

static void put_task(void *ctx, const struct task *task)
{
	const struct rows *rows = ctx;
	const char state[2] = {task->state, '\0'};

	put_number(rows, "pid", task->tgid);
	if (rows->is_threads)
		put_number(rows, "tid", task->pid);
	else
		put_number(rows, "parent", task->parent);
	rows->put(rows->ctx, "state", state);
	rows->put(rows->ctx, "command", task->comm);
	rows->put(rows->ctx, NULL, NULL);
}

static const struct {
	const char *annex, *title, *about;
	bool is_threads;
} TABLES[] = {
	{"processes", "Processes", "Processes of the guest's Linux", false},
	{"threads", "Threads", "Threads of the guest's Linux", true},
};

static void put_tables(put_fn put, void *ctx)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(TABLES); i++) {
		put(ctx, "Type", TABLES[i].annex);
		put(ctx, "Description", TABLES[i].about);
		put(ctx, "Title", TABLES[i].title);
		put(ctx, NULL, NULL);
	}
}

/* gdb says "Can not fetch data now" of an error, whatever it was: the reason is a row. */
static bool table(void *ctx, unsigned thread, const char *annex, put_fn put, void *put_ctx)
{
	struct debug_target *target = ctx;
	struct umbra_err err = {.text = ""};
	struct rows rows = {.put = put, .ctx = put_ctx};
	size_t i = 0;

	if (!annex[0]) {
		put_tables(put, put_ctx);
		return true;
	}
	while (i < UMBRA_ARRAY_SIZE(TABLES) && strcmp(TABLES[i].annex, annex) != 0)
		i++;
	if (i == UMBRA_ARRAY_SIZE(TABLES))
		return false;
	rows.is_threads = TABLES[i].is_threads;
	if (tasks_walk(target, thread - 1, rows.is_threads, put_task, &rows, &err) != 0)
		put(put_ctx, "problem", err.text);
	return true;
}

const struct rsp_osdata_ops target_osdata_ops = {.table = table};

static void found(void *ctx, unsigned index, bool is_known, uint64_t addr)
{
	struct debug_target *target = ctx;

	target->symbols.addr[index] = is_known ? addr : 0;
	modules_symbol_found(target);
}

const struct rsp_symbol_ops target_symbol_ops = {
	.names = linux_symbol_name,
	.count = LINUX_SYMBOLS,
	.found = found,
};
