/* See serve.h: bytes between each client and its session, and how a client leaves.
 *
 * One client controls the machine, the first that speaks while none does; those that come later may
 * look, at the running machine too: it pauses for that, which its controller does not notice. */
#include "serve.h"

#include "stop.h"

#include "umbra/debug.h"
#include "umbra/log.h"
#include "umbra/stopwatch.h"

#define SPIN_NS 200000ull /* about one reply of a client on this host */

/* State. */

bool slot_is_attached(const struct slot *slot)
{
	if (!client_is_open(&slot->client))
		return false;
	switch (rsp_session_state(slot->session)) {
	case RSP_ATTACHING:
	case RSP_STOPPED:
	case RSP_RUNNING:
		return true;
	case RSP_NEW:
	case RSP_REFUSED:
	case RSP_DETACHED:
	case RSP_KILLED:
		break;
	}
	return false;
}

struct slot *serve_controller(struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct slot *slot = &server->slot[i];

		if (slot_is_attached(slot) && !rsp_session_is_reader(slot->session))
			return slot;
	}
	return NULL;
}

bool debug_server_is_attached(const struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		const struct slot *slot = &server->slot[i];

		if (slot_is_attached(slot) && !rsp_session_is_reader(slot->session))
			return true;
	}
	return false;
}

bool debug_server_is_non_stop(const struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		const struct slot *slot = &server->slot[i];

		if (slot_is_attached(slot) && rsp_session_is_non_stop(slot->session))
			return true;
	}
	return false;
}

static bool is_anybody_attached(const struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (slot_is_attached(&server->slot[i]))
			return true;
	}
	return false;
}

void serve_turn_to(struct slot *slot)
{
	struct debug_server *server = slot->server;
	const struct slot *owner = serve_controller(server);

	server->serving = slot;
	server->target.session = slot->session;
	server->target.is_controlled = owner && owner != slot;
	server->served_ns = stopwatch_ns();
	server->patience_ms = DRAIN_PATIENCE_MS;
}

void serve_settle(struct debug_server *server)
{
	target_go(&server->target);
	loop_set_spin(server->loop, is_anybody_attached(server) ? SPIN_NS : 0);
	if (server->target.is_quitting && !server->target.has_ended) {
		server->target.has_ended = true;
		server->config.on_quit(server->config.ctx, server->target.quit_code);
	}
}

/* A client leaves. */

void serve_close(struct slot *slot)
{
	struct debug_server *server = slot->server;
	int fd = client_release(&slot->client, server->loop);

	loop_timer_disarm(slot->first_packet_timer);
	if (fd >= 0)
		farewell_close(&server->farewell, fd);
	/* There is no second client on stdio: the machine would be out of reach. */
	else if (!server->target.has_ended && !server->target.is_quitting)
		target_quit(&server->target, DEBUG_KILLED_CODE);
	rsp_session_reset(slot->session);
}

/* The client went without a good-bye. */
static void lose_client(struct slot *slot)
{
	struct debug_server *server = slot->server;
	bool was_in_control = slot_is_attached(slot) && !rsp_session_is_reader(slot->session);
	bool is_kill_due = rsp_session_is_kill_due(slot->session);

	serve_close(slot);
	if (!was_in_control)
		return;
	if (is_kill_due) {
		target_quit(&server->target, DEBUG_KILLED_CODE);
		return;
	}
	switch (server->config.on_disconnect) {
	case DEBUG_ON_DISCONNECT_RESUME:
		target_leave(&server->target, true);
		break;
	case DEBUG_ON_DISCONNECT_STAY:
		target_leave(&server->target, false);
		break;
	case DEBUG_ON_DISCONNECT_EXIT:
		target_quit(&server->target, DEBUG_KILLED_CODE);
		break;
	}
}

static void warn_stranger(struct debug_server *server)
{
	if (!server->has_warned)
		log_warn("a client of %s does not speak the debug protocol; it was turned away "
			 "(said once)",
			 server->listener.text);
	server->has_warned = true;
}

/* Serving. */

/* An operation takes its time.  The client hears of it now and then, and meanwhile gets what is
 * there of the answer. */
void serve_tick(void *ctx)
{
	struct debug_server *server = ctx;
	struct slot *slot = server->serving;
	uint64_t now = stopwatch_ns();

	if (now - server->served_ns < server->config.keep_alive_ns)
		return;
	server->served_ns = now;
	client_flush(&slot->client, slot->session);
	rsp_session_keep_alive(slot->session);
	client_flush(&slot->client, slot->session);
}

bool serve_drain(void *ctx)
{
	struct debug_server *server = ctx;
	struct slot *slot = server->serving;
	uint64_t begin = stopwatch_ns();

	server->served_ns = begin; /* text is a sign of life */
	if (client_flush(&slot->client, slot->session))
		return true;
	if (slot->client.is_gone || server->patience_ms <= 0 ||
	    !client_wait_writable(&slot->client, DRAIN_WAIT_MS))
		return false;
	server->patience_ms -= (int)((stopwatch_ns() - begin) / 1000000);
	client_flush(&slot->client, slot->session);
	return !slot->client.is_gone;
}

bool serve_feed(struct slot *slot)
{
	struct debug_target *target = &slot->server->target;
	struct client *client = &slot->client;
	size_t taken = 0;
	bool was_retold;

	serve_turn_to(slot);
	if (client->in_len > 0)
		taken = rsp_session_input(slot->session, client->in, client->in_len);
	client_consume(client, taken);
	was_retold = target->must_retell;
	if (was_retold) {
		struct rsp_stop stop = stop_to_rsp(&target->last_stop);

		target->must_retell = false;
		rsp_session_stopped(slot->session, &stop);
	}
	return taken > 0 || was_retold;
}

/* Move bytes both ways until one of the three has to wait.  True when output is left. */
static bool pump(struct slot *slot)
{
	while (client_flush(&slot->client, slot->session)) {
		if (slot->server->target.is_quitting || !serve_feed(slot))
			return false;
	}
	return true;
}

/* Whether the session is over; the client is closed then. */
static bool close_if_over(struct slot *slot)
{
	switch (rsp_session_state(slot->session)) {
	case RSP_REFUSED:
		warn_stranger(slot->server);
		break;
	case RSP_DETACHED:
	case RSP_KILLED:
		break;
	case RSP_NEW:
	case RSP_ATTACHING:
	case RSP_STOPPED:
	case RSP_RUNNING:
		if (!slot->server->target.is_quitting)
			return false;
		break;
	}
	serve_close(slot);
	return true;
}

void serve_client(struct slot *slot)
{
	bool has_output = pump(slot);

	if (close_if_over(slot))
		return;
	if (slot->client.is_gone)
		lose_client(slot);
	else
		client_watch(&slot->client, slot->server->loop, has_output);
}

void serve_all(struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (client_is_open(&server->slot[i].client))
			serve_client(&server->slot[i]);
	}
}
