/* Stores to frames in use as page tables: each form that an instruction's store can take comes to
 * the shadow at once, whatever part of an entry it writes and however it crosses a page's end.
 *
 * Two tables lie next to each other, and map two stretches of 2 MiB; each form writes to an entry
 * of the first, or over its end into the second. */
#include "soft_rig.h"

#include "src/accel/soft/access.h"
#include "umbra/record.h"

#include <criterion/criterion.h>

#define TABLE	0x100000u /* of BASE and up; the one behind it of BASE + STRETCH */
#define BASE	0x40000000u
#define STRETCH 0x200000u
#define SOURCE	SOFT_RIG_DATA
#define OLD	0x21027ull /* entries */
#define NEW	0x22027ull

#define ENTRY 64u /* the entry that is written, so that forms of 512 bytes have room */

/* Where the form's RDI points to. */
enum place { AT_ENTRY, ACROSS_THE_END };

struct form {
	const char *name;
	uint8_t code[12];
	uint64_t rax, rcx, rdx, rbx; /* RSI points to NEW, RSP behind the entry */
	int64_t rdi;		     /* to be added to where it points */
	bool is_any_value;	     /* what it writes is no entry that could be followed */
	uint8_t before[4];	     /* an instruction to execute first */
	uint8_t before_len, len;
};

#define CODE(...)   .code = {__VA_ARGS__}, .len = sizeof((const uint8_t[]){__VA_ARGS__})
#define BEFORE(...) .before = {__VA_ARGS__}, .before_len = sizeof((const uint8_t[]){__VA_ARGS__})

