/* Files of modules: found by the kernel's names for them, and their sections, whatever the file is.
 */
#include "src/debug/module_files.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES "\0.text\0.data\0.debug\0.bss"

static char dir[] = "/tmp/umbra-modules-XXXXXX";

struct image {
	Elf64_Ehdr header;
	char names[sizeof(NAMES)];
	Elf64_Shdr section[6];
};

/* .text, .debug (takes no memory), .data, .bss, and their names. */
static struct image good_image(void)
{
	struct image image = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
			   .e_shoff = offsetof(struct image, section),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 6,
			   .e_shstrndx = 5},
		.names = NAMES,
		.section = {{.sh_name = 0},
			    {.sh_name = 1, .sh_flags = SHF_ALLOC, .sh_size = 0x10},
			    {.sh_name = 13},
			    {.sh_name = 7, .sh_flags = SHF_ALLOC | SHF_WRITE, .sh_size = 8},
			    {.sh_name = 20, .sh_flags = SHF_ALLOC, .sh_size = 0},
			    {.sh_offset = offsetof(struct image, names), .sh_size = sizeof(NAMES)}},
	};

	return image;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static void set_up(void)
{
	char sub[64];

	cr_assert_not_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/net", dir);
	cr_assert_eq(mkdir(sub, 0700), 0);
}

static void tear_down(void)
{
	static const char *const names[] = {"a.ko", "net/b-c_d.ko", "net/notes.txt", "net", ""};
	char path[128];

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
}

TestSuite(module_files, .init = set_up, .fini = tear_down);

Test(module_files, find_when_the_kernel_names_one_then_its_file)
{
	struct module_files *files;
	struct umbra_err err = {.text = ""};
	char expected[128];

	cr_assert_eq(module_files_open(&files, dir, &err), -ENOENT);
	cr_assert_not_null(strstr(err.text, "no .ko file"), "%s", err.text);
	write_file("a.ko", "", 0);
	write_file("net/b-c_d.ko", "", 0);
	write_file("net/notes.txt", "", 0);
	cr_assert_eq(module_files_open(&files, dir, &err), 0, "%s", err.text);
	snprintf(expected, sizeof(expected), "%s/net/b-c_d.ko", dir);
	cr_assert_str_eq(module_files_find(files, "b_c_d"), expected);
	cr_assert_not_null(module_files_find(files, "a"));
	cr_assert_null(module_files_find(files, "b-c_d"));
	cr_assert_null(module_files_find(files, "notes"));
	cr_assert_null(module_files_find(files, ""));
	module_files_close(files);
	cr_assert_eq(module_files_open(&files, "/no/such/folder", &err), -ENOENT);
	cr_assert_not_null(strstr(err.text, "/no/such/folder"), "%s", err.text);
}

static void note(void *ctx, const char *name, uint64_t size)
{
	char *text = ctx;

	snprintf(text + strlen(text), 256 - strlen(text), "%s:%llu ", name,
		 (unsigned long long)size);
}

static int sections(char text[256], struct umbra_err *err)
{
	char path[128];

	text[0] = '\0';
	snprintf(path, sizeof(path), "%s/a.ko", dir);
	return module_file_sections(path, note, text, err);
}

Test(module_files, sections_when_read_then_those_that_take_memory_in_order)
{
	struct image image = good_image();
	struct umbra_err err = {.text = ""};
	char text[256];

	write_file("a.ko", &image, sizeof(image));
	cr_assert_eq(sections(text, &err), 0);
	cr_assert_str_eq(text, ".text:16 .data:8 .bss:0 ");
	/* Names that are nowhere are none. */
	image.section[1].sh_name = sizeof(NAMES);
	image.section[3].sh_name = UINT32_MAX;
	write_file("a.ko", &image, sizeof(image));
	cr_assert_eq(sections(text, &err), 0);
	cr_assert_str_eq(text, ":16 :8 .bss:0 ");
	image.section[5].sh_offset = UINT64_MAX;
	write_file("a.ko", &image, sizeof(image));
	cr_assert_eq(sections(text, &err), 0);
	cr_assert_str_eq(text, ":16 :8 :0 ");
}

Test(module_files, sections_when_the_file_is_something_else_then_refused)
{
	struct image good = good_image();
	struct image bad[7];
	struct umbra_err err = {.text = ""};
	char text[256];

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].header.e_ident[0] = 0;
	bad[1].header.e_ident[EI_CLASS] = ELFCLASS32;
	bad[2].header.e_ident[EI_DATA] = ELFDATA2MSB;
	bad[3].header.e_shentsize = 40;
	bad[4].header.e_shstrndx = 6;
	bad[5].header.e_shoff = sizeof(good);
	bad[6].header.e_shoff = UINT64_MAX - 64;
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(bad); i++) {
		write_file("a.ko", &bad[i], sizeof(bad[i]));
		cr_assert_eq(sections(text, &err), -ENOEXEC, "%zu", i);
		cr_assert_not_null(strstr(err.text, "a.ko: not a 64-bit ELF file"), "%s", err.text);
	}
	for (size_t len = 0; len < sizeof(good); len += 7) {
		write_file("a.ko", &good, len);
		cr_assert_eq(sections(text, &err), -ENOEXEC, "cut at %zu", len);
	}
}
