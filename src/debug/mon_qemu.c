/* The words of QEMU's monitor about memory, in the form in which QEMU 7.2 answers them: scripts and
 * gdb extensions that were written for QEMU read them.  Found out by asking it.
 *
 * Where QEMU answers wrongly this does not: what a walk refuses (reserved bits) is not listed, and
 * no page is taken in to tell its host address. */
#include "monitor.h"
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define X_COUNT_MAX 10000u

static unsigned long long ll(uint64_t value)
{
	return value;
}

static bool parse(struct mon_call *call, const char *text, uint64_t *out_value)
{
	char *end;

	errno = 0;
	*out_value = strtoull(text, &end, 0);
	if (errno == 0 && end != text && !*end && *text != '-')
		return true;
	print_to(call->out, "invalid char '%c' in expression\n", *text ? *text : ' ');
	return false;
}

/* Info mem and info tlb. */

/* What does not fit the answer is not looked for. */
#define LIST_MAX 20000u

struct lister {
	struct mon_call *call;
	unsigned lines;
	unsigned linear_bits; /* of addresses that are sign-extended; 64: none */
	/* Info mem: the range under way, in addresses that are not extended. */
	bool has_range;
	uint64_t start, end;
	unsigned rights;
};

static uint64_t narrow(const struct lister *l, gva_t gva)
{
	return l->linear_bits == 64 ? gva : gva & ((1ull << l->linear_bits) - 1);
}

/* An end behind the last address stands for itself. */
static uint64_t canonical(const struct lister *l, uint64_t address)
{
	if (l->linear_bits == 64 || !(address >> (l->linear_bits - 1) & 1))
		return address;
	return address | ~0ull << l->linear_bits;
}

static void end_range(struct lister *l)
{
	if (l->has_range)
		print_to(l->call->out, "%016llx-%016llx %016llx %cr%c\n",
			 ll(canonical(l, l->start)), ll(canonical(l, l->end)),
			 ll(l->end - l->start), l->rights & MMU_RIGHT_U ? 'u' : '-',
			 l->rights & MMU_RIGHT_W ? 'w' : '-');
	l->lines += l->has_range;
	l->has_range = false;
}

static enum mmu_view_step list_range(void *ctx, const struct mmu_mapping *page)
{
	struct lister *l = ctx;
	uint64_t start = narrow(l, page->gva);
	unsigned rights = page->rights & (MMU_RIGHT_U | MMU_RIGHT_W);

	if (!l->has_range || l->end != start || l->rights != rights) {
		end_range(l);
		l->has_range = true;
		l->start = start;
		l->rights = rights;
	}
	l->end = start + page->size;
	return l->lines > LIST_MAX ? MMU_VIEW_STOP : MMU_VIEW_ON;
}

static enum mmu_view_step list_page(void *ctx, const struct mmu_mapping *page)
{
	static const struct {
		char letter;
		uint64_t bit;
	} flags[] = {
		{'X', X86_PTE_NX}, {'G', X86_PTE_G},  {'P', X86_PTE_PS},
		{'D', X86_PTE_D},  {'A', X86_PTE_A},  {'C', 1u << 4},
		{'T', 1u << 3},	   {'U', X86_PTE_US}, {'W', X86_PTE_RW},
	};
	struct lister *l = ctx;
	uint64_t entry = page->level == 1 ? page->entry & ~X86_PTE_PS : page->entry;
	char text[UMBRA_ARRAY_SIZE(flags) + 1];

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(flags); i++) {
		text[i] = '-';
		if (entry & flags[i].bit)
			text[i] = flags[i].letter;
	}
	text[UMBRA_ARRAY_SIZE(flags)] = '\0';
	print_to(l->call->out, "%016llx: %016llx %s\n", ll(page->gva), ll(page->gpa), text);
	return l->lines++ > LIST_MAX ? MMU_VIEW_STOP : MMU_VIEW_ON;
}

static int list(struct mon_call *call, mmu_view_page_fn fn)
{
	struct lister l = {.call = call, .linear_bits = 64};
	struct x86_paging regs;
	struct mmu_view view = {.mem = vm_mem(call->target->vm),
				.regs = &regs,
				.hi = ~0ull,
				.on_page = fn,
				.ctx = &l};
	bool is_canonical;
	unsigned bits;
	gva_t next;

	if (!mmu_regs_of(call->target, call->vcpu, &regs))
		return EIO;
	if (x86_paging_mode(&regs) == X86_PAGING_NONE) {
		print_to(call->out, "PG disabled\n");
		return 0;
	}
	bits = x86_linear_bits(x86_paging_mode(&regs), &is_canonical);
	if (is_canonical)
		l.linear_bits = bits;
	mmu_view_run(&view, &next);
	end_range(&l);
	return 0;
}

