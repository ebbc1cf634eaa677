/* The debug port: accepts clients, carries bytes between each and its protocol session, and keeps
 * the promises about coming and going: nothing happens to the guest before a client's first valid
 * packet, nothing of one client is left for the next, and breakpoints go with their owner whichever
 * way it leaves.
 *
 * The session, the target's operations and main never call each other in a circle: an operation
 * notes what must happen (a quit, a resume, a stop to be told again), and serve.c does it after it.
 *
 * Source: "Debugging with GDB" appendix E for the protocol's side. */
#include "serve.h"
#include "stop.h"

#include "umbra/debug.h"
#include "umbra/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_PACKET_NS 10000000000ull /* for a client that connects and says nothing */
#define ACCEPT_AGAIN_NS 100000000ull   /* after the host ran out of descriptors */
#define LAST_WORDS_NS	200000000ull   /* for the exit status to go out */
#define ACCEPTS_A_TURN	16
/* An exit status that means that a signal ended the process, from which on its number counts. */
#define SIGNAL_CODE 128
#define SIGNAL_MAX  16 /* gdb numbers those below as everybody does, as far as they are in use */

/* State. */

const char *debug_server_address(const struct debug_server *server)
{
	return server->listener.text;
}

/* A client is served. */

/* The machine stands still, or ends: all have something of it. */
static void serve_callback(struct slot *slot)
{
	serve_client(slot);
	if (slot->server->target.is_quitting)
		serve_all(slot->server);
	serve_settle(slot->server);
}

/* One that has gone makes room for the next, even when its hang-up is still to be read: a person
 * whose gdb was killed starts the next one at once, which is to control the machine. */
static void take_leave(struct slot *slot)
{
	if (!client_is_open(&slot->client) || !client_has_left(&slot->client))
		return;
	client_receive(&slot->client, LOOP_HANGUP); /* its last words */
	slot->client.is_gone = true;
	serve_client(slot);
}

/* @but stays: it is about to be served; NULL for none. */
static void take_leaves(struct debug_server *server, const struct slot *but)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (&server->slot[i] != but)
			take_leave(&server->slot[i]);
	}
	serve_settle(server);
}

static void on_client(void *ctx, int fd, unsigned events)
{
	struct slot *slot = ctx;

	(void)fd;
	/* Its first packet may make it the one in control. */
	if (rsp_session_state(slot->session) == RSP_NEW)
		take_leaves(slot->server, slot);
	if (events & LOOP_READ || (events & LOOP_HANGUP && !(events & LOOP_WRITE)))
		client_receive(&slot->client, events);
	serve_callback(slot);
}

static void on_first_packet_late(void *ctx)
{
	struct slot *slot = ctx;

	if (client_is_open(&slot->client) && rsp_session_state(slot->session) == RSP_NEW)
		serve_close(slot);
}

/* A client comes. */

static bool is_ending(const struct debug_server *server)
{
	return server->target.has_ended || server->target.is_quitting;
}

static void send_refusal(const struct debug_server *server, int fd)
{
	const char *why = is_ending(server) ? "umbra is about to end"
					    : "umbra is busy: too many debuggers are attached";
	char packet[256];
	size_t len = rsp_format_refusal(packet, sizeof(packet), why);

	/* A new socket has room for it; if not, the client learns it from the close. */
	(void)send(fd, packet, len, MSG_NOSIGNAL);
}

static void refuse_client(struct debug_server *server, int fd)
{
	send_refusal(server, fd);
	farewell_close(&server->farewell, fd);
}

static void take_client(struct slot *slot, int fd)
{
	rsp_session_reset(slot->session);
	if (client_open(&slot->client, slot->server->loop, fd, on_client, slot) != 0) {
		close(fd);
		return;
	}
	slot->turn = slot->server->turn++;
	loop_timer_arm(slot->first_packet_timer, FIRST_PACKET_NS);
}

static struct slot *free_slot(struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (!client_is_open(&server->slot[i].client))
			return &server->slot[i];
	}
	return NULL;
}

/* Of those that have not said anything valid, the one that has been there for longest. */
static struct slot *silent_slot(struct debug_server *server)
{
	struct slot *oldest = NULL;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct slot *slot = &server->slot[i];

