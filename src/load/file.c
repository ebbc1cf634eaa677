/* Image files: opened once, checked to be regular files, read by pread into our own buffers.
 * Never mapped: a file that shrinks under a mapping kills the process with SIGBUS. */
#include "load_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_kind {
	mode_t mode;
	const char *name;
};

static const struct file_kind file_kinds[] = {
	{S_IFDIR, "a directory"},	 {S_IFIFO, "a FIFO"},	      {S_IFSOCK, "a socket"},
	{S_IFCHR, "a character device"}, {S_IFBLK, "a block device"},
};

static const char *file_kind_name(mode_t mode)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(file_kinds); i++)
		if ((mode & S_IFMT) == file_kinds[i].mode)
			return file_kinds[i].name;
	return "no regular file";
}

static void shown_set(struct load_file *file, const char *path)
{
	const size_t room = sizeof(file->shown);
	size_t len = strlen(path);

	if (len < room)
		snprintf(file->shown, room, "%s", path);
	else
		snprintf(file->shown, room, "...%s", path + len - (room - 4));
}

/* O_NONBLOCK: a FIFO without a writer must be refused, not waited for. */
int load_file_open(struct load_file *out_file, const char *path, struct umbra_err *err)
{
	struct stat st;
	int fd;

	shown_set(out_file, path);
	out_file->fd = -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return umbra_err_set(err, errno, "cannot be opened: %s", strerror(errno));
	if (fstat(fd, &st) != 0) {
		int code = errno;

		close(fd);
		return umbra_err_set(err, code, "fstat failed: %s", strerror(code));
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return umbra_err_set(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL,
				     "is %s; give a regular file", file_kind_name(st.st_mode));
	}
	out_file->fd = fd;
	out_file->size = (uint64_t)st.st_size;
	return 0;
}

void load_file_close(struct load_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int load_file_read(const struct load_file *file, uint64_t offset, void *buf, size_t len,
		   struct umbra_err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pread(file->fd, (uint8_t *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return umbra_err_set(err, EIO,
					     "reading 0x%zx bytes at offset 0x%" PRIx64 ": %s", len,
					     offset, strerror(errno));
		if (n == 0)
			return umbra_err_set(err, EIO,
					     "the file changed: it had 0x%" PRIx64
					     " bytes and now ends at offset 0x%" PRIx64,
					     file->size, offset + done);
		done += (size_t)n;
	}
	return 0;
}
