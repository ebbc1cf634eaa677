/* What the files of this folder share.  An image becomes a plan: a list of parts, each a range of
 * guest memory with the bytes that go there, and the boot state.  Every check happens while the
 * plan is made; load_apply only carries it out. */
#ifndef UMBRA_LOAD_INTERNAL_H
#define UMBRA_LOAD_INTERNAL_H

#include "umbra/load.h"

/* Bytes at the start of a file that are looked at to recognise its format: multiboot 2 searches
 * furthest (specification 3.1.1). */
#define LOAD_HEAD_BYTES 32768u

#define LOAD_MAX_MODULES 32u
#define LOAD_MAX_FILES	 (1 + LOAD_MAX_MODULES)

/* Sane kernels have fewer than ten of the one and a hundred of the other; the caps bound what a
 * hostile file makes us allocate and compare. */
#define LOAD_MAX_PHDRS	  1024u
#define LOAD_MAX_NOTES	  8u
#define LOAD_MAX_SECTIONS 4096u

/* Umbra's own structures (GDT, page tables, stack, multiboot information) go as high as they can
 * below LOAD_LOW_END, where the PC keeps its extended BIOS data area; page 0 holds the
 * interrupt vectors, and a null pointer should meet nothing of ours. */
#define LOAD_LOW_START	0x1000ull
#define LOAD_LOW_END	0x9fc00ull
#define LOAD_ADAPTERS	0xa0000ull  /* the first byte of the adapters' hole */
#define LOAD_HIGH_START 0x100000ull /* the first byte above it */
#define LOAD_4G		(1ull << 32)

/* File.c: regular files only, read by pread. */

struct load_file {
	int fd; /* owned; -1 when closed */
	uint64_t size;
	char shown[64]; /* the path, or its tail behind dots: error texts have other things to say
			 */
};

/* @out_file->shown is valid even after an error.
 * Errors: errno of open, -EISDIR, -EINVAL not a regular file. */
int load_file_open(struct load_file *out_file, const char *path, struct umbra_err *err);
void load_file_close(struct load_file *file);
/* Read exactly @len bytes.  Errors: -EIO the file is shorter by now, or cannot be read. */
int load_file_read(const struct load_file *file, uint64_t offset, void *buf, size_t len,
		   struct umbra_err *err);

/* Plan.c: which bytes go where. */

#define LOAD_WHAT_MAX 48

struct load_part {
	char what[LOAD_WHAT_MAX]; /* for error texts: "program header 2 at offset 0x78" */
	const char *field;	  /* for error texts: what gave @gpa ("p_paddr"), static */
	gpa_t gpa;
	uint64_t mem_len;  /* bytes of guest memory taken */
	uint64_t data_len; /* bytes copied; the rest stays zero, as RAM was cleared */
	uint8_t *bytes;	   /* owned; NULL: the bytes come from a file, or from @copy_of */
	bool is_rom;	   /* the range is ROM, not RAM */
	gpa_t copy_of;	   /* not 0: guest memory as it is when the plan is carried out */
	unsigned file;	   /* index into load_image.file */
	uint64_t offset;   /* in that file */
};

struct load_image {
	enum load_format format;
	const char *format_name;
	bool is_elf64;
	gva_t linux_text;		       /* see load_linux_text */
	struct load_file file[LOAD_MAX_FILES]; /* 0 is the kernel, modules follow */
	unsigned file_count;
	struct load_part *part;
	unsigned part_count, part_room;
	struct x86_state boot;
};

/* __START_KERNEL_map: 64-bit Linux kernels are linked for addresses from here on
 * (arch/x86/include/asm/page_64_types.h). */
#define LOAD_LINUX_MAP 0xffffffff80000000ull

/* One load_open under way. */
struct load_job {
	const struct load_config *config;
	const struct mem_space *mem;
	struct load_image *image;
	const uint8_t *head; /* the first bytes of the kernel */
	size_t head_len;
	uint16_t boot_cs; /* in the boot GDT; the data segment follows it */
	gpa_t low_end;	  /* umbra's own structures in low memory end here */
};

/* Add a part; its @bytes belong to the plan from here, whatever is returned.
 * Errors: -ENOSPC not all RAM; -ENOEXEC overlaps a part that is there; -ENOMEM. */
