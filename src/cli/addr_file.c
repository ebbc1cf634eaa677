/* The file that tells a script where the debug port is: written beside it and renamed, so that a
 * script that waits for the file never reads half of it. */
#include "addr_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, int error, struct umbra_err *err)
{
	return umbra_err_set(err, error, "--addr-file: cannot write %s: %s", path, strerror(error));
}

/* Write the line and close @fd.  Returns 0 or an errno value. */
static int write_line(int fd, const char *address)
{
	int error = dprintf(fd, "%s\n", address) < 0 ? errno : 0;

	if (close(fd) < 0 && !error)
		error = errno;
	return error;
}

static int write_and_rename(const char *path, const char *address)
{
	char temp[PATH_MAX];
	int fd, error;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
		return ENAMETOOLONG;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return errno;
	error = fchmod(fd, 0644) < 0 ? errno : 0; /* the address is no secret */
	if (error)
		close(fd);
	else
		error = write_line(fd, address);
	if (!error && rename(temp, path) < 0)
		error = errno;
	if (error)
		unlink(temp);
	return error;
}

static int write_through(const char *path, const char *address)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? errno : write_line(fd, address);
}

int addr_file_write(const char *path, const char *address, struct umbra_err *err)
{
	struct stat info;
	bool is_special = stat(path, &info) == 0 && !S_ISREG(info.st_mode);
	int error = is_special ? write_through(path, address) : write_and_rename(path, address);

	return error ? fail(path, error, err) : 0;
}
