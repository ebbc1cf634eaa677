/* Unit tests of the micro-TLB and of the accesses that miss it. */
#include "soft_rig.h"

#include "src/accel/soft/access.h"
#include "src/accel/soft/tlb.h"

#include <criterion/criterion.h>

#define DATA   SOFT_RIG_DATA
#define EDGE   0x200000u /* between two pages of the rig's tables */
#define DEVICE 0xe0000000u

#define PAGE_P	0x01u
#define PAGE_W	0x02u
#define PAGE_U	0x04u
#define PAGE_PS 0x80u

static struct soft_rig *rig;

/* A device that remembers its last access and reads as 0x11 * offset in each byte. */
static struct {
	unsigned reads, writes, width;
	uint64_t offset, value;
} device;

static uint64_t device_read(void *state, uint64_t offset, unsigned width)
{
	uint8_t bytes[8];

	(void)state;
	device.reads++;
	device.width = width;
	device.offset = offset;
	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(0x11 * (offset + i));
	return le64_get(bytes);
}

static void device_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	(void)state;
	device.writes++;
	device.width = width;
	device.offset = offset;
	device.value = value;
}

static const struct dev_ops DEVICE_OPS = {
	.name = "recorder", .widths = 1 | 2 | 4 | 8, .read = device_read, .write = device_write};

static void set_up(void)
{
	struct umbra_err err = {0};
	int rc;

	rig = soft_rig_create(8);
	memset(&device, 0, sizeof(device));
	rc = bus_map(bus_add_device(rig->bus, &DEVICE_OPS, &device), BUS_MMIO, DEVICE, 0x1000, 0,
		     &err);
	cr_assert_eq(rc, 0);
}

static void tear_down(void)
{
	soft_rig_destroy(rig);
}

TestSuite(tlb, .init = set_up, .fini = tear_down);

/* One instruction at SOFT_RIG_CODE. */
static struct soft_rig_result execute(const void *bytes, size_t len)
{
	soft_rig_code(rig, bytes, len);
	return soft_rig_step(rig);
}
#define EXECUTE(...) execute((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define LOAD_RBX()    EXECUTE(0x8b, 0x03)	/* mov eax, [rbx] */
#define LOAD64_RBX()  EXECUTE(0x48, 0x8b, 0x03) /* mov rax, [rbx] */
#define STORE_RBX()   EXECUTE(0x89, 0x03)	/* mov [rbx], eax */
#define STORE64_RBX() EXECUTE(0x48, 0x89, 0x03) /* mov [rbx], rax */
#define ADD_RBX()     EXECUTE(0x01, 0x03)	/* add [rbx], eax */
#define LOAD_RBP()    EXECUTE(0x8b, 0x45, 0x00) /* mov eax, [rbp] */

/* Page @index of 2 MiB leads to @gpa. */
static void map(unsigned index, gpa_t gpa, unsigned flags)
{
	uint8_t entry[8];

	le64_put(entry, flags ? gpa | PAGE_PS | flags : 0);
	soft_rig_poke(rig, rig->c->cr3 + 0x2000 + 8 * (gpa_t)index, entry, sizeof(entry));
	mmu_flush(rig->c->vm->mmu, 0);
}

static void put64(gpa_t gpa, uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	soft_rig_poke(rig, gpa, bytes, sizeof(bytes));
}

static void expect_fault(struct soft_rig_result r, unsigned vector, uint32_t error)
{
	cr_assert_eq(r.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(r.event.vector, vector);
	cr_assert(r.event.has_error);
	cr_assert_eq(r.event.error, error);
	cr_assert_eq(r.count, 0);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE);
}

/* Addresses near the tag of a void entry must not hit in it. */
Test(tlb, load_when_not_canonical_then_gp_or_ss)
{
	static const uint64_t address[] = {0x8000000000000000, 0x8000000000000800,
					   0x8000000000000fff, 0x0000800000000000,
					   0xffff7fffffffffff, 0x8000000000001800};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(address); i++) {
		rig->c->r[X86_RBX] = address[i];
		expect_fault(LOAD_RBX(), X86_EXC_GP, 0);
		expect_fault(STORE_RBX(), X86_EXC_GP, 0);
		rig->c->r[X86_RBP] = address[i];
		expect_fault(LOAD_RBP(), X86_EXC_SS, 0);
	}
}

