/* A small, fast RSP client for measurements: one Unix-socket connection, blocking, no threads. */
#ifndef RSP_CLIENT_H
#define RSP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSP_CLIENT_BUF (4u << 20)

struct rsp_client {
	int fd;
	bool is_no_ack;
	bool owes_ack; /* sent in front of the next request, in one write */
	size_t packet_size;
	size_t start, end; /* unread bytes of buf */
	char *buf;
	char *reply; /* the last packet's payload, NUL-terminated, RLE not expanded */
	size_t reply_len;
};

/* The last reply with its repeated characters (RSP overview: "0*(" and the like) written out, at
 * most
 * @size - 1 of them.  Returns how many. */
size_t rsp_expanded(const struct rsp_client *c, char *out, size_t size);

/* Connect to the socket at @path as soon as it exists, for at most @timeout_ms.
 * False: nobody came. */
bool rsp_connect(struct rsp_client *c, const char *path, unsigned timeout_ms);
/* Take @fd, a socket that is connected already; -1 is none.  False: none, or no memory. */
bool rsp_adopt(struct rsp_client *c, int fd);
void rsp_close(struct rsp_client *c);

void rsp_send(struct rsp_client *c, const char *payload);
/* Read one packet into reply, O packets skipped.  False: the connection ended. */
bool rsp_receive(struct rsp_client *c);
bool rsp_ask(struct rsp_client *c, const char *payload);
void rsp_send_interrupt(struct rsp_client *c);
/* Drop everything up to the end of the next notification.  False: the connection ended. */
bool rsp_receive_note(struct rsp_client *c);
/* As rsp_send for @len bytes, which the caller has escaped where need be, behind @head. */
void rsp_send_bytes(struct rsp_client *c, const char *head, const void *bytes, size_t len);

/* qSupported (for the packet size) and no-ack mode, as gdb begins. */
bool rsp_handshake(struct rsp_client *c);

#endif
