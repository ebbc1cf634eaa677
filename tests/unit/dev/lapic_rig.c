/* The test rig of the local APIC. */
#include "lapic_rig.h"

#include <criterion/criterion.h>

static void on_send(void *ctx, unsigned id, const struct apic_message *message)
{
	struct lapic_rig *rig = ctx;

	cr_assert_eq(id, rig->l->id);
	rig->sent = *message;
	rig->sent_count++;
}

static void on_eoi(void *ctx, uint8_t vector)
{
	struct lapic_rig *rig = ctx;

	rig->eoi_vector = vector;
	rig->eoi_count++;
}

static void on_signal(void *ctx, unsigned id, enum apic_delivery delivery, uint8_t vector)
{
	struct lapic_rig *rig = ctx;

	(void)id;
	rig->signal = delivery;
	rig->signal_vector = vector;
	rig->signal_count++;
}

static void on_changed(void *ctx, unsigned id)
{
	(void)ctx;
	(void)id;
}

void lapic_rig_open(struct lapic_rig *rig, unsigned id, bool is_enabled)
{
	struct lapic_hooks hooks = {.ctx = rig,
				    .send = on_send,
				    .eoi = on_eoi,
				    .signal = on_signal,
				    .changed = on_changed};

	*rig = (struct lapic_rig){.now = {.ns = 1000, .tsc = 500}};
	cr_assert_eq(lapic_create(&rig->l, id, &hooks, NULL), 0);
	if (is_enabled)
		lapic_rig_out(rig, LAPIC_SVR, 0x1ff);
}

void lapic_rig_close(struct lapic_rig *rig)
{
	lapic_destroy(rig->l);
}

uint32_t lapic_rig_in(struct lapic_rig *rig, unsigned number)
{
	return lapic_read(rig->l, number << 4, rig->now);
}

void lapic_rig_out(struct lapic_rig *rig, unsigned number, uint32_t value)
{
	lapic_write(rig->l, number << 4, value, rig->now);
}

bool lapic_rig_fixed(struct lapic_rig *rig, uint8_t vector, bool is_level)
{
	struct apic_message message = {.vector = vector, .is_level = is_level};

	return lapic_accept(rig->l, &message);
}

void lapic_rig_to_x2(struct lapic_rig *rig)
{
	cr_assert(lapic_set_base(rig->l, lapic_base(rig->l) | LAPIC_BASE_EXTD, 40));
}

bool lapic_rig_wrmsr(struct lapic_rig *rig, uint32_t index, uint64_t value)
{
	return lapic_wrmsr(rig->l, index, value, rig->now);
}

uint64_t lapic_rig_rdmsr(struct lapic_rig *rig, uint32_t index)
{
	uint64_t value = 0;

	cr_assert(lapic_rdmsr(rig->l, index, &value, rig->now), "rdmsr %#x", index);
	return value;
}
