/* See farewell.h.  A slot a connection; nothing that the peer sends is looked at. */
#include "farewell.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

static void slot_close(struct farewell_slot *slot)
{
	loop_timer_disarm(slot->timer);
	loop_del(slot->owner->loop, slot->fd);
	close(slot->fd);
	slot->fd = -1;
}

static void on_readable(void *ctx, int fd, unsigned events)
{
	struct farewell_slot *slot = ctx;
	char dropped[4096];
	ssize_t got = recv(fd, dropped, sizeof(dropped), 0);

	(void)events;
	/* A peer that sends without end is read once a turn, and only until the timer ends it. */
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		slot_close(slot);
}

static void on_timer(void *ctx)
{
	slot_close(ctx);
}

int farewell_init(struct farewell *farewell, struct loop *loop)
{
	farewell->loop = loop;
	for (unsigned i = 0; i < FAREWELL_MAX; i++)
		farewell->slot[i] = (struct farewell_slot){.owner = farewell, .fd = -1};
	for (unsigned i = 0; i < FAREWELL_MAX; i++) {
		struct farewell_slot *slot = &farewell->slot[i];

		slot->timer = loop_timer_add(loop, on_timer, slot);
		if (!slot->timer)
			return -ENOMEM;
	}
	return 0;
}

void farewell_release(struct farewell *farewell)
{
	for (unsigned i = 0; farewell->loop && i < FAREWELL_MAX; i++) {
		struct farewell_slot *slot = &farewell->slot[i];

		if (slot->fd >= 0)
			slot_close(slot);
		if (slot->timer)
			loop_timer_del(slot->timer);
		slot->timer = NULL;
	}
}

void farewell_close(struct farewell *farewell, int fd)
{
	for (unsigned i = 0; i < FAREWELL_MAX; i++) {
		struct farewell_slot *slot = &farewell->slot[i];

		if (slot->fd >= 0)
			continue;
		if (loop_add(farewell->loop, fd, LOOP_READ, on_readable, slot) != 0)
			break;
		slot->fd = fd;
		(void)shutdown(fd, SHUT_WR);
		loop_timer_arm(slot->timer, FAREWELL_NS);
		return;
	}
	close(fd);
}
