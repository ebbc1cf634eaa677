/* Image builder and guest memory for the loader tests. */
#include "images.h"

#include "umbra/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define DATA_AT 0x140u

void image_append(struct image *img, const void *bytes, size_t len)
{
	cr_assert(img->len + len <= IMAGE_MAX);
	memcpy(img->bytes + img->len, bytes, len);
	img->len += len;
}

static void put_ehdr64(struct image *img, uint64_t entry, unsigned count)
{
	Elf64_Ehdr e = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = sizeof(e),
		.e_ehsize = sizeof(e),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)count,
	};

	memcpy(img->bytes, &e, sizeof(e));
}

static void put_ehdr32(struct image *img, uint64_t entry, unsigned count)
{
	Elf32_Ehdr e = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = (uint32_t)entry,
		.e_phoff = sizeof(e),
		.e_ehsize = sizeof(e),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = (uint16_t)count,
	};

	memcpy(img->bytes, &e, sizeof(e));
}

static void put_phdr(struct image *img, bool is_64, unsigned index, const struct seg_spec *s,
		     size_t offset)
{
	Elf64_Phdr p64 = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W | PF_X,
		.p_offset = offset,
		.p_vaddr = s->vaddr,
		.p_paddr = s->paddr,
		.p_filesz = s->filesz,
		.p_memsz = s->memsz,
	};
	Elf32_Phdr p32 = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W | PF_X,
		.p_offset = (uint32_t)offset,
		.p_vaddr = (uint32_t)s->vaddr,
		.p_paddr = (uint32_t)s->paddr,
		.p_filesz = (uint32_t)s->filesz,
		.p_memsz = (uint32_t)s->memsz,
	};

	if (is_64)
		memcpy(img->bytes + sizeof(Elf64_Ehdr) + index * sizeof(p64), &p64, sizeof(p64));
	else
		memcpy(img->bytes + sizeof(Elf32_Ehdr) + index * sizeof(p32), &p32, sizeof(p32));
}

void image_elf(struct image *img, bool is_64, uint64_t entry, const struct seg_spec *seg,
	       unsigned count)
{
	unsigned i;

	memset(img, 0, sizeof(*img));
	if (is_64)
		put_ehdr64(img, entry, count);
	else
		put_ehdr32(img, entry, count);
	img->len = DATA_AT;
	for (i = 0; i < count; i++) {
		img->len = (img->len + 15) & ~(size_t)15;
		put_phdr(img, is_64, i, &seg[i], img->len);
		cr_assert(img->len + seg[i].filesz <= IMAGE_MAX);
		memset(img->bytes + img->len, seg[i].fill, seg[i].filesz);
		img->len += seg[i].filesz;
	}
}

void image_elf_usual(struct image *img, bool is_64)
{
	static const struct seg_spec seg[] = {
		{0x100000, 0x100000, 0x40, 0x40, 0x90},
		{0x200000, 0x200000, 0x20, 0x2000, 0xda},
	};

	image_elf(img, is_64, 0x100010, seg, 2);
}

void image_note(struct image *img, bool is_64, const void *notes, size_t len)
{
	unsigned last = le16_get(img->bytes + (is_64 ? offsetof(Elf64_Ehdr, e_phnum)
						     : offsetof(Elf32_Ehdr, e_phnum))) -
			1u;
	struct seg_spec s = {.filesz = len, .memsz = len};
	size_t phdr = is_64 ? sizeof(Elf64_Ehdr) + last * sizeof(Elf64_Phdr)
			    : sizeof(Elf32_Ehdr) + last * sizeof(Elf32_Phdr);

	put_phdr(img, is_64, last, &s, img->len);
	le32_put(img->bytes + phdr, PT_NOTE);
	image_append(img, notes, len);
}

void image_mb2_header(struct image *img, size_t at, const void *tags, size_t len)
{
	static const uint8_t end_tag[] = {0, 0, 0, 0, 8, 0, 0, 0};
	uint32_t whole = (uint32_t)(16 + len + sizeof(end_tag));
	uint8_t *p = img->bytes + at;

	le32_put(p, 0xe85250d6);
	le32_put(p + 4, 0);
	le32_put(p + 8, whole);
	le32_put(p + 12, 0u - (0xe85250d6 + whole));
	if (len > 0)
		memcpy(p + 16, tags, len);
	memcpy(p + 16 + len, end_tag, sizeof(end_tag));
	if (img->len < at + whole)
		img->len = at + whole;
}

void image_mb_header(struct image *img, size_t at, uint32_t flags)
{
	le32_put(img->bytes + at, 0x1badb002);
	le32_put(img->bytes + at + 4, flags);
	le32_put(img->bytes + at + 8, 0u - (0x1badb002 + flags));
	if (img->len < at + 12)
		img->len = at + 12;
}

void image_mb_addresses(struct image *img, size_t at, const uint32_t addr[5])
{
	unsigned i;

	for (i = 0; i < 5; i++)
		le32_put(img->bytes + at + 12 + 4 * (size_t)i, addr[i]);
	if (img->len < at + 32)
		img->len = at + 32;
}

