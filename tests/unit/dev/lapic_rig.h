/* A local APIC alone, for tests: what it tells its owner is written down. */
#ifndef TESTS_DEV_LAPIC_RIG_H
#define TESTS_DEV_LAPIC_RIG_H

#include "src/dev/lapic.h"

struct lapic_rig {
	struct lapic *l;
	struct lapic_time now;
	struct apic_message sent;
	unsigned sent_count;
	unsigned eoi_count;
	uint8_t eoi_vector;
	unsigned signal_count;
	enum apic_delivery signal;
	uint8_t signal_vector;
};

/* @is_enabled: by software too. */
void lapic_rig_open(struct lapic_rig *rig, unsigned id, bool is_enabled);
void lapic_rig_close(struct lapic_rig *rig);
uint32_t lapic_rig_in(struct lapic_rig *rig, unsigned number);
void lapic_rig_out(struct lapic_rig *rig, unsigned number, uint32_t value);
/* Give it a fixed message. */
bool lapic_rig_fixed(struct lapic_rig *rig, uint8_t vector, bool is_level);
/* From xAPIC to x2APIC mode. */
void lapic_rig_to_x2(struct lapic_rig *rig);
bool lapic_rig_wrmsr(struct lapic_rig *rig, uint32_t index, uint64_t value);
/* Fails the test on #GP. */
uint64_t lapic_rig_rdmsr(struct lapic_rig *rig, uint32_t index);

#endif
