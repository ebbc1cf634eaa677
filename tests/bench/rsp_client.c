#include "rsp_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_NS 100000

static int try_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool rsp_adopt(struct rsp_client *c, int fd)
{
	const struct timeval patience = {.tv_sec = 10};

	memset(c, 0, sizeof(*c));
	c->packet_size = 4096;
	c->fd = fd;
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	c->buf = malloc(RSP_CLIENT_BUF);
	c->reply = malloc(RSP_CLIENT_BUF);
	return c->fd >= 0 && c->buf && c->reply;
}

bool rsp_connect(struct rsp_client *c, const char *path, unsigned timeout_ms)
{
	const struct timespec pause = {.tv_nsec = RETRY_NS};
	int fd = -1;

	for (unsigned i = 0; fd < 0 && i < timeout_ms * (1000000 / RETRY_NS); i++) {
		fd = try_connect(path);
		if (fd < 0)
			nanosleep(&pause, NULL);
	}
	return rsp_adopt(c, fd);
}

void rsp_close(struct rsp_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	free(c->reply);
	c->buf = c->reply = NULL;
	c->fd = -1;
}

static void send_all(struct rsp_client *c, const char *bytes, size_t len)
{
	while (len) {
		ssize_t sent = send(c->fd, bytes, len, MSG_NOSIGNAL);

		if (sent <= 0) {
			if (sent < 0 && errno == EINTR)
				continue;
			return; /* the next receive tells */
		}
		bytes += sent;
		len -= (size_t)sent;
	}
}

void rsp_send(struct rsp_client *c, const char *payload)
{
	char frame[4096];
	unsigned sum = 0;
	int len;

	for (const char *p = payload; *p; p++)
		sum += (unsigned char)*p;
	len = snprintf(frame, sizeof(frame), "%s$%s#%02x", c->owes_ack ? "+" : "", payload,
		       sum & 0xff);
	c->owes_ack = false;
	send_all(c, frame, (size_t)len);
}

void rsp_send_interrupt(struct rsp_client *c)
{
	send_all(c, c->owes_ack ? "+\x03" : "\x03", c->owes_ack ? 2 : 1);
	c->owes_ack = false;
}

void rsp_send_bytes(struct rsp_client *c, const char *head, const void *bytes, size_t len)
{
	size_t head_len = strlen(head);
	size_t size = head_len + len + sizeof("+$#00");
	char *frame = malloc(size);
	unsigned sum = 0;
	size_t at;

	if (!frame)
		return;
	at = (size_t)snprintf(frame, size, "%s$%s", c->owes_ack ? "+" : "", head);
	c->owes_ack = false;
	memcpy(frame + at, bytes, len);
	at += len;
	for (size_t i = at - len - head_len; i < at; i++)
		sum += (unsigned char)frame[i];
	at += (size_t)snprintf(frame + at, size - at, "#%02x", sum & 0xff);
	send_all(c, frame, at);
	free(frame);
}

static int next_byte(struct rsp_client *c)
{
	if (c->start == c->end) {
		ssize_t got = recv(c->fd, c->buf, RSP_CLIENT_BUF, 0);

		if (got <= 0)
			return -1;
		c->start = 0;
		c->end = (size_t)got;
	}
	return (unsigned char)c->buf[c->start++];
}

static bool receive_packet(struct rsp_client *c)
{
	int byte;

	do {
		byte = next_byte(c);
	} while (byte >= 0 && byte != '$');
	c->reply_len = 0;
	for (;;) {
		const char *rest = c->buf + c->start;
		const char *hash = memchr(rest, '#', c->end - c->start);
		size_t len = hash ? (size_t)(hash - rest) : c->end - c->start;

		if (c->reply_len + len >= RSP_CLIENT_BUF)
			return false;
		memcpy(c->reply + c->reply_len, rest, len);
		c->reply_len += len;
		c->start += len;
		byte = next_byte(c);
		if (byte < 0)
			return false;
		if (byte == '#')
			break;
		c->start--;
	}
	c->reply[c->reply_len] = '\0';
	c->owes_ack = !c->is_no_ack;
	return next_byte(c) >= 0 && next_byte(c) >= 0;
}

bool rsp_receive(struct rsp_client *c)
{
	do {
		if (!receive_packet(c))
			return false;
		if (c->owes_ack && c->reply[0] == 'O') {
			send_all(c, "+", 1);
			c->owes_ack = false;
		}
	} while (c->reply[0] == 'O' && c->reply[1] != 'K');
	return true;
}

bool rsp_receive_note(struct rsp_client *c)
{
	int byte;

	do {
		byte = next_byte(c);
	} while (byte >= 0 && byte != '%');
	while (byte >= 0 && byte != '#')
		byte = next_byte(c);
	return byte >= 0 && next_byte(c) >= 0 && next_byte(c) >= 0;
}

bool rsp_ask(struct rsp_client *c, const char *payload)
{
	rsp_send(c, payload);
	return rsp_receive(c);
}

#define RLE_BIAS 29 /* n more of the same are written as the character n + 29 */

size_t rsp_expanded(const struct rsp_client *c, char *out, size_t size)
{
	size_t len = 0;

	for (const char *p = c->reply; *p; p++) {
		bool is_run = *p == '*' && p[1] && len > 0;
		int count = is_run ? *++p - RLE_BIAS : 0;

		if (!is_run && len + 1 < size)
			out[len++] = *p;
		for (; is_run && count > 0 && len + 1 < size; count--, len++)
			out[len] = out[len - 1];
	}
	out[len] = '\0';
	return len;
}

bool rsp_handshake(struct rsp_client *c)
{
	const char *size;

	if (!rsp_ask(
		    c,
		    "qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;xmlRegisters=i386"))
		return false;
	size = strstr(c->reply, "PacketSize=");
	if (size)
		c->packet_size = strtoul(size + strlen("PacketSize="), NULL, 16);
	/* Gdbserver ends when it is asked for the description before this. */
	if (!rsp_ask(c, "?"))
		return false;
	/* QEMU answers P only to a client that has read the target description. */
	if (!rsp_ask(c, "qXfer:features:read:target.xml:0,ffb"))
		return false;
	if (!rsp_ask(c, "QStartNoAckMode"))
		return false;
	if (strcmp(c->reply, "OK") == 0) {
		send_all(c, "+", 1);
		c->owes_ack = false;
		c->is_no_ack = true;
	}
	return true;
}
