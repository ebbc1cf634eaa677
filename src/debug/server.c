/* The debug port: accepts one client at a time, carries bytes between it and the protocol session,
 * and keeps the promises about coming and going: nothing happens to the guest before a client's
 * first valid packet, nothing of one client is left for the next, and breakpoints go with their
 * owner whichever way it leaves.
 *
 * The session, the target's operations and main never call each other in a circle: an operation
 * notes what must happen (a quit, a stop to be told again), and serve() does it afterwards.
 * Source: "Debugging with GDB" appendix E for the protocol's side. */
#include "client.h"
#include "farewell.h"
#include "listen.h"
#include "stop.h"
#include "target.h"

#include "umbra/debug.h"
#include "umbra/log.h"
#include "umbra/stopwatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPIN_NS		200000ull      /* about one reply of a client on this host */
#define FIRST_PACKET_NS 10000000000ull /* for a client that connects and says nothing */
#define ACCEPT_AGAIN_NS 100000000ull   /* after the host ran out of descriptors */
#define LAST_WORDS_NS	200000000ull   /* for the exit status to go out */
#define ACCEPTS_A_TURN	16
/* gdb waits for two seconds (`remotetimeout`) for an answer or a sign of life. */
#define KEEP_ALIVE_NS 500000000ull

struct debug_server {
	struct debug_config config;
	struct loop *loop;
	struct listener listener;
	struct farewell farewell;
	struct client client;
	struct rsp_target ops;
	struct rsp_session *session;
	struct debug_target target;
	struct loop_timer *first_packet_timer;
	struct loop_timer *accept_timer;
	bool has_warned;    /* of clients that speak something else */
	uint64_t served_ns; /* when the client was given something last, by the stopwatch */
};

/* State. */

