/* Shorthand for these tests: send a packet, compare the answer. */
#ifndef TESTS_GDBSTUB_CLIENT_H
#define TESTS_GDBSTUB_CLIENT_H

#include "rsp_mock.h"

#include <stdbool.h>

/* As Criterion's own buffers of output go, one static answer would be shared state: it is the
 * caller's. */
struct answer {
	char text[RSP_PACKET_SIZE + 1];
	long len; /* as rsp_wire_take says */
};

/* Opened, in no-ack mode, with a client that announced what gdb 13 does. */
struct rsp_mock *client_connect(void);
/* Send @packet and take one answer. */
void client_ask(struct rsp_mock *mock, const char *packet, struct answer *out);
/* True when the answer to @packet is @expected and nothing follows it; prints both when not. */
bool client_gets(struct rsp_mock *mock, const char *packet, const char *expected);
/* True when the next answer, not asked for, is @expected. */
bool client_hears(struct rsp_mock *mock, const char *expected);
bool client_hears_nothing(struct rsp_mock *mock);

#endif
