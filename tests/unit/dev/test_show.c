/* What `monitor info devices` says of the interrupt chips: each fact once, and that looking changes
 * nothing. */
#include "lapic_rig.h"

#include <criterion/criterion.h>

static void ignore_line(void *ctx, unsigned gsi, bool is_high)
{
	(void)ctx;
	(void)gsi;
	(void)is_high;
}

static bool refuse(void *ctx, const struct apic_message *message)
{
	(void)ctx;
	(void)message;
	return true;
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

/* Twice: the second time it must say the same. */
static void expect(const struct dev_ops *ops, const void *state, const char *text)
{
	for (unsigned i = 0; i < 2; i++) {
		char said[2048] = "";
		const struct print_sink sink = {.text = collect, .ctx = said};

		ops->show(state, &sink);
		cr_expect_str_eq(said, text);
	}
}

static void out(const struct dev_ops *ops, void *state, unsigned offset, uint8_t value)
{
	ops->write(state, offset, 1, value);
}

Test(show, pic_when_lines_and_modes_differ_then_each_chip)
{
	static const uint8_t words[][2] = {
		{PIC8259_MASTER, 0x11},	  {PIC8259_MASTER + 1, 0x20}, {PIC8259_MASTER + 1, 4},
		{PIC8259_MASTER + 1, 3},  {PIC8259_MASTER + 1, 0xb8}, {PIC8259_SLAVE, 0x11},
		{PIC8259_ELCR + 1, 0x0a},
	};
	struct irq_line intr = {.set = ignore_line};
	struct pic8259 *pic;

	cr_assert_eq(pic8259_create(&pic, intr, NULL), 0);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(words); i++)
		out(&pic8259_ops, pic, words[i][0], words[i][1]);
	pic8259_set(pic, 1, true);
	pic8259_set(pic, 4, true);
	expect(&pic8259_ops, pic,
	       "pic: intr high\n"
	       "  master irr 12 isr 00 imr b8 elcr 00 vector 20 lowest 7 auto-eoi\n"
	       "  slave  irr 00 isr 00 imr 00 elcr 0a vector 00 lowest 7, waits for ICW2\n");
	pic8259_destroy(pic);
}

Test(show, pit_when_counters_run_then_mode_gate_and_count)
{
	struct irq_line irq = {.set = ignore_line};
	struct pit8254 *pit;

	cr_assert_eq(pit8254_create(&pit, irq, NULL), 0);
	out(&pit8254_ops, pit, PIT8254_CONTROL, 0x34);
	out(&pit8254_ops, pit, PIT8254_COUNTER0, 0x00);
	out(&pit8254_ops, pit, PIT8254_COUNTER0, 0x10);
	out(&pit8254_ops, pit, PIT8254_PORT61, 0x01);
	pit8254_run(pit, 1000000);
	expect(&pit8254_ops, pit,
	       "pit: tick 1193, port 0x61 21\n"
	       "  0: mode 2, gate 1, out 1, count 0xb58 of 4096\n"
	       "  1: mode 3, gate 1, out 1, count 0 of 0, not loaded\n"
	       "  2: mode 3, gate 1, out 1, count 0 of 0, not loaded\n");
	pit8254_destroy(pit);
}

Test(show, ioapic_when_some_pins_are_open_or_high_then_those)
{
	static const uint32_t words[][2] = {
		{0x00, 0x02000000}, {0x10 + 2 * 4, 0x8831}, {0x11 + 2 * 4, 0x03000000},
		{0x10, 0x700},	    {0x11, 0x01000000},
	};
	struct ioapic *io;

	cr_assert_eq(ioapic_create(&io, refuse, NULL, NULL), 0);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(words); i++) {
		ioapic_ops.write(io, 0x00, 4, words[i][0]);
		ioapic_ops.write(io, 0x10, 4, words[i][1]);
	}
	ioapic_set(io, 4, true);
	ioapic_set(io, 9, true);
	expect(&ioapic_ops, io,
	       "ioapic: id 2, select 11\n"
	       "  pin  0 low: vector 00 extint to physical 01, edge\n"
	       "  pin  4 high: vector 31 fixed to logical 03, level, waits for EOI\n"
	       "  pin  9 high: vector 00 fixed to physical 00, edge, masked\n");
	ioapic_destroy(io);
}

Test(show, lapic_when_used_then_registers_vectors_and_timer)
{
	static const struct apic_message extint = {.delivery = APIC_EXTINT};
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_DIVIDE, 0xb);
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x200ee);
	lapic_rig_out(&rig, LAPIC_INITIAL, 500);
	lapic_rig_fixed(&rig, 0x41, true);
	lapic_rig_fixed(&rig, 0x51, false);
	cr_assert_eq(lapic_take(rig.l), 0x51);
	cr_assert(lapic_accept(rig.l, &extint));
	expect(&lapic_ops, rig.l,
	       "lapic 0: xAPIC at 0xfee00000, bootstrap processor, on by software, logical id "
	       "00000000\n"
	       "  tpr 00 ppr 50 svr 1ff esr 00 icr 00000000 00000000\n"
	       "  an ExtINT message waits\n"
	       "  irr 41\n"
	       "  isr 51\n"
	       "  tmr 41\n"
	       "  lvt-timer   200ee vector ee fixed\n"
	       "  lvt-thermal 10000 vector 00 fixed, masked\n"
	       "  lvt-perf    10000 vector 00 fixed, masked\n"
	       "  lvt-lint0   00700 vector 00 extint\n"
	       "  lvt-lint1   10000 vector 00 fixed, masked\n"
	       "  lvt-error   10000 vector 00 fixed, masked\n"
	       "  timer: initial 500, divide b, fires at 1500 ns\n");
	lapic_rig_close(&rig);
}
