/* Reads fw_cfg by its ports and by DMA, and lets DMA write an entry of a page table in use.
 * Wants files opt/text, which it prints, and opt/entry, whose bytes are the entry.
 * Source: QEMU, docs/specs/fw_cfg.rst. */
#include "guest.h"

#define SELECTOR      0x510
#define DATA	      0x511
#define DMA_LOW	      0x518
#define DIRECTORY     0x19
#define FILE_BYTES    64u
#define FILES_MAX     32u
#define CONTROL_READ  2u
#define CONTROL_ERROR 1u
#define CONTROL_PICK  8u

#define PAGE_BYTES   4096u
#define PAGE_ENTRIES 512u
#define PAGE_RW	     3u
#define OLD_PAGE     0x4000u
#define NEW_PAGE     0x3000u /* what opt/entry is to point at */
#define WINDOW	     (1ull << 39)

struct descriptor {
	uint32_t control, length;
	uint64_t address;
};

struct file {
	uint32_t size;
	uint16_t key, reserved;
	char name[56];
};

static struct {
	uint32_t count;
	struct file file[FILES_MAX];
} directory;

static uint64_t pdpt[PAGE_ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t pd[PAGE_ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t pt[PAGE_ENTRIES] __attribute__((aligned(PAGE_BYTES)));

static void port_out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static void port_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* The first @length bytes of item @key to @to; memory is mapped one to one. */
static bool read_item(uint16_t key, volatile void *to, uint32_t length)
{
	volatile struct descriptor desc = {
		.control = __builtin_bswap32((uint32_t)key << 16 | CONTROL_PICK | CONTROL_READ),
		.length = __builtin_bswap32(length),
		.address = __builtin_bswap64((uintptr_t)to),
	};

	port_out32(DMA_LOW, __builtin_bswap32((uint32_t)(uintptr_t)&desc));
	return desc.control == 0;
}

static bool is_same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static const struct file *find(const char *name)
{
	for (unsigned i = 0; i < __builtin_bswap32(directory.count) && i < FILES_MAX; i++) {
		if (is_same(directory.file[i].name, name))
			return &directory.file[i];
	}
	return NULL;
}

static bool print_signature(void)
{
	print_text("fwcfg: ");
	port_out16(SELECTOR, 0);
	for (unsigned i = 0; i < 4; i++)
		print_char((char)port_in8(DATA));
	print_char('\n');
	return read_item(DIRECTORY, &directory, sizeof(directory));
}

static bool print_file(const char *name)
{
	const struct file *file = find(name);
	uint32_t size = file ? __builtin_bswap32(file->size) : 0;

	if (!file)
		return false;
	print_text("fwcfg: ");
	port_out16(SELECTOR, __builtin_bswap16(file->key));
	while (size-- > 0)
		print_char((char)port_in8(DATA));
	print_char('\n');
	return true;
}

/* Map WINDOW to OLD_PAGE, look, have the entry overwritten, look again. */
static bool moves_page(const char *name)
{
	const struct file *file = find(name);
	volatile uint64_t *window = (volatile uint64_t *)WINDOW;
	uint64_t cr3, before;

	if (!file)
		return false;
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	*(volatile uint64_t *)OLD_PAGE = 0x01d;
	*(volatile uint64_t *)NEW_PAGE = 0x2e3;
	pt[0] = OLD_PAGE | PAGE_RW;
	pd[0] = (uintptr_t)pt | PAGE_RW;
	pdpt[0] = (uintptr_t)pd | PAGE_RW;
	((volatile uint64_t *)(cr3 & ~0xfffull))[WINDOW >> 39] = (uintptr_t)pdpt | PAGE_RW;
	before = *window;
	if (!read_item(__builtin_bswap16(file->key), pt, sizeof(pt[0])))
		return false;
	__asm__ volatile("invlpg (%0)" : : "r"(window) : "memory");
	print_text("fwcfg: the page");
	print_field("was", before);
	print_field("is", *window);
	print_char('\n');
	return true;
}

/* Where there is no memory. */
static bool is_refused(void)
{
	volatile struct descriptor desc = {
		.control = __builtin_bswap32(CONTROL_PICK | CONTROL_READ),
		.length = __builtin_bswap32(4),
		.address = __builtin_bswap64(0xfee00000),
	};

	port_out32(DMA_LOW, __builtin_bswap32((uint32_t)(uintptr_t)&desc));
	return desc.control == __builtin_bswap32(CONTROL_ERROR);
}

int main(void)
{
	if (!print_signature() || !print_file("opt/text") || !moves_page("opt/entry") ||
	    !is_refused())
		return GUEST_FAIL;
	print_text("fwcfg: done\n");
	return GUEST_PASS;
}
