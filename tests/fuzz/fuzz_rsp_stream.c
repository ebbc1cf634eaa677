/* Fuzz librspstub with what a hostile client sends and what a target does meanwhile.
 *
 * The input is a script: a byte says what happens next, and for bytes from the client how many.
 * Without a correct checksum hardly anything would be reached, so one kind of step frames the bytes
 * as a packet.  The output is checked as a client would check it. */
#include "rsp_script.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_packet(struct rsp_script *script)
{
	size_t len;
	const uint8_t *bytes = rsp_script_bytes(script, &len);

	rsp_wire_send_bytes(script->mock->session, bytes, len);
}

static void send_raw(struct rsp_script *script)
{
	size_t len;
	const uint8_t *bytes = rsp_script_bytes(script, &len);
	size_t taken = rsp_session_input(script->mock->session, bytes, len);

	if (taken > len)
		abort();
	/* What was not taken is offered again, and must not be taken without a cause. */
	if (taken < len &&
	    rsp_session_input(script->mock->session, bytes + taken, len - taken) != 0)
		abort();
}

/* More than a packet holds. */
static void send_flood(struct rsp_script *script)
{
	uint8_t chunk[4096];
	unsigned i;

	memset(chunk, rsp_script_byte(script) | 0x40, sizeof(chunk));
	rsp_session_input(script->mock->session, (const uint8_t *)"$", 1);
	for (i = 0; i < RSP_PACKET_SIZE / sizeof(chunk) + 1; i++)
		rsp_session_input(script->mock->session, chunk, sizeof(chunk));
}

static void play_step(struct rsp_script *script)
{
	unsigned what = rsp_script_byte(script) % (5 + RSP_SCRIPT_EVENTS);

	switch (what) {
	case 0:
	case 1:
	case 2:
		send_packet(script);
		break;
	case 3:
		send_raw(script);
		break;
	case 4:
		send_flood(script);
		break;
	default:
		rsp_script_play(script, what - 5);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rsp_script script;

	rsp_script_begin(&script, data, size);
	while (script.left > 0) {
		play_step(&script);
		rsp_script_check(&script);
	}
	rsp_script_end(&script);
	return 0;
}
