/* Fuzz the loaders: the bytes are a kernel, as its content says, with modules or an initial RAM
 * disk, with each of two modes, and firmware.  Whatever is taken is also copied into a small guest.
 * The checksum of a multiboot 2 header is mended first: guessing it is no test of the loader. */
#include "umbra/load.h"

#include "umbra/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_LOW_BYTES  0xa0000ull
#define RAM_HIGH_BYTES (8ull << 20)
#define ROM_BYTES      65536u
#define RSDP	       0x9fc00u
#define MB2_SEARCH     32768u
#define MB2_MAGIC      0xe85250d6u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "fuzz_load: %s\n", what);
	abort();
}

static struct mem_space *make_memory(void)
{
	struct mem_space *mem = NULL;

	must(mem_create(&mem, NULL) == 0, "mem_create");
	must(mem_add(mem, 0, RAM_LOW_BYTES, MEM_RAM, "low", NULL) == 0, "low RAM");
	must(mem_add(mem, 1 << 20, RAM_HIGH_BYTES, MEM_RAM, "high", NULL) == 0, "high RAM");
	must(mem_add(mem, (1ull << 32) - ROM_BYTES, ROM_BYTES, MEM_ROM, "rom", NULL) == 0, "ROM");
	return mem;
}

static void try_load(const struct load_config *config, struct mem_space *mem)
{
	struct load_image *image = NULL;
	struct umbra_err err = {""};
	struct x86_state boot;
	const char *path = config->bios ? config->bios : config->kernel;

	if (load_open(&image, config, mem, &err) < 0) {
		must(strstr(err.text, path) != NULL, "an error without the file's name");
		return;
	}
	must(load_apply(image, mem, &boot, &err) == 0, "an image that was taken did not load");
	must(load_format_name(image) != NULL, "a format without a name");
	load_close(image);
}

static void try_modes(struct load_config config, struct mem_space *mem)
{
	config.has_mode = true;
	config.mode = LOAD_MODE_PROT32;
	try_load(&config, mem);
	config.mode = LOAD_MODE_LONG;
	try_load(&config, mem);
}

static void try_bios(const char *path, int fd, struct mem_space *mem)
{
	const struct load_config config = {.bios = path};
	uint64_t bytes = 0;

	load_bios_bytes(path, &bytes, NULL);
	must(ftruncate(fd, ROM_BYTES) == 0, "ftruncate");
	must(load_bios_bytes(path, &bytes, NULL) == 0 && bytes == ROM_BYTES, "a size");
	try_load(&config, mem);
}

static void mend_checksum(int fd, const uint8_t *data, size_t size)
{
	uint8_t sum[4];
	size_t at;

	for (at = 0; at + 16 <= size && at < MB2_SEARCH; at += 8) {
		if (le32_get(data + at) != MB2_MAGIC)
			continue;
		le32_put(sum, 0u - (MB2_MAGIC + le32_get(data + at + 4) + le32_get(data + at + 8)));
		must(pwrite(fd, sum, 4, (off_t)at + 12) == 4, "pwrite");
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem_space *mem = make_memory();
	struct load_config config = {.cmdline = "one two", .rsdp = RSDP};
	char path[32];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	log_set_level(LOG_ERROR);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size, "memfd");
	mend_checksum(fd, data, size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.kernel = path;
	try_load(&config, mem);
	config.initrd = path;
	try_load(&config, mem);
	try_modes(config, mem);
	config.initrd = NULL;
	try_modes(config, mem);
	try_bios(path, fd, mem);
	close(fd);
	mem_destroy(mem);
	return 0;
}