Test(tlb, void_tag_when_any_entry_then_no_address_of_it_hits)
{
	for (unsigned n = 0; n < TLB_ENTRIES; n++) {
		for (unsigned low = 0; low < 4096; low += 4095) {
			uint64_t la = (uint64_t)n << 12 | low;

			cr_assert_gt(la ^ TLB_NONE(n), 4095);
			cr_assert_gt((la | 1ull << 63) ^ TLB_NONE(n), 4095);
		}
	}
}

/* What the bank holds of the page at @la. */
struct held {
	gva_t la;
	unsigned reads, writes;
};

static void count_held(void *arg, const struct mmu_tlb_page *page)
{
	struct held *held = arg;

	if (page->gva != held->la)
		return;
	held->reads += (page->can & MMU_CAN_READ) != 0;
	held->writes += (page->can & MMU_CAN_WRITE) != 0;
}

static struct held held_of(gva_t la)
{
	struct held held = {.la = la};

	soft_tlb_each(rig->c, count_held, &held);
	return held;
}

static void load_at(gva_t la, uint64_t expected)
{
	rig->c->r[X86_RBX] = la;
	cr_assert_eq(LOAD64_RBX().end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RAX], expected);
}

static void store_at(gva_t la, uint64_t value)
{
	rig->c->r[X86_RBX] = la;
	rig->c->r[X86_RAX] = value;
	cr_assert_eq(STORE64_RBX().end, SOFT_RIG_OK);
}

#define RIVAL (DATA + 0x400000u) /* comes to the same entry as DATA */

Test(tlb, access_when_two_pages_share_an_entry_then_both_are_held_once)
{
	put64(DATA, 0x1111);
	put64(RIVAL, 0x2222);
	for (unsigned i = 0; i < 3; i++) {
		load_at(DATA, 0x1111 + i);
		load_at(RIVAL, 0x2222 + i);
		store_at(DATA, 0x1112 + i);
		store_at(RIVAL, 0x2223 + i);
	}
	cr_expect_eq(held_of(DATA).reads, 1);
	cr_expect_eq(held_of(DATA).writes, 1);
	cr_expect_eq(held_of(RIVAL).reads, 1);
	cr_expect_eq(held_of(RIVAL).writes, 1);
	cr_expect_eq(soft_rig_peek(rig, DATA, 8), 0x1114);
	cr_expect_eq(soft_rig_peek(rig, RIVAL, 8), 0x2225);
}

Test(tlb, withdraw_when_page_was_pushed_out_then_no_write_to_it)
{
	store_at(DATA, 1);
	store_at(RIVAL, 2);
	soft_tlb_withdraw_write(rig->c, DATA);
	cr_expect_eq(held_of(DATA).reads, 1);
	cr_expect_eq(held_of(DATA).writes, 0);
	cr_expect_eq(held_of(RIVAL).writes, 1);
}

Test(tlb, forget_when_page_was_pushed_out_then_neither_is_held)
{
	load_at(DATA, 0);
	load_at(RIVAL, 0);
	soft_tlb_forget(rig->c->vm, (DATA >> 12) & 511);
	cr_expect_eq(held_of(DATA).reads, 0);
	cr_expect_eq(held_of(RIVAL).reads, 0);
	load_at(DATA, 0);
	load_at(RIVAL, 0);
	soft_tlb_forget_all(rig->c);
	cr_expect_eq(held_of(DATA).reads, 0);
	cr_expect_eq(held_of(RIVAL).reads, 0);
}

Test(tlb, load_when_every_offset_near_page_end_then_bytes_in_order)
{
	put64(EDGE - 8, 0x1716151413121110);
	put64(EDGE, 0x1f1e1d1c1b1a1918);
	for (unsigned i = 0; i <= 8; i++) {
		rig->c->r[X86_RBX] = EDGE - 8 + i;
		cr_assert_eq(LOAD64_RBX().end, SOFT_RIG_OK);
		cr_assert_eq(rig->c->r[X86_RAX], 0x1716151413121110 + i * 0x0101010101010101);
	}
}

