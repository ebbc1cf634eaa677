/* What the loader tests share: images built byte by byte, files that hold them, and a guest's
 * memory that counts who writes to it.  The layouts come from <elf.h> and from the
 * specifications, not from the loader. */
#ifndef TEST_LOAD_IMAGES_H
#define TEST_LOAD_IMAGES_H

#include "umbra/load.h"

#include <elf.h>

#define IMAGE_MAX 65536u

#define TEST_LOW_RAM_END  0xa0000ull
#define TEST_HIGH_RAM	  0x100000ull
#define TEST_HIGH_RAM_END 0x4000000ull /* 64 MiB */

struct image {
	uint8_t bytes[IMAGE_MAX];
	size_t len;
};

/* A segment of an image to be: @fill bytes of @filesz, zeroes up to @memsz. */
struct seg_spec {
	uint64_t vaddr, paddr, filesz, memsz;
	uint8_t fill;
};

/* An ELF executable: header, program headers, at 0x100 room for a multiboot header, then the
 * segments' bytes from 0x140 on, each 16-aligned. */
void image_elf(struct image *img, bool is_64, uint64_t entry, const struct seg_spec *seg,
	       unsigned count);
/* Segments used by most tests: text at 1 MiB, data with bss at 2 MiB; entry 0x100010. */
void image_elf_usual(struct image *img, bool is_64);
/* Turn the ELF image's last program header into a PT_NOTE with @len bytes of @notes. */
void image_note(struct image *img, bool is_64, const void *notes, size_t len);
#define IMAGE_MB_AT 0x100u
/* A multiboot 1 header with a right checksum at @at; the image grows when needed. */
void image_mb_header(struct image *img, size_t at, uint32_t flags);
/* The five address fields behind it. */
void image_mb_addresses(struct image *img, size_t at, const uint32_t addr[5]);
/* An image that only address fields describe: 0x400 bytes to 1 MiB, bss to 0x101000. */
void image_kludge_usual(struct image *img);
/* A multiboot 2 header with the @len bytes of @tags and the end tag, at @at. */
void image_mb2_header(struct image *img, size_t at, const void *tags, size_t len);
/* A relocatable bzImage of protocol 2.15 with a 64-bit entry: two setup sectors, 0x400 bytes of
 * 0xcc that want to be at 16 MiB with 4 MiB of room, then a signature. */
void image_bzimage_usual(struct image *img);
void image_append(struct image *img, const void *bytes, size_t len);

/* An anonymous file; its path is under /proc/self/fd. */
struct image_file {
	int fd;
	char path[32];
};

void image_file_make(struct image_file *file, const void *bytes, size_t len);
void image_file_drop(struct image_file *file);

/* Guest memory of a small PC: RAM up to 640 KiB, and from 1 MiB to 64 MiB. */
struct bench {
	struct mem_space *mem;
	uint64_t written; /* bytes written by anyone */
	struct load_image *image;
	struct x86_state boot;
	struct umbra_err err;
};

void bench_open(struct bench *b);
void bench_close(struct bench *b);
/* load_open and load_apply; the test fails when one of them does. */
void bench_load(struct bench *b, const struct load_config *config);
void bench_load_image(struct bench *b, const struct image *img);
/* load_open of @img; returns its result, closes what it opened. */
int bench_try(struct bench *b, const struct image *img);
/* Fails the test unless load_open returns @want and says each of the texts (NULL: none). */
void bench_refuse(struct bench *b, const struct load_config *config, int want, const char *text1,
		  const char *text2);
void bench_refuse_image(struct bench *b, const struct image *img, int want, const char *text1,
			const char *text2);

uint64_t guest_read(const struct bench *b, gpa_t gpa, unsigned bytes);
void guest_string(const struct bench *b, gpa_t gpa, char *buf, size_t size);
/* All @len bytes at @gpa are @value. */
bool guest_is_filled(const struct bench *b, gpa_t gpa, uint64_t len, uint8_t value);
/* The descriptor that @selector names in the boot GDT, as the processor would load it. */
struct x86_seg guest_descriptor(const struct bench *b, uint16_t selector);
/* The boot state is flat 32-bit protected mode, and its GDT gives the same segments again. */
void check_prot32(const struct bench *b);
/* Walks the boot page tables; returns whether @va is mapped to @pa, writable, executable. */
bool guest_maps(const struct bench *b, gva_t va, gpa_t pa);

#endif
