/* See rsp_mock.h. */
#include "rsp_mock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNREADABLE_REG 9u

static bool mock_attach(void *ctx)
{
	struct rsp_mock *mock = ctx;

	mock->attached++;
	return mock->does_attach_at_once;
}

static unsigned mock_thread_count(void *ctx)
{
	return ((struct rsp_mock *)ctx)->threads;
}

static bool mock_thread_is_alive(void *ctx, unsigned thread)
{
	return thread != ((struct rsp_mock *)ctx)->dead_thread;
}

static void mock_thread_name(void *ctx, unsigned thread, char *buf, size_t size)
{
	(void)ctx;
	snprintf(buf, size, "cpu <%u>", thread - 1);
}

static void mock_thread_extra(void *ctx, unsigned thread, char *buf, size_t size)
{
	(void)thread;
	snprintf(buf, size, "%s", ((struct rsp_mock *)ctx)->thread_extra);
}

static unsigned mock_reg_count(void *ctx)
{
	(void)ctx;
	return MOCK_REGS;
}

static unsigned mock_g_reg_count(void *ctx)
{
	(void)ctx;
	return MOCK_G_REGS;
}

size_t rsp_mock_reg_size(unsigned reg)
{
	if (reg >= MOCK_REGS)
		return 0;
	return reg == 8 ? 4 : reg == 11 ? 16 : 8;
}

static size_t mock_reg_size(void *ctx, unsigned reg)
{
	(void)ctx;
	return rsp_mock_reg_size(reg);
}

/* A test may claim more threads than have registers of their own. */
static uint8_t *reg_of(struct rsp_mock *mock, unsigned thread, unsigned reg)
{
	return mock->regs[thread % (MOCK_THREADS + 1)][reg];
}

static bool mock_reg_read(void *ctx, unsigned thread, unsigned reg, uint8_t *out)
{
	struct rsp_mock *mock = ctx;

	mock->thread = thread;
	if (reg == UNREADABLE_REG)
		return false;
	memcpy(out, reg_of(mock, thread, reg), rsp_mock_reg_size(reg));
	return true;
}

static int mock_reg_write(void *ctx, unsigned thread, unsigned reg, const uint8_t *value)
{
	struct rsp_mock *mock = ctx;

	mock->thread = thread;
	mock->changes++;
	if (mock->error == 0)
		memcpy(reg_of(mock, thread, reg), value, rsp_mock_reg_size(reg));
	return mock->error;
}

static int mock_regs_write(void *ctx, unsigned thread, const uint8_t *bytes, size_t len)
{
	struct rsp_mock *mock = ctx;
	unsigned reg;

	(void)len;
	mock->thread = thread;
	mock->changes++;
	for (reg = 0; reg < MOCK_G_REGS && mock->error == 0; reg++) {
		memcpy(reg_of(mock, thread, reg), bytes, rsp_mock_reg_size(reg));
		bytes += rsp_mock_reg_size(reg);
	}
	return mock->error;
}

static int mock_pc_write(void *ctx, unsigned thread, uint64_t pc)
{
	struct rsp_mock *mock = ctx;

	mock->changes++;
	memcpy(reg_of(mock, thread, 7), &pc, sizeof(pc));
	return mock->error;
}

/* Where @addr lies in mem, and in *len how much of it is there. */
static uint8_t *mock_span(struct rsp_mock *mock, uint64_t addr, size_t *len)
{
	if (addr < MOCK_MEM_BASE || addr >= MOCK_MEM_BASE + MOCK_MEM_SIZE) {
		*len = 0;
		return mock->mem;
	}
	if (*len > MOCK_MEM_BASE + MOCK_MEM_SIZE - addr)
		*len = MOCK_MEM_BASE + MOCK_MEM_SIZE - addr;
	return mock->mem + (addr - MOCK_MEM_BASE);
}

static size_t mock_mem_read(void *ctx, unsigned thread, uint64_t addr, uint8_t *out, size_t len)
{
	struct rsp_mock *mock = ctx;
	const uint8_t *from = mock_span(mock, addr, &len);

	mock->thread = thread;
	memcpy(out, from, len);
	return len;
}

static size_t mock_mem_write(void *ctx, unsigned thread, uint64_t addr, const uint8_t *src,
			     size_t len)
{
	struct rsp_mock *mock = ctx;
	uint8_t *to = mock_span(mock, addr, &len);

	mock->thread = thread;
	mock->changes++;
	memcpy(to, src, len);
	return len;
}

