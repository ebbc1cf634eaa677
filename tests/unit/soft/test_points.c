/* The debugger's watch points: which accesses meet them, through which mappings, and what is told
 * of them. */
#include "seg_world.h"
#include "src/accel/soft/run.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define DATA   SOFT_RIG_DATA
#define ALIAS  0x40000000u /* the second GiB shows the first one again */
#define LARGE  0x87u	   /* present, writable, user, large page */
#define TABLES 0x10000u	   /* of the rig, at the end of RAM */
#define RAM    4u

static struct soft_rig *rig;

static void set_up(void)
{
	uint8_t entry[8];

	rig = soft_rig_create(RAM);
	/* The rig's tables: a PML4, a PDPT, then a directory for each GiB. */
	le64_put(entry, LARGE);
	soft_rig_poke(rig, (RAM << 20) - TABLES + 0x3000, entry, sizeof(entry));
	accel_soft.mmu_flush(rig->vm);
}

static void tear_down(void)
{
	soft_rig_destroy(rig);
}

TestSuite(points, .init = set_up, .fini = tear_down);

static void watch(const struct accel_point *point, unsigned count)
{
	const struct accel_debug debug = {.point = point, .point_count = count};

	cr_assert(eq(int, accel_soft.debug_set(rig->vcpu, &debug), 0));
}

/* Run @code with RBX = @rbx until a point is met or it halts: returns the exit, with the kind
 * KICKED when it halted. */
static struct accel_exit run(uint64_t rbx, const void *code, size_t len)
{
	struct accel_exit out;

	soft_rig_code(rig, code, len);
	rig->c->r[X86_RBX] = rbx;
	rig->c->r[X86_RAX] = 0x1122334455667788;
	rig->c->activity = X86_ACTIVE;
	soft_run(rig->c, &out);
	return out;
}
#define RUN(rbx, ...)                                                                              \
	run((rbx), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define STORE_32 0x89, 0x03	  /* mov [rbx], eax */
#define LOAD_32	 0x8b, 0x03	  /* mov eax, [rbx] */
#define ADD_8	 0x80, 0x03, 0x01 /* add byte [rbx], 1 */

static void expect_hit(const struct accel_exit *out, unsigned index, uint64_t rip, const char *what)
{
	cr_expect(eq(int, (int)out->kind, (int)ACCEL_EXIT_DEBUG), "%s", what);
	cr_expect(eq(u32, out->debug, ACCEL_DEBUG_POINT), "%s", what);
	cr_expect(eq(u32, out->hit_count, 1), "%s", what);
	cr_expect(eq(u32, out->hit[0], index), "%s", what);
	cr_expect(eq(u64, out->rip, rip), "%s", what);
}

/* The step behind @code ends without a hit. */
static void expect_none(uint64_t rbx, const void *code, size_t len, const struct accel_point *point,
			const char *what)
{
	const struct accel_debug debug = {.step = true, .point = point, .point_count = 1};
	struct accel_exit out;

	cr_assert(eq(int, accel_soft.debug_set(rig->vcpu, &debug), 0));
	out = run(rbx, code, len);
	cr_expect(eq(u32, out.debug, ACCEL_DEBUG_STEP), "%s", what);
	cr_expect(eq(u32, out.hit_count, 0), "%s", what);
}
#define EXPECT_NONE(rbx, point, what, ...)                                                         \
	expect_none((rbx), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), \
		    (point), (what))

Test(points, watch_when_each_kind_and_access_then_met_or_not)
{
	static const struct accel_point write = {.kind = ACCEL_POINT_WRITE, .addr = DATA, .len = 4};
	static const struct accel_point read = {.kind = ACCEL_POINT_READ, .addr = DATA, .len = 4};
	static const struct accel_point both = {.kind = ACCEL_POINT_ACCESS, .addr = DATA, .len = 4};
	struct accel_exit out;

	watch(&write, 1);
	out = RUN(DATA, STORE_32);
	expect_hit(&out, 0, SOFT_RIG_CODE + 2, "write");
	out = RUN(DATA + 3, ADD_8);
	expect_hit(&out, 0, SOFT_RIG_CODE + 3, "modify");
	EXPECT_NONE(DATA, &write, "load under a write point", LOAD_32);
	EXPECT_NONE(DATA + 4, &write, "store behind", STORE_32);
	EXPECT_NONE(DATA - 4, &write, "store in front", STORE_32);
	watch(&read, 1);
	out = RUN(DATA, LOAD_32);
	expect_hit(&out, 0, SOFT_RIG_CODE + 2, "read");
	EXPECT_NONE(DATA, &read, "store under a read point", STORE_32);
	watch(&both, 1);
	out = RUN(DATA, LOAD_32);
	expect_hit(&out, 0, SOFT_RIG_CODE + 2, "access: load");
	out = RUN(DATA, STORE_32);
	expect_hit(&out, 0, SOFT_RIG_CODE + 2, "access: store");
}