void image_kludge_usual(struct image *img)
{
	static const uint32_t addr[5] = {0x100040, 0x100000, 0, 0x101000, 0x100080};

	memset(img, 0, sizeof(*img));
	memset(img->bytes, 0x90, 0x400);
	img->len = 0x400;
	image_mb_header(img, 0x40, 1u << 16);
	image_mb_addresses(img, 0x40, addr);
}

/* Fields of the setup header (boot.rst, "The Real-Mode Kernel Header"). */
static const struct {
	uint16_t at, bytes;
	uint64_t value;
} bzimage_fields[] = {
	{0x1f1, 1, 2},		 /* setup_sects */
	{0x1f4, 4, 0x40},	 /* syssize */
	{0x1fe, 2, 0xaa55},	 /* boot_flag */
	{0x200, 2, 0x6aeb},	 /* jump */
	{0x202, 4, 0x53726448},	 /* header */
	{0x206, 2, 0x20f},	 /* version */
	{0x211, 1, 1},		 /* loadflags: LOADED_HIGH */
	{0x214, 4, 0x100000},	 /* code32_start */
	{0x22c, 4, 0x7fffffff},	 /* initrd_addr_max */
	{0x230, 4, 0x200000},	 /* kernel_alignment */
	{0x234, 1, 1},		 /* relocatable_kernel */
	{0x236, 2, 0x7f},	 /* xloadflags */
	{0x238, 4, 0x7ff},	 /* cmdline_size */
	{0x250, 8, 0x123456789}, /* setup_data: nothing that anybody put there */
	{0x258, 8, 0x1000000},	 /* pref_address */
	{0x260, 4, 0x400000},	 /* init_size */
	{0x268, 4, 0x11223344},	 /* kernel_info_offset */
};

void image_bzimage_usual(struct image *img)
{
	unsigned i;

	memset(img, 0, sizeof(*img));
	for (i = 0; i < UMBRA_ARRAY_SIZE(bzimage_fields); i++) {
		uint8_t bytes[8];

		le64_put(bytes, bzimage_fields[i].value);
		memcpy(img->bytes + bzimage_fields[i].at, bytes, bzimage_fields[i].bytes);
	}
	img->len = 0x600;
	memset(img->bytes + img->len, 0xcc, 0x400);
	img->len += 0x400;
	image_append(img, "signature", 9);
}

void image_file_make(struct image_file *file, const void *bytes, size_t len)
{
	file->fd = memfd_create("image", MFD_CLOEXEC);
	cr_assert(file->fd >= 0);
	cr_assert_eq(pwrite(file->fd, bytes, len, 0), (ssize_t)len);
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
}

void image_file_drop(struct image_file *file)
{
	close(file->fd);
}

static void count_written(void *ctx, gpa_t gpa, size_t len, bool is_done)
{
	struct bench *b = ctx;

	(void)gpa;
	if (is_done)
		b->written += len;
}

void bench_open(struct bench *b)
{
	/* Warnings about images are what most of these tests provoke. */
	log_set_level(LOG_ERROR);
	memset(b, 0, sizeof(*b));
	cr_assert_eq(mem_create(&b->mem, NULL), 0);
	cr_assert_eq(mem_add(b->mem, 0, TEST_LOW_RAM_END, MEM_RAM, "low", NULL), 0);
	cr_assert_eq(mem_add(b->mem, TEST_HIGH_RAM, TEST_HIGH_RAM_END - TEST_HIGH_RAM, MEM_RAM,
			     "high", NULL),
		     0);
	mem_set_write_hook(b->mem, count_written, b);
}

void bench_close(struct bench *b)
{
	load_close(b->image);
	mem_destroy(b->mem);
}

void bench_load(struct bench *b, const struct load_config *config)
{
	int rc = load_open(&b->image, config, b->mem, &b->err);

	cr_assert_eq(rc, 0, "load_open: %d %s", rc, b->err.text);
	cr_assert_eq(b->written, 0, "load_open wrote to the guest");
	rc = load_apply(b->image, b->mem, &b->boot, &b->err);
	cr_assert_eq(rc, 0, "load_apply: %d %s", rc, b->err.text);
}

void bench_load_image(struct bench *b, const struct image *img)
{
	struct load_config config = {0};
	struct image_file file;

	image_file_make(&file, img->bytes, img->len);
	config.kernel = file.path;
	bench_load(b, &config);
	image_file_drop(&file);
}

int bench_try(struct bench *b, const struct image *img)
{
	struct load_config config = {0};
	struct load_image *image = NULL;
	struct image_file file;
	int rc;

	image_file_make(&file, img->bytes, img->len);
	config.kernel = file.path;
	b->err.text[0] = '\0';
	rc = load_open(&image, &config, b->mem, &b->err);
	cr_assert_eq(b->written, 0, "load_open wrote to the guest");
	if (rc < 0) {
		cr_assert_null(image);
		cr_assert(strstr(b->err.text, file.path), "no file name in: %s", b->err.text);
		cr_assert(strstr(b->err.text, "0x"), "no value in: %s", b->err.text);
	}
	load_close(image);
	image_file_drop(&file);
	return rc;
}