static const char *mock_error_text(void *ctx)
{
	struct rsp_mock *mock = ctx;
	const char *words = mock->words;

	mock->words = NULL;
	return words;
}

static void mock_pass(void *ctx, const uint8_t set[RSP_SIGNAL_BYTES])
{
	memcpy(((struct rsp_mock *)ctx)->pass, set, RSP_SIGNAL_BYTES);
}

static void mock_program(void *ctx, const uint8_t set[RSP_SIGNAL_BYTES])
{
	memcpy(((struct rsp_mock *)ctx)->program, set, RSP_SIGNAL_BYTES);
}

static size_t mock_siginfo(void *ctx, unsigned thread, uint8_t *out, size_t size)
{
	size_t len = ((struct rsp_mock *)ctx)->siginfo_len;

	if (len > size)
		return 0;
	memset(out, (int)thread, len);
	return len;
}

static int mock_catch_syscalls(void *ctx, bool is_on, const uint32_t *numbers, unsigned count)
{
	struct rsp_mock *mock = ctx;

	mock->catches_syscalls = is_on;
	mock->syscall_count = count;
	for (unsigned i = 0; i < count && i < 4; i++)
		mock->syscall[i] = numbers[i];
	return mock->error;
}

static size_t mock_phys_read(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	return mock_mem_read(ctx, 0, addr + MOCK_MEM_BASE, out, len);
}

static size_t mock_phys_write(void *ctx, uint64_t addr, const uint8_t *src, size_t len)
{
	return mock_mem_write(ctx, 0, addr + MOCK_MEM_BASE, src, len);
}

static void mock_region(void *ctx, unsigned thread, uint64_t addr, struct rsp_region *out)
{
	const struct rsp_mock *mock = ctx;
	uint64_t half = MOCK_MEM_BASE + MOCK_MEM_SIZE / 2;
	uint64_t end = MOCK_MEM_BASE + MOCK_MEM_SIZE;

	(void)thread;
	out->first = addr < MOCK_MEM_BASE ? 0 : end;
	out->last = addr < MOCK_MEM_BASE ? MOCK_MEM_BASE - 1 : UINT64_MAX;
	if (addr < MOCK_MEM_BASE || addr >= end)
		return;
	out->first = addr < half ? MOCK_MEM_BASE : half;
	out->last = addr < half ? half - 1 : end - 1;
	out->is_mapped = true;
	out->may_read = true;
	out->may_write = true;
	out->is_rom = mock->has_rom && addr < half;
	memcpy(out->name, "mem;", 5);
}

static bool mock_has_rom(void *ctx)
{
	const struct rsp_mock *mock = ctx;

	return mock->has_rom;
}

static void mock_libraries(void *ctx, unsigned thread, bool is_first,
			   void (*put)(void *put_ctx, const char *path, const uint64_t *section,
				       unsigned count),
			   void *put_ctx)
{
	static const uint64_t section[] = {0x1000, 0xffffffffc0000000};
	struct rsp_mock *mock = ctx;

	mock->thread = thread;
	mock->listed += is_first;
	put(put_ctx, "/lib/a&b.ko", section, 2);
	put(put_ctx, "/lib/none.ko", NULL, 0);
}

static bool mock_libraries_changed(void *ctx)
{
	return ((struct rsp_mock *)ctx)->has_news;
}

static bool mock_table(void *ctx, unsigned thread, const char *annex,
		       void (*put)(void *put_ctx, const char *name, const char *value),
		       void *put_ctx)
{
	struct rsp_mock *mock = ctx;

	mock->thread = thread;
	if (strcmp(annex, "tasks") != 0)
		return false;
	put(put_ctx, "pid", "1");
	put(put_ctx, "name", "a<b");
	put(put_ctx, NULL, NULL);
	put(put_ctx, "pid", "2");
	return true;
}

static bool mock_reg_info(void *ctx, unsigned reg, struct rsp_reg_info *out)
{
	(void)ctx;
	out->name = reg == 1 ? "pc" : "other";
	out->set = "General Purpose Registers";
	if (reg == 1) {
		out->generic = "pc";
		out->dwarf = 16;
	}
	if (reg == 11)
		out->encoding = RSP_ENCODING_VECTOR;
	return true;
}

