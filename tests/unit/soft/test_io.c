/* Unit tests of src/accel/soft/exec_io.c: what reaches the bus, who may, and how repeated forms are
 * counted and left. */
#include "soft_rig.h"

#include "src/accel/soft/points.h"

#include <criterion/criterion.h>

#define OK	  (-1)
#define PORT	  0x3f8u
#define TSS	  0x44000u
#define MAX_CALLS 64
#define CODE(...) ((const struct code){{__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})})

struct code {
	uint8_t byte[12];
	size_t len;
};

/* A device over ports that no chip of the back end has, which writes down what it is asked; reads
 * give 0x81828384 and count up. */
struct port_device {
	struct {
		bool is_write;
		uint64_t port;
		unsigned width;
		uint64_t value;
	} call[MAX_CALLS];
	unsigned calls;
	struct soft_cpu *kicked; /* asks this CPU to leave when call number @kick_at comes */
	unsigned kick_at;
};

static struct soft_rig *rig;
static struct port_device device;

static void note(struct port_device *d, bool is_write, uint64_t port, unsigned width,
		 uint64_t value)
{
	cr_assert_lt(d->calls, MAX_CALLS);
	d->call[d->calls].is_write = is_write;
	d->call[d->calls].port = port;
	d->call[d->calls].width = width;
	d->call[d->calls++].value = value;
	if (d->kicked && d->calls == d->kick_at)
		atomic_fetch_or(&d->kicked->pend, PEND_LOOP);
}

static uint64_t device_read(void *state, uint64_t offset, unsigned width)
{
	struct port_device *d = state;

	note(d, false, offset, width, 0);
	return 0x81828384u + d->calls - 1;
}

static void device_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	note(state, true, offset, width, value);
}

static const struct dev_ops PORT_OPS = {
	.name = "ports", .widths = 1 | 2 | 4, .read = device_read, .write = device_write};

static void setup(void)
{
	static const struct {
		uint16_t base, len;
	} range[] = {{0, 0x20}, {0x80, 0x20}, {0xf0, 0x310}};
	struct device *dev;

	rig = soft_rig_create(4);
	device = (struct port_device){0};
	dev = bus_add_device(rig->bus, &PORT_OPS, &device);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(range); i++)
		cr_assert_eq(
			bus_map(dev, BUS_PIO, range[i].base, range[i].len, range[i].base, NULL), 0);
}

static void teardown(void)
{
	soft_rig_destroy(rig);
}

TestSuite(soft_io, .init = setup, .fini = teardown);

static int step(struct code code)
{
	struct soft_rig_result result;

	soft_rig_code(rig, code.byte, code.len);
	result = soft_rig_step(rig);
	if (result.end != SOFT_RIG_EXCEPTION)
		return OK;
	if (result.event.vector == X86_EXC_GP)
		cr_assert(result.event.has_error && result.event.error == 0);
	return result.event.vector;
}

static void assert_call(unsigned i, bool is_write, uint64_t port, unsigned width, uint64_t value)
{
	cr_assert_lt(i, device.calls);
	cr_assert_eq(device.call[i].is_write, is_write, "call %u", i);
	cr_assert_eq(device.call[i].port, port, "call %u", i);
	cr_assert_eq(device.call[i].width, width, "call %u", i);
	cr_assert_eq(device.call[i].value, value, "call %u: %#lx", i, device.call[i].value);
}

/* IN and OUT. */

Test(soft_io, out_when_each_form_then_port_width_and_value)
{
	rig->c->r[X86_RAX] = 0x1122334455667788ull;
	rig->c->r[X86_RDX] = 0xabcd0000 | PORT;
	cr_assert_eq(step(CODE(0xe6, 0xfe)), OK);
	cr_assert_eq(step(CODE(0x66, 0xe7, 0x80)), OK);
	cr_assert_eq(step(CODE(0xe7, 0x80)), OK);
	cr_assert_eq(step(CODE(0xee)), OK);
	cr_assert_eq(step(CODE(0x66, 0xef)), OK);
	cr_assert_eq(step(CODE(0xef)), OK);
	cr_assert_eq(step(CODE(0x48, 0xef)), OK); /* REX.W changes nothing */
	cr_assert_eq(device.calls, 7);
	assert_call(0, true, 0xfe, 1, 0x88);
	assert_call(1, true, 0x80, 2, 0x7788);
	assert_call(2, true, 0x80, 4, 0x55667788);
	assert_call(3, true, PORT, 1, 0x88);
	assert_call(4, true, PORT, 2, 0x7788);
	assert_call(5, true, PORT, 4, 0x55667788);
	assert_call(6, true, PORT, 4, 0x55667788);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE + 2);
}