int load_plan_add(struct load_job *job, const struct load_part *part, struct umbra_err *err);

/* Where a range may go. */
struct load_where {
	gpa_t start, end; /* end is past the last byte */
	uint64_t align;	  /* a power of two */
	bool is_lowest;	  /* as low as possible; else as high */
};

/* Is the range RAM, and taken by nobody?  It ends at 2^52 or below. */
bool load_plan_is_free(const struct load_job *job, gpa_t gpa, uint64_t len);
/* Find free RAM for @len bytes inside @where.  Errors: -ENOSPC. */
int load_plan_place(const struct load_job *job, const char *what, uint64_t len,
		    const struct load_where *where, gpa_t *out_gpa, struct umbra_err *err);
/* Find free RAM for @len bytes of umbra's own, aligned to the power of two @align: as high as
 * possible below job->low_end, else as high as possible below 4 GiB.
 * Errors: -ENOSPC. */
int load_plan_place_low(const struct load_job *job, const char *what, uint64_t len, uint64_t align,
			gpa_t *out_gpa, struct umbra_err *err);
/* The same for what belongs to the kernel (modules, symbols): the first free page after the image,
 * else the first free page above 1 MiB, else in low memory. */
int load_plan_place_after(const struct load_job *job, const char *what, uint64_t len,
			  gpa_t *out_gpa, struct umbra_err *err);
int load_plan_apply(const struct load_image *image, struct mem_space *mem, struct umbra_err *err);
void load_plan_free(struct load_image *image);

/* The end of the RAM that goes on without a gap from @gpa; @gpa itself when it is not RAM. */
gpa_t load_ram_end(const struct mem_space *mem, gpa_t gpa);
/* KiB of RAM from @start, up to the first gap or @limit. */
uint32_t load_ram_kib(const struct mem_space *mem, gpa_t start, gpa_t limit);

/* Elf.c. */

struct load_elf_seg {
	unsigned number; /* of its program header */
	gpa_t paddr;
	gva_t vaddr;
	uint64_t offset, filesz, memsz;
};

/* A PT_NOTE segment, all of it in the file. */
struct load_elf_note {
	uint64_t offset, size;
	unsigned align; /* 4 or 8 */
};

struct load_elf {
	bool is_64;
	uint64_t entry;
	uint64_t phoff, shoff;
	unsigned phnum, shnum, shstrndx, shentsize;
	struct load_elf_seg *seg; /* PT_LOAD with p_memsz > 0, in file order; owned */
	unsigned seg_count;
	struct load_elf_note note[LOAD_MAX_NOTES]; /* those beyond are not looked at */
	unsigned note_count;
};

bool load_is_elf(const uint8_t *head, size_t len);
/* Read and check the headers.  @out_elf is to be freed after success only. */
int load_elf_read(struct load_job *job, struct load_elf *out_elf, struct umbra_err *err);
/* Add the segments to the plan, @bias (modulo 2^64) above where they are linked. */
int load_elf_plan(struct load_job *job, const struct load_elf *elf, gpa_t bias,
		  struct umbra_err *err);
void load_elf_free(struct load_elf *elf);
/* The physical address of the entry: e_entry is looked up as p_vaddr first, then as p_paddr.
 * Errors: -ENOEXEC it is in no segment. */
int load_elf_entry_paddr(const struct load_elf *elf, gpa_t *out_entry, struct umbra_err *err);
/* The section headers as multiboot hands them over: symbol and string tables are added to the
 * plan, and their sh_addr says where.  *@out_table is allocated, NULL when there are none.
 * Errors: -ENOEXEC, -ENOSPC, -EIO, -ENOMEM. */
int load_elf_sections(struct load_job *job, const struct load_elf *elf, uint8_t **out_table,
		      struct umbra_err *err);
/* An ELF file that has neither a multiboot header nor a PVH note. */
int load_elf(struct load_job *job, const struct load_elf *elf, struct umbra_err *err);

/* Pvh.c. */

/* Look for the note; *@out_entry is its address.  Errors: -EIO. */
int load_pvh_find(const struct load_job *job, const struct load_elf *elf, bool *out_is_there,
		  uint64_t *out_entry, struct umbra_err *err);
