/* Host files: see hostfile.h.  Read by pread and never mapped: a file that shrinks under a mapping
 * kills the process. */
#include "hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* O_NONBLOCK: a FIFO without a writer must be refused, not waited for. */
int hostfile_open(const char *path, size_t *out_size, struct umbra_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return umbra_err_set(err, errno, "'%s' cannot be opened: %s", path,
				     strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return umbra_err_set(err, EINVAL, "'%s' is no regular file", path);
	}
	*out_size = (size_t)st.st_size;
	return fd;
}

size_t hostfile_read(int fd, void *out, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)out + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}
