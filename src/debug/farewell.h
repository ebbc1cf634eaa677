/* Closing a connection so that its last words arrive: a socket that is closed while bytes from the
 * peer are unread sends a reset, and that can overtake a reply.  Private to src/debug. */
#ifndef DEBUG_FAREWELL_H
#define DEBUG_FAREWELL_H

#include "umbra/loop.h"

#define FAREWELL_MAX 4u
#define FAREWELL_NS  1000000000ull

struct farewell {
	struct loop *loop;
	struct farewell_slot {
		struct farewell *owner;
		int fd; /* -1: free */
		struct loop_timer *timer;
	} slot[FAREWELL_MAX];
};

/* Errors: -ENOMEM. */
int farewell_init(struct farewell *farewell, struct loop *loop);
/* Close what still lingers. */
void farewell_release(struct farewell *farewell);
/* Take over @fd: end our side, read and drop what comes until the peer ends its own or FAREWELL_NS
 * are over, then close.  Closed at once when FAREWELL_MAX others are at it. */
void farewell_close(struct farewell *farewell, int fd);

#endif
