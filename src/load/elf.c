/* ELF executables, by their program headers: each PT_LOAD goes to p_paddr.
 * ELF32 without a multiboot header or a PVH note enters flat 32-bit protected mode; ELF64 enters
 * long mode, with all RAM mapped one to one and each segment at its p_vaddr as well, so that a
 * kernel linked high starts at e_entry directly. Source: System V ABI, chapters 4 (headers) and 5
 * (program headers); gABI of 2013. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EI_CLASS     4
#define EI_DATA	     5
#define ELFCLASS32   1
#define ELFCLASS64   2
#define ELFDATA2LSB  1
#define ELFDATA2MSB  2
#define ET_EXEC	     2
#define EM_386	     3
#define EM_X86_64    62
#define PT_LOAD	     1
#define PT_INTERP    3
#define PT_NOTE	     4
#define SHT_SYMTAB   2
#define SHT_STRTAB   3
#define EHDR32_BYTES 52u
#define EHDR64_BYTES 64u
#define PHDR32_BYTES 32u
#define PHDR64_BYTES 56u
#define SHDR32_BYTES 40u
#define SHDR64_BYTES 64u

/* Where a field is in the 32-bit and in the 64-bit form of its record, and how many bytes. */
struct elf_field {
	const char *name;
	uint8_t at32, bytes32;
	uint8_t at64, bytes64;
};

static const struct elf_field e_type = {"e_type", 16, 2, 16, 2};
static const struct elf_field e_machine = {"e_machine", 18, 2, 18, 2};
static const struct elf_field e_version = {"e_version", 20, 4, 20, 4};
static const struct elf_field e_entry = {"e_entry", 24, 4, 24, 8};
static const struct elf_field e_phoff = {"e_phoff", 28, 4, 32, 8};
static const struct elf_field e_shoff = {"e_shoff", 32, 4, 40, 8};
static const struct elf_field e_phentsize = {"e_phentsize", 42, 2, 54, 2};
static const struct elf_field e_phnum = {"e_phnum", 44, 2, 56, 2};
static const struct elf_field e_shentsize = {"e_shentsize", 46, 2, 58, 2};
static const struct elf_field e_shnum = {"e_shnum", 48, 2, 60, 2};
static const struct elf_field e_shstrndx = {"e_shstrndx", 50, 2, 62, 2};
static const struct elf_field p_type = {"p_type", 0, 4, 0, 4};
static const struct elf_field p_offset = {"p_offset", 4, 4, 8, 8};
static const struct elf_field p_vaddr = {"p_vaddr", 8, 4, 16, 8};
static const struct elf_field p_paddr = {"p_paddr", 12, 4, 24, 8};
static const struct elf_field p_filesz = {"p_filesz", 16, 4, 32, 8};
static const struct elf_field p_memsz = {"p_memsz", 20, 4, 40, 8};
static const struct elf_field p_align = {"p_align", 28, 4, 48, 8};
static const struct elf_field sh_type = {"sh_type", 4, 4, 4, 4};
static const struct elf_field sh_addr = {"sh_addr", 12, 4, 16, 8};
static const struct elf_field sh_offset = {"sh_offset", 16, 4, 24, 8};
static const struct elf_field sh_size = {"sh_size", 20, 4, 32, 8};

static uint64_t field_get(const struct elf_field *f, const uint8_t *record, bool is_64)
{
	const uint8_t *p = record + (is_64 ? f->at64 : f->at32);

	switch (is_64 ? f->bytes64 : f->bytes32) {
	case 2:
		return le16_get(p);
	case 4:
		return le32_get(p);
	default:
		return le64_get(p);
	}
}

static void field_put(const struct elf_field *f, uint8_t *record, bool is_64, uint64_t value)
{
	uint8_t *p = record + (is_64 ? f->at64 : f->at32);

	if ((is_64 ? f->bytes64 : f->bytes32) == 8)
		le64_put(p, value);
	else
		le32_put(p, (uint32_t)value);
}

/* The error of one field of the ELF header: "e_phnum 0x0 at offset 0x38: WANTED". */
static int ehdr_error(const struct load_job *job, const struct elf_field *f, const char *wanted,
		      struct umbra_err *err)
{
	bool is_64 = job->head[EI_CLASS] == ELFCLASS64;