Test(tlb, store_when_crossing_into_absent_page_then_nothing_written)
{
	map(1, 0, 0);
	put64(EDGE - 8, 0);
	rig->c->r[X86_RBX] = EDGE - 3;
	rig->c->r[X86_RAX] = ~0ull;
	expect_fault(STORE64_RBX(), X86_EXC_PF, X86_PF_W);
	cr_assert_eq(rig->c->event.cr2, EDGE);
	cr_assert_eq(soft_rig_peek(rig, EDGE - 8, 8), 0);
	expect_fault(ADD_RBX(), X86_EXC_PF, X86_PF_W);
	cr_assert_eq(soft_rig_peek(rig, EDGE - 8, 8), 0);
}

Test(tlb, store_when_crossing_between_scattered_pages_then_both_written)
{
	map(1, 2 * EDGE, PAGE_P | PAGE_W);
	rig->c->r[X86_RBX] = EDGE - 3;
	rig->c->r[X86_RAX] = 0x0807060504030201;
	cr_assert_eq(STORE64_RBX().end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, EDGE - 3, 1), 0x01);
	cr_assert_eq(soft_rig_peek(rig, EDGE - 1, 1), 0x03);
	cr_assert_eq(soft_rig_peek(rig, 2 * EDGE, 4), 0x07060504);
	/* And read-modify-write. */
	rig->c->r[X86_RAX] = 0x10101010;
	cr_assert_eq(ADD_RBX().end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, EDGE - 3, 1), 0x11);
	cr_assert_eq(soft_rig_peek(rig, 2 * EDGE, 4), 0x07060514);
}

Test(tlb, load_when_mapping_changed_and_flushed_then_new_page)
{
	put64(EDGE + 0x10, 1);
	put64(2 * EDGE + 0x10, 2);
	rig->c->r[X86_RBX] = EDGE + 0x10;
	LOAD_RBX();
	cr_assert_eq(rig->c->r[X86_RAX], 1);
	map(1, 2 * EDGE, PAGE_P | PAGE_W);
	LOAD_RBX();
	cr_assert_eq(rig->c->r[X86_RAX], 2);
}

Test(tlb, store_when_page_is_read_only_then_pf_after_a_load_hit)
{
	rig->c->cr0 |= X86_CR0_WP;
	soft_paging_changed(rig->c, MMU_LOAD_OTHER);
	map(1, EDGE, PAGE_P);
	rig->c->r[X86_RBX] = EDGE;
	cr_assert_eq(LOAD_RBX().end, SOFT_RIG_OK);
	expect_fault(STORE_RBX(), X86_EXC_PF, X86_PF_P | X86_PF_W);
	cr_assert_eq(rig->c->event.cr2, EDGE);
}

Test(tlb, user_when_page_is_supervisors_then_pf_though_supervisor_hits)
{
	struct x86_state st;

	map(1, EDGE, PAGE_P | PAGE_W);
	rig->c->r[X86_RBX] = EDGE;
	cr_assert_eq(LOAD_RBX().end, SOFT_RIG_OK);
	soft_rig_state(rig, X86_MODE_LONG64, 3, &st);
	st.gpr[X86_RBX] = EDGE;
	soft_rig_set(rig, &st);
	expect_fault(LOAD_RBX(), X86_EXC_PF, X86_PF_P | X86_PF_U);
}

Test(tlb, smap_when_ac_changes_then_user_page_follows)
{
	rig->c->cr4 |= X86_CR4_SMAP;
	soft_paging_changed(rig->c, MMU_LOAD_OTHER);
	/* The pages of code and stack are a supervisor's. */
	map(0, 0, PAGE_P | PAGE_W);
	rig->c->r[X86_RBX] = EDGE;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t ac = i & 1 ? X86_RFLAGS_AC : 0;

		soft_set_rflags(rig->c, X86_RFLAGS_FIXED | ac);
		if (ac)
			cr_assert_eq(LOAD_RBX().end, SOFT_RIG_OK);
		else
			expect_fault(LOAD_RBX(), X86_EXC_PF, X86_PF_P);
	}
}

