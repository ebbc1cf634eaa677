/* Log lines on stderr.  A line is put together first and goes out by one write(2), so that lines
 * of several threads do not mix; nothing is buffered, so that none is lost when we die. */
#include "umbra/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024 /* bytes; longer lines are cut */

/* The one mutable variable of the program with static life: a log line has no object that it could
 * hang from.  Relaxed: it is set before other threads exist. */
static atomic_int log_threshold = LOG_WARN;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_threshold, (int)level, memory_order_relaxed);
}

static const char *log_prefix(enum log_level level)
{
	return level == LOG_WARN ? "umbra: warning: " : "umbra: ";
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list args;
	size_t len;
	ssize_t written;

	if ((int)level > atomic_load_explicit(&log_threshold, memory_order_relaxed))
		return;
	len = (size_t)snprintf(line, sizeof(line), "%s", log_prefix(level));
	va_start(args, fmt);
	vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	va_end(args);
	len += strlen(line + len);
	line[len++] = '\n';
	/* There is nobody left to tell when stderr cannot be written. */
	written = write(STDERR_FILENO, line, len);
	(void)written;
}
