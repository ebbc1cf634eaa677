/* Fuzz librspstub with what a hostile client sends and what a target does meanwhile.
 *
 * The input is a script: a byte says what happens next, and for bytes from the client how many.
 * Without a correct checksum hardly anything would be reached, so one kind of step frames the bytes
 * as a packet.  The output is checked as a client would check it. */
#include "rsp_mock.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *at;
	size_t left;
	bool is_output_cut; /* part of a packet was taken */
};

static uint8_t next_byte(struct script *script)
{
	if (script->left == 0)
		return 0;
	script->left--;
	return *script->at++;
}

/* The next piece of the script: at most 255 bytes. */
static const uint8_t *next_bytes(struct script *script, size_t *out_len)
{
	const uint8_t *bytes;
	size_t len = next_byte(script);

	if (len > script->left)
		len = script->left;
	bytes = script->at;
	script->at += len;
	script->left -= len;
	*out_len = len;
	return bytes;
}

static void send_packet(struct rsp_mock *mock, struct script *script)
{
	size_t len;
	const uint8_t *bytes = next_bytes(script, &len);

	rsp_wire_send_bytes(mock->session, bytes, len);
}

static void send_raw(struct rsp_mock *mock, struct script *script)
{
	size_t len;
	const uint8_t *bytes = next_bytes(script, &len);
	size_t taken = rsp_session_input(mock->session, bytes, len);

	if (taken > len)
		abort();
	/* What was not taken is offered again, and must not be taken without a cause. */
	if (taken < len && rsp_session_input(mock->session, bytes + taken, len - taken) != 0)
		abort();
}

/* More than a packet holds. */
static void send_flood(struct rsp_mock *mock, struct script *script)
{
	uint8_t chunk[4096];
	unsigned i;

	memset(chunk, next_byte(script) | 0x40, sizeof(chunk));
	rsp_session_input(mock->session, (const uint8_t *)"$", 1);
	for (i = 0; i < RSP_PACKET_SIZE / sizeof(chunk) + 1; i++)
		rsp_session_input(mock->session, chunk, sizeof(chunk));
}

static void stop_target(struct rsp_mock *mock, struct script *script)
{
	struct rsp_stop stop = {
		.kind = (enum rsp_stop_kind)(next_byte(script) % (RSP_STOP_EXITED + 1)),
		.signal = next_byte(script),
		.thread = next_byte(script) % (MOCK_THREADS + 1),
		.watch = RSP_WATCH_READ,
		.addr = next_byte(script),
	};

	rsp_session_stopped(mock->session, &stop);
}

/* The queue never grows past its bound. */
static void check_output(const struct rsp_mock *mock)
{
	size_t len;

	rsp_session_output(mock->session, &len);
	if (len > 3 * RSP_PACKET_SIZE)
		abort();
}

static void read_output(struct rsp_mock *mock, struct script *script)
{
	static char text[RSP_PACKET_SIZE + 1];
	size_t most = next_byte(script);
	long result;

	if (most & 1) {
		rsp_session_sent(mock->session, most);
		script->is_output_cut = true;
		return;
	}
	do {
		result = rsp_wire_take(mock->session, text, sizeof(text));
	} while (result >= 0);
	if (result != -1 && !script->is_output_cut)
		abort();
	rsp_wire_drain(mock->session);
	script->is_output_cut = false;
}

/* The target meets the last breakpoint that came with programs, and its tracepoints. */
static void meet_points(struct rsp_mock *mock, struct script *script)
{
	char text[256] = "";
	struct rsp_mock_view view = {mock, text, sizeof(text)};
	const struct rsp_ax_env env = rsp_mock_env(&view);
	unsigned thread = next_byte(script) % (MOCK_THREADS + 1);

	if (mock->agents)
		rsp_agent_meet((const void *)mock->last_agent, &env);
	for (unsigned i = 0; i < next_byte(script) % 8u; i++) {
		mock->regs[1][MOCK_PC][0] = next_byte(script);
		if (rsp_tracer_hit(mock->tracer, next_byte(script) % 4u, thread, &env))
			rsp_tracer_stepped(mock->tracer, thread, &env);
	}
}

static void play_step(struct rsp_mock *mock, struct script *script)
{
	static const char text[5000];

	switch (next_byte(script) % 11) {
	case 0:
	case 1:
	case 2:
		send_packet(mock, script);
		break;
	case 3:
		send_raw(mock, script);
		break;
	case 4:
		send_flood(mock, script);
		break;
	case 5:
		stop_target(mock, script);
		break;
	case 6:
		read_output(mock, script);
		break;
	case 7:
		rsp_console_print(mock->session, text, sizeof(text));
		break;
	case 8:
		mock->error = next_byte(script);
		rsp_session_reset(mock->session);
		script->is_output_cut = false;
		break;
	case 9:
		meet_points(mock, script);
		break;
	case 10:
		rsp_tracer_leave(mock->tracer);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Kept from run to run, as a server keeps it from client to client: opening takes longer
	 * than most scripts. */
	static struct rsp_mock *mock;
	struct script script = {.at = data, .left = size};

	if (!mock)
		mock = rsp_mock_open();
	if (!mock)
		abort();
	set_features(mock, next_byte(&script));
	rsp_session_reset(mock->session);
	mock->agents = 0;
	if (mock->target.trace)
		forget_trace(mock);
	while (script.left > 0) {
		play_step(mock, &script);
		check_output(mock);
	}
	/* Whatever happened, a new client finds a working session. */
	rsp_session_reset(mock->session);
	mock->does_attach_at_once = true;
	if (rsp_wire_send(mock->session, "qC") != 6 || rsp_wire_drain(mock->session) != 8)
		abort();
	return 0;
}
