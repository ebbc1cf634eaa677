/* The text that goes with a negative errno at umbra's borders: command line, images, host calls.
 * It says what failed, on which object, with which value, what was expected, and how to mend it.
 * A function either returns an error with its text or reports it, never both. */
#ifndef UMBRA_ERR_H
#define UMBRA_ERR_H

#define UMBRA_ERR_MAX 512 /* bytes, terminator included; longer text is cut */

struct umbra_err {
	char text[UMBRA_ERR_MAX]; /* empty string: nothing was said */
};

/* Write the text of an error; @err may be NULL when the caller does not want it.
 * Returns -@code, so that a failing function can end with `return umbra_err_set(err, EINVAL, ...)`.
 * @code a positive errno value. */
int umbra_err_set(struct umbra_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "@prefix: " in front of the text that is there, to name the outer object. */
void umbra_err_prefix(struct umbra_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