int mon_info_mem(struct mon_call *call)
{
	return list(call, list_range);
}

int mon_info_tlb(struct mon_call *call)
{
	return list(call, list_page);
}

/* Addresses. */

int mon_gva2gpa(struct mon_call *call)
{
	struct x86_paging regs;
	struct x86_walk walk;
	uint64_t gva;

	if (call->argc == 0) {
		print_to(call->out, "unexpected end of expression\n");
		return 0;
	}
	if (!parse(call, call->argv[0], &gva))
		return 0;
	if (!mmu_regs_of(call->target, call->vcpu, &regs))
		return EIO;
	if (x86_walk_paging(&regs, gva, mem_phys_read, vm_mem(call->target->vm), &walk) == 0)
		print_to(call->out, "gpa: 0x%llx\n", ll(walk.gpa));
	else
		print_to(call->out, "Unmapped\n");
	return 0;
}

static const struct mem_region *find_region(struct mon_call *call, uint64_t *out_gpa)
{
	const struct mem_region *region;

	if (call->argc == 0) {
		print_to(call->out, "unexpected end of expression\n");
		return NULL;
	}
	if (!parse(call, call->argv[0], out_gpa))
		return NULL;
	region = mem_find(vm_mem(call->target->vm), *out_gpa);
	if (!region)
		print_to(call->out, "No memory is mapped at address 0x%llx\n", ll(*out_gpa));
	return region;
}

int mon_gpa2hva(struct mon_call *call)
{
	uint64_t gpa;
	const struct mem_region *region = find_region(call, &gpa);

	if (region)
		print_to(call->out, "Host virtual address for 0x%llx (%s) is %p\n", ll(gpa),
			 region->name, (void *)(region->host + (gpa - region->gpa)));
	return 0;
}

int mon_gpa2hpa(struct mon_call *call)
{
	uint64_t gpa, hpa;
	const struct mem_region *region = find_region(call, &gpa);
	int error;

	if (!region)
		return 0;
	error = mmu_host_page(region->host + (gpa - region->gpa), &hpa);
	if (error == 0)
		print_to(call->out, "Host physical address for 0x%llx (%s) is 0x%llx\n", ll(gpa),
			 region->name, ll(hpa));
	else
		print_to(call->out, "No host physical address for 0x%llx (%s): %s\n", ll(gpa),
			 region->name,
			 error == -ENODATA ? "not resident" : "the host does not tell");
	return 0;
}

/* X and xp. */

struct x_format {
	unsigned count;
	char letter;   /* x d u o c i */
	unsigned size; /* bytes: 1 2 4 8 */
	bool is_physical;
};

/* "4gx": a count, and letters in any order. */
static bool parse_format(struct mon_call *call, const char *text, struct x_format *out)
{
	char *end = (char *)(uintptr_t)text;
	const char *sizes = "bhwg";
	const char *size;

	if (*text >= '0' && *text <= '9')
		out->count = (unsigned)strtoul(text, &end, 10);
	for (; *end; end++) {
		size = strchr(sizes, *end);
		if (size)
			out->size = 1u << (size - sizes);
		else if (strchr("xduoci", *end))
			out->letter = *end;
		else
			break;
	}
	if (*end)
		print_to(call->out, "invalid char in format: '%c'\n", *end);
	else if (out->count > X_COUNT_MAX)
		print_to(call->out, "at most %u units\n", X_COUNT_MAX);
	return !*end && out->count <= X_COUNT_MAX;
}

/* 'A', '\n', '\x00' */
static void print_char(struct mon_call *call, uint8_t c)
{
	if (c == '\n' || c == '\r')
		print_to(call->out, " '\\%c'", c == '\n' ? 'n' : 'r');
	else if (c == '\'' || c == '\\')
		print_to(call->out, " '\\%c'", c);
	else if (c >= 32 && c <= 126)
		print_to(call->out, " '%c'", c);
	else
		print_to(call->out, " '\\x%02x'", c);
}

