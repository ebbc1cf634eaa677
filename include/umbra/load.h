/* Images into guest memory.  Loading has two halves: load_open reads and checks everything (the
 * file is untrusted), load_apply copies.  After a failed load_open nothing has changed; load_apply
 * cannot fail half way for any reason that load_open could have seen.
 * Call: control thread. */
#ifndef UMBRA_LOAD_H
#define UMBRA_LOAD_H

#include "umbra/err.h"
#include "umbra/mem.h"
#include "umbra/types.h"
#include "umbra/x86.h"

enum load_format {
	LOAD_AUTO,
	LOAD_FLAT,
	LOAD_ELF,
	LOAD_MULTIBOOT,
	LOAD_MULTIBOOT2,
	LOAD_BZIMAGE,
	LOAD_PVH,
	LOAD_BIOS,
};

/* Mode in which a flat image or a bzImage is entered. */
enum load_mode { LOAD_MODE_REAL, LOAD_MODE_PROT32, LOAD_MODE_LONG };

#define LOAD_MAX_REGS 16

struct load_reg {
	char name[8]; /* "rax", "r8", "rflags", ... */
	uint64_t value;
};

struct load_config {
	const char *kernel; /* path; required unless there is @bios */
	/* Path of a firmware image instead; it excludes @kernel, @initrd and @cmdline. */
	const char *bios;
	/* Path of an ELF file whose segments are put where it wants them beside @bios, which enters
	 * it or does not. */
	const char *loader;
	/* bzImage: the path of the one file.  Multiboot and PVH: "file args,file args" as QEMU's
	 * -initrd.  NULL = none.  An error with any other image, which could not be told of it. */
	const char *initrd;
	/* NULL = empty.  Multiboot 1 kernels get "KERNEL CMDLINE" as from QEMU; for ELF and flat
	 * images there is a warning. */
	const char *cmdline;
	/* Flat images only: where the bytes go and execution starts (default 0x1000), and how.
	 * Either of them also says that the file is flat when it has a multiboot header; ELF files
	 * are refused with them.  With a bzImage the mode chooses its entry: prot32 or long.
	 * src/load/boot.c describes the state on entry. */
	bool has_load_addr;
	gpa_t load_addr;
	bool has_mode;
	enum load_mode mode;
	struct load_reg reg[LOAD_MAX_REGS]; /* --reg; any format; applied last */
	unsigned reg_count;
	/* Where the ACPI RSDP is, for formats that hand its address over; 0 = there is none.
	 * Multiboot 2 hands over a copy, of what is there when load_apply is called. */
	gpa_t rsdp;
};

/* The map of memory that firmware reports. */

#define LOAD_E820_RAM	   1u
#define LOAD_E820_RESERVED 2u
#define LOAD_E820_MAX	   128u /* entries that every memory space fits in; as in Linux's zero page */

struct load_e820_entry {
	gpa_t start;
	uint64_t len; /* bytes, not 0 */
	uint32_t type;
};

/* Fill @out, room for @max entries, with the map of @mem in ascending order.  Returns how many
 * entries the map has, which may be more than @max.
 * Source: ACPI 6.5 chapter 15. */
unsigned load_e820(const struct mem_space *mem, struct load_e820_entry *out, unsigned max);

struct load_image;

/* The size of the firmware image at @path: what the machine has to make ROM of, up to 4 GiB.
 * Errors: as load_open; -EINVAL the size cannot be right. */
int load_bios_bytes(const char *path, uint64_t *out_bytes, struct umbra_err *err);

/* Read and check. @mem says which RAM there is; it is not written.
 * Errors: -ENOENT, -EACCES, -EISDIR, -EINVAL (not a regular file), -ENOEXEC and -ENOSPC with file,
 * offset, field, value and limit in the text. */
int load_open(struct load_image **out_image, const struct load_config *config,
	      const struct mem_space *mem, struct umbra_err *err);
void load_close(struct load_image *image);

/* Copy the image into @mem (cleared before) and fill @out_boot with the bootstrap processor's
 * state.  Errors: -EIO the file changed or could not be read again. */
int load_apply(const struct load_image *image, struct mem_space *mem, struct x86_state *out_boot,
	       struct umbra_err *err);

const char *load_format_name(const struct load_image *image); /* "flat", "ELF64", ... */

/* ELF64 images that are the debugger's symbol file as well; otherwise false. */
bool load_is_elf64(const struct load_image *image);
/* True for a flat image: no file of it has symbols that say for which code they are. */
bool load_is_flat(const struct load_image *image);
/* True when the image itself says that 64-bit code is to be debugged: ELF64, or entry in long mode.
 * False says nothing: what starts in 32 or 16 bits may go anywhere. */
bool load_is_64bit(const struct load_image *image);
/* True for an operating system's kernel or firmware, which goes through many modes whatever it is
 * entered in: bzImage, PVH, a BIOS. */
bool load_is_system(const struct load_image *image);
/* The linear address that the text of a 64-bit Linux kernel was linked for; 0 for other images. */
gva_t load_linux_text(const struct load_image *image);

#endif
