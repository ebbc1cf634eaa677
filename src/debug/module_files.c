/* See module_files.h.
 * Source: System V ABI, "Object Files" (section headers); the kernel's
 * Documentation/kbuild/modules.rst for names. */
#include "module_files.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".ko"
#define NAME_MAX_ELF                                                                               \
	64u /* a module's section names; longer ones are cut, which is no known name               \
	     */

struct module_file {
	char *name; /* of the module */
	char *path;
};

struct module_files {
	size_t count, room;
	struct module_file *file; /* sorted by name */
};

/* The index. */

static int is_named(const void *name, const void *file)
{
	return strcmp(name, ((const struct module_file *)file)->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct module_file *)a)->name, ((const struct module_file *)b)->name);
}

static bool has_suffix(const char *name, size_t len)
{
	return len > strlen(SUFFIX) && strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

static bool add_file(struct module_files *files, const char *path, const char *name, size_t len)
{
	struct module_file *file;

	if (files->count == files->room) {
		size_t room = files->room ? 2 * files->room : 64;

		file = reallocarray(files->file, room, sizeof(*file));
		if (!file)
			return false;
		files->file = file;
		files->room = room;
	}
	file = &files->file[files->count];
	file->name = strndup(name, len - strlen(SUFFIX));
	file->path = realpath(path, NULL);
	if (!file->name || !file->path) {
		free(file->name);
		free(file->path);
		return false;
	}
	for (char *at = strchr(file->name, '-'); at; at = strchr(at, '-'))
		*at = '_';
	files->count++;
	return true;
}

static int read_tree(struct module_files *files, FTS *tree, struct umbra_err *err)
{
	const FTSENT *entry;

	errno = 0;
	while ((entry = fts_read(tree))) {
		switch (entry->fts_info) {
		case FTS_F:
			if (has_suffix(entry->fts_name, entry->fts_namelen) &&
			    !add_file(files, entry->fts_path, entry->fts_name, entry->fts_namelen))
				return umbra_err_set(err, ENOMEM,
						     "no memory for the list of modules");
			break;
		case FTS_NS: /* the directory itself may not be there */
		case FTS_DNR:
		case FTS_ERR:
			return umbra_err_set(err, entry->fts_errno, "%s: %s", entry->fts_path,
					     strerror(entry->fts_errno));
		default:
			break;
		}
		errno = 0;
	}
	if (errno)
		return umbra_err_set(err, errno, "%s", strerror(errno));
	return 0;
}

static int fill(struct module_files *files, const char *dir, struct umbra_err *err)
{
	char *const roots[] = {strdup(dir), NULL};
	FTS *tree;
	int error;

	if (!roots[0])
		return umbra_err_set(err, ENOMEM, "no memory for the list of modules");
	tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	error = tree ? read_tree(files, tree, err)
		     : umbra_err_set(err, errno, "%s: %s", dir, strerror(errno));
	if (tree)
		fts_close(tree);
	free(roots[0]);
	if (error == 0 && files->count == 0)
		return umbra_err_set(err, ENOENT,
				     "%s: no " SUFFIX " file is below it; a debugger reads no "
				     "compressed ones",
				     dir);
	return error;
}

int module_files_open(struct module_files **out_files, const char *dir, struct umbra_err *err)
{
	struct module_files *files = calloc(1, sizeof(*files));
	int error;

	if (!files)
		return umbra_err_set(err, ENOMEM, "no memory for the list of modules");
	error = fill(files, dir, err);
	if (error) {
		module_files_close(files);
		return error;
	}
	if (files->file)
		qsort(files->file, files->count, sizeof(*files->file), by_name);
	*out_files = files;
	return 0;
}

void module_files_close(struct module_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->count; i++) {
		free(files->file[i].name);
		free(files->file[i].path);
	}
	free(files->file);
	free(files);
}

const char *module_files_find(const struct module_files *files, const char *name)
{
	const struct module_file *found =
		bsearch(name, files->file, files->count, sizeof(*found), is_named);

	return found ? found->path : NULL;
}

/* Sections. */

static bool read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, buf, len, (off_t)offset) == (ssize_t)len;
}

/* The name at @offset of the section names: what of it is there. */
static void read_name(int fd, const Elf64_Shdr *names, uint32_t offset, char out[NAME_MAX_ELF])
{
	size_t len = 0;

	if (offset < names->sh_size)
		len = u64_min(names->sh_size - offset, NAME_MAX_ELF - 1);
	if (!read_at(fd, out, len, names->sh_offset + offset))
		len = 0;
	out[len] = '\0';
}

static int read_sections(int fd, void (*fn)(void *ctx, const char *name, uint64_t size), void *ctx)
{
	Elf64_Ehdr header;
	Elf64_Shdr names, section;

	if (!read_at(fd, &header, sizeof(header), 0) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_shentsize != sizeof(section) || header.e_shstrndx >= header.e_shnum ||
	    !read_at(fd, &names, sizeof(names),
		     header.e_shoff + (uint64_t)header.e_shstrndx * sizeof(names)))
		return -ENOEXEC;
	for (unsigned i = 0; i < header.e_shnum; i++) {
		char name[NAME_MAX_ELF];

		if (!read_at(fd, &section, sizeof(section),
			     header.e_shoff + (uint64_t)i * sizeof(section)))
			return -ENOEXEC;
		if (!(section.sh_flags & SHF_ALLOC))
			continue;
		read_name(fd, &names, section.sh_name, name);
		fn(ctx, name, section.sh_size);
	}
	return 0;
}

int module_file_sections(const char *path, void (*fn)(void *ctx, const char *name, uint64_t size),
			 void *ctx, struct umbra_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error;

	if (fd < 0)
		return umbra_err_set(err, errno, "%s: %s", path, strerror(errno));
	error = read_sections(fd, fn, ctx);
	close(fd);
	if (error)
		return umbra_err_set(err, -error, "%s: not a 64-bit ELF file with sections", path);
	return 0;
}