	umbra_err_set(err, ENOEXEC, "ELF header: %s 0x%" PRIx64 " at offset 0x%x: %s", f->name,
		      field_get(f, job->head, is_64), is_64 ? f->at64 : f->at32, wanted);
	return -ENOEXEC;
}

bool load_is_elf(const uint8_t *head, size_t len)
{
	return len >= 4 && memcmp(head,
				  "\x7f"
				  "ELF",
				  4) == 0;
}

static int check_ident(const struct load_job *job, struct umbra_err *err)
{
	const uint8_t *ident = job->head;
	unsigned bytes;

	if (job->head_len < EHDR32_BYTES)
		return umbra_err_set(err, ENOEXEC,
				     "ELF header: 0x%x bytes are past the end of the file "
				     "(0x%zx bytes)",
				     EHDR32_BYTES, job->head_len);
	if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
		return umbra_err_set(err, ENOEXEC,
				     "ELF header: EI_CLASS 0x%x at offset 0x4: expected 1 (32-bit) "
				     "or 2 (64-bit)",
				     ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return umbra_err_set(err, ENOEXEC,
				     "ELF header: EI_DATA 0x%x at offset 0x5: %sexpected 1 "
				     "(little-endian)",
				     ident[EI_DATA],
				     ident[EI_DATA] == ELFDATA2MSB ? "big-endian; " : "");
	bytes = ident[EI_CLASS] == ELFCLASS64 ? EHDR64_BYTES : EHDR32_BYTES;
	if (job->head_len < bytes)
		return umbra_err_set(err, ENOEXEC,
				     "ELF header: 0x%x bytes are past the end of the file "
				     "(0x%zx bytes)",
				     bytes, job->head_len);
	return 0;
}

static const char *wrong_type_text(uint64_t type)
{
	switch (type) {
	case 1:
		return "an object file (ET_REL); link it first, with ld -T SCRIPT";
	case 3:
		return "position independent (ET_DYN), it has no address of its own; link it with "
		       "-static -no-pie";
	case 4:
		return "a core dump (ET_CORE); expected 2 (ET_EXEC)";
	default:
		return "expected 2 (ET_EXEC)";
	}
}

/* The fields that may have one value only, once the class is known. */
static int check_fixed_fields(const struct load_job *job, bool is_64, struct umbra_err *err)
{
	const uint8_t *head = job->head;
	uint64_t type = field_get(&e_type, head, is_64);

	if (field_get(&e_machine, head, is_64) != (is_64 ? EM_X86_64 : EM_386))
		return ehdr_error(job, &e_machine,
				  is_64 ? "an image for another machine; a 64-bit image has 62 "
					  "(x86-64)"
					: "an image for another machine; a 32-bit image has 3 "
					  "(80386)",
				  err);
	if (type != ET_EXEC)
		return ehdr_error(job, &e_type, wrong_type_text(type), err);
	if (field_get(&e_version, head, is_64) != 1)
		return ehdr_error(job, &e_version, "expected 1", err);
	if (field_get(&e_phentsize, head, is_64) != (is_64 ? PHDR64_BYTES : PHDR32_BYTES))
		return ehdr_error(job, &e_phentsize, is_64 ? "expected 0x38" : "expected 0x20",
				  err);
	return 0;
}

/* The tables of program and section headers: @name has @count entries of @bytes at @offset. */
static int check_table(const struct load_job *job, const struct elf_field *f, unsigned count,
		       unsigned bytes, struct umbra_err *err)
{
	bool is_64 = job->head[EI_CLASS] == ELFCLASS64;
	uint64_t offset = field_get(f, job->head, is_64);

	if (range_fits(offset, (uint64_t)count * bytes, 0, job->image->file[0].size))
		return 0;
	return umbra_err_set(err, ENOEXEC,
			     "ELF header: %s 0x%" PRIx64 " at offset 0x%x with %u entries of 0x%x "
			     "bytes is past the end of the file (0x%" PRIx64 " bytes)",
			     f->name, offset, is_64 ? f->at64 : f->at32, count, bytes,
			     job->image->file[0].size);
}

static int read_ehdr(const struct load_job *job, struct load_elf *elf, struct umbra_err *err)
{
	int rc = check_ident(job, err);

	if (rc < 0)
		return rc;
	elf->is_64 = job->head[EI_CLASS] == ELFCLASS64;
	rc = check_fixed_fields(job, elf->is_64, err);
	if (rc < 0)
		return rc;
	elf->entry = field_get(&e_entry, job->head, elf->is_64);
	elf->phoff = field_get(&e_phoff, job->head, elf->is_64);
	elf->phnum = (unsigned)field_get(&e_phnum, job->head, elf->is_64);
	elf->shoff = field_get(&e_shoff, job->head, elf->is_64);
	elf->shnum = (unsigned)field_get(&e_shnum, job->head, elf->is_64);
	elf->shentsize = (unsigned)field_get(&e_shentsize, job->head, elf->is_64);
	elf->shstrndx = (unsigned)field_get(&e_shstrndx, job->head, elf->is_64);
	/* 0xffff (PN_XNUM) means that section header 0 has the number: far above this limit. */
	if (elf->phnum == 0 || elf->phnum > LOAD_MAX_PHDRS)
		return ehdr_error(job, &e_phnum, "expected 1 to 1024 program headers", err);
	return check_table(job, &e_phoff, elf->phnum, elf->is_64 ? PHDR64_BYTES : PHDR32_BYTES,
			   err);
}

static int segment_check(const struct load_job *job, const struct load_elf *elf,
			 const struct load_elf_seg *s, struct umbra_err *err)
{
	const uint64_t limit = elf->is_64 ? UINT64_MAX : UINT32_MAX;
	uint64_t file_size = job->image->file[0].size;

	if (s->filesz > s->memsz)
		return umbra_err_set(err, ENOEXEC,
				     "p_filesz 0x%" PRIx64 " is more than p_memsz 0x%" PRIx64,
				     s->filesz, s->memsz);
	if (s->filesz > 0 && !range_fits(s->offset, s->filesz, 0, file_size))
		return umbra_err_set(err, ENOEXEC,
				     "p_filesz 0x%" PRIx64 " + p_offset 0x%" PRIx64
				     " is past the end of the file (0x%" PRIx64 " bytes)",
				     s->filesz, s->offset, file_size);
	if (s->memsz - 1 > limit - s->paddr)
		return umbra_err_set(err, ENOEXEC,
				     "p_paddr 0x%" PRIx64 " + p_memsz 0x%" PRIx64
				     " is past the last address 0x%" PRIx64,
				     s->paddr, s->memsz, limit);
	if (s->memsz - 1 > limit - s->vaddr)
		return umbra_err_set(err, ENOEXEC,
				     "p_vaddr 0x%" PRIx64 " + p_memsz 0x%" PRIx64
				     " is past the last address 0x%" PRIx64,
				     s->vaddr, s->memsz, limit);
	return 0;
}

static void phdr_name(const struct load_elf *elf, unsigned number, char out[LOAD_WHAT_MAX])
{
	snprintf(out, LOAD_WHAT_MAX, "program header %u at offset 0x%" PRIx64, number,
		 elf->phoff + (uint64_t)number * (elf->is_64 ? PHDR64_BYTES : PHDR32_BYTES));
}

/* Notes only tell of the image: a broken one is as good as none. */
static void note_take(const struct load_job *job, struct load_elf *elf, const uint8_t *record)
{
	struct load_elf_note *note = &elf->note[elf->note_count];

	if (elf->note_count == LOAD_MAX_NOTES)
		return;
	note->offset = field_get(&p_offset, record, elf->is_64);
	note->size = field_get(&p_filesz, record, elf->is_64);
	note->align = field_get(&p_align, record, elf->is_64) == 8 ? 8 : 4;
	if (range_fits(note->offset, note->size, 0, job->image->file[0].size))
		elf->note_count++;
}

/* One program header: @record is its bytes.  Other types mean nothing here. */
static int phdr_take(struct load_job *job, struct load_elf *elf, const uint8_t *record,
		     unsigned number, struct umbra_err *err)
{
	uint64_t type = field_get(&p_type, record, elf->is_64);
	struct load_elf_seg s = {
		.number = number,
		.paddr = field_get(&p_paddr, record, elf->is_64),
		.vaddr = field_get(&p_vaddr, record, elf->is_64),
		.offset = field_get(&p_offset, record, elf->is_64),
		.filesz = field_get(&p_filesz, record, elf->is_64),
		.memsz = field_get(&p_memsz, record, elf->is_64),
	};
	char what[LOAD_WHAT_MAX];
	int rc;

	phdr_name(elf, number, what);
	if (type == PT_INTERP)
		return umbra_err_set(err, ENOEXEC,
				     "%s: p_type 3 (PT_INTERP): a program for an operating system; "
				     "link a kernel with -static -nostdlib",
				     what);
	if (type == PT_NOTE)
		note_take(job, elf, record);
	if (type != PT_LOAD || (s.memsz == 0 && s.filesz == 0))
		return 0;
	rc = segment_check(job, elf, &s, err);
	if (rc < 0)
		umbra_err_prefix(err, "%s", what);
	else
		elf->seg[elf->seg_count++] = s;
	return rc;
}

/* Read the program headers into @table, and take each. */
static int phdrs_take(struct load_job *job, struct load_elf *elf, uint8_t *table,
		      struct umbra_err *err)
{
	size_t bytes = elf->is_64 ? PHDR64_BYTES : PHDR32_BYTES;
	int rc = load_file_read(&job->image->file[0], elf->phoff, table, elf->phnum * bytes, err);
	unsigned i;

	for (i = 0; rc == 0 && i < elf->phnum; i++)
		rc = phdr_take(job, elf, table + i * bytes, i, err);
	if (rc == 0 && elf->seg_count == 0)
		return ehdr_error(job, &e_phnum, "none of the program headers is a PT_LOAD", err);
	return rc;
}

int load_elf_read(struct load_job *job, struct load_elf *out_elf, struct umbra_err *err)
{
	uint8_t *table;
	int rc;

	memset(out_elf, 0, sizeof(*out_elf));
	rc = read_ehdr(job, out_elf, err);
	if (rc < 0)
		return rc;
	table = calloc(out_elf->phnum, PHDR64_BYTES);
	out_elf->seg = calloc(out_elf->phnum, sizeof(*out_elf->seg));
	if (table && out_elf->seg) {
		rc = phdrs_take(job, out_elf, table, err);
	} else {
		umbra_err_set(err, ENOMEM, "no memory for %u program headers", out_elf->phnum);
		rc = -ENOMEM;
	}
	free(table);
	if (rc < 0)
		load_elf_free(out_elf);
	return rc;
}

static int segment_plan(struct load_job *job, const struct load_elf *elf,
			const struct load_elf_seg *s, gpa_t bias, struct umbra_err *err)
{
	struct load_part part = {
		.field = "p_paddr",
		.gpa = s->paddr + bias,
		.mem_len = s->memsz,
		.data_len = s->filesz,
		.offset = s->offset,
	};
	int rc;

	phdr_name(elf, s->number, part.what);
	rc = load_plan_add(job, &part, err);
	/* What `ld -Ttext=0x100000` makes: a page before the text that nobody asked for. */
	if (rc == -ENOSPC && s->offset == 0)
		umbra_err_prefix(err, "a segment with the ELF headers (ld -n leaves it out)");
	return rc;
}

int load_elf_plan(struct load_job *job, const struct load_elf *elf, gpa_t bias,
		  struct umbra_err *err)
{
	unsigned i;
	int rc = 0;

	for (i = 0; rc == 0 && i < elf->seg_count; i++)
		rc = segment_plan(job, elf, &elf->seg[i], bias, err);
	return rc;
}

void load_elf_free(struct load_elf *elf)
{
	free(elf->seg);
	elf->seg = NULL;
}

static const struct load_elf_seg *seg_at_vaddr(const struct load_elf *elf, gva_t va)
{
	unsigned i;

	for (i = 0; i < elf->seg_count; i++)
		if (va >= elf->seg[i].vaddr && va - elf->seg[i].vaddr < elf->seg[i].memsz)
			return &elf->seg[i];
	return NULL;
}

static bool is_in_seg_paddr(const struct load_elf *elf, gpa_t pa)
{
	unsigned i;

	for (i = 0; i < elf->seg_count; i++)
		if (pa >= elf->seg[i].paddr && pa - elf->seg[i].paddr < elf->seg[i].memsz)
			return true;
	return false;
}

int load_elf_entry_paddr(const struct load_elf *elf, gpa_t *out_entry, struct umbra_err *err)
{
	const struct load_elf_seg *s = seg_at_vaddr(elf, elf->entry);

	if (!s && !is_in_seg_paddr(elf, elf->entry))
		return umbra_err_set(err, ENOEXEC,
				     "ELF header: e_entry 0x%" PRIx64 " at offset 0x%x is inside "
				     "none of the %u PT_LOAD segments (the first is at p_vaddr "
				     "0x%" PRIx64 ", p_memsz 0x%" PRIx64 ")",
				     elf->entry, e_entry.at64, elf->seg_count, elf->seg[0].vaddr,
				     elf->seg[0].memsz);
	*out_entry = s ? s->paddr + (elf->entry - s->vaddr) : elf->entry;
	return 0;
}

static int check_shdrs(const struct load_job *job, const struct load_elf *elf,
		       struct umbra_err *err)
{
	if (elf->shentsize != (elf->is_64 ? SHDR64_BYTES : SHDR32_BYTES))
		return ehdr_error(job, &e_shentsize, elf->is_64 ? "expected 0x40" : "expected 0x28",
				  err);
	if (elf->shnum > LOAD_MAX_SECTIONS)
		return ehdr_error(job, &e_shnum, "expected at most 4096 section headers", err);
	if (elf->shstrndx >= elf->shnum)
		return ehdr_error(job, &e_shstrndx, "not below e_shnum", err);
	return check_table(job, &e_shoff, elf->shnum, elf->shentsize, err);
}

/* A symbol or string table that no segment brings in. */
static int section_plan(struct load_job *job, const struct load_elf *elf, uint8_t *record,
			unsigned number, struct umbra_err *err)
{
	uint64_t type = field_get(&sh_type, record, elf->is_64);
	uint64_t size = field_get(&sh_size, record, elf->is_64);
	struct load_part part = {
		.field = "address",
		.mem_len = size,
		.data_len = size,
		.offset = field_get(&sh_offset, record, elf->is_64),
	};
	int rc;

	if ((type != SHT_SYMTAB && type != SHT_STRTAB) || size == 0 ||
	    field_get(&sh_addr, record, elf->is_64) != 0)
		return 0;
	snprintf(part.what, sizeof(part.what), "section header %u at offset 0x%" PRIx64, number,
		 elf->shoff + (uint64_t)number * elf->shentsize);
	if (!range_fits(part.offset, size, 0, job->image->file[0].size))
		return umbra_err_set(err, ENOEXEC,
				     "%s: sh_size 0x%" PRIx64 " + sh_offset 0x%" PRIx64
				     " is past the end of the file (0x%" PRIx64 " bytes)",
				     part.what, size, part.offset, job->image->file[0].size);
	rc = load_plan_place_after(job, part.what, size, &part.gpa, err);
	if (rc == 0)
		rc = load_plan_add(job, &part, err);
	if (rc == 0)
		field_put(&sh_addr, record, elf->is_64, part.gpa);
	return rc;
}

/* DEVIATES: multiboot 3.3 says that all sections are loaded; only symbol and string tables are.
 * Debug information can be larger than the guest's memory, and the debugger reads it from the
 * file. */
int load_elf_sections(struct load_job *job, const struct load_elf *elf, uint8_t **out_table,
		      struct umbra_err *err)
{
	uint8_t *table;
	unsigned i;
	int rc;

	*out_table = NULL;
	if (elf->shnum == 0)
		return 0;
	rc = check_shdrs(job, elf, err);
	if (rc < 0)
		return rc;
	table = calloc(elf->shnum, elf->shentsize);
	if (!table)
		return umbra_err_set(err, ENOMEM, "no memory for %u section headers", elf->shnum);
	rc = load_file_read(&job->image->file[0], elf->shoff, table,
			    (size_t)elf->shnum * elf->shentsize, err);
	for (i = 0; rc == 0 && i < elf->shnum; i++)
		rc = section_plan(job, elf, table + (size_t)i * elf->shentsize, i, err);
	if (rc < 0) {
		free(table);
		return rc;
	}
	*out_table = table;
	return 0;
}

/* In long mode e_entry is used as it is, whichever mapping it lies in. */
int load_elf(struct load_job *job, const struct load_elf *elf, struct umbra_err *err)
{
	gpa_t entry = 0;
	int rc = load_elf_plan(job, elf, 0, err);

	job->image->format = LOAD_ELF;
	job->image->format_name = elf->is_64 ? "ELF64" : "ELF32";
	if (rc == 0)
		rc = load_elf_entry_paddr(elf, &entry, err);
	if (rc == 0 && elf->is_64)
		return load_boot_long(job, elf->entry, elf, err);
	return rc == 0 ? load_boot_prot32(job, (uint32_t)entry, true, err) : rc;
}