Test(soft_io, in_when_each_width_then_that_much_of_rax)
{
	rig->c->r[X86_RAX] = 0x1122334455667788ull;
	rig->c->r[X86_RDX] = PORT;
	cr_assert_eq(step(CODE(0xec)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x1122334455667784ull);
	cr_assert_eq(step(CODE(0x66, 0xed)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x1122334455668385ull);
	cr_assert_eq(step(CODE(0xed)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x81828386ull);
	cr_assert_eq(step(CODE(0xe4, 0x90)), OK);
	assert_call(3, false, 0x90, 1, 0);
}

/* The block is cut behind OUT and goes on by itself. */
Test(soft_io, out_when_in_the_middle_of_code_then_the_rest_runs)
{
	struct soft_rig_result result;

	rig->c->r[X86_RDX] = PORT;
	/* MOV AL, 'A'; OUT DX, AL; MOV AL, 'B'; OUT DX, AL; HLT */
	SOFT_RIG_CODE_BYTES(rig, 0xb0, 'A', 0xee, 0xb0, 'B', 0xee, 0xf4);
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_HALTED);
	cr_assert_eq(result.count, 5);
	cr_assert_eq(device.calls, 2);
	assert_call(0, true, PORT, 1, 'A');
	assert_call(1, true, PORT, 1, 'B');
}

/* Protection. */

/* A TSS of @limit + 1 bytes whose bitmap begins at offset 104 and forbids only @forbidden. */
static void put_tss(uint8_t type, uint32_t limit, unsigned forbidden)
{
	static const uint8_t zeros[0x2100];
	uint8_t bit = (uint8_t)(1u << forbidden % 8);

	soft_rig_poke(rig, TSS, zeros, sizeof(zeros));
	soft_rig_poke(rig, TSS + 102, "\x68\x00", 2);
	soft_rig_poke(rig, TSS + 104 + forbidden / 8, &bit, 1);
	rig->c->tr = (struct x86_seg){
		.base = TSS, .limit = limit, .type = type, .present = true, .selector = 0x28};
}

static void enter(enum x86_mode mode, unsigned cpl, unsigned iopl)
{
	soft_rig_mode(rig, mode, cpl);
	soft_set_rflags(rig->c, (rig->c->rflags & X86_RFLAGS_VM) | iopl << 12);
	put_tss(0xb, 0x2068, 0);
	rig->c->r[X86_RDX] = PORT;
}

Test(soft_io, out_when_cpl_is_at_most_iopl_then_no_tss_is_needed)
{
	for (unsigned cpl = 0; cpl <= 3; cpl++) {
		for (unsigned iopl = 0; iopl <= 3; iopl++) {
			enter(X86_MODE_LONG64, cpl, iopl);
			rig->c->tr.limit = 0x67;
			cr_assert_eq(step(CODE(0xee)), cpl <= iopl ? OK : X86_EXC_GP, "%u %u", cpl,
				     iopl);
		}
	}
}

Test(soft_io, out_when_the_bitmap_decides_then_every_byte_of_the_access_counts)
{
	for (unsigned forbidden = PORT - 2; forbidden < PORT + 6; forbidden++) {
		static const struct code code[] = {{{0xee}, 1}, {{0x66, 0xef}, 2}, {{0xef}, 1}};

		for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(code); i++) {
			bool is_hit = forbidden >= PORT && forbidden < PORT + (1u << i);

			enter(X86_MODE_LONG64, 3, 0);
			put_tss(0xb, 0x2068, forbidden);
			cr_assert_eq(step(code[i]), is_hit ? X86_EXC_GP : OK, "%#x width %u",
				     forbidden, 1u << i);
		}
	}
	/* An access whose bits lie in two bytes of the map. */
	enter(X86_MODE_LONG64, 3, 0);
	put_tss(0xb, 0x2068, 0x400);
	rig->c->r[X86_RDX] = 0x3ff;
	cr_assert_eq(step(CODE(0x66, 0xef)), X86_EXC_GP);
	cr_assert_eq(step(CODE(0xee)), OK);
}

Test(soft_io, out_when_the_map_ends_then_the_limit_forbids)
{
	enter(X86_MODE_PROT32, 3, 0);
	/* Two bytes are read at 104 + 3f8h / 8 = 231. */
	put_tss(0xb, 232, 0);
	cr_assert_eq(step(CODE(0xee)), OK);
	put_tss(0xb, 231, 0);
	cr_assert_eq(step(CODE(0xee)), X86_EXC_GP);
	soft_rig_poke(rig, TSS + 102, "\xff\xff", 2);
	rig->c->tr.limit = 0xffff;
	cr_assert_eq(step(CODE(0xee)), X86_EXC_GP);
}

Test(soft_io, out_when_the_tss_has_16_bits_or_is_missing_then_gp)
{
	enter(X86_MODE_PROT32, 3, 0);
	put_tss(0x3, 0x2068, 0);
	cr_assert_eq(step(CODE(0xee)), X86_EXC_GP);
	put_tss(0xb, 0x2068, 0);
	rig->c->tr.unusable = true;
	cr_assert_eq(step(CODE(0xee)), X86_EXC_GP);
	cr_assert_eq(device.calls, 0);
}

Test(soft_io, out_when_v86_then_the_bitmap_decides_whatever_iopl)
{
	enter(X86_MODE_V86, 3, 3);
	put_tss(0xb, 0x2068, PORT);
	cr_assert_eq(step(CODE(0xee)), X86_EXC_GP);
	put_tss(0xb, 0x2068, PORT + 1);
	cr_assert_eq(step(CODE(0xee)), OK);
	cr_assert_eq(step(CODE(0x6e)), OK);
}

Test(soft_io, out_when_real_mode_then_allowed)
{
	soft_rig_mode(rig, X86_MODE_REAL, 0);
	rig->c->r[X86_RDX] = PORT;
	cr_assert_eq(step(CODE(0xee)), OK);
	cr_assert_eq(device.calls, 1);
}

/* Strings. */

Test(soft_io, outs_when_each_width_then_memory_goes_out_and_rsi_moves)
{
	soft_rig_poke(rig, SOFT_RIG_DATA, "\x11\x22\x33\x44\x55\x66\x77", 7);
	rig->c->r[X86_RSI] = SOFT_RIG_DATA;
	rig->c->r[X86_RDX] = PORT;
	cr_assert_eq(step(CODE(0x6e)), OK);
	cr_assert_eq(step(CODE(0x66, 0x6f)), OK);
	cr_assert_eq(step(CODE(0x6f)), OK);
	cr_assert_eq(rig->c->r[X86_RSI], SOFT_RIG_DATA + 7);
	assert_call(0, true, PORT, 1, 0x11);
	assert_call(1, true, PORT, 2, 0x3322);
	assert_call(2, true, PORT, 4, 0x77665544);
	soft_set_rflags(rig->c, X86_RFLAGS_DF);
	rig->c->r[X86_RSI] = SOFT_RIG_DATA + 1;
	cr_assert_eq(step(CODE(0x66, 0x6f)), OK);
	cr_assert_eq(rig->c->r[X86_RSI], SOFT_RIG_DATA - 1);
}

Test(soft_io, ins_when_each_width_then_memory_is_written_and_rdi_moves)
{
	rig->c->r[X86_RDI] = SOFT_RIG_DATA;
	rig->c->r[X86_RDX] = PORT;
	cr_assert_eq(step(CODE(0x6c)), OK);
	cr_assert_eq(step(CODE(0x66, 0x6d)), OK);
	cr_assert_eq(step(CODE(0x6d)), OK);
	cr_assert_eq(rig->c->r[X86_RDI], SOFT_RIG_DATA + 7);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA, 8), 0x81828386838584ull);
}

