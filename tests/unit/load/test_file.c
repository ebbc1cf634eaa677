/* Which files are taken at all, and what happens when one changes. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct bench bench;
static struct load_config config;
static char dir[128];
static char path[160];

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	bench_open(&bench);
	snprintf(dir, sizeof(dir), "%.90s/umbra-load-XXXXXX", tmp ? tmp : "/tmp");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	config = (struct load_config){.kernel = path};
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
	bench_close(&bench);
}

TestSuite(file, .init = setup, .fini = teardown, .timeout = 10);

Test(file, none_there_then_enoent_with_its_name)
{
	bench_refuse(&bench, &config, -ENOENT, path, "No such file");
}

Test(file, no_kernel_given_then_refused)
{
	config.kernel = NULL;
	bench_refuse(&bench, &config, -EINVAL, "no kernel", NULL);
}

Test(file, directory_then_eisdir)
{
	config.kernel = dir;
	bench_refuse(&bench, &config, -EISDIR, dir, "a directory");
}

Test(file, fifo_without_writer_then_refused_at_once)
{
	cr_assert_eq(mkfifo(path, 0600), 0);
	bench_refuse(&bench, &config, -EINVAL, path, "a FIFO");
}

Test(file, character_device_then_refused)
{
	config.kernel = "/dev/zero";
	bench_refuse(&bench, &config, -EINVAL, "/dev/zero", "a character device");
}

Test(file, socket_then_refused)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_lt(strlen(path), sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path) + 1);
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	bench_refuse(&bench, &config, -ENXIO, path, NULL);
	close(fd);
}

Test(file, empty_then_refused)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	bench_refuse(&bench, &config, -ENOEXEC, path, "empty");
}

Test(file, long_path_then_its_tail_and_the_reason_are_in_the_text)
{
	char name[3000];

	memset(name, 'd', sizeof(name));
	memcpy(name + sizeof(name) - 8, "/tail.x", 8);
	config.kernel = name;
	bench_refuse(&bench, &config, -ENAMETOOLONG, "/tail.x'", "too long");
}

Test(file, shrinks_between_open_and_apply_then_eio)
{
	struct image_file file;
	struct image img;

	image_elf_usual(&img, false);
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	cr_assert_eq(load_open(&bench.image, &config, bench.mem, &bench.err), 0);
	cr_assert_eq(ftruncate(file.fd, (off_t)img.len - 1), 0);
	cr_assert_eq(load_apply(bench.image, bench.mem, &bench.boot, &bench.err), -EIO);
	cr_assert(strstr(bench.err.text, file.path), "%s", bench.err.text);
	cr_assert(strstr(bench.err.text, "program header 1"), "%s", bench.err.text);
	cr_assert(strstr(bench.err.text, "changed"), "%s", bench.err.text);
	image_file_drop(&file);
}

Test(file, opened_and_closed_many_times_then_no_descriptor_is_left)
{
	struct image_file file;
	struct image img;
	int before, after;
	unsigned i;

	image_elf_usual(&img, true);
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	before = dup(file.fd);
	close(before);
	for (i = 0; i < 50; i++) {
		cr_assert_eq(load_open(&bench.image, &config, bench.mem, &bench.err), 0);
		load_close(bench.image);
		bench.image = NULL;
		config.initrd = i % 2 ? NULL : "no such file";
		if (config.initrd)
			cr_assert_lt(load_open(&bench.image, &config, bench.mem, &bench.err), 0);
		config.initrd = NULL;
	}
	after = dup(file.fd);
	close(after);
	cr_assert_eq(after, before);
	image_file_drop(&file);
}

struct alien {
	const char *name;
	size_t at;
	const char *magic;
	size_t len;
	const char *text;
};

static const struct alien aliens[] = {
	{"gzip", 0, "\x1f\x8b\x08\x00", 4, "gzip -d"},
	{"xz", 0,
	 "\xfd"
	 "7zXZ\0",
	 6, "xz -d"},
	{"zstd", 0, "\x28\xb5\x2f\xfd", 4, "zstd -d"},
};

Test(file, known_but_unsupported_format_then_it_is_named)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(aliens); i++) {
		struct image img = {.len = 0x400};

		memcpy(img.bytes + aliens[i].at, aliens[i].magic, aliens[i].len);
		bench_refuse_image(&bench, &img, -ENOEXEC, aliens[i].text, NULL);
	}
}

/* What is left of a kernel that was cut before its Linux header. */
Test(file, efi_program_without_a_linux_header_then_refused_unless_told_flat)
{
	struct image img = {.bytes = "MZ", .len = 100};
	struct image_file file;

	bench_refuse_image(&bench, &img, -ENOEXEC, "the file was cut (it has 0x64 bytes)",
			   "--load-addr");
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	config.has_load_addr = true;
	config.load_addr = 0x1000;
	bench_load(&bench, &config);
	cr_assert_str_eq(load_format_name(bench.image), "flat");
	image_file_drop(&file);
}

Test(file, both_multiboot_headers_then_version_1_is_used)
{
	/* Magic, architecture, length with the end tag, checksum. */
	static const uint8_t mb2_header[] = {0xd6, 0x50, 0x52, 0xe8, 0,	   0,	 0,    0,
					     0x18, 0,	 0,    0,    0x12, 0xaf, 0xad, 0x17};
	struct image img;

	image_elf_usual(&img, false);
	memcpy(img.bytes + IMAGE_MB_AT, mb2_header, sizeof(mb2_header));
	image_mb_header(&img, IMAGE_MB_AT + 16, 0);
	bench_load_image(&bench, &img);
	cr_assert_str_eq(load_format_name(bench.image), "multiboot");
}