Test(tlb, sys_access_when_user_then_supervisors_rights)
{
	struct x86_state st;

	map(1, EDGE, PAGE_P | PAGE_W);
	soft_rig_state(rig, X86_MODE_LONG64, 3, &st);
	soft_rig_set(rig, &st);
	soft_mode_update(rig->c);
	put64(EDGE, 0x1234);
	cr_assert_eq(soft_load_sys(rig->c, EDGE, 8), 0x1234);
	soft_store_sys(rig->c, EDGE, 2, 0x5678);
	cr_assert_eq(soft_rig_peek(rig, EDGE, 8), 0x5678);
	/* It left nothing behind that the user could use. */
	rig->c->r[X86_RBX] = EDGE;
	expect_fault(LOAD_RBX(), X86_EXC_PF, X86_PF_P | X86_PF_U);
}

Test(tlb, alignment_when_checked_then_ac_for_misaligned_user_data)
{
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_LONG64, 3, &st);
	st.cr0 |= X86_CR0_AM;
	st.rflags |= X86_RFLAGS_AC;
	st.gpr[X86_RBX] = DATA + 1;
	soft_rig_set(rig, &st);
	expect_fault(LOAD_RBX(), X86_EXC_AC, 0);
	expect_fault(STORE_RBX(), X86_EXC_AC, 0);
	expect_fault(ADD_RBX(), X86_EXC_AC, 0);
	rig->c->r[X86_RBX] = DATA + 4;
	cr_assert_eq(LOAD_RBX().end, SOFT_RIG_OK);
	expect_fault(LOAD64_RBX(), X86_EXC_AC, 0);
	soft_set_rflags(rig->c, X86_RFLAGS_FIXED);
	cr_assert_eq(LOAD64_RBX().end, SOFT_RIG_OK);
}

Test(tlb, device_when_accessed_then_width_and_offset_arrive)
{
	rig->c->r[X86_RBX] = DEVICE + 4;
	LOAD_RBX();
	cr_assert_eq(rig->c->r[X86_RAX], 0x77665544);
	cr_assert_eq(device.width, 4);
	cr_assert_eq(device.offset, 4);
	STORE64_RBX();
	cr_assert_eq(device.width, 8);
	cr_assert_eq(device.value, 0x77665544);
	/* Nothing was kept: each access comes here. */
	LOAD_RBX();
	LOAD_RBX();
	cr_assert_eq(device.reads, 3);
}

Test(tlb, device_when_modified_then_read_and_written_once)
{
	rig->c->r[X86_RBX] = DEVICE + 4;
	rig->c->r[X86_RAX] = 1;
	ADD_RBX();
	cr_assert_eq(device.reads, 1);
	cr_assert_eq(device.writes, 1);
	cr_assert_eq(device.value, 0x77665545);
}

Test(tlb, device_when_sixteen_bytes_then_split)
{
	uint8_t bytes[16];

	soft_mode_update(rig->c);
	soft_load_bytes(rig->c, DEVICE, bytes, sizeof(bytes));
	cr_assert_eq(device.reads, 2);
	for (unsigned i = 0; i < 15; i++)
		cr_assert_eq(bytes[i], 0x11 * i);
}

Test(tlb, rom_when_written_then_unchanged)
{
	rig->c->r[X86_RBX] = rig->ram_bytes + 8;
	soft_rig_poke(rig, rig->ram_bytes + 8, "\x55\x66\x77\x88", 4);
	rig->c->r[X86_RAX] = 1;
	cr_assert_eq(STORE_RBX().end, SOFT_RIG_OK);
	cr_assert_eq(ADD_RBX().end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, rig->ram_bytes + 8, 4), 0x88776655);
	LOAD_RBX();
	cr_assert_eq(rig->c->r[X86_RAX], 0x88776655);
}

Test(tlb, load_when_at_4_gib_in_32_bit_mode_then_wraps)
{
	struct x86_state st;

	soft_rig_poke(rig, 0, "\x01\x02", 2);
	soft_rig_state(rig, X86_MODE_PROT32, 0, &st);
	st.gpr[X86_RBX] = 0xfffffffe;
	st.seg[X86_DS].base = 0x1000;
	st.gpr[X86_RBX] = 0xffffeffe;
	soft_rig_set(rig, &st);
	cr_assert_eq(LOAD_RBX().end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x0201ffff);
}

