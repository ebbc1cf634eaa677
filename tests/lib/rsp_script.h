/* A script for the protocol's fuzzers: bytes that say what happens next to a mock target and its
 * client.  What the client sends is each fuzzer's own. */
#ifndef TESTS_RSP_SCRIPT_H
#define TESTS_RSP_SCRIPT_H

#include "rsp_mock.h"

struct rsp_script {
	const uint8_t *at;
	size_t left;
	bool is_output_cut; /* part of a packet was taken */
	struct rsp_mock *mock;
};

/* The next byte; 0 at the end. */
uint8_t rsp_script_byte(struct rsp_script *script);
/* The next piece: at most 255 bytes. */
const uint8_t *rsp_script_bytes(struct rsp_script *script, size_t *out_len);

/* Begin with a fresh client; the first byte says what the target offers. */
void rsp_script_begin(struct rsp_script *script, const uint8_t *data, size_t size);
/* Something that is not the client's doing, or its reading, happens: @what says which. */
#define RSP_SCRIPT_EVENTS 6u
void rsp_script_play(struct rsp_script *script, unsigned what);
/* The queue never grows past its bound. */
void rsp_script_check(const struct rsp_script *script);
/* Whatever happened, a new client finds a working session. */
void rsp_script_end(struct rsp_script *script);

#endif