static void print_unit(struct mon_call *call, const struct x_format *f, uint64_t value)
{
	/* Digits of the largest number of 1, 2, 4 and 8 bytes. */
	static const int octal[] = {[1] = 3, [2] = 6, [4] = 11, [8] = 22};
	static const int decimal[] = {[1] = 3, [2] = 5, [4] = 10, [8] = 20};

	switch (f->letter) {
	case 'o':
		print_to(call->out, " %#*llo", octal[f->size], ll(value));
		break;
	case 'd':
		/* QEMU takes only units of 8 bytes for signed ones. */
		print_to(call->out, " %*lld", decimal[f->size], (long long)value);
		break;
	case 'u':
		print_to(call->out, " %*llu", decimal[f->size], ll(value));
		break;
	case 'c':
		print_char(call, (uint8_t)value);
		break;
	default:
		print_to(call->out, " 0x%0*llx", (int)(2 * f->size), ll(value));
	}
}

static unsigned units_per_line(const struct x_format *f)
{
	if (f->letter == 'c')
		return 8;
	return f->size == 8 ? 2 : f->size == 4 ? 4 : 8;
}

static bool read_unit(struct mon_call *call, const struct x_format *f, uint64_t addr,
		      uint64_t *out_value)
{
	struct world *world = call->target->world;
	uint8_t raw[8] = {0};
	size_t got = f->is_physical ? world_mem_read(world, addr, raw, f->size)
				    : vcpu_mem_read(world, call->vcpu, addr, raw, f->size);

	*out_value = le64_get(raw);
	return got == f->size;
}

static void print_units(struct mon_call *call, const struct x_format *f, uint64_t addr)
{
	unsigned per_line = units_per_line(f);
	uint64_t value;

	for (unsigned i = 0; i < f->count; i++, addr += f->size) {
		if (i % per_line == 0)
			print_to(call->out, "%s%016llx:", i ? "\n" : "", ll(addr));
		if (!read_unit(call, f, addr, &value)) {
			print_to(call->out, " Cannot access memory");
			break;
		}
		print_unit(call, f, value);
	}
	print_to(call->out, "\n");
}

/* Instructions: those of `monitor dis`, without its marks. */
static void print_code(struct mon_call *call, const struct x_format *f, uint64_t addr)
{
	const struct x86_state *st = monitor_state(call, X86_STATE_GPR | X86_STATE_SREG);

	for (unsigned i = 0; st && i < f->count; i++) {
		char text[X86_INSN_TEXT_MAX], bytes[3 * X86_INSN_MAX + 1] = "";
		uint8_t raw[X86_INSN_MAX];
		size_t got = f->is_physical
				     ? world_mem_read(call->target->world, addr, raw, sizeof(raw))
				     : vcpu_mem_read(call->target->world, call->vcpu, addr, raw,
						     sizeof(raw));
		int len = x86_insn_format(x86_mode_of(st), addr, raw, got, text);

		if (got == 0) {
			print_to(call->out, "%016llx: Cannot access memory\n", ll(addr));
			return;
		}
		len = len > 0 ? len : 1;
		for (int b = 0; b < len; b++)
			snprintf(bytes + 3 * (size_t)b, sizeof(bytes) - 3 * (size_t)b, "%02x ",
				 raw[b]);
		print_to(call->out, "0x%08llx:  %-24s %s\n", ll(addr), bytes, text);
		addr += (unsigned)len;
	}
}

static int examine(struct mon_call *call, bool is_physical)
{
	struct x_format f = {.count = 1, .letter = 'x', .size = 4, .is_physical = is_physical};
	const char *format = call->argc == 2 ? call->argv[0] : "";
	uint64_t addr;

	if (call->argc == 0) {
		print_to(call->out, "unexpected end of expression\n");
		return 0;
	}
	if (!parse_format(call, format + (*format == '/'), &f) ||
	    !parse(call, call->argv[call->argc - 1], &addr))
		return 0;
	if (f.letter == 'i') {
		print_code(call, &f, addr);
	} else {
		if (f.letter == 'c')
			f.size = 1;
		print_units(call, &f, addr);
	}
	return 0;
}

int mon_x(struct mon_call *call)
{
	return examine(call, false);
}

int mon_xp(struct mon_call *call)
{
	return examine(call, true);
}
