/* Who listens on a TCP port, for "address in use": the socket's inode from /proc/net/tcp, then the
 * process that has it open.  Other users' processes cannot be seen; that is no error.
 * Source: proc(5). */
#include "listen.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LISTEN 0x0a

/* Fields of a row, counted by its blanks:
 *   0: 0100007F:04D2 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 34563 ... */
enum { FIELD_LOCAL = 1, FIELD_STATE = 3, FIELD_INODE = 9, FIELD_COUNT };

static bool parse_row(char *row, uint16_t port, unsigned long *out_inode)
{
	const char *field[FIELD_COUNT];
	const char *colon;
	unsigned count = 0;
	char *word;

	while (count < FIELD_COUNT && (word = strsep(&row, " ")) != NULL) {
		if (*word)
			field[count++] = word;
	}
	if (count < FIELD_COUNT)
		return false;
	colon = strchr(field[FIELD_LOCAL], ':');
	if (!colon || strtoul(colon + 1, NULL, 16) != port ||
	    strtoul(field[FIELD_STATE], NULL, 16) != TCP_LISTEN)
		return false;
	*out_inode = strtoul(field[FIELD_INODE], NULL, 10);
	return true;
}

static bool find_inode(const char *table, uint16_t port, unsigned long *out_inode)
{
	FILE *file = fopen(table, "re");
	bool is_found = false;
	char row[512];

	if (!file)
		return false;
	while (!is_found && fgets(row, sizeof(row), file))
		is_found = parse_row(row, port, out_inode);
	fclose(file);
	return is_found;
}

/* Whether a descriptor in /proc/PID/fd is the socket called @wanted. */
static bool has_socket(int proc, const char *pid, const char *wanted)
{
	char path[64];
	bool is_found = false;
	struct dirent *entry;
	int fd;
	DIR *dir;

	snprintf(path, sizeof(path), "%.20s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return false;
	}
	while (!is_found && (entry = readdir(dir)) != NULL) {
		char target[64];
		ssize_t len = readlinkat(fd, entry->d_name, target, sizeof(target) - 1);

		target[len > 0 ? len : 0] = '\0';
		is_found = strcmp(target, wanted) == 0;
	}
	closedir(dir);
	return is_found;
}

static void describe(int proc, const char *pid, char *buf, size_t size)
{
	char path[64], name[32] = "";
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%.20s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
	if (fd >= 0)
		close(fd);
	name[len > 0 ? len : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	snprintf(buf, size, "pid %.20s (%s)", pid, name);
}

bool port_owner(bool is_ipv6, uint16_t port, char *buf, size_t size)
{
	bool is_found = false;
	struct dirent *entry;
	unsigned long inode;
	char wanted[64];
	DIR *proc;

	/* An IPv6 wildcard socket can hold the port of IPv4, too. */
	if (!find_inode(is_ipv6 ? "/proc/net/tcp6" : "/proc/net/tcp", port, &inode) &&
	    !find_inode("/proc/net/tcp6", port, &inode))
		return false;
	proc = opendir("/proc");
	if (!proc)
		return false;
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	while (!is_found && (entry = readdir(proc)) != NULL) {
		if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name) ||
		    !has_socket(dirfd(proc), entry->d_name, wanted))
			continue;
		describe(dirfd(proc), entry->d_name, buf, size);
		is_found = true;
	}
	closedir(proc);
	return is_found;
}
