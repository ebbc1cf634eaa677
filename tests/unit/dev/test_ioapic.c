/* Tests of the IO APIC: register bits, messages of each pin, and levels until their EOI. */
#include "umbra/irqchip.h"

#include <criterion/criterion.h>
#include <errno.h>

#define SELECT 0x00
#define WINDOW 0x10

struct rig {
	struct ioapic *io;
	struct apic_message last;
	unsigned count;
	bool refuses;
};

static bool on_send(void *ctx, const struct apic_message *message)
{
	struct rig *rig = ctx;

	rig->last = *message;
	rig->count++;
	return !rig->refuses;
}

static void rig_open(struct rig *rig)
{
	*rig = (struct rig){.count = 0};
	cr_assert_eq(ioapic_create(&rig->io, on_send, rig, NULL), 0);
}

static void rig_close(struct rig *rig)
{
	ioapic_destroy(rig->io);
}

static void out(struct rig *rig, unsigned index, uint32_t value)
{
	ioapic_ops.write(rig->io, SELECT, 4, index);
	ioapic_ops.write(rig->io, WINDOW, 4, value);
}

static uint32_t in(struct rig *rig, unsigned index)
{
	ioapic_ops.write(rig->io, SELECT, 1, index);
	return (uint32_t)ioapic_ops.read(rig->io, WINDOW, 4);
}

/* Bits that hold what is written, and what they are after reset. */
Test(ioapic, each_register_when_written_then_its_bits)
{
	static const struct {
		unsigned index;
		uint32_t kept, fixed;
	} rows[] = {
		{0x00, 0x0f000000, 0}, {0x01, 0, 0x00170011}, {0x03, 0, 0},
		{0x0f, 0, 0},	       {0x10, 0x0001afff, 0}, {0x11, 0xff000000, 0},
		{0x3e, 0x0001afff, 0}, {0x3f, 0xff000000, 0}, {0x40, 0, 0},
		{0xff, 0, 0},
	};
	struct rig rig;

	rig_open(&rig);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		bool is_low = rows[i].kept == 0x0001afff;

		cr_assert_eq(in(&rig, rows[i].index), rows[i].fixed | (is_low ? 0x10000 : 0));
		out(&rig, rows[i].index, 0xffffffff);
		cr_assert_eq(in(&rig, rows[i].index), rows[i].kept | rows[i].fixed, "row %zu", i);
		out(&rig, rows[i].index, 0);
		cr_assert_eq(in(&rig, rows[i].index), rows[i].fixed, "row %zu", i);
	}
	out(&rig, 0, 0x05000000);
	cr_assert_eq(in(&rig, 2), 0x05000000, "arbitration id follows");
	cr_assert_eq(ioapic_ops.read(rig.io, SELECT, 4), 2);
	cr_assert_eq(ioapic_ops.read(rig.io, 0x20, 4), 0);
	ioapic_ops.write(rig.io, 0x20, 4, 1);
	rig_close(&rig);
}

Test(ioapic, edge_when_pin_rises_then_one_message_as_the_entry_says)
{
	struct rig rig;

	rig_open(&rig);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		unsigned sent = rig.count;

		ioapic_set(rig.io, pin, true);
		cr_assert_eq(rig.count, sent, "masked: lost");
		out(&rig, 0x11 + 2 * pin, (0x10 + pin) << 24);
		out(&rig, 0x10 + 2 * pin, 0x0900 | (0x40 + pin)); /* logical, lowest priority */
		cr_assert_eq(rig.count, sent, "a line that is high is no edge");
		ioapic_set(rig.io, pin, false);
		ioapic_set(rig.io, pin, true);
		ioapic_set(rig.io, pin, true);
		cr_assert_eq(rig.count, sent + 1);
		cr_assert_eq(rig.last.vector, 0x40 + pin);
		cr_assert_eq(rig.last.dest, 0x10 + pin);
		cr_assert_eq(rig.last.delivery, APIC_LOWEST);
		cr_assert(rig.last.is_logical);
		cr_assert_not(rig.last.is_level || rig.last.is_wide);
		cr_assert_eq(rig.last.shorthand, APIC_TO_DEST);
	}
	ioapic_set(rig.io, IOAPIC_PINS, true);
	rig_close(&rig);
}

