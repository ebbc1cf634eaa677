/* CPUID per processor, sources that wake a halted processor, exit names, and the self-test's guest
 * code: everything that can be judged without a KVM. */
#include "src/accel/kvm/probe.h"

#include <criterion/criterion.h>

/* CPUID. */

#define LEAVES 11

union cpuid_table {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) + LEAVES * sizeof(struct kvm_cpuid_entry2)];
};

static struct kvm_cpuid_entry2 *leaf(union cpuid_table *t, uint32_t function, uint32_t index)
{
	unsigned i;

	for (i = 0; i < LEAVES; i++) {
		if (t->head.entries[i].function == function && t->head.entries[i].index == index)
			return &t->head.entries[i];
	}
	return NULL;
}

static const struct kvm_cpuid_entry2 HOST_LEAVES[LEAVES] = {
	{.function = 0, .eax = 0x1f},
	{.function = 1, .ebx = 0x55550800, .ecx = 1u << 31, .edx = 1u << 28},
	{.function = 4, .index = 0, .eax = 0x21},
	{.function = 0xb, .index = 0, .edx = 99},
	{.function = 0xb, .index = 1, .edx = 99},
	{.function = 0x1f, .index = 1, .edx = 99},
	{.function = 0x80000008, .eax = 0x3030, .ecx = 0x700f},
	{.function = 0x8000001e, .eax = 99, .ebx = 99},
	{.function = 4, .index = 3, .eax = 0x0fffc063},
	{.function = 0x8000001d, .index = 1, .eax = 0x4042},
	{.function = 0x40000000, .eax = 0x40000001},
};

static void table_fit(union cpuid_table *t, unsigned index, unsigned count)
{
	memset(t, 0, sizeof(*t));
	t->head.nent = LEAVES;
	memcpy(t->head.entries, HOST_LEAVES, sizeof(HOST_LEAVES));
	kvm_cpuid_fit(&t->head, index, count, true);
}

Test(kvm_cpuid, ids_when_fitted_then_name_this_processor)
{
	union cpuid_table t;

	table_fit(&t, 3, 4);
	cr_assert_eq(leaf(&t, 1, 0)->ebx, 0x03040800);
	cr_assert_eq(leaf(&t, 0xb, 0)->edx, 3);
	cr_assert_eq(leaf(&t, 0xb, 1)->edx, 3);
	cr_assert_eq(leaf(&t, 0x1f, 1)->edx, 3);
	cr_assert_eq(leaf(&t, 0x8000001e, 0)->eax, 3);
}

Test(kvm_cpuid, phys_bits_when_asked_then_those_of_the_host)
{
	union cpuid_table t;

	table_fit(&t, 0, 1);
	cr_assert_eq(kvm_cpuid_phys_bits(&t.head), 0x30);
	t.head.nent = 1;
	cr_assert_eq(kvm_cpuid_phys_bits(&t.head), 0);
}

Test(kvm_cpuid, topology_when_fitted_then_counts_cores)
{
	union cpuid_table t;

	table_fit(&t, 0, 3);
	cr_assert_eq(leaf(&t, 0xb, 0)->ebx, 1);
	cr_assert_eq(leaf(&t, 0xb, 1)->ebx, 3);
	cr_assert_eq(leaf(&t, 0xb, 1)->eax, 2, "bits for 3 processors");
	cr_assert_eq(leaf(&t, 0xb, 1)->ecx, 0x201);
	cr_assert_eq(leaf(&t, 4, 0)->eax, 0x21 | 2u << 26);
	cr_assert_eq(leaf(&t, 0x80000008, 0)->ecx, 0x2002);
	cr_assert_eq(leaf(&t, 4, 3)->eax, 0x63 | 2u << 14 | 2u << 26, "all share level 3");
	cr_assert_eq(leaf(&t, 0x8000001d, 1)->eax, 0x42, "level 2 is one processor's own");
}

Test(kvm_cpuid, features_when_fitted_then_hypervisor_stays_and_deadline_comes)
{
	union cpuid_table t;

	table_fit(&t, 0, 1);
	cr_assert_eq(leaf(&t, 1, 0)->ecx, 1u << 31 | 1u << 24);
	cr_assert_eq(leaf(&t, 1, 0)->edx & 1u << 28, 0, "one processor has no HTT");
	cr_assert_eq(leaf(&t, 0x40000000, 0)->eax, 0x40000001);
	table_fit(&t, 63, 64);
	cr_assert_eq(leaf(&t, 1, 0)->edx & 1u << 28, 1u << 28);
}

/* Waking. */

struct lvt_row {
	unsigned offset;
	uint32_t value;
	bool is_open;
};

