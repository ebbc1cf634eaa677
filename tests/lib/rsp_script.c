/* See rsp_script.h. */
#include "rsp_script.h"

#include <stdlib.h>
#include <string.h>

uint8_t rsp_script_byte(struct rsp_script *script)
{
	if (script->left == 0)
		return 0;
	script->left--;
	return *script->at++;
}

const uint8_t *rsp_script_bytes(struct rsp_script *script, size_t *out_len)
{
	const uint8_t *bytes;
	size_t len = rsp_script_byte(script);

	if (len > script->left)
		len = script->left;
	bytes = script->at;
	script->at += len;
	script->left -= len;
	*out_len = len;
	return bytes;
}

static void stop_target(struct rsp_script *script)
{
	struct rsp_stop stop = {
		.kind = (enum rsp_stop_kind)(rsp_script_byte(script) % (RSP_STOP_THREAD_GONE + 1)),
		.signal = rsp_script_byte(script),
		.thread = rsp_script_byte(script) % (MOCK_THREADS + 1),
		.watch = RSP_WATCH_READ,
		.addr = rsp_script_byte(script),
	};

	rsp_session_stopped(script->mock->session, &stop);
}

void rsp_script_check(const struct rsp_script *script)
{
	size_t len;

	rsp_session_output(script->mock->session, &len);
	if (len > 3 * RSP_PACKET_SIZE)
		abort();
}

static void read_output(struct rsp_script *script)
{
	static char text[RSP_PACKET_SIZE + 1];
	size_t most = rsp_script_byte(script);
	long result;

	if (most & 1) {
		rsp_session_sent(script->mock->session, most);
		script->is_output_cut = true;
		return;
	}
	do {
		result = rsp_wire_take(script->mock->session, text, sizeof(text));
	} while (result >= 0);
	if (result != -1 && !script->is_output_cut)
		abort();
	rsp_wire_drain(script->mock->session);
	script->is_output_cut = false;
}

/* The target meets the last breakpoint that came with programs, and its tracepoints. */
static void meet_points(struct rsp_script *script)
{
	char text[256] = "";
	struct rsp_mock_view view = {script->mock, text, sizeof(text)};
	const struct rsp_ax_env env = rsp_mock_env(&view);
	unsigned thread = rsp_script_byte(script) % (MOCK_THREADS + 1);

	if (script->mock->agents)
		rsp_agent_meet((const void *)script->mock->last_agent, &env);
	for (unsigned i = 0; i < rsp_script_byte(script) % 8u; i++) {
		script->mock->regs[1][MOCK_PC][0] = rsp_script_byte(script);
		if (rsp_tracer_hit(script->mock->tracer, rsp_script_byte(script) % 4u, thread,
				   &env))
			rsp_tracer_stepped(script->mock->tracer, thread, &env);
	}
}

static void reset_session(struct rsp_script *script)
{
	script->mock->error = rsp_script_byte(script);
	rsp_session_reset(script->mock->session);
	script->is_output_cut = false;
}

void rsp_script_play(struct rsp_script *script, unsigned what)
{
	static const char text[5000];

	switch (what % RSP_SCRIPT_EVENTS) {
	case 0:
		stop_target(script);
		break;
	case 1:
		read_output(script);
		break;
	case 2:
		rsp_console_print(script->mock->session, text, sizeof(text));
		break;
	case 3:
		reset_session(script);
		break;
	case 4:
		meet_points(script);
		break;
	case 5:
		rsp_tracer_leave(script->mock->tracer);
		break;
	}
}

static void set_features(struct rsp_mock *mock, uint8_t features)
{
	mock->does_attach_at_once = features & 1;
	mock->target.brk = features & 2 ? &mock->brk : NULL;
	mock->target.monitor = features & 4 ? &mock->monitor : NULL;
	mock->target.xfer = features & 8 ? &mock->xfer : NULL;
	mock->target.agent = features & 32 ? NULL : &mock->agent;
	mock->target.trace = features & 64 ? NULL : &mock->trace;
	mock->threads = features & 16 ? RSP_MAX_THREADS : MOCK_THREADS;
	mock->monitor_flood = 300000;
	mock->error = 0;
	mock->is_controlled = false;
}

/* A tracer outlives its clients, and a script is to begin with none. */
static void forget_trace(struct rsp_mock *mock)
{
	bool does_attach_at_once = mock->does_attach_at_once;

	mock->does_attach_at_once = true;
	rsp_wire_send(mock->session, "QTinit");
	rsp_wire_send(mock->session, "QTBuffer:circular:0");
	rsp_session_reset(mock->session);
	mock->does_attach_at_once = does_attach_at_once;
}

void rsp_script_begin(struct rsp_script *script, const uint8_t *data, size_t size)
{
	/* Kept from run to run, as a server keeps it from client to client: opening takes longer
	 * than most scripts. */
	static struct rsp_mock *mock;
	uint8_t features;

	if (!mock)
		mock = rsp_mock_open();
	if (!mock)
		abort();
	*script = (struct rsp_script){.at = data, .left = size, .mock = mock};
	features = rsp_script_byte(script);
	set_features(mock, features);
	rsp_session_reset(mock->session);
	mock->agents = 0;
	if (mock->target.trace)
		forget_trace(mock);
	mock->is_controlled = features & 128;
}

void rsp_script_end(struct rsp_script *script)
{
	struct rsp_mock *mock = script->mock;

	rsp_session_reset(mock->session);
	mock->does_attach_at_once = true;
	mock->is_controlled = false;
	if (rsp_wire_send(mock->session, "qC") != 6 || rsp_wire_drain(mock->session) != 8)
		abort();
}