Test(ioapic, level_when_high_then_again_after_each_eoi_until_it_falls)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, 0x1a, 0x8055);
	ioapic_set(rig.io, 5, true);
	cr_assert_eq(rig.count, 1);
	cr_assert(rig.last.is_level);
	cr_assert_eq(in(&rig, 0x1a), 0xc055, "remote IRR");
	ioapic_set(rig.io, 5, false);
	ioapic_set(rig.io, 5, true);
	cr_assert_eq(rig.count, 1);
	ioapic_eoi(rig.io, 0x56);
	cr_assert_eq(rig.count, 1, "another's vector");
	ioapic_eoi(rig.io, 0x55);
	cr_assert_eq(rig.count, 2);
	ioapic_set(rig.io, 5, false);
	ioapic_eoi(rig.io, 0x55);
	cr_assert_eq(rig.count, 2);
	cr_assert_eq(in(&rig, 0x1a), 0x8055);
	rig_close(&rig);
}

Test(ioapic, level_when_masked_then_asks_at_the_unmasking)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, 0x1a, 0x18055);
	ioapic_set(rig.io, 5, true);
	cr_assert_eq(rig.count, 0);
	out(&rig, 0x1a, 0x8055);
	cr_assert_eq(rig.count, 1);
	/* Masked and made an edge: remote IRR is forgotten, as systems rely on. */
	out(&rig, 0x1a, 0x10055);
	cr_assert_eq(in(&rig, 0x1a), 0x10055);
	out(&rig, 0x1a, 0x8055);
	cr_assert_eq(rig.count, 2);
	rig_close(&rig);
}

Test(ioapic, level_when_nobody_accepts_then_no_remote_irr)
{
	struct rig rig;

	rig_open(&rig);
	rig.refuses = true;
	out(&rig, 0x1a, 0x8055);
	ioapic_set(rig.io, 5, true);
	cr_assert_eq(rig.count, 1);
	cr_assert_eq(in(&rig, 0x1a), 0x8055);
	rig_close(&rig);
}

Test(ioapic, each_delivery_mode_when_level_bit_is_set_then_only_fixed_and_lowest_are_levels)
{
	struct rig rig;

	for (unsigned mode = 0; mode < 8; mode++) {
		rig_open(&rig);
		out(&rig, 0x12, 0x8055 | mode << 8);
		ioapic_set(rig.io, 1, true);
		cr_assert_eq(rig.count, 1, "mode %u", mode);
		cr_assert_eq(rig.last.delivery, mode);
		cr_assert_eq(rig.last.is_level, mode < 2, "mode %u", mode);
		cr_assert_eq(!!(in(&rig, 0x12) & 0x4000), mode < 2, "mode %u", mode);
		cr_assert_eq(ioapic_has_open_nmi(rig.io), mode == APIC_NMI || mode == APIC_INIT);
		out(&rig, 0x12, 0x18055 | mode << 8);
		cr_assert_not(ioapic_has_open_nmi(rig.io));
		rig_close(&rig);
	}
}

Test(ioapic, load_when_saved_then_same_and_when_wrong_then_refused)
{
	/* Version, lines, id, select, 24 entries of 8 bytes. */
	static const struct {
		unsigned at;
		uint8_t value;
	} rows[] = {{0, 9},	 {4, 1},    {5, 1}, {8, 0x10}, {10 + 5 * 8 + 2, 2},
		    {10 + 4, 1}, {11, 0x40}};
	struct rig a, b;
	uint8_t bytes[256], bad[256];
	struct blob saved = blob_over(bytes, sizeof(bytes));
	struct blob in_blob;

	rig_open(&a);
	rig_open(&b);
	out(&a, 0x1a, 0x8055);
	ioapic_set(a.io, 5, true);
	ioapic_ops.save(a.io, &saved);
	for (size_t cut = 0; cut < saved.pos; cut++) {
		in_blob = blob_over(bytes, cut);
		cr_assert_eq(ioapic_ops.load(b.io, &in_blob, NULL), -EINVAL);
	}
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		memcpy(bad, bytes, sizeof(bad));
		bad[rows[i].at] = rows[i].value;
		in_blob = blob_over(bad, saved.pos);
		cr_assert_eq(ioapic_ops.load(b.io, &in_blob, NULL), -EINVAL, "row %zu", i);
	}
	cr_assert_eq(in(&b, 0x1a), 0x10000, "unchanged");
	in_blob = blob_over(bytes, saved.pos);
	cr_assert_eq(ioapic_ops.load(b.io, &in_blob, NULL), 0);
	cr_assert_eq(in(&b, 0x1a), 0xc055);
	ioapic_eoi(b.io, 0x55);
	cr_assert_eq(b.count, 1, "the line was saved too");
	rig_close(&a);
	rig_close(&b);
}
