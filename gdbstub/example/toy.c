/* librspstub in a program of one's own: a toy processor (toy_cpu.c) that gdb debugs through a pipe.
 *
 *	gdb -ex 'target remote | build/toy'
 *
 * What a program lends the library are tables of operations.  Those that this one leaves out, a
 * target description among them, gdb does without. */
#include "rspstub.h"
#include "toy_cpu.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BREAKS_MAX  8u
#define SIGNAL_INT  2u
#define SIGNAL_TRAP 5u
#define BURST	    1000u /* instructions between looks at the pipe */

struct debugged {
	struct toy toy;
	uint64_t breaks[BREAKS_MAX];
	unsigned break_count;
	bool is_running, is_stepping, must_stop;
	struct rsp_session *session;
};

/* Base operations. */

static bool attach(void *ctx)
{
	return !((struct debugged *)ctx)->is_running;
}

static unsigned one(void *ctx)
{
	(void)ctx;
	return 1;
}

static bool is_alive(void *ctx, unsigned thread)
{
	(void)ctx;
	return thread == 1;
}

static void describe(void *ctx, unsigned thread, char *buf, size_t size)
{
	(void)thread;
	snprintf(buf, size, "toy, %llu instructions",
		 (unsigned long long)((struct debugged *)ctx)->toy.executed);
}

static unsigned reg_count(void *ctx)
{
	(void)ctx;
	return TOY_REGS;
}

static size_t reg_size(void *ctx, unsigned reg)
{
	(void)ctx;
	return reg < TOY_REGS ? sizeof(uint32_t) : 0;
}

static bool reg_read(void *ctx, unsigned thread, unsigned reg, uint8_t *out)
{
	unsigned i;

	(void)thread;
	for (i = 0; i < 4; i++)
		out[i] = (uint8_t)(((struct debugged *)ctx)->toy.reg[reg] >> 8 * i);
	return true;
}

static int reg_write(void *ctx, unsigned thread, unsigned reg, const uint8_t *value)
{
	(void)thread;
	((struct debugged *)ctx)->toy.reg[reg] = value[0] | (uint32_t)value[1] << 8 |
						 (uint32_t)value[2] << 16 |
						 (uint32_t)value[3] << 24;
	return 0;
}

static int regs_write(void *ctx, unsigned thread, const uint8_t *bytes, size_t len)
{
	unsigned reg;

	for (reg = 0; reg < TOY_REGS && 4 * (size_t)reg < len; reg++)
		reg_write(ctx, thread, reg, bytes + 4 * (size_t)reg);
	return 0;
}

static size_t part_of(uint64_t addr, size_t len)
{
	if (addr >= TOY_MEMORY)
		return 0;
	return len < TOY_MEMORY - addr ? len : (size_t)(TOY_MEMORY - addr);
}

static size_t mem_read(void *ctx, unsigned thread, uint64_t addr, uint8_t *out, size_t len)
{
	(void)thread;
	len = part_of(addr, len);
	if (len)
		memcpy(out, ((struct debugged *)ctx)->toy.memory + addr, len);
	return len;
}

static size_t mem_write(void *ctx, unsigned thread, uint64_t addr, const uint8_t *src, size_t len)
{
	(void)thread;
	len = part_of(addr, len);
	if (len)
		memcpy(((struct debugged *)ctx)->toy.memory + addr, src, len);
	return len;
}

static const unsigned expedited[] = {TOY_EIP, RSP_REG_NONE};

static const struct rsp_base_ops base_ops = {
	.attach = attach,
	.thread_count = one,
	.thread_is_alive = is_alive,
	.thread_name = describe,
	.thread_extra = describe,
	.reg_count = reg_count,
	.g_reg_count = reg_count,
	.reg_size = reg_size,
	.reg_read = reg_read,
	.reg_write = reg_write,
	.regs_write = regs_write,
	.expedited = expedited,
	.mem_read = mem_read,
	.mem_write = mem_write,
};

/* Run control: the operations note what is wanted, and run() below does it. */

static void resume(void *ctx, const struct rsp_plan *plan, unsigned count)
{
	struct debugged *d = ctx;

	(void)count;
	d->is_running = true;
	d->must_stop = false;
	d->is_stepping = plan[0].action != RSP_CONTINUE;
}

