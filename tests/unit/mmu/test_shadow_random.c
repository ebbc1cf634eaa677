/* Random guests: tables, writes to them of every kind, translations between, registers that change.
 * Each translation is compared with a plain walk, and now and then the whole shadow is checked. */
#include "mmu_rig.h"

#include <criterion/criterion.h>

#define STEPS	     30000u
#define TABLE_FRAMES 10u /* the first frames of RAM: used as tables, as data, or both */
#define CHECK_EVERY  16u

struct tally {
	unsigned ok, faults, stores, large, tables_as_data, mmio, rom;
};

/* The entries that addresses go through: few, so that they meet. */
static const unsigned INDEX[8] = {0, 1, 2, 3, 255, 256, 510, 511};

static uint64_t below(struct rig *rig, uint64_t n)
{
	return rig_random(rig, n);
}

static bool once_in(struct rig *rig, unsigned n)
{
	return below(rig, n) == 0;
}

static uint64_t maybe(struct rig *rig, uint64_t bits, unsigned of_8)
{
	return below(rig, 8) < of_8 ? bits : 0;
}

static gpa_t random_frame(struct rig *rig)
{
	switch (below(rig, 16)) {
	case 0:
		return RIG_HOLE;
	case 1:
		return RIG_ROM_BASE + below(rig, 4) * UMBRA_PAGE_SIZE;
	case 2:
		return RIG_HIGH_BASE + below(rig, 8) * UMBRA_PAGE_SIZE;
	case 3:
	case 4:
		return below(rig, RIG_RAM / UMBRA_PAGE_SIZE) * UMBRA_PAGE_SIZE;
	default:
		return below(rig, TABLE_FRAMES) * UMBRA_PAGE_SIZE;
	}
}

static uint64_t random_entry(struct rig *rig)
{
	uint64_t entry = random_frame(rig);

	if (once_in(rig, 8))
		entry &= ~0x3fffffull; /* a large page of any kind */
	return entry | maybe(rig, X86_PTE_P, 7) | maybe(rig, X86_PTE_RW, 6) |
	       maybe(rig, X86_PTE_US, 5) | maybe(rig, X86_PTE_A, 4) | maybe(rig, X86_PTE_D, 4) |
	       maybe(rig, X86_PTE_PS, 1) | maybe(rig, X86_PTE_G, 1) | maybe(rig, X86_PTE_NX, 1) |
	       (once_in(rig, 8) ? below(rig, 16) << 59 : 0) | (once_in(rig, 32) ? 1ull << 51 : 0) |
	       below(rig, 8) << 9;
}

static gva_t random_gva(struct rig *rig)
{
	gva_t gva = 0;
	unsigned level;

	for (level = 5; level > 0; level--)
		gva = gva << 9 | INDEX[below(rig, 8)];
	gva = gva << 12 | below(rig, UMBRA_PAGE_SIZE);
	switch (x86_paging_mode(&rig->regs[0])) {
	case X86_PAGING_NONE:
		return once_in(rig, 2) ? below(rig, RIG_ROM_BASE + RIG_ROM) : (uint32_t)gva;
	case X86_PAGING_32BIT:
	case X86_PAGING_PAE:
		return (uint32_t)gva;
	case X86_PAGING_4LEVEL:
		return once_in(rig, 32) ? gva : (uint64_t)((int64_t)(gva << 16) >> 16);
	case X86_PAGING_5LEVEL:
		break;
	}
	return once_in(rig, 32) ? gva : (uint64_t)((int64_t)(gva << 7) >> 7);
}

/* The byte offset of an entry that addresses go through, of 8 bytes or of 4. */
static unsigned random_offset(struct rig *rig)
{
	unsigned index = INDEX[below(rig, 8)];

	if (once_in(rig, 2))
		return index * 8;
	return (index + (unsigned)below(rig, 2) * 512) * 4;
}

static void write_entry(struct rig *rig)
{
	gpa_t gpa = below(rig, TABLE_FRAMES) * UMBRA_PAGE_SIZE + random_offset(rig);
	uint8_t raw[16];
	size_t len = 8;

	le64_put(raw, random_entry(rig));
	le64_put(raw + 8, random_entry(rig));
	if (once_in(rig, 4)) { /* any piece of it */
		len = 1 + below(rig, sizeof(raw));
		gpa += below(rig, 8);
	}
	if (gpa + len > TABLE_FRAMES * UMBRA_PAGE_SIZE)
		return;
	if (once_in(rig, 4))
		rig_poke(rig, gpa, raw, len);
	else
		rig_write(rig, gpa, raw, len);
}

static void clear_bits(struct rig *rig)
{
	gpa_t gpa = below(rig, TABLE_FRAMES) * UMBRA_PAGE_SIZE + (random_offset(rig) & ~7u);
	uint64_t bits = maybe(rig, X86_PTE_A, 4) | maybe(rig, X86_PTE_D, 4);

	rig_put64(rig, gpa, rig_get64(rig, gpa) & ~(bits | bits << 32));
}

