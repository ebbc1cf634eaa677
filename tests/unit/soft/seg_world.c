/* See seg_world.h. */
#include "seg_world.h"

#include "src/accel/soft/exc.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

uint64_t world_descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffffull) | (base & 0xffffffull) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 |
	       (uint64_t)(base >> 24) << 56;
}

uint64_t world_gate(uint16_t selector, uint32_t offset, unsigned access, unsigned count)
{
	return (offset & 0xffffull) | (uint64_t)selector << 16 | (uint64_t)count << 32 |
	       (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}

void world_put(struct world *w, gpa_t gpa, unsigned size, uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	soft_rig_poke(w->rig, gpa, bytes, size);
}

uint64_t world_get(const struct world *w, gpa_t gpa, unsigned size)
{
	return soft_rig_peek(w->rig, gpa, size);
}

void world_gdt(struct world *w, uint16_t selector, uint64_t low, uint64_t high)
{
	gpa_t at = WORLD_GDT + (selector & 0xfff8u);

	world_put(w, at, 8, low);
	if (high)
		world_put(w, at + 8, 8, high);
}

void world_idt(struct world *w, uint8_t vector, uint64_t low)
{
	unsigned size = soft_is_long(w->c) ? 16 : 8;

	world_put(w, WORLD_IDT + vector * size, 8, low);
}

static void put_flat(struct world *w, bool is_code64)
{
	unsigned code = is_code64 ? FLAGS_FLAT64 : FLAGS_FLAT32;

	for (unsigned cpl = 0; cpl < 4; cpl++) {
		world_gdt(w, (uint16_t)(SEL_CODE0 + cpl * 0x10),
			  world_descriptor(0, 0xfffff, ACCESS(cpl, 1, CODE_SEG), code), 0);
		world_gdt(w, (uint16_t)(SEL_DATA0 + cpl * 0x10),
			  world_descriptor(0, 0xfffff, ACCESS(cpl, 1, DATA_SEG), FLAGS_FLAT32), 0);
	}
	world_gdt(w, SEL_COMPAT0,
		  world_descriptor(0, 0xfffff, ACCESS(0, 1, CODE_SEG), FLAGS_FLAT32), 0);
	world_gdt(w, SEL_COMPAT3,
		  world_descriptor(0, 0xfffff, ACCESS(3, 1, CODE_SEG), FLAGS_FLAT32), 0);
}

static void put_tss(struct world *w, bool is_long)
{
	world_gdt(w, SEL_TSS, world_descriptor(WORLD_TSS, 0x67, ACCESS(0, 0, SEG_TSS_BUSY), 0), 0);
	if (is_long) {
		world_put(w, WORLD_TSS + 4, 8, WORLD_STACK0);
		world_put(w, WORLD_TSS + 12, 8, WORLD_STACK1);
		world_put(w, WORLD_TSS + 36, 8, WORLD_IST1);
		return;
	}
	world_put(w, WORLD_TSS + 4, 4, WORLD_STACK0);
	world_put(w, WORLD_TSS + 8, 4, SEL_DATA0);
	world_put(w, WORLD_TSS + 12, 4, WORLD_STACK1);
	world_put(w, WORLD_TSS + 16, 4, SEL_DATA1);
}

static void load_tables(struct world *w, enum x86_mode mode, unsigned cpl)
{
	struct x86_state st;

	soft_rig_state(w->rig, mode, cpl, &st);
	st.gdtr = (struct x86_table_reg){WORLD_GDT, WORLD_GDT_LIMIT};
	st.idtr = (struct x86_table_reg){WORLD_IDT, 0xfff};
	if (mode == X86_MODE_REAL)
		st.idtr = (struct x86_table_reg){WORLD_IVT, 0x3ff};
	st.tr = (struct x86_seg){.selector = SEL_TSS,
				 .base = WORLD_TSS,
				 .limit = 0x67,
				 .type = SEG_TSS_BUSY,
				 .present = true};
	st.ldtr = (struct x86_seg){.selector = SEL_LDT,
				   .base = WORLD_LDT,
				   .limit = WORLD_LDT_LIMIT,
				   .type = SEG_LDT,
				   .present = true};
	soft_rig_set(w->rig, &st);
}

struct world world_open(enum x86_mode mode, unsigned cpl)
{
	struct world w = {.rig = soft_rig_create(4)};

	w.c = w.rig->c;
	load_tables(&w, mode, cpl);
	put_flat(&w, mode == X86_MODE_LONG64);
	put_tss(&w, soft_is_long(w.c));
	world_gdt(&w, SEL_LDT, world_descriptor(WORLD_LDT, 0xf, ACCESS(0, 0, SEG_LDT), 0), 0);
	return w;
}

void world_close(struct world *w)
{
	soft_rig_destroy(w->rig);
}

struct soft_rig_result world_step(struct world *w, const void *code, size_t len)
{
	soft_rig_code(w->rig, code, len);
	return soft_rig_step(w->rig);
}

struct soft_rig_result world_deliver(struct world *w, const struct soft_event *event)
{
	struct soft_rig_result result = {.end = SOFT_RIG_EXCEPTION};

	w->c->is_delivering = true;
	w->c->delivering = *event;
	w->c->cur = NULL;
	if (setjmp(w->c->escape) == ESCAPE_NONE) {
		soft_exc_deliver(w->c, event);
		result.end = SOFT_RIG_OK;
	} else {
		result.event = w->c->event;
	}
	w->c->is_delivering = false;
	return result;
}

void world_push(struct world *w, unsigned size, uint64_t value)
{
	w->c->r[X86_RSP] -= size;
	world_put(w, w->c->seg[X86_SS].base + w->c->r[X86_RSP], size, value);
}

void world_expect_fault(struct soft_rig_result result, unsigned vector, unsigned error,
			const char *what)
{
	cr_expect(result.end == SOFT_RIG_EXCEPTION && result.event.vector == vector &&
			  result.event.error == error,
		  "%s: end %d vector %u error %#x, expected vector %u error %#x", what, result.end,
		  result.event.vector, result.event.error, vector, error);
}

void world_expect_ok(struct soft_rig_result result, const char *what)
{
	cr_expect(result.end == SOFT_RIG_OK, "%s: vector %u error %#x", what, result.event.vector,
		  result.event.error);
}
