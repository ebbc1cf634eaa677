/* The clients of the debug port: a slot each, and what is done for one or all of them.
 * Private to src/debug; control thread. */
#ifndef DEBUG_SERVE_H
#define DEBUG_SERVE_H

#include "client.h"
#include "farewell.h"
#include "listen.h"
#include "target.h"

/* gdb waits for two seconds (`remotetimeout`) for an answer or a sign of life. */
#define KEEP_ALIVE_NS 500000000ull

/* How long a long text waits for its client: to read anything at all, and for all of it. */
#define DRAIN_WAIT_MS	  1000
#define DRAIN_PATIENCE_MS 20000

/* The one that controls, and seven that look. */
#define CLIENTS_MAX 8u

struct slot {
	struct debug_server *server;
	struct client client;
	struct rsp_session *session;
	struct loop_timer *first_packet_timer;
	uint64_t turn; /* the how manieth client it is */
};

struct debug_server {
	struct debug_config config;
	struct loop *loop;
	struct listener listener;
	struct farewell farewell;
	struct rsp_target ops;
	struct debug_target target;
	struct loop_timer *accept_timer;
	struct loop_waker *text_waker; /* breakpoints have printed */
	uint64_t turn;		       /* of the next client */
	bool has_warned;	       /* of clients that speak something else */
	struct slot *serving;	       /* whose session was called last */
	int patience_ms;    /* for its client to take what waits, as long as the call lasts */
	uint64_t served_ns; /* when it was given something last, by the stopwatch */
	struct slot slot[CLIENTS_MAX];
};

/* A client that has sent a valid packet and is still there. */
bool slot_is_attached(const struct slot *slot);
/* The slot of the client that controls the machine, or NULL. */
struct slot *serve_controller(struct debug_server *server);

/* The session of @slot is about to be called. */
void serve_turn_to(struct slot *slot);
/* Offer the session what the client sent.  False when it takes nothing now. */
bool serve_feed(struct slot *slot);
/* Do everything that can be done for the client now; for all that are there. */
void serve_client(struct slot *slot);
void serve_all(struct debug_server *server);
/* Close the connection, its last reply first. */
void serve_close(struct slot *slot);
/* What follows from the state, after anything that may have changed it.  The last thing a callback
 * does: main may be told to quit. */
void serve_settle(struct debug_server *server);
/* debug_target.on_tick for a server. */
void serve_tick(void *ctx);
/* Its on_drain. */
bool serve_drain(void *ctx);

#endif
