/* The mock's client: it encodes and decodes by itself and shares no code with the library; see
 * rsp_mock.h. */
#include "rsp_mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t rsp_wire_frame(uint8_t *out, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;
	char digits[3];
	size_t i;

	for (i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	snprintf(digits, sizeof(digits), "%02x", sum);
	out[0] = '$';
	memcpy(out + 1, data, len);
	out[len + 1] = '#';
	memcpy(out + len + 2, digits, 2);
	return len + 4;
}

size_t rsp_wire_send_bytes(struct rsp_session *session, const void *data, size_t len)
{
	uint8_t *frame = malloc(len + 4);
	size_t taken;

	if (!frame)
		abort();
	rsp_wire_frame(frame, data, len);
	taken = rsp_session_input(session, frame, len + 4);
	free(frame);
	return taken;
}

size_t rsp_wire_send(struct rsp_session *session, const char *data)
{
	return rsp_wire_send_bytes(session, data, strlen(data));
}

/* Undo run lengths: "0*'" is '0' and (''' - 29) more of it. */
static long expand(const uint8_t *data, size_t len, char *out, size_t size)
{
	size_t i, put = 0;

	for (i = 0; i < len; i++) {
		int repeat = 1;
		char byte = (char)data[i];

		if (data[i] == '*') {
			if (put == 0 || i + 1 == len || data[i + 1] < 32 || data[i + 1] > 126)
				return -2;
			byte = out[put - 1];
			repeat = data[++i] - 29;
		}
		while (repeat--) {
			if (put + 1 >= size)
				return -2;
			out[put++] = byte;
		}
	}
	out[put] = '\0';
	return (long)put;
}

long rsp_wire_take(struct rsp_session *session, char *out, size_t size)
{
	size_t len, start = 0, i;
	const uint8_t *bytes = rsp_session_output(session, &len);
	uint8_t sum = 0;
	char digits[3];
	long result;

	while (start < len && (bytes[start] == '+' || bytes[start] == '-'))
		start++;
	if (start == len) {
		rsp_session_sent(session, len);
		return -1;
	}
	for (i = start + 1; i < len && bytes[i] != '#'; i++)
		sum = (uint8_t)(sum + bytes[i]);
	snprintf(digits, sizeof(digits), "%02x", sum);
	if ((bytes[start] != '$' && bytes[start] != '%') || len - i < 3 ||
	    memcmp(bytes + i + 1, digits, 2) != 0)
		return -2;
	result = expand(bytes + start + 1, i - start - 1, out, size);
	rsp_session_sent(session, i + 3);
	return result;
}

size_t rsp_wire_drain(struct rsp_session *session)
{
	size_t len;

	rsp_session_output(session, &len);
	rsp_session_sent(session, len);
	return len;
}