		if (rsp_session_state(slot->session) == RSP_NEW && !slot->client.is_stdio &&
		    (!oldest || slot->turn < oldest->turn))
			oldest = slot;
	}
	return oldest;
}

/* A free slot, or NULL.  Whoever has nothing to say must not keep out one who has. */
static struct slot *make_room(struct debug_server *server)
{
	struct slot *room = free_slot(server);
	struct slot *slot;

	while (!is_ending(server) && !room && (slot = silent_slot(server))) {
		client_receive(&slot->client, LOOP_READ);
		serve_client(slot);
		if (client_is_open(&slot->client) && rsp_session_state(slot->session) == RSP_NEW) {
			send_refusal(server, slot->client.out_fd);
			serve_close(slot);
		}
		room = free_slot(server);
	}
	serve_settle(server);
	return room;
}

static void meet_client(struct debug_server *server, int fd)
{
	struct slot *slot;

	take_leaves(server, NULL);
	slot = make_room(server);
	if (!slot || is_ending(server))
		refuse_client(server, fd);
	else
		take_client(slot, fd);
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

/* The machine prints. */

static void on_console(void *ctx, const uint8_t *data, size_t len)
{
	struct slot *slot = serve_controller(ctx);

	if (!slot)
		return;
	rsp_console_print(slot->session, (const char *)data, len);
	client_watch(&slot->client, slot->server->loop,
		     !client_flush(&slot->client, slot->session));
}

/* What breakpoints print by themselves goes to the client that set them. */

/* @ctx the session of the client that hears it; NULL: nobody is there. */
static void print_console(void *ctx, const char *text, size_t len)
{
	if (ctx)
		rsp_console_print(ctx, text, len);
}

static void on_text(void *ctx)
{
	struct debug_server *server = ctx;
	struct slot *owner = serve_controller(server);

	agents_take_text(server->target.agents, print_console, owner ? owner->session : NULL);
	if (owner)
		serve_client(owner);
	serve_settle(server);
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
	return client_open(&server->slot[0].client, server->loop, -1, on_client, &server->slot[0]);
}

static void open_slots(struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct slot *slot = &server->slot[i];

		slot->server = server;
		client_init(&slot->client);
	}
}

static int open_target(struct debug_server *server)
{
	struct debug_target *target = &server->target;
	int error = agents_open(&target->agents, target->world, server->text_waker);

	return error ? error : target_open_tracer(target, &server->ops);
}

static int open_sessions(struct debug_server *server)
{
	int error = 0;

	for (unsigned i = 0; !error && i < CLIENTS_MAX; i++)
		error = rsp_session_open(&server->slot[i].session, &server->ops);
	server->serving = &server->slot[0];
	server->target.session = server->slot[0].session;
	return error;
}

static int add_timers(struct debug_server *server)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct slot *slot = &server->slot[i];

		slot->first_packet_timer = loop_timer_add(server->loop, on_first_packet_late, slot);
		if (!slot->first_packet_timer)
			return -ENOMEM;
	}
	server->accept_timer = loop_timer_add(server->loop, on_accept_again, server);
	server->text_waker = loop_waker_add(server->loop, on_text, server);
	if (!server->accept_timer || !server->text_waker)
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
	target_init(&server->target, vm, server->config.version, server->config.arch);
	server->target.on_tick = serve_tick;
	server->target.on_drain = serve_drain;
	server->target.on_console = on_console;
	server->target.tick_ctx = server;
	open_slots(server);
	if (config->modules)
		error = module_files_open(&server->target.modules.files, config->modules, err);
	if (error) {
		debug_server_destroy(server);
		return error;
	}
	error = add_timers(server);
	if (!error)
		error = open_target(server);
	if (!error)
		error = open_sessions(server);
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

static void slot_release(struct slot *slot)
{
	if (client_is_open(&slot->client)) {
		int fd = client_release(&slot->client, slot->server->loop);

		if (fd >= 0)
			close(fd);
	}
	loop_timer_del(slot->first_packet_timer);
	rsp_session_close(slot->session);
}

void debug_server_destroy(struct debug_server *server)
{
	if (!server)
		return;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		slot_release(&server->slot[i]);
	loop_set_spin(server->loop, 0);
	for (unsigned i = 0; i < server->listener.fd_count; i++)
		loop_del(server->loop, server->listener.fd[i]);
	listener_close(&server->listener);
	farewell_release(&server->farewell);
	loop_timer_del(server->accept_timer);
	rsp_tracer_close(server->target.tracer);
	agents_close(server->target.agents);
	loop_waker_del(server->text_waker);
	target_end(&server->target);
	free(server);
}