static void change_registers(struct rig *rig)
{
	static const enum x86_paging_mode modes[] = {X86_PAGING_NONE, X86_PAGING_32BIT,
						     X86_PAGING_PAE, X86_PAGING_4LEVEL,
						     X86_PAGING_5LEVEL};
	enum x86_paging_mode mode = x86_paging_mode(&rig->regs[0]);
	struct x86_paging regs;
	unsigned vcpu;

	if (once_in(rig, 8))
		mode = modes[below(rig, UMBRA_ARRAY_SIZE(modes))];
	for (vcpu = 0; vcpu < RIG_VCPUS; vcpu++) {
		regs = rig_regs(mode, below(rig, TABLE_FRAMES) * UMBRA_PAGE_SIZE);
		regs.cr0 ^= maybe(rig, X86_CR0_WP, 2);
		regs.cr4 ^= maybe(rig, X86_CR4_SMEP, 2) | maybe(rig, X86_CR4_SMAP, 2) |
			    maybe(rig, X86_CR4_PKE, 4) | maybe(rig, X86_CR4_PSE, 1) |
			    maybe(rig, X86_CR4_PGE, 2);
		regs.efer ^= maybe(rig, X86_EFER_NXE, 1);
		regs.pkru = (uint32_t)below(rig, 4) * 0x55aa33cc;
		rig_load(rig, vcpu, &regs);
	}
}

static void translate(struct rig *rig, struct tally *tally)
{
	static const unsigned kinds[3] = {0, X86_PF_W, X86_PF_I};
	unsigned access = kinds[below(rig, 3)] | (once_in(rig, 2) ? X86_PF_U : 0);
	struct mmu_page page;

	if (rig_translate(rig, (unsigned)below(rig, RIG_VCPUS), random_gva(rig), access,
			  once_in(rig, 4), &page) != 0) {
		tally->faults++;
		return;
	}
	tally->ok++;
	tally->tables_as_data += page.is_table;
	tally->mmio += !page.host;
	tally->rom += page.is_rom;
}

static void store(struct rig *rig, struct tally *tally)
{
	gva_t gva = (random_gva(rig) & UMBRA_PAGE_MASK) | random_offset(rig);
	uint8_t raw[8];

	le64_put(raw, random_entry(rig));
	gva &= ~7ull;
	tally->stores += rig_store(rig, (unsigned)below(rig, RIG_VCPUS), gva, raw, sizeof(raw));
}

static void step(struct rig *rig, struct tally *tally)
{
	switch (below(rig, 16)) {
	case 0:
	case 1:
	case 2:
		write_entry(rig);
		break;
	case 3:
		clear_bits(rig);
		break;
	case 4:
	case 5:
		store(rig, tally);
		break;
	case 6:
		if (once_in(rig, 4))
			change_registers(rig);
		break;
	case 7:
		mmu_invlpg(rig->mmu, 0, random_gva(rig));
		break;
	default:
		translate(rig, tally);
		break;
	}
}

static void prepare(struct rig *rig)
{
	unsigned i;

	for (i = 0; i < TABLE_FRAMES * 64; i++) {
		gpa_t gpa = below(rig, TABLE_FRAMES) * UMBRA_PAGE_SIZE + random_offset(rig);
		uint8_t raw[8];

		le64_put(raw, random_entry(rig));
		rig_poke(rig, gpa & ~7ull, raw, sizeof(raw));
	}
	for (i = 0; i < RIG_ROM / 8; i++) {
		uint8_t raw[8];

		le64_put(raw, random_entry(rig));
		rig_poke(rig, RIG_ROM_BASE + i * 8ull, raw, sizeof(raw));
	}
}

static void run(unsigned max_shadow_pages, uint64_t seed, struct tally *tally)
{
	struct rig *rig = rig_create(max_shadow_pages, false);
	struct mmu_stats stats;
	unsigned i;

	rig->random = seed;
	prepare(rig);
	change_registers(rig);
	for (i = 0; i < STEPS; i++) {
		step(rig, tally);
		if (i % CHECK_EVERY == 0)
			rig_check(rig);
		if (i % 2048 == 0)
			prepare(rig);
	}
	mmu_stats(rig->mmu, &stats);
	tally->large += stats.recycled;
	rig_destroy(rig);
}

Test(mmu_shadow_random, shadow_when_tables_and_registers_change_at_random_then_as_a_plain_walk)
{
	struct tally tally = {0};

	run(0, 1, &tally);
	run(0, 2, &tally);
	cr_log_info("ok %u faults %u stores %u tables %u mmio %u rom %u", tally.ok, tally.faults,
		    tally.stores, tally.tables_as_data, tally.mmio, tally.rom);
	cr_expect_gt(tally.ok, 2000u);
	cr_expect_gt(tally.faults, 2000u);
	cr_expect_gt(tally.stores, 500u);
	cr_expect_gt(tally.tables_as_data, 500u);
	cr_expect_gt(tally.mmio, 20u);
	cr_expect_gt(tally.rom, 20u);
}

Test(mmu_shadow_random, shadow_when_pages_are_scarce_then_as_a_plain_walk)
{
	struct tally tally = {0};

	run(1, 3, &tally);
	cr_expect_gt(tally.ok, 1000u);
	cr_expect_gt(tally.large, 10u, "recycled only %u", tally.large);
}