static const struct lvt_row LVT_ROWS[] = {
	{0x350, 0x10000, false}, /* LINT0 masked, as after reset */
	{0x350, 0x700, false},	 /* LINT0 ExtINT: waits for IF */
	{0x350, 0x400, true},	 /* LINT0 NMI: the timer's watchdog */
	{0x350, 0x10400, false}, /* the same, masked */
	{0x360, 0x400, false},	 /* LINT1 NMI: nothing is wired to it */
	{0x340, 0x400, true},	 /* performance counters by NMI */
	{0x340, 0x200, true},	 /* by SMI */
	{0x320, 0x400, false},	 /* the timer has no delivery mode */
};

Test(kvm_wake, lapic_when_entry_is_open_then_can_wake)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(LVT_ROWS); i++) {
		struct kvm_lapic_state lapic = {0};

		le32_put(lapic.regs + LVT_ROWS[i].offset, LVT_ROWS[i].value);
		cr_assert_eq(kvm_lapic_has_open_nmi(&lapic), LVT_ROWS[i].is_open, "row %u", i);
	}
}

Test(kvm_wake, ioapic_when_any_pin_sends_nmi_then_can_wake)
{
	struct kvm_ioapic_state ioapic = {0};
	unsigned pin;

	cr_assert_not(kvm_ioapic_has_open_nmi(&ioapic));
	for (pin = 0; pin < 24; pin++) {
		ioapic.redirtbl[pin].bits = 0x10400;
		cr_assert_not(kvm_ioapic_has_open_nmi(&ioapic));
		ioapic.redirtbl[pin].bits = 0x400;
		cr_assert(kvm_ioapic_has_open_nmi(&ioapic));
		ioapic.redirtbl[pin].bits = 0x500;
		cr_assert(kvm_ioapic_has_open_nmi(&ioapic), "INIT");
		ioapic.redirtbl[pin].bits = 0x10000;
	}
}

/* Exits. */

Test(kvm_exits, name_when_any_number_then_is_text)
{
	unsigned reason;

	for (reason = 0; reason < 2 * KVM_REASON_MAX; reason++)
		cr_assert_not_null(kvm_exit_name(reason));
	cr_assert_str_eq(kvm_exit_name(KVM_EXIT_MMIO), "mmio");
	cr_assert_str_eq(kvm_exit_name(UINT32_MAX), "other");
}

Test(kvm_exits, failure_when_text_is_long_then_is_cut)
{
	struct accel_exit out = {0};
	char text[400];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	kvm_exit_fail(&out, "%s", text);
	cr_assert_eq(out.kind, ACCEL_EXIT_FAILED);
	cr_assert_eq(strlen(out.text), sizeof(out.text) - 1);
}

/* The self-test's guest code. */

Test(kvm_probe, state_when_set_up_for_a_mode_then_is_in_that_mode)
{
	unsigned mode;

	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		struct x86_state st;

		probe_code_state((enum accel_mode)mode, &st);
		cr_assert_eq(accel_mode_of(&st), mode, "%s", accel_mode_name(mode));
	}
}

static bool read_probe(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	const uint8_t *mem = ctx;

	if (!range_fits(gpa, len, 0, PROBE_MEM_BYTES))
		return false;
	memcpy(buf, mem + gpa, len);
	return true;
}

Test(kvm_probe, tables_when_walked_in_each_mode_then_map_one_to_one)
{
	static uint8_t mem[PROBE_MEM_BYTES];
	unsigned mode;

	probe_code_tables(mem);
	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		struct x86_state st;
		struct x86_walk walk;

		probe_code_state((enum accel_mode)mode, &st);
		cr_assert_eq(x86_walk(&st, PROBE_CODE + 5, read_probe, mem, &walk), 0, "%s",
			     accel_mode_name(mode));
		cr_assert_eq(walk.gpa, PROBE_CODE + 5);
		cr_assert(walk.is_user && walk.is_writable && walk.is_executable);
	}
}

Test(kvm_probe, snippets_when_placed_then_decode_up_to_their_end)
{
	static uint8_t mem[PROBE_MEM_BYTES];
	unsigned mode, snippet;

	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		for (snippet = 0; snippet < PROBE_SNIPPET_COUNT; snippet++) {
			unsigned end = probe_code_end(mode, snippet);
			unsigned at = 0;
			struct x86_state st;
			struct x86_insn insn;

			probe_code_place(mem, mode, snippet);
			probe_code_state(mode, &st);
			while (at < end) {
				cr_assert_eq(x86_insn_decode(x86_mode_of(&st),
							     mem + PROBE_CODE + at, 16, &insn),
					     0);
				at += insn.length;
			}
			cr_assert_eq(at, end, "%s, snippet %u", accel_mode_name(mode), snippet);
		}
	}
}