static int mock_alloc(void *ctx, unsigned thread, uint64_t size, unsigned permissions,
		      uint64_t *out_addr)
{
	struct rsp_mock *mock = ctx;

	mock->thread = thread;
	if (size > 0x1000)
		return 12;
	mock->changes++;
	mock->lent = size;
	mock->lent_permissions = permissions;
	*out_addr = MOCK_MEM_BASE + MOCK_MEM_SIZE - 0x1000;
	return 0;
}

static int mock_release(void *ctx, uint64_t addr)
{
	struct rsp_mock *mock = ctx;

	if (addr != MOCK_MEM_BASE + MOCK_MEM_SIZE - 0x1000 || !mock->lent)
		return 22;
	mock->changes++;
	mock->lent = 0;
	return 0;
}

static void mock_resume(void *ctx, const struct rsp_plan *plan, unsigned count)
{
	struct rsp_mock *mock = ctx;

	mock->resumed++;
	mock->plan_count = count;
	memcpy(mock->plan, plan, count * sizeof(*plan));
}

static void mock_interrupt(void *ctx)
{
	((struct rsp_mock *)ctx)->interrupted++;
}

static void mock_detach(void *ctx)
{
	((struct rsp_mock *)ctx)->detached++;
}

static void mock_kill(void *ctx)
{
	((struct rsp_mock *)ctx)->killed++;
}

static int mock_restart(void *ctx)
{
	struct rsp_mock *mock = ctx;

	mock->restarted++;
	return mock->error;
}

static bool mock_pause(void *ctx)
{
	struct rsp_mock *mock = ctx;

	mock->paused++;
	return !mock->is_running;
}

static bool mock_may_control(void *ctx)
{
	return !((struct rsp_mock *)ctx)->is_controlled;
}

static void mock_thread_events(void *ctx, bool is_on)
{
	((struct rsp_mock *)ctx)->thread_events = is_on;
}

static bool mock_is_supported(void *ctx, enum rsp_break type)
{
	return ((struct rsp_mock *)ctx)->break_types >> type & 1;
}

static void note_break(struct rsp_mock *mock, enum rsp_break type, uint64_t addr, unsigned kind)
{
	mock->changes++;
	mock->break_type = type;
	mock->break_addr = addr;
	mock->break_kind = kind;
}

static int mock_insert(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind)
{
	struct rsp_mock *mock = ctx;

	mock->inserted++;
	note_break(mock, type, addr, kind);
	return mock->error;
}

static int mock_remove(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind)
{
	struct rsp_mock *mock = ctx;

	mock->removed++;
	note_break(mock, type, addr, kind);
	return mock->error;
}

static int mock_command(void *ctx, unsigned thread, const char *line)
{
	struct rsp_mock *mock = ctx;
	size_t i;

	mock->commands++;
	mock->thread = thread;
	snprintf(mock->command, sizeof(mock->command), "%s", line);
	if (strcmp(line, "fail") == 0) {
		rsp_monitor_print(mock->session, "it failed\n", 10);
		return EIO;
	}
	if (strcmp(line, "flood") == 0) {
		for (i = 0; i < mock->monitor_flood; i++)
			rsp_monitor_print(mock->session, "f", 1);
		return 0;
	}
	if (strcmp(line, "busy") == 0)
		rsp_session_keep_alive(mock->session);
	rsp_monitor_print(mock->session, line, strlen(line));
	rsp_monitor_print(mock->session, "\n", 1);
	return 0;
}

static bool mock_drain(void *ctx)
{
	struct rsp_mock *mock = ctx;
	size_t len;

	rsp_session_output(mock->session, &len);
	if (len == 0 || mock->drains == 0)
		return false;
	mock->drains--;
	mock->drained += len;
	rsp_session_sent(mock->session, len);
	return true;
}

static const char *mock_features(void *ctx, const char *annex)
{
	(void)ctx;
	return strcmp(annex, "target.xml") == 0 ? "<target>#$}*</target>" : NULL;
}

static const char *mock_exec_file(void *ctx)
{
	return ((struct rsp_mock *)ctx)->exec_file;
}

static bool mock_text_start(void *ctx, uint64_t *out_addr, uint64_t *out_linked)
{
	*out_addr = ((struct rsp_mock *)ctx)->text_start;
	*out_linked = MOCK_LINKED;
	return *out_addr != 0;
}