int load_pvh(struct load_job *job, const struct load_elf *elf, uint64_t entry,
	     struct umbra_err *err);

/* Bzimage.c. */

bool load_is_bzimage(const uint8_t *head, size_t len);
int load_bzimage(struct load_job *job, struct umbra_err *err);

/* Bios.c. */

int load_bios(struct load_job *job, struct umbra_err *err);

/* Multiboot.c, mbinfo.c, multiboot2.c, mb2info.c, modules.c. */

enum load_mb_found { LOAD_MB_NONE, LOAD_MB_1, LOAD_MB_2 };

/* Search for a header; *@out_offset is where it is.  Multiboot 1 wins when there are both. */
enum load_mb_found load_multiboot_find(const uint8_t *head, size_t len, size_t *out_offset);
/* Warns of a magic number whose checksum is wrong: it was probably meant as a header. */
void load_multiboot_warn_checksum(const struct load_job *job);
int load_multiboot(struct load_job *job, size_t header_offset, struct umbra_err *err);
/* The state on entry of either multiboot (section 3.2 of 0.6.96, 3.3 of 2.0), all but EBX. */
int load_multiboot_enter(struct load_job *job, gpa_t entry, uint32_t eax, struct umbra_err *err);
int load_multiboot2(struct load_job *job, size_t header_offset, struct umbra_err *err);

/* The address fields that both headers have (1: 3.1.3, 2: 3.1.5), in their order. */
struct load_mb_addresses {
	size_t header; /* where the header is in the file */
	size_t fields; /* where these fields are, for error texts */
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr;
};

/* The range of the file and of memory that they mean. */
int load_multiboot_addresses(const struct load_job *job, const struct load_mb_addresses *a,
			     struct load_part *part, struct umbra_err *err);

struct load_module {
	char *text; /* "file args", owned */
	gpa_t gpa;
	uint64_t size;
};

/* Open and place the modules of config->initrd.  @out_module has LOAD_MAX_MODULES entries. */
int load_modules_plan(struct load_job *job, struct load_module *out_module, unsigned *out_count,
		      struct umbra_err *err);
void load_modules_free(struct load_module *module, unsigned count);
/* What follows the file's name in the module's string; empty when nothing does. */
const char *load_module_args(const struct load_module *module);

/* Build the information structure and add it to the plan; @elf may be NULL (address fields in
 * the header). */
int load_mbinfo_plan(struct load_job *job, const struct load_elf *elf, gpa_t *out_gpa,
		     struct umbra_err *err);

struct load_mb2info {
	const struct load_elf *elf; /* NULL: address fields in the header */
	bool is_relocatable;
	uint32_t load_base; /* told when it is */
};

/* The same for multiboot 2. */
int load_mb2info_plan(struct load_job *job, const struct load_mb2info *want, gpa_t *out_gpa,
		      struct umbra_err *err);

/* Flat.c, boot.c, paging.c, regs.c. */

int load_flat(struct load_job *job, struct umbra_err *err);

/* Boot states; the GDT, and page tables and a stack where the mode has them, join the plan. */
void load_boot_real(struct load_job *job, gpa_t entry);
int load_boot_prot32(struct load_job *job, uint32_t entry, bool has_stack, struct umbra_err *err);
/* @elf: its segments are mapped at p_vaddr too; NULL for a flat image. */
int load_boot_long(struct load_job *job, gva_t entry, const struct load_elf *elf,
		   struct umbra_err *err);

/* Page tables that map all RAM and the first 4 GiB one to one, and each segment of @elf. */
int load_paging_plan(struct load_job *job, const struct load_elf *elf, gpa_t *out_cr3,
		     struct umbra_err *err);
/* The parts from number @first on must stay visible at their physical address.
 * Errors: -ENOEXEC a segment's p_vaddr hides one. */
int load_paging_check_hidden(const struct load_job *job, const struct load_elf *elf, unsigned first,
			     struct umbra_err *err);

/* Put the --reg values into @st.  Errors: -EINVAL. */
int load_regs_set(const struct load_config *config, struct x86_state *st, struct umbra_err *err);

#endif
