/* The host's page map, one open per call: it is read for people, not on hot paths. */
#include "umbra/pagemap.h"

#include "umbra/types.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int pagemap_read(const void *start, size_t count, uint64_t *out_entries)
{
	off_t offset = (off_t)((uintptr_t)start / UMBRA_PAGE_SIZE * sizeof(uint64_t));
	size_t len = count * sizeof(uint64_t);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t got;
	int error;

	if (fd < 0)
		return -errno;
	got = pread(fd, out_entries, len, offset);
	error = got < 0 ? -errno : 0;
	close(fd);
	if (!error && (size_t)got != len)
		error = -EIO;
	return error;
}
