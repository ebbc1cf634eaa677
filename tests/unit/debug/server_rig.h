/* A debug port with the real protocol session on a Unix socket, a machine that only pretends
 * (fake_vm.c), and clients; everything in one thread on one loop. */
#ifndef TEST_SERVER_RIG_H
#define TEST_SERVER_RIG_H

#include "fake_vm.h"
#include "umbra/debug.h"

struct server_rig {
	struct vm *vm;
	struct world *world;
	struct loop *loop;
	struct loop_timer *timer;
	struct debug_server *server;
	char dir[32], path[64];
	int quit_code; /* -1: on_quit was not called */
	unsigned quit_count;
	uint64_t keep_alive_ns; /* for debug_config */
};
/* One per test; tests are processes of their own. */
extern struct server_rig t;

void rig_start(enum debug_disconnect policy);
/* The port on standard input and output; returns the other end. */
int rig_start_stdio(void);
void rig_set_up(void); /* with the default policy */
void rig_tear_down(void);
/* Let the loop work until nothing happens for a moment. */
void rig_settle(void);

/* A client, connected; and one that is accepted, too. */
int rig_connect(void);
int rig_join(void);
/* One that is attached to a stopped machine. */
int rig_attach(void);
void rig_send_bytes(int fd, const void *bytes, size_t len);
void rig_send_packet(int fd, const char *data);
void rig_send_packet_unseen(int fd, const char *data); /* the loop did not run yet */
/* What has come; "(closed)" stands for the end of the stream. */
const char *rig_receive(int fd);
bool rig_says(const char *text, const char *part);

/* The world stops for @kind and the stop is taken, as main does. */
bool rig_stop_world(enum stop_kind kind, const char *text);

#endif
