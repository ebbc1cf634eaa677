/* Fuzz the loaders: the bytes are a kernel, once as its content says and once as a flat image, and
 * a multiboot module.  Whatever is taken is also copied into a small guest. */
#include "umbra/load.h"

#include "umbra/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_LOW_BYTES  0xa0000ull
#define RAM_HIGH_BYTES (8ull << 20)

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
	return mem;
}

static void try_load(const struct load_config *config, struct mem_space *mem)
{
	struct load_image *image = NULL;
	struct umbra_err err = {""};
	struct x86_state boot;

	if (load_open(&image, config, mem, &err) < 0) {
		must(strstr(err.text, config->kernel) != NULL, "an error without the file's name");
		return;
	}
	must(load_apply(image, mem, &boot, &err) == 0, "an image that was taken did not load");
	must(load_format_name(image) != NULL, "a format without a name");
	load_close(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem_space *mem = make_memory();
	struct load_config config = {.cmdline = "one two"};
	char path[32];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	log_set_level(LOG_ERROR);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size, "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.kernel = path;
	try_load(&config, mem);
	config.initrd = path;
	try_load(&config, mem);
	config.initrd = NULL;
	config.has_mode = true;
	config.mode = size % 2 ? LOAD_MODE_PROT32 : LOAD_MODE_LONG;
	try_load(&config, mem);
	close(fd);
	mem_destroy(mem);
	return 0;
}