Test(tlb, load_when_64_bit_register_in_32_bit_mode_then_truncated)
{
	struct x86_state st;

	put64(DATA, 0x1122334455667788);
	soft_rig_state(rig, X86_MODE_COMPAT32, 3, &st);
	st.gpr[X86_RBX] = 0xdead00000000 + DATA;
	soft_rig_set(rig, &st);
	cr_assert_eq(LOAD_RBX().end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x55667788);
}

Test(tlb, probe_store_when_page_is_absent_then_raises_else_stores_nothing)
{
	soft_mode_update(rig->c);
	put64(EDGE - 8, 0x1234);
	soft_probe_store(rig->c, EDGE - 8, 4096 + 16);
	cr_assert_eq(soft_rig_peek(rig, EDGE - 8, 8), 0x1234);
	map(1, 0, 0);
	if (setjmp(rig->c->escape) == ESCAPE_NONE) {
		soft_probe_store(rig->c, EDGE - 8, 16);
		cr_assert(false, "nothing was raised");
	}
	cr_assert_eq(rig->c->event.vector, X86_EXC_PF);
	cr_assert_eq(rig->c->event.cr2, EDGE);
}

Test(tlb, banks_when_more_roots_than_banks_then_each_sees_its_own)
{
	/* Twelve address spaces that differ in page 1: copies of the three lower tables. */
	gpa_t old = rig->c->cr3, at = 0x100000;

	for (unsigned n = 0; n < 12; n++) {
		uint8_t page[0x3000];
		gpa_t base = at + n * sizeof(page);

		mem_peek(rig->mem, old, page, sizeof(page));
		le64_put(page, (base + 0x1000) | 7);
		le64_put(page + 0x1000, (base + 0x2000) | 7);
		le64_put(page + 0x2008, (n & 1 ? EDGE : 2 * EDGE) | 0x87);
		soft_rig_poke(rig, base, page, sizeof(page));
	}
	put64(EDGE, 1);
	put64(2 * EDGE, 2);
	rig->c->r[X86_RBX] = EDGE;
	for (unsigned i = 0; i < 36; i++) {
		rig->c->cr3 = at + i % 12 * 0x3000;
		soft_paging_changed(rig->c, MMU_LOAD_CR3);
		cr_assert_eq(LOAD_RBX().end, SOFT_RIG_OK);
		cr_assert_eq(rig->c->r[X86_RAX], i & 1 ? 1 : 2);
	}
}

/* Number of pages by what they let through, and their root. */
struct seen {
	unsigned by_can[8];
	uint64_t root;
};

static void count_page(void *arg, const struct mmu_tlb_page *page)
{
	struct seen *seen = arg;

	cr_assert_eq(page->vcpu, 0);
	cr_assert_eq(page->access, 0);
	cr_assert_eq(page->host, mem_ptr(rig->mem, page->gva, UMBRA_PAGE_SIZE));
	seen->by_can[page->can]++;
	seen->root = page->root;
}

static struct seen look(void)
{
	struct seen seen = {.root = 0};

	soft_tlb_each(rig->c, count_page, &seen);
	return seen;
}

Test(tlb, each_when_pages_are_held_then_all_are_named_until_forgotten)
{
	uint64_t root = mmu_root_id(rig->c->vm->mmu, 0);
	struct seen seen;

	soft_tlb_forget_all(rig->c);
	rig->c->r[X86_RBX] = EDGE;
	STORE_RBX();
	seen = look();
	cr_assert_eq(seen.by_can[MMU_CAN_READ | MMU_CAN_WRITE], 1);
	cr_assert_eq(seen.by_can[MMU_CAN_FETCH], 1);
	cr_assert_eq(seen.root, root);
	/* The root is not loaded any more: what is held may count again. */
	rig->c->cr0 ^= X86_CR0_WP;
	soft_paging_changed(rig->c, MMU_LOAD_OTHER);
	seen = look();
	cr_assert_eq(seen.by_can[MMU_CAN_READ | MMU_CAN_WRITE], 1);
	cr_assert_eq(seen.root, root);
	soft_tlb_forget(&rig->vm->soft, EDGE >> 12 & 511);
	cr_assert_eq(look().by_can[MMU_CAN_READ | MMU_CAN_WRITE], 0);
	soft_tlb_forget(&rig->vm->soft, SOFT_RIG_CODE >> 12 & 511);
	cr_assert_eq(look().by_can[MMU_CAN_FETCH], 0);
}
