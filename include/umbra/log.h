/* One line on stderr per call, "umbra: " in front.  stdout belongs to the guest's serial port and
 * to what the user asked for; nothing is logged there.
 * Call: any thread (each line is one write(2)).  Not signal-safe. */
#ifndef UMBRA_LOG_H
#define UMBRA_LOG_H

enum log_level {
	LOG_ERROR, /* the user's request failed */
	LOG_WARN   /* it goes on, but not as asked */
};

/* Lines above @level are dropped.  Call: main thread, before other threads exist. */
void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)

#endif
