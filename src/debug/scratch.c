/* See scratch.h. */
#include "scratch.h"
#include "target.h"

#include <errno.h>

/* What a search may look at, whatever a guest mapped. */
#define LOOKS_MAX 4096u
#define PAGES_MAX 16384u

static const uint8_t ZEROS[UMBRA_PAGE_SIZE];

struct search {
	struct debug_target *target;
	unsigned vcpu;
	struct x86_paging regs;
	unsigned user;	 /* X86_PF_U at CPL 3 */
	bool must_write; /* and execute */
	bool must_execute;
	unsigned pages;	 /* wanted */
	unsigned budget; /* pages that may be looked at yet */
	struct scratch_loan *loan;
};

static bool is_lent(const struct scratch *scratch, gpa_t gpa)
{
	for (unsigned i = 0; i < SCRATCH_LOANS_MAX; i++) {
		for (unsigned page = 0; page < scratch->loan[i].pages; page++) {
			if (scratch->loan[i].gpa[page] == gpa)
				return true;
		}
	}
	return false;
}

static bool may_access(const struct search *s, gva_t gva, unsigned access, gpa_t *out_gpa)
{
	struct mmu_probe probe;

	mmu_probe(vm_mem(s->target->vm), &s->regs, gva, access | s->user, true, &probe);
	*out_gpa = probe.walk.gpa;
	return !probe.is_fault;
}

/* Whether the page at @gva will do, and where it is. */
static bool is_page_fit(const struct search *s, gva_t gva, gpa_t *out_gpa)
{
	const struct mem_space *mem = vm_mem(s->target->vm);
	const struct mem_region *slot;
	const uint8_t *bytes;

	if (!may_access(s, gva, s->must_write ? X86_PF_W : 0, out_gpa))
		return false;
	if (s->must_execute && !may_access(s, gva, X86_PF_I, out_gpa))
		return false;
	slot = mem_find(mem, *out_gpa);
	bytes = mem_ptr(mem, *out_gpa, UMBRA_PAGE_SIZE);
	return slot && slot->kind == MEM_RAM && bytes && !is_lent(&s->target->scratch, *out_gpa) &&
	       memcmp(bytes, ZEROS, UMBRA_PAGE_SIZE) == 0;
}

/* From the end of a region downwards.  The loan is filled when a run was found. */
static bool search_region(struct search *s, const struct rsp_region *region)
{
	gva_t floor = (region->first + UMBRA_PAGE_SIZE - 1) & ~(gva_t)(UMBRA_PAGE_SIZE - 1);
	gva_t at = (region->last + 1) & ~(gva_t)(UMBRA_PAGE_SIZE - 1);
	unsigned found = 0;

	while (found < s->pages && s->budget > 0 && at - floor >= UMBRA_PAGE_SIZE && at > floor) {
		at -= UMBRA_PAGE_SIZE;
		s->budget--;
		/* The first page is where null pointers lead. */
		if (at == 0)
			return false;
		if (is_page_fit(s, at, &s->loan->gpa[s->pages - 1 - found]))
			found++;
		else
			found = 0;
	}
	s->loan->gva = at;
	return found == s->pages;
}

static bool search_all(struct search *s)
{
	struct rsp_region region;
	uint64_t at = 0;

	s->budget = PAGES_MAX;
	for (unsigned looks = 0; looks < LOOKS_MAX && s->budget > 0; looks++) {
		region = (struct rsp_region){.first = at, .last = at};
		target_map_ops.region(s->target, s->vcpu + 1, at, &region);
		if (region.is_mapped && region.may_read && !region.is_rom &&
		    (region.may_write || !s->must_write) &&
		    (region.may_execute || !s->must_execute) && search_region(s, &region))
			return true;
		if (region.last < at || region.last == UINT64_MAX)
			return false;
		at = region.last + 1;
	}
	return false;
}

static struct scratch_loan *free_loan(struct scratch *scratch)
{
	for (unsigned i = 0; i < SCRATCH_LOANS_MAX; i++) {
		if (scratch->loan[i].pages == 0)
			return &scratch->loan[i];
	}
	return NULL;
}

int scratch_lend(struct debug_target *target, unsigned vcpu, uint64_t size, unsigned permissions,
		 gva_t *out_gva)
{
	const struct x86_state *st =
		vcpu_state(target->world, vcpu, X86_STATE_GPR | X86_STATE_SREG);
	struct search s = {.target = target,
			   .vcpu = vcpu,
			   .must_write = permissions & RSP_MAY_WRITE,
			   .must_execute = permissions & RSP_MAY_EXECUTE,
			   .loan = free_loan(&target->scratch)};

	if (!st || !mmu_regs_of(target, vcpu, &s.regs))
		return EIO;
	if (size > (uint64_t)SCRATCH_PAGES_MAX * UMBRA_PAGE_SIZE || !s.loan)
		return E2BIG;
	s.user = x86_cpl_of(st) == 3 ? X86_PF_U : 0;
	s.pages = (unsigned)((size + UMBRA_PAGE_SIZE - 1) / UMBRA_PAGE_SIZE);
	if (!search_all(&s)) {
		if (!s.must_write || !s.must_execute)
			return ENOMEM;
		s.must_write = false;
		if (!search_all(&s))
			return ENOMEM;
	}
	s.loan->pages = s.pages;
	*out_gva = s.loan->gva;
	return 0;
}

static void end_loan(struct debug_target *target, struct scratch_loan *loan)
{
	for (unsigned page = 0; page < loan->pages; page++)
		world_mem_write(target->world, loan->gpa[page], ZEROS, UMBRA_PAGE_SIZE);
	loan->pages = 0;
}

int scratch_return(struct debug_target *target, gva_t gva)
{
	for (unsigned i = 0; i < SCRATCH_LOANS_MAX; i++) {
		struct scratch_loan *loan = &target->scratch.loan[i];

		if (loan->pages == 0 || loan->gva != gva)
			continue;
		end_loan(target, loan);
		return 0;
	}
	return EINVAL;
}

void scratch_give_back(struct debug_target *target)
{
	for (unsigned i = 0; i < SCRATCH_LOANS_MAX; i++)
		end_loan(target, &target->scratch.loan[i]);
}

void scratch_forget(struct scratch *scratch)
{
	*scratch = (struct scratch){.loan = {{.pages = 0}}};
}