Test(soft_io, strings_when_16_or_32_bit_addresses_then_registers_as_wide)
{
	rig->c->r[X86_RSI] = 0xff00000000000000ull | SOFT_RIG_DATA;
	cr_assert_eq(step(CODE(0x67, 0x6e)), OK);
	cr_assert_eq(rig->c->r[X86_RSI], SOFT_RIG_DATA + 1);
	soft_rig_mode(rig, X86_MODE_REAL, 0);
	rig->c->r[X86_RDI] = 0x1234ffff;
	cr_assert_eq(step(CODE(0x6c)), OK);
	cr_assert_eq(rig->c->r[X86_RDI], 0x12340000);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA + 0xffff, 1), 0x85);
}

Test(soft_io, outs_when_a_segment_is_named_then_it_is_used)
{
	rig->c->seg[X86_FS].base = SOFT_RIG_DATA;
	soft_rig_poke(rig, SOFT_RIG_DATA + 4, "\x77", 1);
	rig->c->r[X86_RSI] = 4;
	cr_assert_eq(step(CODE(0x64, 0x6e)), OK);
	assert_call(0, true, 0, 1, 0x77);
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	rig->c->seg[X86_ES].limit = 3;
	rig->c->seg[X86_SS].limit = 3;
	rig->c->r[X86_RSI] = rig->c->r[X86_RDI] = 4;
	cr_assert_eq(step(CODE(0x26, 0x6e)), X86_EXC_GP);
	cr_assert_eq(step(CODE(0x36, 0x6e)), X86_EXC_SS);
	cr_assert_eq(step(CODE(0x3e, 0x6c)), X86_EXC_GP); /* INS: ES whatever the prefix */
	cr_assert_eq(device.calls, 1);
}

