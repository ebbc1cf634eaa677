/* The bootstrap processor's state on entry, per mode, and the structures in guest memory that make
 * it work.  Common to all modes: general registers 0, interrupts off, caches on, A20 open.
 *
 *   real    CS = address >> 4 (0 below 64 KiB, so that IP is the address), other segments 0, SP 0:
 *           the first push goes to 0xfffe.
 *   prot32  flat 4 GiB segments 0x08 (code) and 0x10 (data; Linux wants 0x10 and 0x18), paging off.
 * ELF and flat images get a stack as if called with return address 0; multiboot leaves ESP to the
 * kernel. long    64-bit code 0x08, data 0x10, 4-level paging (paging.c), SSE enabled and the x87
 * as after FNINIT, so that compiled C runs; RSP as if called with return address 0 (System V
 * ABI 3.2.2), so that a C function can be the entry.
 *
 * The GDT, the stack and the page tables are placed below 0x9fc00, as high as the image allows
 * (load_plan_place_low).  The IDT is empty outside real mode: a fault before the guest has its own
 * becomes a shutdown at once, with the registers of the fault, and not a jump to chance. */
#include "load_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BOOT_STACK_BYTES  16384u
#define BOOT_FNINIT_FCW	  0x37f
#define SEG_TYPE_TSS_BUSY 0xb

/* Put @len zeroed bytes of umbra's own into the plan; *@out_bytes is where to fill them in. */
static int boot_part(struct load_job *job, const char *what, uint64_t len, gpa_t *out_gpa,
		     uint8_t **out_bytes, struct umbra_err *err)
{
	struct load_part part = {.field = "address", .mem_len = len, .data_len = len};
	int rc = load_plan_place_low(job, what, len, 16, &part.gpa, err);

	if (rc < 0)
		return rc;
	part.bytes = calloc(1, len);
	if (!part.bytes)
		return umbra_err_set(err, ENOMEM, "no memory for the %s", what);
	snprintf(part.what, sizeof(part.what), "%s", what);
	*out_gpa = part.gpa;
	*out_bytes = part.bytes;
	return load_plan_add(job, &part, err);
}

/* A descriptor as it stands in a GDT (SDM 3A 3.4.5, figure 3-8):
 *   63..56   55 54 53 52  51..48        47 46..45 44 43..40  39..16   15..0
 *   base     G  DB L  AVL limit 19..16  P  DPL    S  type    base     limit */
static void descriptor_put(uint8_t *out, const struct x86_seg *seg)
{
	uint32_t limit = seg->g ? seg->limit >> 12 : seg->limit;
	uint64_t access = (uint64_t)(seg->type | seg->s << 4 | seg->dpl << 5 | seg->present << 7);
	uint64_t flags = (uint64_t)(seg->avl | seg->l << 1 | seg->db << 2 | seg->g << 3);

	le64_put(out, (limit & 0xffff) | (seg->base & 0xffffff) << 16 | access << 40 |
			      (uint64_t)(limit >> 16 & 0xf) << 48 | flags << 52 |
			      (seg->base >> 24 & 0xff) << 56);
}

/* Segments, and a GDT that gives the same ones when the guest loads them again. */
static int boot_segments(struct load_job *job, unsigned bits, struct umbra_err *err)
{
	struct x86_state *st = &job->image->boot;
	const uint16_t cs = job->boot_cs, ds = (uint16_t)(cs + 8), gdt_bytes = (uint16_t)(ds + 8);
	const struct x86_seg data = x86_seg_flat(ds, false, bits, 0);
	uint8_t *gdt = NULL;
	unsigned i;
	int rc;

	for (i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = data;
	st->seg[X86_CS] = x86_seg_flat(cs, true, bits, 0);
	rc = boot_part(job, "boot GDT", gdt_bytes, &st->gdtr.base, &gdt, err);
	if (rc < 0)
		return rc;
	descriptor_put(gdt + cs, &st->seg[X86_CS]);
	descriptor_put(gdt + ds, &data);
	st->gdtr.limit = gdt_bytes - 1u;
	return 0;
}

/* The top word stays 0: the return address that the entry sees. */
static int boot_stack(struct load_job *job, unsigned word_bytes, struct umbra_err *err)
{
	uint8_t *bytes;
	gpa_t gpa = 0;
	int rc = boot_part(job, "boot stack", BOOT_STACK_BYTES, &gpa, &bytes, err);

	if (rc == 0)
		job->image->boot.gpr[X86_RSP] = gpa + BOOT_STACK_BYTES - word_bytes;
	return rc;
}

/* What all modes have in common: power-up, then what any firmware has done by now. */
static void boot_common(struct x86_state *st, uint64_t rip)
{
	x86_state_reset(st);
	memset(st->gpr, 0, sizeof(st->gpr));
	st->rip = rip;
	st->cr0 = X86_CR0_ET;
}

void load_boot_real(struct load_job *job, gpa_t entry)
{
	struct x86_state *st = &job->image->boot;
	uint16_t selector = entry < 0x10000 ? 0 : (uint16_t)(entry >> 4);
	struct x86_seg *cs = &st->seg[X86_CS];

	boot_common(st, entry - ((gpa_t)selector << 4));
	cs->selector = selector;
	cs->base = (uint64_t)selector << 4;
}

static void boot_no_idt(struct x86_state *st)
{
	st->idtr.base = 0;
	st->idtr.limit = 0;
}

int load_boot_prot32(struct load_job *job, uint32_t entry, bool has_stack, struct umbra_err *err)
{
	struct x86_state *st = &job->image->boot;
	int rc;

	boot_common(st, entry);
	boot_no_idt(st);
	st->cr0 |= X86_CR0_PE;
	rc = boot_segments(job, 32, err);
	if (rc == 0 && has_stack)
		rc = boot_stack(job, 4, err);
	return rc;
}

static void boot_long_controls(struct x86_state *st)
{
	st->cr0 |= X86_CR0_PE | X86_CR0_MP | X86_CR0_NE | X86_CR0_PG;
	st->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	st->efer = X86_EFER_LME | X86_EFER_LMA;
	st->fpu.fcw = BOOT_FNINIT_FCW;
	st->fpu.ftw = 0;
	/* VM entry into 64-bit mode wants a busy 64-bit TSS in TR (SDM 3C 26.3.1.2). */
	st->tr.type = SEG_TYPE_TSS_BUSY;
}

int load_boot_long(struct load_job *job, gva_t entry, const struct load_elf *elf,
		   struct umbra_err *err)
{
	struct x86_state *st = &job->image->boot;
	unsigned first = job->image->part_count;
	int rc;

	boot_common(st, entry);
	boot_no_idt(st);
	boot_long_controls(st);
	rc = boot_segments(job, 64, err);
	if (rc == 0)
		rc = boot_stack(job, 8, err);
	if (rc == 0)
		rc = load_paging_plan(job, elf, &st->cr3, err);
	if (rc == 0 && elf)
		rc = load_paging_check_hidden(job, elf, first, err);
	return rc;
}