Test(points, watch_when_met_then_both_values_are_told)
{
	static const struct accel_point write = {.kind = ACCEL_POINT_WRITE, .addr = DATA, .len = 8};
	struct accel_exit out;

	soft_rig_poke(rig, DATA, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
	watch(&write, 1);
	out = RUN(DATA + 2, STORE_32);
	cr_expect(out.has_values);
	cr_expect(eq(u64, out.old_value, 0x0807060504030201));
	cr_expect(eq(u64, out.new_value, 0x0807556677880201));
}

Test(points, watch_when_physical_then_met_through_every_mapping)
{
	static const struct accel_point point[] = {
		{.kind = ACCEL_POINT_WRITE, .addr = DATA + 0x1000, .len = 1},
		{.kind = ACCEL_POINT_WRITE, .addr = DATA, .len = 4, .is_physical = true},
	};
	struct accel_exit out;

	/* Both pages are in the micro-TLB before. */
	watch(NULL, 0);
	for (unsigned i = 0; i < 2; i++) {
		rig->c->r[X86_RBX] = i ? ALIAS + DATA : DATA;
		SOFT_RIG_CODE_BYTES(rig, STORE_32);
		cr_assert(eq(int, (int)soft_rig_step(rig).end, (int)SOFT_RIG_OK));
	}
	soft_rig_poke(rig, DATA, "\x01\x02\x03\x04", 4);
	watch(point, 2);
	out = RUN(DATA, STORE_32);
	expect_hit(&out, 1, SOFT_RIG_CODE + 2, "identity");
	cr_expect(eq(u64, out.old_value, 0x04030201));
	out = RUN(ALIAS + DATA + 2, ADD_8);
	expect_hit(&out, 1, SOFT_RIG_CODE + 3, "alias");
	cr_expect(eq(u64, out.old_value, 0x55667788));
	cr_expect(eq(u64, out.new_value, 0x55677788));
	EXPECT_NONE(ALIAS + DATA + 4, &point[1], "beside", ADD_8);
}

/* A linear one is not. */
Test(points, watch_when_linear_then_not_met_through_an_alias)
{
	static const struct accel_point write = {.kind = ACCEL_POINT_WRITE, .addr = DATA, .len = 4};

	EXPECT_NONE(ALIAS + DATA, &write, "alias", STORE_32);
}

Test(points, watch_when_physical_beyond_its_linear_namesake_then_not_met)
{
	static const struct accel_point point = {
		.kind = ACCEL_POINT_WRITE, .addr = ALIAS + DATA, .len = 4, .is_physical = true};

	EXPECT_NONE(ALIAS + DATA, &point, "no memory is there", STORE_32);
}

/* Execution, by what lies in memory: inc eax, three times. */

#define INC_EAX	 0xff, 0xc0
#define CODE_END 6

/* From @rip on until a point is met or the three are done, which is told as a step. */
static struct accel_exit run_from(uint64_t rip, const struct accel_point *point, unsigned count,
				  bool passes)
{
	uint64_t start = rip & UMBRA_PAGE_MASK;
	const struct accel_debug debug = {.point = point,
					  .point_count = count,
					  .pass_exec = passes,
					  .step = true,
					  .range_start = start,
					  .range_end = start + CODE_END};
	struct accel_exit out;

	cr_assert(eq(int, accel_soft.debug_set(rig->vcpu, &debug), 0));
	rig->c->rip = rip;
	soft_run(rig->c, &out);
	return out;
}

static void expect_exec(const struct accel_exit *out, uint64_t rip, uint64_t rax, const char *what)
{
	expect_hit(out, 0, rip, what);
	cr_expect(eq(u64, out->pc, rip), "%s", what);
	cr_expect(eq(u64, rig->c->r[X86_RAX], rax), "%s", what);
	cr_expect(not(out->has_values), "%s", what);
}

static void expect_end(const struct accel_exit *out, uint64_t rax, const char *what)
{
	cr_expect(eq(u32, out->debug, ACCEL_DEBUG_STEP), "%s", what);
	cr_expect(eq(u64, out->rip % UMBRA_PAGE_SIZE, CODE_END), "%s", what);
	cr_expect(eq(u64, rig->c->r[X86_RAX], rax), "%s", what);
}

/* Asks the vCPU to leave run() whenever the guest writes to it. */
static void request(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	(void)state, (void)offset, (void)width, (void)value;
	atomic_store(&rig->req, 1);
	accel_soft.kick(rig->vcpu);
}

static const struct dev_ops REQUEST = {.name = "request", .widths = 1, .write = request};

static struct accel_exit run_on(bool passes)
{
	static const struct accel_point point = {
		.kind = ACCEL_POINT_EXEC, .addr = SOFT_RIG_CODE + 2, .len = 1};
	const struct accel_debug debug = {.point = &point, .point_count = 1, .pass_exec = passes};
	struct accel_exit out;

	cr_assert(eq(int, accel_soft.debug_set(rig->vcpu, &debug), 0));
	accel_soft.run(rig->vcpu, &out);
	return out;
}

/* A run that a request ends at the point again has been round: where it stands does not tell. */
Test(points, pass_when_the_run_ends_at_the_point_again_then_is_used_up)
{
	struct device *dev = bus_add_device(rig->bus, &REQUEST, rig);
	struct accel_exit out;

	cr_assert(eq(int, bus_map(dev, BUS_PIO, 0x80, 1, 0, NULL), 0));
	/* out 0x80, al, where the vCPU looks up; jmp back: the point */
	SOFT_RIG_CODE_BYTES(rig, 0xe6, 0x80, 0xeb, 0xfc);
	rig->c->rip = SOFT_RIG_CODE + 2;
	out = run_on(false);
	expect_exec(&out, SOFT_RIG_CODE + 2, rig->c->r[X86_RAX], "met");
	atomic_store(&rig->req, 1);
	out = run_on(true);
	cr_expect(eq(int, (int)out.kind, (int)ACCEL_EXIT_KICKED));
	cr_expect(out.has_pass_left, "nothing ran");
	for (int rounds = 0; rounds < 3; rounds++) {
		atomic_store(&rig->req, 0);
		out = run_on(false);
		cr_expect(eq(int, (int)out.kind, (int)ACCEL_EXIT_KICKED));
		cr_expect(eq(u64, out.pc, SOFT_RIG_CODE + 2), "round once");
		cr_expect(not(out.has_pass_left), "it was passed");
		atomic_store(&rig->req, 0);
		out = run_on(false);
		expect_exec(&out, SOFT_RIG_CODE + 2, rig->c->r[X86_RAX], "met again");
		atomic_store(&rig->req, 1);
		out = run_on(true);
	}
}

Test(points, exec_when_physical_then_met_in_front_through_every_mapping)
{
	static const struct accel_point point = {
		.kind = ACCEL_POINT_EXEC, .addr = SOFT_RIG_CODE + 2, .len = 1, .is_physical = true};
	struct accel_exit out;

	SOFT_RIG_CODE_BYTES(rig, INC_EAX, INC_EAX, INC_EAX);
	rig->c->r[X86_RAX] = 0;
	/* Its blocks are there before the point is. */
	out = run_from(SOFT_RIG_CODE, NULL, 0, false);
	expect_end(&out, 3, "no point");
	out = run_from(ALIAS + SOFT_RIG_CODE, NULL, 0, false);
	expect_end(&out, 6, "no point, alias");
	out = run_from(SOFT_RIG_CODE, &point, 1, false);
	expect_exec(&out, SOFT_RIG_CODE + 2, 7, "identity");
	out = run_from(ALIAS + SOFT_RIG_CODE, &point, 1, false);
	expect_exec(&out, ALIAS + SOFT_RIG_CODE + 2, 8, "alias");
	out = run_from(ALIAS + SOFT_RIG_CODE + 2, &point, 1, true);
	expect_end(&out, 10, "told once, then passed");
	out = run_from(SOFT_RIG_CODE, NULL, 0, false);
	expect_end(&out, 13, "it is gone");
}

/* Without a step the blocks are of many instructions. */
Test(points, exec_when_blocks_run_then_cut_where_the_point_is)
{
	static const struct accel_point point = {
		.kind = ACCEL_POINT_EXEC, .addr = SOFT_RIG_CODE + 4, .len = 1, .is_physical = true};
	struct accel_exit out;

	SOFT_RIG_CODE_BYTES(rig, INC_EAX, INC_EAX, INC_EAX);
	rig->c->r[X86_RAX] = 0;
	out = run_from(SOFT_RIG_CODE, NULL, 0, false);
	watch(&point, 1);
	rig->c->rip = SOFT_RIG_CODE;
	soft_run(rig->c, &out);
	expect_exec(&out, SOFT_RIG_CODE + 4, 5, "in the middle of a block");
}

Test(points, exec_when_a_range_then_each_instruction_that_begins_there)
{
	static const struct accel_point point = {
		.kind = ACCEL_POINT_EXEC, .addr = SOFT_RIG_CODE + 1, .len = 4, .is_physical = true};
	struct accel_exit out;

	SOFT_RIG_CODE_BYTES(rig, INC_EAX, INC_EAX, INC_EAX);
	rig->c->r[X86_RAX] = 0;
	out = run_from(SOFT_RIG_CODE, &point, 1, false);
	expect_exec(&out, SOFT_RIG_CODE + 2, 1, "its first byte counts");
	out = run_from(SOFT_RIG_CODE + 2, &point, 1, true);
	expect_exec(&out, SOFT_RIG_CODE + 4, 2, "the last byte of the range");
	out = run_from(SOFT_RIG_CODE + 4, &point, 1, true);
	expect_end(&out, 3, "behind it");
}

/* gdb wants to hear of its own. */
Test(points, exec_when_linear_and_physical_then_the_linear_one_is_told)
{
	static const struct accel_point point[] = {
		{.kind = ACCEL_POINT_EXEC, .addr = SOFT_RIG_CODE, .len = 1, .is_physical = true},
		{.kind = ACCEL_POINT_EXEC, .addr = SOFT_RIG_CODE, .len = 1},
	};
	struct accel_exit out;

	SOFT_RIG_CODE_BYTES(rig, INC_EAX, INC_EAX, INC_EAX);
	out = run_from(SOFT_RIG_CODE, point, 2, false);
	expect_hit(&out, 1, SOFT_RIG_CODE, "at the same place");
}

/* What an event pushes is met behind its delivery, not at some later access. */
Test(points, watch_when_the_frame_of_an_exception_meets_it_then_told_at_the_handler)
{
	static const uint8_t handler[] = {0x89, 0x03, 0xeb, 0xfc}; /* 1: mov [ebx], eax; jmp 1b */
	static const uint8_t code[] = {0x0f, 0x0b};		   /* ud2 */
	struct world w = world_open(X86_MODE_PROT32, 0);
	const struct accel_point point[] = {
		{.kind = ACCEL_POINT_WRITE, .addr = SOFT_RIG_STACK - 8, .len = 4},
		{.kind = ACCEL_POINT_WRITE, .addr = SOFT_RIG_DATA, .len = 4},
	};
	const struct accel_debug debug = {.point = point, .point_count = 2};
	struct accel_exit out;

	world_idt(&w, X86_EXC_UD,
		  world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0));
	soft_rig_poke(w.rig, WORLD_HANDLER, handler, sizeof(handler));
	soft_rig_code(w.rig, code, sizeof(code));
	w.c->r[X86_RBX] = SOFT_RIG_DATA;
	world_put(&w, SOFT_RIG_STACK - 8, 4, 0x12345678);
	cr_assert(eq(int, accel_soft.debug_set(w.rig->vcpu, &debug), 0));
	soft_run(w.c, &out);
	expect_hit(&out, 0, WORLD_HANDLER, "the frame");
	cr_expect(eq(u64, out.old_value, 0x12345678));
	cr_expect(eq(u64, out.new_value, SEL_CODE0));
	soft_run(w.c, &out);
	expect_hit(&out, 1, WORLD_HANDLER + 2, "the handler's store");
	world_close(&w);
}
