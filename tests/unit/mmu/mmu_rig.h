/* A shadow MMU over a small guest, with a micro-TLB in front of it, and a second memory with the
 * same bytes on which plain walks show what each access should have done.
 *
 *   0 .. 256 KiB RAM | hole | 1 MiB .. + 16 KiB ROM | hole | 4 GiB .. + 32 KiB RAM | hole */
#ifndef UMBRA_TEST_MMU_RIG_H
#define UMBRA_TEST_MMU_RIG_H

#include "src/mmu/shadow.h"

#define RIG_RAM	      0x40000u
#define RIG_ROM_BASE  0x100000u
#define RIG_ROM	      0x4000u
#define RIG_HIGH_BASE 0x100000000ull
#define RIG_HIGH      0x8000u
#define RIG_HOLE      0xa0000u /* nobody answers there */
#define RIG_VCPUS     2u

/* Flags of an entry in use, for a page or a table. */
#define RIG_RW	(X86_PTE_P | X86_PTE_RW | X86_PTE_US | X86_PTE_A)
#define RIG_RWD (RIG_RW | X86_PTE_D)

struct rig_tlb_entry {
	bool is_used;
	uint64_t root;
	unsigned vcpu;
	gva_t gva;
	unsigned access; /* X86_PF_U or 0 */
	bool smap_off;
	struct mmu_page page;
};
#define RIG_TLB_ENTRIES 256u

struct rig {
	struct mem_space *mem, *copy;
	struct mmu *mmu;
	struct x86_paging regs[RIG_VCPUS];
	struct rig_tlb_entry tlb[RIG_TLB_ENTRIES];
	unsigned forgets, full_forgets;
	/* Called before pages are forgotten, when another vCPU could still use its micro-TLB.  It
	 * may write to rig->mem, not call the mmu. */
	void (*on_forget)(struct rig *rig);
	/* What the vCPUs are at, for events: seq grows with each question. */
	uint64_t seq, rip;
	uint8_t insn[X86_INSN_MAX];
	unsigned insn_len;
	/* What mmu_stop_hook was told last. */
	bool is_armed;
	unsigned stops, stopped_vcpu;
	uint64_t hit;
	char text[2048]; /* of the last rig_verify */
	uint64_t random;
};

/* Each aborts the test when there is no memory. */
struct rig *rig_create(unsigned max_shadow_pages, bool is_paranoid);
void rig_destroy(struct rig *rig);

uint64_t rig_random(struct rig *rig, uint64_t below);

/* A guest of 4-level paging: frame n stands at linear n * 4096, for the low 2 MiB. */
#define RIG_PML4  0x1000u
#define RIG_PDPT  0x2000u
#define RIG_PD	  0x3000u
#define RIG_PT	  0x4000u
#define RIG_PML4B 0x5000u /* free, for a second one */
#define RIG_DATA  0x8000u
struct rig *rig_four_levels(void);

/* Registers of a mode with everything off but WP, NXE, PSE; CR3 @cr3. */
struct x86_paging rig_regs(enum x86_paging_mode mode, uint64_t cr3);
/* Load them as MOV CR3 does, PDPTEs included. */
void rig_load(struct rig *rig, unsigned vcpu, const struct x86_paging *regs);

/* Write to both memories: by mmu_write, as the guest's store would. */
void rig_write(struct rig *rig, gpa_t gpa, const void *buf, size_t len);
/* Through the hook, as a loader or the debugger does. */
void rig_poke(struct rig *rig, gpa_t gpa, const void *buf, size_t len);
void rig_put32(struct rig *rig, gpa_t gpa, uint32_t value);
void rig_put64(struct rig *rig, gpa_t gpa, uint64_t value);
uint64_t rig_get64(const struct rig *rig, gpa_t gpa);

/* Translate, compare with a plain walk over the copy, and keep the page in the micro-TLB.
 * Returns what mmu_translate returned. */
int rig_translate(struct rig *rig, unsigned vcpu, gva_t gva, unsigned access, bool smap_off,
		  struct mmu_page *out_page);
/* The same on vCPU 0, and it must succeed. */
struct mmu_page rig_touch(struct rig *rig, gva_t gva, unsigned access);
/* A guest's store of 8 bytes at most that does not cross a page: through the micro-TLB where it
 * allows, else by translation.  Returns false on a fault. */
bool rig_store(struct rig *rig, unsigned vcpu, gva_t gva, const void *buf, size_t len);

/* Findings of mmu_verify; their text is in rig->text. */
unsigned rig_verify(struct rig *rig);
/* Whether one of the findings is of @invariant ("I1"). */
bool rig_names(const struct rig *rig, const char *invariant);
/* Nothing found, memories equal, and everything in the micro-TLB is what a walk allows. */
void rig_check(struct rig *rig);
/* The same, and the end. */
void rig_finish(struct rig *rig);
struct mmu_stats rig_stats(const struct rig *rig);

#endif