Test(soft_io, ins_when_memory_faults_then_the_port_is_not_read)
{
	rig->c->r[X86_RDI] = 0x500000000000ull;
	cr_assert_eq(step(CODE(0x6c)), X86_EXC_PF);
	cr_assert_eq(device.calls, 0);
	rig->c->r[X86_RSI] = 0x500000000000ull;
	cr_assert_eq(step(CODE(0x6e)), X86_EXC_PF);
	cr_assert_eq(device.calls, 0);
}

Test(soft_io, ins_when_alignment_is_checked_then_ac_and_the_port_is_not_read)
{
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_LONG64, 3, &st);
	st.cr0 |= X86_CR0_AM;
	st.rflags |= X86_RFLAGS_AC | X86_RFLAGS_IOPL;
	soft_rig_set(rig, &st);
	rig->c->r[X86_RDI] = SOFT_RIG_DATA + 1;
	SOFT_RIG_CODE_BYTES(rig, 0x6d);
	cr_assert_eq(soft_rig_step(rig).event.vector, X86_EXC_AC);
	cr_assert_eq(device.calls, 0);
}

/* Repeated forms. */

static void prepare_rep(uint64_t count)
{
	rig->c->r[X86_RSI] = rig->c->r[X86_RDI] = SOFT_RIG_DATA;
	rig->c->r[X86_RDX] = PORT;
	rig->c->r[X86_RCX] = count;
}

Test(soft_io, rep_outs_when_run_then_each_element_counts_as_one)
{
	struct soft_rig_result result;

	prepare_rep(5);
	soft_rig_poke(rig, SOFT_RIG_DATA, "hello", 5);
	SOFT_RIG_CODE_BYTES(rig, 0xf3, 0x6e, 0xf4);
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_HALTED);
	cr_assert_eq(result.count, 6);
	cr_assert_eq(device.calls, 5);
	assert_call(4, true, PORT, 1, 'o');
	cr_assert_eq(rig->c->r[X86_RCX], 0);
	cr_assert_eq(rig->c->r[X86_RSI], SOFT_RIG_DATA + 5);
}

Test(soft_io, rep_when_the_count_is_zero_then_one_instruction_and_nothing_else)
{
	struct soft_rig_result result;

	prepare_rep(0);
	rig->c->r[X86_RDI] = 0x500000000000ull;
	SOFT_RIG_CODE_BYTES(rig, 0xf3, 0x6c, 0xf4);
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_HALTED);
	cr_assert_eq(result.count, 2);
	cr_assert_eq(device.calls, 0);
}

Test(soft_io, rep_when_f2_then_as_f3)
{
	prepare_rep(3);
	SOFT_RIG_CODE_BYTES(rig, 0xf2, 0x6c, 0xf4);
	cr_assert_eq(soft_rig_run(rig, 100).end, SOFT_RIG_HALTED);
	cr_assert_eq(device.calls, 3);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA, 3), 0x868584);
}