/* The machine's news. */

/* What `mmu step` stopped behind. */
static void print_steps(struct slot *slot)
{
	const struct debug_target *target = &slot->server->target;
	const struct print_sink sink = {print_console, slot->session};
	struct mon_record record;
	struct mmu_stop stop;

	record_init(&record, &sink, false);
	if (mmu_watch_last(&target->mmu, &stop))
		mmu_watch_tell_steps(&target->mmu, &record, vm_mem(target->vm), &stop);
}

static bool is_told_in_words(const struct cpu_stop *stop)
{
	/* For system calls gdb has words of its own. */
	if (stop->kind == STOP_CATCH)
		return stop->caught.kind != ACCEL_CAUGHT_SYSCALL &&
		       stop->caught.kind != ACCEL_CAUGHT_SYSRET;
	return stop_is_trouble(stop);
}

/* The reason in words, for what a signal number does not tell. */
static void print_reason(struct slot *slot, const struct cpu_stop *stop)
{
	char why[TARGET_STOP_MAX];
	char line[sizeof(why) + 16];
	bool is_break = mmu_watch_describe(&slot->server->target.mmu, why);
	int len;

	if (!is_break && !is_told_in_words(stop))
		return;
	if (!is_break)
		stop_describe(stop, why, sizeof(why));
	len = snprintf(line, sizeof(line), "%s%s\n", is_break ? "" : "umbra: ", why);
	rsp_console_print(slot->session, line, (size_t)len);
	if (is_break)
		print_steps(slot);
}

/* Tell the client in control. */
static void tell(struct slot *slot, const struct cpu_stop *stop)
{
	const struct rsp_stop reply = stop_to_rsp(stop);

	if (reply.kind == RSP_STOP_EXITED)
		slot->server->target.has_ended = true;
	serve_turn_to(slot);
	/* What was printed before the stop comes before it. */
	if (slot->server->target.is_console_on)
		vm_flush_console(slot->server->target.vm);
	agents_take_text(slot->server->target.agents, print_console, slot->session);
	print_reason(slot, stop);
	rsp_session_stopped(slot->session, &reply);
}

bool debug_server_stopped(struct debug_server *server, const struct cpu_stop *stop)
{
	struct slot *owner = serve_controller(server);
	bool goes_on = target_stopped(&server->target, stop, owner != NULL);

	if (owner && !goes_on)
		tell(owner, stop);
	serve_all(server);
	serve_settle(server);
	return owner != NULL || goes_on;
}

/* Let the client have what there is, its questions included, until it has been told everything or
 * the time is up. */
static void part_from(struct slot *slot, uint64_t *inout_budget_ns)
{
	struct client *client = &slot->client;

	while (!client->is_gone) {
		bool has_output = !client_flush(client, slot->session);

		if (!has_output && !rsp_session_has_news(slot->session))
			break;
		if (!loop_wait_fd(has_output ? client->out_fd : client->in_fd,
				  has_output ? LOOP_WRITE : LOOP_READ, inout_budget_ns))
			break;
		if (has_output)
			continue;
		client_receive(client, LOOP_READ);
		serve_feed(slot);
	}
	serve_close(slot);
}

void debug_server_exiting(struct debug_server *server, int code)
{
	struct rsp_stop stop = {.kind = RSP_STOP_EXITED, .signal = (uint8_t)code, .thread = 1};
	uint64_t budget_ns = LAST_WORDS_NS;

	if (code > SIGNAL_CODE && code < SIGNAL_CODE + SIGNAL_MAX) {
		stop.kind = RSP_STOP_KILLED;
		stop.signal = (uint8_t)(code - SIGNAL_CODE);
	}
	if (server->target.is_console_on)
		vm_flush_console(server->target.vm);
	server->target.has_ended = true;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct slot *slot = &server->slot[i];

		if (!slot_is_attached(slot))
			continue;
		serve_turn_to(slot);
		rsp_session_stopped(slot->session, &stop);
		part_from(slot, &budget_ns);
	}
	serve_settle(server);
}