static void interrupt(void *ctx)
{
	((struct debugged *)ctx)->must_stop = true;
}

static void leave(void *ctx)
{
	struct debugged *d = ctx;

	d->break_count = 0;
	d->is_running = false;
}

static const struct rsp_run_ops run_ops = {
	.resume = resume,
	.interrupt = interrupt,
	.detach = leave,
	.kill = leave,
};

/* Breakpoints. */

static bool is_supported(void *ctx, enum rsp_break type)
{
	(void)ctx;
	return type == RSP_BREAK_SOFT || type == RSP_BREAK_HARD;
}

static unsigned find_break(const struct debugged *d, uint64_t addr)
{
	unsigned i = 0;

	while (i < d->break_count && d->breaks[i] != addr)
		i++;
	return i;
}

static int insert(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind)
{
	struct debugged *d = ctx;

	(void)type;
	(void)kind;
	if (find_break(d, addr) < d->break_count)
		return 0;
	if (d->break_count == BREAKS_MAX)
		return ENOSPC;
	d->breaks[d->break_count++] = addr;
	return 0;
}

static int take_out(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind)
{
	struct debugged *d = ctx;
	unsigned i = find_break(d, addr);

	(void)type;
	(void)kind;
	if (i < d->break_count)
		d->breaks[i] = d->breaks[--d->break_count];
	return 0;
}

static const struct rsp_break_ops break_ops = {is_supported, insert, take_out};

/* The processor and the pipe by turns. */

static void stop(struct debugged *d, enum rsp_stop_kind kind, unsigned signal)
{
	const struct rsp_stop why = {.kind = kind, .signal = (uint8_t)signal, .thread = 1};

	d->is_running = false;
	rsp_session_stopped(d->session, &why);
}

static void run(struct debugged *d)
{
	unsigned i;

	for (i = 0; d->is_running && i < BURST; i++) {
		unsigned signal = toy_step(&d->toy);

		if (d->toy.is_over)
			stop(d, RSP_STOP_EXITED, 0);
		else if (signal || d->is_stepping)
			stop(d, RSP_STOP_SIGNAL, signal ? signal : SIGNAL_TRAP);
		else if (find_break(d, d->toy.reg[TOY_EIP]) < d->break_count)
			stop(d, RSP_STOP_SWBREAK, SIGNAL_TRAP);
	}
	if (d->is_running && d->must_stop)
		stop(d, RSP_STOP_SIGNAL, SIGNAL_INT);
}

static bool send_output(struct rsp_session *session)
{
	size_t len;
	const uint8_t *bytes = rsp_session_output(session, &len);

	while (len > 0) {
		ssize_t sent = write(STDOUT_FILENO, bytes, len);

		if (sent < 0)
			return false;
		rsp_session_sent(session, (size_t)sent);
		bytes = rsp_session_output(session, &len);
	}
	return true;
}

/* False at the end: gdb has gone, detached, or the program is over. */
static bool serve(struct debugged *d, uint8_t *buf, size_t *used, size_t size)
{
	struct pollfd pipe = {.fd = STDIN_FILENO, .events = POLLIN};

	if (poll(&pipe, 1, d->is_running ? 0 : -1) > 0) {
		ssize_t got = read(STDIN_FILENO, buf + *used, size - *used);

		if (got <= 0)
			return false;
		*used += (size_t)got;
	}
	run(d);
	/* What the session does not take is offered again, once it can send or has stopped. */
	do {
		size_t taken = rsp_session_input(d->session, buf, *used);

		memmove(buf, buf + taken, *used - taken);
		*used -= taken;
		if (!send_output(d->session))
			return false;
		if (taken == 0)
			break;
	} while (*used > 0);
	return rsp_session_state(d->session) < RSP_REFUSED;
}

int main(void)
{
	static struct debugged d;
	static uint8_t buf[2 * RSP_PACKET_SIZE];
	const struct rsp_target target = {
		.base = &base_ops, .run = &run_ops, .brk = &break_ops, .ctx = &d};
	size_t used = 0;

	toy_start(&d.toy);
	if (rsp_session_open(&d.session, &target) != 0)
		return 2;
	while (serve(&d, buf, &used, sizeof(buf)))
		continue;
	rsp_session_close(d.session);
	return 0;
}