bool rsp_mock_redescribe(void *ctx, unsigned thread)
{
	struct rsp_mock *mock = ctx;

	mock->thread = thread;
	if (mock->redescribed == 0)
		return false;
	mock->redescribed--;
	return true;
}

static const unsigned expedited[] = {6, 7, UNREADABLE_REG, 8, RSP_REG_NONE};

static const struct rsp_mock blank = {
	.base =
		{
			.attach = mock_attach,
			.thread_count = mock_thread_count,
			.thread_is_alive = mock_thread_is_alive,
			.thread_name = mock_thread_name,
			.thread_extra = mock_thread_extra,
			.reg_count = mock_reg_count,
			.g_reg_count = mock_g_reg_count,
			.reg_size = mock_reg_size,
			.reg_read = mock_reg_read,
			.reg_write = mock_reg_write,
			.regs_write = mock_regs_write,
			.pc_write = mock_pc_write,
			.expedited = expedited,
			.mem_read = mock_mem_read,
			.mem_write = mock_mem_write,
			.error_text = mock_error_text,
		},
	.run = {mock_resume, mock_interrupt, mock_detach, mock_kill, mock_restart, mock_pause,
		mock_may_control, mock_thread_events},
	.brk = {mock_is_supported, mock_insert, mock_remove},
	.monitor = {mock_command, mock_drain},
	.xfer = {mock_features, mock_exec_file, mock_text_start, NULL},
	.map = {mock_region, mock_has_rom},
	.osdata = {mock_table},
	.libraries = {mock_libraries, mock_libraries_changed},
	.lldb = {"x86_64-unknown-none", 8, 1, mock_reg_info, mock_alloc, mock_release},
	.signals = {mock_pass, mock_program, mock_siginfo, mock_catch_syscalls},
	.siginfo_len = 4,
	.phys = {mock_phys_read, mock_phys_write},
	.has_rom = true,
	.does_attach_at_once = true,
	.threads = MOCK_THREADS,
	.break_types = 0x1f,
	.exec_file = "/boot/kernel",
	.thread_extra = "halted & <idle>",
};

struct rsp_mock *rsp_mock_open(void)
{
	struct rsp_mock *mock = malloc(sizeof(*mock));
	unsigned thread, reg, i;

	if (!mock)
		return NULL;
	*mock = blank;
	rsp_mock_add_points(mock);
	for (thread = 0; thread <= MOCK_THREADS; thread++)
		for (reg = 0; reg < MOCK_REGS; reg++)
			memset(mock->regs[thread][reg], (int)(thread << 4 | reg), 8);
	for (i = 0; i < MOCK_MEM_SIZE; i++)
		mock->mem[i] = (uint8_t)(i * 2654435761u >> 13);
	mock->target = (struct rsp_target){
		.base = &mock->base,
		.run = &mock->run,
		.brk = &mock->brk,
		.monitor = &mock->monitor,
		.xfer = &mock->xfer,
		.phys = &mock->phys,
		.map = &mock->map,
		.lldb = &mock->lldb,
		.signals = &mock->signals,
		.osdata = &mock->osdata,
		.libraries = &mock->libraries,
		.agent = &mock->agent,
		.trace = &mock->trace,
		.ctx = mock,
	};
	if (rsp_tracer_open(&mock->tracer, &mock->target) != 0) {
		free(mock);
		return NULL;
	}
	mock->target.tracer = mock->tracer;
	if (rsp_session_open(&mock->session, &mock->target) != 0) {
		rsp_tracer_close(mock->tracer);
		free(mock);
		return NULL;
	}
	return mock;
}

void rsp_mock_close(struct rsp_mock *mock)
{
	rsp_session_close(mock->session);
	rsp_tracer_close(mock->tracer);
	free(mock->trace_buffer);
	free(mock);
}

void rsp_mock_reopen(struct rsp_mock *mock)
{
	rsp_session_close(mock->session);
	if (rsp_session_open(&mock->session, &mock->target) != 0)
		abort();
}

void rsp_mock_stop(struct rsp_mock *mock, unsigned thread)
{
	struct rsp_stop stop = {.kind = RSP_STOP_SIGNAL, .signal = 5, .thread = thread};

	rsp_session_stopped(mock->session, &stop);
}
