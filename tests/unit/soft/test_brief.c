/* A run that may neither wait nor take long: whatever the guest does, it comes back soon. */
#include "seg_world.h"

#include "src/accel/soft/run.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MOST 1100u /* instructions: the budget, and what a block may be longer */
#define UD2  0x0b0f

static const struct {
	const char *what;
	uint8_t code[16];
	uint8_t len;
	bool retires; /* it executes instructions all the time */
} guests[] = {
	{"jmp to itself", {0xeb, 0xfe}, 2, true},
	{"hlt", {0xf4}, 1, false},
	{"a handler that faults", {0x0f, 0x0b}, 2, false},
	{"rep stos without an end", {0xb9, 0xff, 0xff, 0xff, 0x0f, 0xf3, 0xaa}, 7, true},
	/* Each time the local APIC's initial count is written, a post to the vCPU follows. */
	{"a timer that is set all the time",
	 {0xc7, 0x05, 0x80, 0x03, 0xe0, 0xfe, 0xff, 0xff, 0xff, 0x7f, 0xeb, 0xf4},
	 12,
	 true},
	{"pause", {0xf3, 0x90, 0xeb, 0xfc}, 4, true},
};

Test(soft_brief, run_when_the_guest_never_stops_then_it_comes_back)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(guests); i++) {
		struct world w = world_open(X86_MODE_PROT32, 0);
		uint64_t gate = world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0);
		struct accel_exit out;
		uint64_t count;

		world_idt(&w, X86_EXC_UD, gate);
		world_put(&w, WORLD_HANDLER, 2, UD2);
		w.c->r[X86_RDI] = SOFT_RIG_DATA;
		soft_rig_code(w.rig, guests[i].code, guests[i].len);
		soft_run_briefly(w.c, &out);
		count = soft_count(w.c);
		cr_expect(eq(int, (int)out.kind, (int)ACCEL_EXIT_KICKED), "%s", guests[i].what);
		cr_expect(le(u64, count, MOST), "%s", guests[i].what);
		cr_expect(eq(int, count > MOST / 4, guests[i].retires), "%s: %llu instructions",
			  guests[i].what, (unsigned long long)count);
		cr_expect(not(w.c->is_brief), "the next run may take its time");
		world_close(&w);
	}
}

/* Two brief runs and a plain one do what one plain run does. */
Test(soft_brief, run_when_it_is_cut_then_the_rest_goes_on)
{
	/* mov ecx, 2000; loop self; hlt */
	static const uint8_t code[] = {0xb9, 0xd0, 0x07, 0x00, 0x00, 0xe2, 0xfe, 0xf4};
	struct world w = world_open(X86_MODE_PROT32, 0);
	struct accel_exit out;

	soft_rig_code(w.rig, code, sizeof(code));
	soft_run_briefly(w.c, &out);
	cr_expect(gt(u64, w.c->r[X86_RCX], 0u));
	soft_run_briefly(w.c, &out);
	soft_run_briefly(w.c, &out);
	cr_expect(eq(u64, w.c->r[X86_RCX], 0u));
	cr_expect(eq(u64, soft_count(w.c), 2002u));
	cr_expect(eq(int, (int)w.c->activity, (int)X86_HALTED));
	world_close(&w);
}
