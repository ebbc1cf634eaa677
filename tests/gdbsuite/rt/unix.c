/* What POSIX has and a machine without a kernel has not, for gdb's test programs: one process with
 * no children and no signals, three descriptors that are the serial port, no files, no clock. */
#include "rt.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* An eighth of what the time stamp counter of -accel soft counts in a second of the guest: tests
 * that sleep want to do something meanwhile, and have done in less than ten seconds of ours. */
#define TICKS_PER_S  120000000ul
#define TICKS_PER_US (TICKS_PER_S / 1000000)

static int error_number;
static char *mmap_next = (char *)RT_HEAP_END;

int *__errno_location(void)
{
	return &error_number;
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

/* No interrupt comes, and a guest that halts for good would stop: so time is passed awake. */
static void wait_ticks(unsigned long ticks)
{
	unsigned long from = __builtin_ia32_rdtsc();

	while (__builtin_ia32_rdtsc() - from < ticks) {
		__asm__ volatile("pause");
	}
}

unsigned int sleep(unsigned int seconds)
{
	wait_ticks(seconds * TICKS_PER_S);
	return 0;
}

int usleep(useconds_t microseconds)
{
	wait_ticks(microseconds * TICKS_PER_US);
	return 0;
}

int nanosleep(const struct timespec *wanted, struct timespec *out_left)
{
	(void)out_left;
	wait_ticks((unsigned long)wanted->tv_sec * TICKS_PER_S +
		   (unsigned long)wanted->tv_nsec * TICKS_PER_US / 1000);
	return 0;
}

int pause(void)
{
	for (;;) {
		wait_ticks(TICKS_PER_S);
	}
}

unsigned int alarm(unsigned int seconds)
{
	(void)seconds;
	return 0;
}

time_t time(time_t *out_now)
{
	if (out_now) {
		*out_now = 0;
	}
	return 0;
}

int gettimeofday(struct timeval *restrict out_now, void *restrict zone)
{
	(void)zone;
	*out_now = (struct timeval){0};
	return 0;
}

int setitimer(__itimer_which_t which, const struct itimerval *restrict value,
	      struct itimerval *restrict out_old)
{
	(void)which;
	(void)value;
	(void)out_old;
	return 0;
}

pid_t getpid(void)
{
	return 1;
}

pid_t getppid(void)
{
	return 0;
}

pid_t fork(void)
{
	return refuse(ENOSYS);
}

pid_t vfork(void)
{
	return refuse(ENOSYS);
}

int setpgid(pid_t process, pid_t group)
{
	(void)process;
	(void)group;
	return 0;
}

int setpgrp(void)
{
	return 0;
}

int sched_yield(void)
{
	return 0;
}

int kill(pid_t process, int number)
{
	(void)process;
	(void)number;
	return refuse(ENOSYS);
}

int raise(int number)
{
	(void)number;
	return refuse(ENOSYS);
}

sighandler_t signal(int number, sighandler_t handler)
{
	(void)number;
	(void)handler;
	return SIG_DFL;
}

int sigaction(int number, const struct sigaction *restrict action,
	      struct sigaction *restrict out_old)
{
	(void)number;
	(void)action;
	(void)out_old;
	return 0;
}

int sigemptyset(sigset_t *set)
{
	*set = (sigset_t){0};
	return 0;
}

int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict out_old)
{
	(void)how;
	(void)set;
	(void)out_old;
	return 0;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	(void)fd;
	fwrite(data, 1, bytes, stdout);
	return (ssize_t)bytes;
}

/* Up to the end of a line, as a terminal gives it. */
ssize_t read(int fd, void *data, size_t bytes)
{
	char *p = data;
	size_t n = 0;

	if (fd != STDIN_FILENO) {
		return refuse(EBADF);
	}
	while (n < bytes && (!n || p[n - 1] != '\n')) {
		p[n++] = (char)getchar();
	}
	return (ssize_t)n;
}

int isatty(int fd)
{
	return fd >= 0 && fd <= 2;
}

int open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;
	return refuse(ENOENT);
}

int close(int fd)
{
	(void)fd;
	return 0;
}

off_t lseek(int fd, off_t offset, int whence)
{
	(void)fd;
	(void)offset;
	(void)whence;
	return refuse(ESPIPE);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	char *data = mmap_next;

	(void)at;
	(void)protection;
	(void)flags;
	(void)fd;
	(void)offset;
	bytes = (bytes + RT_PAGE_BYTES - 1) / RT_PAGE_BYTES * RT_PAGE_BYTES;
	if (!bytes || bytes > (uintptr_t)RT_MMAP_END - (uintptr_t)mmap_next ||
	    (uintptr_t)rt_heap > RT_HEAP_END) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	mmap_next += bytes;
	return data;
}

int munmap(void *at, size_t bytes)
{
	uintptr_t first = (uintptr_t)at, page;

	if (first < RT_HEAP_END || first >= RT_MMAP_END || bytes > RT_MMAP_END - first) {
		return refuse(EINVAL);
	}
	for (page = first; page < first + bytes; page += RT_PAGE_BYTES) {
		rt_mmap_table[(page - RT_HEAP_END) / RT_PAGE_BYTES] = 0;
		__asm__ volatile("invlpg (%0)" ::"r"(page) : "memory");
	}
	return 0;
}

int mprotect(void *at, size_t bytes, int protection)
{
	(void)at;
	(void)bytes;
	(void)protection;
	return 0;
}

long sysconf(int name)
{
	(void)name;
	return RT_PAGE_BYTES;
}

int getpagesize(void)
{
	return RT_PAGE_BYTES;
}