static void check_text(const struct bench *b, const char *text)
{
	cr_assert(!text || strstr(b->err.text, text), "no '%s' in: %s", text, b->err.text);
}

void bench_refuse(struct bench *b, const struct load_config *config, int want, const char *text1,
		  const char *text2)
{
	struct load_image *image = NULL;
	int rc = load_open(&image, config, b->mem, &b->err);

	cr_assert_eq(rc, want, "load_open: %d instead of %d: %s", rc, want, b->err.text);
	cr_assert_null(image);
	cr_assert_eq(b->written, 0, "load_open wrote to the guest");
	check_text(b, text1);
	check_text(b, text2);
}

void bench_refuse_image(struct bench *b, const struct image *img, int want, const char *text1,
			const char *text2)
{
	int rc = bench_try(b, img);

	cr_assert_eq(rc, want, "load_open: %d instead of %d: %s", rc, want, b->err.text);
	check_text(b, text1);
	check_text(b, text2);
}

uint64_t guest_read(const struct bench *b, gpa_t gpa, unsigned bytes)
{
	uint8_t buf[8] = {0};

	cr_assert_eq(mem_peek(b->mem, gpa, buf, bytes), bytes, "0x%llx is not RAM",
		     (unsigned long long)gpa);
	return le64_get(buf);
}

void guest_string(const struct bench *b, gpa_t gpa, char *buf, size_t size)
{
	cr_assert_eq(mem_peek(b->mem, gpa, buf, size), size);
	cr_assert(memchr(buf, 0, size), "the string at 0x%llx has no end", (unsigned long long)gpa);
}

bool guest_is_filled(const struct bench *b, gpa_t gpa, uint64_t len, uint8_t value)
{
	uint64_t i;

	for (i = 0; i < len; i++)
		if (guest_read(b, gpa + i, 1) != value)
			return false;
	return true;
}

struct x86_seg guest_descriptor(const struct bench *b, uint16_t selector)
{
	uint64_t d = guest_read(b, b->boot.gdtr.base + selector, 8);
	struct x86_seg seg = {
		.selector = selector,
		.base = (d >> 16 & 0xffffff) | (d >> 56) << 24,
		.limit = (uint32_t)((d & 0xffff) | (d >> 48 & 0xf) << 16),
		.type = d >> 40 & 0xf,
		.s = d >> 44 & 1,
		.dpl = d >> 45 & 3,
		.present = d >> 47 & 1,
		.avl = d >> 52 & 1,
		.l = d >> 53 & 1,
		.db = d >> 54 & 1,
		.g = d >> 55 & 1,
	};

	if (seg.g)
		seg.limit = seg.limit << 12 | 0xfff;
	return seg;
}

static void check_same_segment(const struct bench *b, enum x86_seg_reg reg)
{
	const struct x86_seg *want = &b->boot.seg[reg];
	struct x86_seg got = guest_descriptor(b, want->selector);

	cr_assert_eq(got.base, want->base);
	cr_assert_eq(got.limit, want->limit, "0x%x", got.limit);
	cr_assert_eq(got.type, want->type);
	cr_assert_eq(got.dpl, want->dpl);
	cr_assert(got.s == want->s && got.present && want->present);
	cr_assert(got.l == want->l && got.db == want->db && got.g == want->g);
}

/* Multiboot 3.2; the same holds for flat images and ELF32. */
void check_prot32(const struct bench *b)
{
	unsigned i;

	cr_assert_eq(x86_mode_of(&b->boot), X86_MODE_PROT32);
	cr_assert_eq(b->boot.cr0 & (X86_CR0_PG | X86_CR0_PE | X86_CR0_CD | X86_CR0_NW), X86_CR0_PE);
	cr_assert_eq(b->boot.rflags, X86_RFLAGS_FIXED);
	cr_assert_eq(b->boot.efer, 0);
	cr_assert_eq(b->boot.seg[X86_CS].type & 0xa, 0xa, "CS is not readable code");
	for (i = 0; i < X86_SEG_COUNT; i++) {
		cr_assert_eq(b->boot.seg[i].base, 0);
		cr_assert_eq(b->boot.seg[i].limit, UINT32_MAX);
		cr_assert(b->boot.seg[i].db);
		cr_assert(i == X86_CS || (b->boot.seg[i].type & 0xa) == 0x2);
		check_same_segment(b, (enum x86_seg_reg)i);
	}
	cr_assert(b->boot.gdtr.limit >= b->boot.seg[X86_DS].selector + 7);
}

bool guest_maps(const struct bench *b, gva_t va, gpa_t pa)
{
	struct x86_walk walk;
	int rc = x86_walk(&b->boot, va, mem_phys_read, b->mem, &walk);

	return rc == 0 && walk.mode == X86_PAGING_4LEVEL && walk.gpa == pa && walk.is_writable &&
	       walk.is_executable && !walk.is_user;
}