/* General registers: all 64-bit code, CPL 0. */
static const struct form FORMS[] = {
	{"mov 8", CODE(0x88, 0x07), .rax = 0x20, .rdi = 1},
	{"mov 16", CODE(0x66, 0x89, 0x07), .rax = 0x2027},
	{"mov 32", CODE(0x89, 0x07), .rax = NEW},
	{"mov 64", CODE(0x48, 0x89, 0x07), .rax = NEW},
	{"mov imm", CODE(0x48, 0xc7, 0x07, 0x27, 0x20, 0x02, 0x00)},
	{"movnti", CODE(0x48, 0x0f, 0xc3, 0x07), .rax = NEW},
	{"add", CODE(0x48, 0x01, 0x07), .rax = NEW - OLD},
	{"xor", CODE(0x48, 0x31, 0x07), .rax = NEW ^ OLD},
	{"inc", CODE(0xfe, 0x07), .rdi = 3, .is_any_value = true},
	{"not", CODE(0x48, 0xf7, 0x17), .is_any_value = true},
	{"shl", CODE(0x48, 0xd1, 0x27), .is_any_value = true},
	{"shld", CODE(0x48, 0x0f, 0xa4, 0x07, 0x04), .is_any_value = true},
	{"setcc", CODE(0x0f, 0x93, 0x07), .is_any_value = true},
	{"bts", CODE(0x48, 0x0f, 0xab, 0x0f), .rcx = 64 + 40, .rdi = -8, .is_any_value = true},
	{"btc imm", CODE(0x48, 0x0f, 0xba, 0x3f, 0x28), .is_any_value = true},
	{"xchg", CODE(0x48, 0x87, 0x07), .rax = NEW},
	{"lock xadd", CODE(0xf0, 0x48, 0x0f, 0xc1, 0x07), .rax = NEW - OLD},
	{"lock add", CODE(0xf0, 0x48, 0x01, 0x07), .rax = NEW - OLD},
	{"lock bts", CODE(0xf0, 0x48, 0x0f, 0xba, 0x2f, 0x28), .is_any_value = true},
	{"lock not", CODE(0xf0, 0x48, 0xf7, 0x17), .is_any_value = true},
	{"cmpxchg", CODE(0x48, 0x0f, 0xb1, 0x0f), .rax = OLD, .rcx = NEW},
	{"lock cmpxchg", CODE(0xf0, 0x48, 0x0f, 0xb1, 0x0f), .rax = OLD, .rcx = NEW},
	{"lock cmpxchg 32", CODE(0xf0, 0x0f, 0xb1, 0x0f), .rax = OLD, .rcx = NEW},
	{"lock cmpxchg8b", CODE(0xf0, 0x0f, 0xc7, 0x0f), .rax = OLD, .rbx = NEW},
	{"push", CODE(0x50), .rax = NEW},
	{"push mem", CODE(0xff, 0x36)},
	{"pop mem", CODE(0x8f, 0x07), BEFORE(0x48, 0x89, 0xf4)},
	{"pushf", CODE(0x9c), .is_any_value = true},
	{"call", CODE(0xe8, 0, 0, 0, 0), .is_any_value = true},
	{"enter", CODE(0xc8, 0, 0, 0), .is_any_value = true},
	{"stos", CODE(0x48, 0xab), .rax = NEW},
	{"rep stos", CODE(0xf3, 0x48, 0xab), .rax = NEW, .rcx = 1},
	{"rep stos 8", CODE(0xf3, 0xaa), .rax = 0x17, .rcx = 8, .is_any_value = true},
	{"movs", CODE(0x48, 0xa5)},
	{"rep movs", CODE(0xf3, 0x48, 0xa5), .rcx = 1},
	{"rep movs 8", CODE(0xf3, 0xa4), .rcx = 8},
	{"fist", CODE(0xdf, 0x3f), BEFORE(0xdf, 0x2e)},
	{"fst", CODE(0xdd, 0x1f), BEFORE(0xdd, 0x06)},
	{"fst 80", CODE(0xdb, 0x3f), BEFORE(0xdf, 0x2e), .is_any_value = true},
	{"fbstp", CODE(0xdf, 0x37), BEFORE(0xdf, 0x2e), .is_any_value = true},
	{"fnstcw", CODE(0xd9, 0x3f), .is_any_value = true},
	{"fnstsw", CODE(0xdd, 0x3f), .is_any_value = true},
	{"fnstenv", CODE(0xd9, 0x37), .is_any_value = true},
	{"fnsave", CODE(0xdd, 0x37), .is_any_value = true},
	{"movq mm", CODE(0x0f, 0x7f, 0x07), BEFORE(0x0f, 0x6f, 0x06)},
	{"movntq", CODE(0x0f, 0xe7, 0x07), BEFORE(0x0f, 0x6f, 0x06)},
	{"movd", CODE(0x66, 0x0f, 0x7e, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movq", CODE(0x66, 0x0f, 0xd6, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movss", CODE(0xf3, 0x0f, 0x11, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movsd", CODE(0xf2, 0x0f, 0x11, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movlps", CODE(0x0f, 0x13, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movhps", CODE(0x0f, 0x17, 0x07), BEFORE(0x0f, 0x16, 0x06)},
	{"movdqu", CODE(0xf3, 0x0f, 0x7f, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movups", CODE(0x0f, 0x11, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"pextrq", CODE(0x66, 0x48, 0x0f, 0x3a, 0x16, 0x07, 0), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"stmxcsr", CODE(0x0f, 0xae, 0x1f), .is_any_value = true},
	{"sgdt", CODE(0x0f, 0x01, 0x07), .is_any_value = true},
	{"sidt", CODE(0x0f, 0x01, 0x0f), .is_any_value = true},
	{"sldt", CODE(0x0f, 0x00, 0x07), .is_any_value = true},
	{"str", CODE(0x0f, 0x00, 0x0f), .is_any_value = true},
	{"smsw", CODE(0x0f, 0x01, 0x27), .is_any_value = true},
	{"mov sreg", CODE(0x8c, 0x1f), .is_any_value = true},
};

/* Those that must lie on 16 bytes. */
static const struct form ALIGNED_FORMS[] = {
	{"movaps", CODE(0x0f, 0x29, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movdqa", CODE(0x66, 0x0f, 0x7f, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movntdq", CODE(0x66, 0x0f, 0xe7, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"lock cmpxchg16b", CODE(0xf0, 0x48, 0x0f, 0xc7, 0x0f), .rax = OLD, .rbx = NEW},
	{"fxsave", CODE(0x0f, 0xae, 0x07), .is_any_value = true},
};

#define HLT 0xf4

static struct soft_rig *rig;
static struct gate *gate;

static void put64(gpa_t gpa, uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	soft_rig_poke(rig, gpa, bytes, sizeof(bytes));
}

static void create(bool is_parallel)
{
	struct accel_vm_config config = {.vcpus = 2, .is_parallel = is_parallel};
	uint8_t none[2 * UMBRA_PAGE_SIZE] = {0};
	gpa_t directory;

	cr_assert_eq(gate_create(&gate, NULL), 0);
	config.gate = gate;
	rig = soft_rig_create_with(8, &config);
	soft_rig_poke(rig, TABLE, none, sizeof(none));
	directory = rig->c->cr3 + 0x2000 + BASE / 0x40000000 * UMBRA_PAGE_SIZE;
	put64(directory, TABLE | 7);
	put64(directory + 8, (TABLE + UMBRA_PAGE_SIZE) | 7);
}

static void destroy(void)
{
	soft_rig_destroy(rig);
	gate_destroy(gate);
}

static void set_up(void)
{
	create(false);
}

static void set_up_parallel(void)
{
	create(true);
}

TestSuite(table_write, .init = set_up, .fini = destroy);
TestSuite(table_write_parallel, .init = set_up_parallel, .fini = destroy);

static gpa_t frame_at(gva_t gva)
{
	struct mmu_page page;
	struct mmu_fault fault;

	return mmu_translate(rig->c->vm->mmu, 0, gva, 0, &page, &fault) == 0 ? page.gpa : 0;
}

static void collect(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	cr_log_error("%.*s", (int)len, text);
}

static unsigned findings(void)
{
	const struct print_sink sink = {.text = collect};

	return mmu_verify(rig->c->vm->mmu, &sink);
}

static void run(const uint8_t *code, size_t len, const char *name)
{
	uint8_t bytes[16];

	memcpy(bytes, code, len);
	bytes[len] = HLT;
	soft_rig_code(rig, bytes, len + 1);
	cr_assert_eq(soft_rig_run(rig, 64).end, SOFT_RIG_HALTED, "%s", name);
}

static void execute(const struct form *form, gva_t rdi)
{
	struct soft_cpu *c = rig->c;

	soft_rig_mode(rig, X86_MODE_LONG64, 0);
	c->r[X86_RSI] = SOURCE;
	c->r[X86_RDI] = rdi + (uint64_t)form->rdi;
	if (form->before_len) {
		run(form->before, form->before_len, form->name);
	} else {
		c->r[X86_RSP] = rdi + 8;
	}
	c->r[X86_RAX] = form->rax;
	c->r[X86_RCX] = form->rcx;
	c->r[X86_RDX] = form->rdx;
	c->r[X86_RBX] = form->rbx;
	run(form->code, form->len, form->name);
}

static uint64_t table_writes(void)
{
	struct mmu_stats stats;

	mmu_stats(rig->c->vm->mmu, &stats);
	return stats.table_writes;
}

/* The entry at @entry maps @gva. */
static void try_form(const struct form *form, gpa_t entry, gva_t gva)
{
	uint64_t writes;

	put64(entry, OLD);
	put64(entry + 8, 0);
	put64(SOURCE, NEW);
	put64(SOURCE + 8, 0);
	cr_assert_eq(frame_at(gva), OLD & UMBRA_PAGE_MASK, "%s", form->name);
	writes = table_writes();
	execute(form, entry);
	cr_assert_gt(table_writes(), writes, "%s", form->name);
	cr_assert_eq(findings(), 0, "%s", form->name);
	if (!form->is_any_value)
		cr_assert_eq(frame_at(gva), NEW & UMBRA_PAGE_MASK, "%s", form->name);
	cr_assert_eq(findings(), 0, "%s", form->name);
}

static void try_all(const struct form *forms, size_t count)
{
	for (size_t i = 0; i < count; i++)
		try_form(&forms[i], TABLE + ENTRY * 8, BASE + ENTRY * UMBRA_PAGE_SIZE);
}

Test(table_write, store_when_any_form_then_the_shadow_follows)
{
	try_all(FORMS, UMBRA_ARRAY_SIZE(FORMS));
	try_all(ALIGNED_FORMS, UMBRA_ARRAY_SIZE(ALIGNED_FORMS));
}

Test(table_write_parallel, store_when_any_form_then_the_shadow_follows)
{
	try_all(FORMS, UMBRA_ARRAY_SIZE(FORMS));
	try_all(ALIGNED_FORMS, UMBRA_ARRAY_SIZE(ALIGNED_FORMS));
}

/* The low half of the second table's first entry, and the high half of the first one's last. */
static void try_crossing(const struct form *form)
{
	const gpa_t end = TABLE + UMBRA_PAGE_SIZE;
	uint64_t writes;

	put64(end - 8, OLD);
	put64(end, OLD);
	put64(SOURCE, NEW << 32 | 0x80000000);
	cr_assert_eq(frame_at(BASE + STRETCH - UMBRA_PAGE_SIZE), OLD & UMBRA_PAGE_MASK);
	cr_assert_eq(frame_at(BASE + STRETCH), OLD & UMBRA_PAGE_MASK);
	writes = table_writes();
	execute(form, end - 4);
	cr_assert_geq(table_writes(), writes + 2, "%s", form->name);
	cr_assert_eq(findings(), 0, "%s", form->name);
	if (form->is_any_value)
		return;
	cr_assert_eq(soft_rig_peek(rig, end - 8, 8), OLD | 1ull << 63, "%s", form->name);
	cr_assert_eq(frame_at(BASE + STRETCH - UMBRA_PAGE_SIZE), 0, "%s", form->name);
	cr_assert_eq(frame_at(BASE + STRETCH), NEW & UMBRA_PAGE_MASK, "%s", form->name);
}

#define HALVES	   (NEW << 32 | 0x80000000)
#define OLD_HALVES (OLD << 32)

/* EFER.NXE is clear, so that bit 63 makes the first entry fault. */
static const struct form CROSSING_FORMS[] = {
	{"mov 64", CODE(0x48, 0x89, 0x07), .rax = HALVES},
	{"add", CODE(0x48, 0x01, 0x07), .rax = HALVES - OLD_HALVES},
	{"xchg", CODE(0x48, 0x87, 0x07), .rax = HALVES},
	{"lock xadd", CODE(0xf0, 0x48, 0x0f, 0xc1, 0x07), .rax = HALVES - OLD_HALVES},
	{"lock cmpxchg", CODE(0xf0, 0x48, 0x0f, 0xb1, 0x0f), .rax = OLD_HALVES, .rcx = HALVES},
	{"lock cmpxchg8b", CODE(0xf0, 0x0f, 0xc7, 0x0f), .rdx = OLD, .rbx = 0x80000000, .rcx = NEW},
	{"push", CODE(0x50), .rax = HALVES},
	{"stos", CODE(0x48, 0xab), .rax = HALVES},
	{"movs", CODE(0x48, 0xa5)},
	{"rep movs", CODE(0xf3, 0x48, 0xa5), .rcx = 1},
	{"movq mm", CODE(0x0f, 0x7f, 0x07), BEFORE(0x0f, 0x6f, 0x06)},
	{"movq", CODE(0x66, 0x0f, 0xd6, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"movdqu", CODE(0xf3, 0x0f, 0x7f, 0x07), BEFORE(0xf3, 0x0f, 0x7e, 0x06)},
	{"fst", CODE(0xdd, 0x1f), BEFORE(0xdd, 0x06)},
	{"fst 80", CODE(0xdb, 0x3f), BEFORE(0xdf, 0x2e), .is_any_value = true},
	{"fnstenv", CODE(0xd9, 0x37), .is_any_value = true},
	{"sgdt", CODE(0x0f, 0x01, 0x07), .is_any_value = true},
};

Test(table_write, store_when_crossing_two_tables_then_each_half_is_followed)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(CROSSING_FORMS); i++)
		try_crossing(&CROSSING_FORMS[i]);
}

Test(table_write_parallel, store_when_crossing_two_tables_then_each_half_is_followed)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(CROSSING_FORMS); i++)
		try_crossing(&CROSSING_FORMS[i]);
}

/* vCPUs at once: a store whose first page makes the vCPU pass a safe point, as a call of the mmu
 * does.  There another vCPU makes a table of the second page, after this one has looked at both:
 * the store must be seen nevertheless. */

#define DEVICE	     0xe0000000u
#define SECOND	     0x300000u /* page behind the device */
#define DEVICE_INDEX 10u

static void use_as_table(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct mmu_page page;
	struct mmu_fault fault;

	(void)state;
	(void)offset;
	(void)width;
	(void)value;
	soft_safe(rig->c);
	mmu_translate(rig->c->vm->mmu, 1, BASE + STRETCH, 0, &page, &fault);
	soft_unsafe(rig->c);
}

static void map_device_in_front(void)
{
	static const struct dev_ops ops = {
		.name = "other", .widths = 1 | 2 | 4 | 8, .write = use_as_table};
	struct umbra_err err = {0};

	cr_assert_eq(
		bus_map(bus_add_device(rig->bus, &ops, NULL), BUS_MMIO, DEVICE, 0x1000, 0, &err),
		0);
	put64(TABLE + DEVICE_INDEX * 8, DEVICE | 7);
	put64(TABLE + DEVICE_INDEX * 8 + 8, SECOND | 7);
	put64(rig->c->cr3 + 0x3008, SECOND | 7);
	put64(SECOND, OLD);
}

Test(table_write_parallel, store_when_its_second_page_becomes_a_table_meanwhile_then_followed)
{
	const gva_t second = BASE + (DEVICE_INDEX + 1) * UMBRA_PAGE_SIZE;
	struct soft_cpu *c = rig->c;
	const struct x86_paging regs = {
		.cr0 = c->cr0, .cr3 = c->cr3, .cr4 = c->cr4, .efer = c->efer, .phys_bits = 40};

	map_device_in_front();
	mmu_set_regs(c->vm->mmu, 1, &regs, MMU_LOAD_CR3);
	cr_assert_eq(frame_at(second), SECOND);
	cr_assert_not(mmu_is_table(c->vm->mmu, SECOND));
	c->r[X86_RDI] = second - 4;
	c->r[X86_RAX] = NEW << 32;
	SOFT_RIG_CODE_BYTES(rig, 0x48, 0x89, 0x07);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert(mmu_is_table(c->vm->mmu, SECOND));
	cr_assert_eq(frame_at(BASE + STRETCH), NEW & UMBRA_PAGE_MASK);
	cr_assert_eq(findings(), 0);
}

/* The store's first page is made a table by the walk for its second one. */
Test(table_write, store_when_its_second_walk_makes_a_table_of_its_first_page_then_followed)
{
	struct soft_cpu *c = rig->c;
	uint64_t writes;

	put64(TABLE + UMBRA_PAGE_SIZE - 8, SECOND | 7);
	put64(c->cr3 + 0x3008, SECOND | 7);
	put64(SECOND, OLD);
	cr_assert_eq(frame_at(BASE + STRETCH - UMBRA_PAGE_SIZE), SECOND);
	cr_assert_not(mmu_is_table(c->vm->mmu, SECOND));
	writes = table_writes();
	c->r[X86_RDI] = BASE + STRETCH - 4;
	SOFT_RIG_CODE_BYTES(rig, 0x48, 0x89, 0x07);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(table_writes(), writes + 1);
	cr_assert_eq(findings(), 0);
}