Test(soft_io, rep_when_stepped_then_one_element_a_step)
{
	prepare_rep(2);
	cr_assert_eq(step(CODE(0xf3, 0x6c)), OK);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE);
	cr_assert_eq(rig->c->r[X86_RCX], 1);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE + 2);
	cr_assert_eq(device.calls, 2);
}

/* The same by the loop of the real thing, which has a large budget while it steps. */
Test(soft_io, rep_when_the_debugger_steps_then_one_element_a_step)
{
	struct accel_debug debug = {.step = true};
	struct accel_exit exit;

	prepare_rep(3);
	SOFT_RIG_CODE_BYTES(rig, 0xf3, 0x6c);
	cr_assert_eq(accel_soft.debug_set(rig->vcpu, &debug), 0);
	for (unsigned left = 2; left > 0; left--) {
		accel_soft.run(rig->vcpu, &exit);
		cr_assert_eq(exit.kind, ACCEL_EXIT_DEBUG);
		cr_assert_eq(rig->c->r[X86_RCX], left);
		cr_assert_eq(exit.rip, SOFT_RIG_CODE);
	}
	accel_soft.run(rig->vcpu, &exit);
	cr_assert_eq(exit.rip, SOFT_RIG_CODE + 2);
	cr_assert_eq(device.calls, 3);
}

Test(soft_io, rep_when_the_budget_ends_then_it_is_left_in_front_of_the_next_element)
{
	struct soft_rig_result result;

	prepare_rep(20);
	SOFT_RIG_CODE_BYTES(rig, 0xf3, 0x6c);
	result = soft_rig_run(rig, 7);
	cr_assert_eq(result.end, SOFT_RIG_OK);
	cr_assert_eq(result.count, 7);
	cr_assert_eq(device.calls, 7);
	cr_assert_eq(rig->c->r[X86_RCX], 13);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE);
}

Test(soft_io, rep_when_a_request_comes_then_it_is_left_and_resumed)
{
	prepare_rep(10);
	device.kicked = rig->c;
	device.kick_at = 4;
	SOFT_RIG_CODE_BYTES(rig, 0xf3, 0x6c, 0xf4);
	/* The rig forgets requests and enters again; the count must not suffer. */
	cr_assert_eq(soft_rig_run(rig, 100).count, 11);
	cr_assert_eq(device.calls, 10);
}

Test(soft_io, rep_when_an_element_faults_then_those_before_it_stand)
{
	struct soft_rig_result result;
	uint64_t end = 0x100000000ull; /* of the rig's map */

	prepare_rep(5);
	rig->c->r[X86_RDI] = end - 2;
	SOFT_RIG_CODE_BYTES(rig, 0xf3, 0x6c);
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.cr2, end);
	cr_assert_eq(result.count, 2);
	cr_assert_eq(device.calls, 2);
	cr_assert_eq(rig->c->r[X86_RCX], 3);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE);
}

Test(soft_io, rep_when_16_bit_addresses_then_cx_counts)
{
	soft_rig_mode(rig, X86_MODE_REAL, 0);
	rig->c->r[X86_RCX] = 0x00050002;
	SOFT_RIG_CODE_BYTES(rig, 0xf3, 0x6c, 0xf4);
	cr_assert_eq(soft_rig_run(rig, 100).end, SOFT_RIG_HALTED);
	cr_assert_eq(device.calls, 2);
	cr_assert_eq(rig->c->r[X86_RCX], 0x00050000);
}

/* An I/O breakpoint of the guest's own is noted for the loop. */
Test(soft_io, out_when_a_debug_register_watches_the_port_then_dr6_gets_its_bit)
{
	rig->c->cr4 |= X86_CR4_DE;
	rig->c->dr[2] = PORT;
	rig->c->dr[7] = 0x400 | 1 << 4 | 2 << 24;
	soft_points_guest_changed(rig->c);
	rig->c->r[X86_RDX] = PORT + 1;
	cr_assert_eq(step(CODE(0xee)), OK);
	cr_assert_eq(soft_points_take_guest(rig->c), 0);
	rig->c->r[X86_RDX] = PORT - 1;
	cr_assert_eq(step(CODE(0x66, 0xef)), OK);
	cr_assert_eq(soft_points_take_guest(rig->c), 4);
}
