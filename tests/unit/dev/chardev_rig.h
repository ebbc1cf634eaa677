/* A loop, a gate and one character back end for a test, with a device that takes its input.  Each
 * test has a loop of its own; waiting is for a condition, with a limit. */
#ifndef TESTS_DEV_CHARDEV_RIG_H
#define TESTS_DEV_CHARDEV_RIG_H

#include "umbra/dev.h"

#include <criterion/criterion.h>

#define OUT_MAX	     (1u << 20)
#define IN_MAX	     (64u << 10)
#define PATTERN(i)   ((uint8_t)((i)*7 + ((i) >> 8)))
#define LIMIT_ROUNDS 2000

#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		unsigned rounds_ = 0;                                                              \
		while (!(condition) && rounds_++ < LIMIT_ROUNDS)                                   \
			turn();                                                                    \
		cr_assert(condition);                                                              \
	} while (0)

/* What a test works with; each test is a process of its own. */
struct chardev_rig {
	struct loop *loop;
	struct gate *gate;
	struct chardev *chardev; /* NULL when the test has closed it */
	char dir[32];		 /* a directory for this test */
	char path[64];		 /* a name in it; removed in the end */
};
extern struct chardev_rig rig;

void rig_set_up(void);
void rig_tear_down(void);

/* Run the loop for about a millisecond, once or @count times. */
void turn(void);
void turns(unsigned count);

/* Open rig.chardev. */
void open_spec(const char *spec);
void open_at_path(const char *before, const char *after);
void close_chardev(void);

void put_text(const char *text);
void put_pattern(size_t count);
const char *shown(void);

/* A device that takes up to @room bytes and checks that they are the pattern. */
struct taker {
	size_t room;
	size_t taken;
	char text[32]; /* the first ones */
	bool is_pattern;
};
size_t take(void *ctx, const uint8_t *data, size_t len);

/* A client of the Unix socket at rig.path, -1 when nobody listens. */
int connect_unix(void);
bool is_readable(int fd);
/* Wait for @want on @fd. */
void expect_text(int fd, const char *want);
/* Processor time of this thread while nothing happens: a busy loop shows. */
void expect_idle(void);

#endif