bool debug_server_is_attached(const struct debug_server *server)
{
	if (!client_is_open(&server->client))
		return false;
	switch (rsp_session_state(server->session)) {
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

const char *debug_server_address(const struct debug_server *server)
{
	return server->listener.text;
}

/* What follows from the state, after anything that may have changed it. */
static void settle(struct debug_server *server)
{
	loop_set_spin(server->loop, debug_server_is_attached(server) ? SPIN_NS : 0);
}

/* A client leaves. */

/* Close the connection, its last reply first. */
static void close_client(struct debug_server *server)
{
	int fd = client_release(&server->client, server->loop);

	loop_timer_disarm(server->first_packet_timer);
	if (fd >= 0)
		farewell_close(&server->farewell, fd);
	/* There is no second client on stdio: the machine would be out of reach. */
	else if (!server->target.has_ended && !server->target.is_quitting)
		target_quit(&server->target, DEBUG_KILLED_CODE);
	rsp_session_reset(server->session);
}

/* The client went without a good-bye. */
static void lose_client(struct debug_server *server)
{
	bool was_attached = debug_server_is_attached(server);
	bool is_kill_due = rsp_session_is_kill_due(server->session);

	close_client(server);
	if (!was_attached)
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
static void on_tick(void *ctx)
{
	struct debug_server *server = ctx;
	uint64_t now = stopwatch_ns();

	if (now - server->served_ns < server->config.keep_alive_ns)
		return;
	server->served_ns = now;
	client_flush(&server->client, server->session);
	rsp_session_keep_alive(server->session);
	client_flush(&server->client, server->session);
}

/* Offer the session what the client sent.  False when it takes nothing now. */
static bool feed(struct debug_server *server)
{
	struct client *client = &server->client;
	size_t taken = 0;
	bool was_retold;

	server->served_ns = stopwatch_ns();
	if (client->in_len > 0)
		taken = rsp_session_input(server->session, client->in, client->in_len);
	client_consume(client, taken);
	was_retold = server->target.must_retell;
	if (was_retold) {
		struct rsp_stop stop = stop_to_rsp(&server->target.last_stop);

		server->target.must_retell = false;
		rsp_session_stopped(server->session, &stop);
	}
	return taken > 0 || was_retold;
}

/* Move bytes both ways until one of the three has to wait.  True when output is left. */
static bool pump(struct debug_server *server)
{
	while (client_flush(&server->client, server->session)) {
		if (server->target.is_quitting || !feed(server))
			return false;
	}
	return true;
}

/* Whether the session is over; the client is closed then. */
static bool close_if_over(struct debug_server *server)
{
	switch (rsp_session_state(server->session)) {
	case RSP_REFUSED:
		warn_stranger(server);
		break;
	case RSP_DETACHED:
	case RSP_KILLED:
		break;
	case RSP_NEW:
	case RSP_ATTACHING:
	case RSP_STOPPED:
	case RSP_RUNNING:
		if (!server->target.is_quitting)
			return false;
		break;
	}
	close_client(server);
	return true;
}

/* Do everything that can be done for the client now.  The last thing a callback does: main may be
 * told to quit. */
static void serve(struct debug_server *server)
{
	bool has_output = pump(server);

	if (!close_if_over(server)) {
		if (server->client.is_gone)
			lose_client(server);
		else
			client_watch(&server->client, server->loop, has_output);
	}
	settle(server);
	if (server->target.is_quitting && !server->target.has_ended) {
		server->target.has_ended = true;
		server->config.on_quit(server->config.ctx, server->target.quit_code);
	}
}

static void on_client(void *ctx, int fd, unsigned events)
{
	struct debug_server *server = ctx;

	(void)fd;
	if (events & LOOP_READ || (events & LOOP_HANGUP && !(events & LOOP_WRITE)))
		client_receive(&server->client, events);
	serve(server);
}

static void on_first_packet_late(void *ctx)
{
	struct debug_server *server = ctx;

	if (client_is_open(&server->client) && rsp_session_state(server->session) == RSP_NEW)
		close_client(server);
}

/* A client comes. */

static bool is_ending(const struct debug_server *server)
{
	return server->target.has_ended || server->target.is_quitting;
}

static void refuse_client(struct debug_server *server, int fd)
{
	const char *why = is_ending(server) ? "umbra is about to end"
					    : "umbra is busy: another debugger is attached";
	char packet[256];
	size_t len = rsp_format_refusal(packet, sizeof(packet), why);

	/* A new socket has room for it; if not, the client learns it from the close. */
	(void)send(fd, packet, len, MSG_NOSIGNAL);
	farewell_close(&server->farewell, fd);
}

static void take_client(struct debug_server *server, int fd)
{
	rsp_session_reset(server->session);
	server->target.must_retell = false;
	if (client_open(&server->client, server->loop, fd, on_client, server) != 0) {
		close(fd);
		return;
	}
	loop_timer_arm(server->first_packet_timer, FIRST_PACKET_NS);
}

/* One that has gone makes room for the next, even when its hang-up is still to be read: a person
 * whose gdb was killed starts the next one at once. */
static void take_leave(struct debug_server *server)
{
	if (!client_is_open(&server->client) || !client_has_left(&server->client))
		return;
	client_receive(&server->client, LOOP_HANGUP); /* its last words */
	server->client.is_gone = true;
	serve(server);
}

static void meet_client(struct debug_server *server, int fd)
{
	take_leave(server);
	if (client_is_open(&server->client) || is_ending(server))
		refuse_client(server, fd);
	else
		take_client(server, fd);
}

static void watch_listeners(struct debug_server *server, unsigned events)
{
	for (unsigned i = 0; i < server->listener.fd_count; i++)
		loop_mod(server->loop, server->listener.fd[i], events);
}

static void on_accept_again(void *ctx)
{
	watch_listeners(ctx, LOOP_READ);
}

static void on_listener(void *ctx, int fd, unsigned events)
{
	struct debug_server *server = ctx;

	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int client = listener_accept(&server->listener, fd);

		if (client == -EAGAIN)
			return;
		if (client == -EMFILE || client == -ENFILE || client == -ENOMEM ||
		    client == -ENOBUFS) {
			/* The connection stays in the queue, and the listener readable. */
			watch_listeners(server, 0);
			loop_timer_arm(server->accept_timer, ACCEPT_AGAIN_NS);
			return;
		}
		if (client >= 0)
			meet_client(server, client);
	}
}

/* Life cycle. */

static int watch_port(struct debug_server *server)
{
	for (unsigned i = 0; i < server->listener.fd_count; i++) {
		int error = loop_add(server->loop, server->listener.fd[i], LOOP_READ, on_listener,
				     server);

		if (error)
			return error;
	}
	if (server->listener.address.kind != LISTEN_STDIO)
		return 0;
	return client_open(&server->client, server->loop, -1, on_client, server);
}

static int open_session(struct debug_server *server, struct vm *vm)
{
	int error;

	target_init(&server->target, vm, server->config.version);
	server->ops = target_ops(&server->target);
	error = rsp_session_open(&server->session, &server->ops);
	server->target.session = server->session;
	server->target.on_tick = on_tick;
	server->target.tick_ctx = server;
	return error;
}

static int add_timers(struct debug_server *server)
{
	server->first_packet_timer = loop_timer_add(server->loop, on_first_packet_late, server);
	server->accept_timer = loop_timer_add(server->loop, on_accept_again, server);
	if (!server->first_packet_timer || !server->accept_timer)
		return -ENOMEM;
	return farewell_init(&server->farewell, server->loop);
}

int debug_server_create(struct debug_server **out_server, const struct debug_config *config,
			struct vm *vm, struct loop *loop, struct umbra_err *err)
{
	struct listen_address address;
	struct debug_server *server;
	int error = listen_parse(config->address, &address, err);

	if (error)
		return error;
	server = calloc(1, sizeof(*server));
	if (!server)
		return umbra_err_set(err, ENOMEM, "no memory for the debug port");
	server->config = *config;
	if (!server->config.keep_alive_ns)
		server->config.keep_alive_ns = KEEP_ALIVE_NS;
	server->loop = loop;
	client_init(&server->client);
	error = add_timers(server);
	if (!error)
		error = open_session(server, vm);
	if (error) {
		debug_server_destroy(server);
		return umbra_err_set(err, -error, "cannot set up the debug port: %s",
				     strerror(-error));
	}
	error = listener_open(&server->listener, &address, err);
	if (!error && watch_port(server))
		error = umbra_err_set(err, ENOMEM,
				      "cannot watch the debug port %s (is it in use "
				      "as a serial port too?)",
				      server->listener.text);
	if (error) {
		debug_server_destroy(server);
		return error;
	}
	*out_server = server;
	return 0;
}

void debug_server_destroy(struct debug_server *server)
{
	if (!server)
		return;
	if (client_is_open(&server->client)) {
		int fd = client_release(&server->client, server->loop);

		if (fd >= 0)
			close(fd);
	}
	loop_set_spin(server->loop, 0);
	for (unsigned i = 0; i < server->listener.fd_count; i++)
		loop_del(server->loop, server->listener.fd[i]);
	listener_close(&server->listener);
	farewell_release(&server->farewell);
	loop_timer_del(server->first_packet_timer);
	loop_timer_del(server->accept_timer);
	rsp_session_close(server->session);
	target_end(&server->target);
	free(server);
}

/* The machine's news. */

static void print_console(void *ctx, const char *text, size_t len)
{
	rsp_console_print(ctx, text, len);
}

/* What `mmu step` stopped behind. */
static void print_steps(struct debug_server *server)
{
	const struct print_sink sink = {print_console, server->session};
	const struct mmu_watch *watch = &server->target.mmu;
	struct mon_record record;
	struct mmu_stop stop;

	record_init(&record, &sink, false);
	if (mmu_watch_last(watch, &stop))
		mmu_watch_tell_steps(watch, &record, vm_mem(server->target.vm), &stop);
}

/* The reason in words, for what a signal number does not tell. */
static void print_reason(struct debug_server *server, const struct cpu_stop *stop)
{
	char why[TARGET_STOP_MAX];
	char line[sizeof(why) + 16];
	bool is_break = mmu_watch_describe(&server->target.mmu, why);
	int len;

	if (!is_break && !stop_is_trouble(stop))
		return;
	if (!is_break)
		stop_describe(stop, why, sizeof(why));
	len = snprintf(line, sizeof(line), "%s%s\n", is_break ? "" : "umbra: ", why);
	rsp_console_print(server->session, line, (size_t)len);
	if (is_break)
		print_steps(server);
}

bool debug_server_stopped(struct debug_server *server, const struct cpu_stop *stop)
{
	bool is_attached = debug_server_is_attached(server);
	struct rsp_stop reply = stop_to_rsp(stop);

	if (target_stopped(&server->target, stop, is_attached))
		return true;
	if (!is_attached)
		return false;
	if (reply.kind == RSP_STOP_EXITED)
		server->target.has_ended = true;
	print_reason(server, stop);
	rsp_session_stopped(server->session, &reply);
	serve(server);
	return true;
}

void debug_server_exiting(struct debug_server *server, int code)
{
	struct rsp_stop stop = {.kind = RSP_STOP_EXITED, .signal = (uint8_t)code, .thread = 1};
	uint64_t budget_ns = LAST_WORDS_NS;

	server->target.has_ended = true;
	if (!debug_server_is_attached(server))
		return;
	rsp_session_stopped(server->session, &stop);
	while (!client_flush(&server->client, server->session) && !server->client.is_gone) {
		if (!loop_wait_fd(server->client.out_fd, LOOP_WRITE, &budget_ns))
			break;
	}
	close_client(server);
	settle(server);
}
