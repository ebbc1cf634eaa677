/* The micro-TLB: what the handlers look at in line, in front of the shadow MMU.  It holds nothing
 * that the shadow does not allow, and less than that: no write to a page with decoded code, nothing
 * in line that the debugger watches.  A smaller one beside it serves instruction fetches. */
#include "tlb.h"

#include "access.h"
#include "block.h"
#include "points.h"
#include "run.h"

#include <errno.h>
#include <stdlib.h>

#define FETCH_ENTRIES 256u
#define PAGE_INDEXES  512u /* values of bits 20:12, as mmu_tlb_hook.forget names pages */
#define NO_ROOT	      (~0ull)

struct fetch_entry {
	uint64_t tag; /* linear address of the page | 1; 0 = void */
	uint64_t root;
	bool is_user;
	gpa_t gpa;
	const uint8_t *host; /* NULL: no memory */
};

/* The page that tag @tag of entry @n is about; TLB_NONE of the void one. */
static gva_t page_of_tag(uint64_t tag, unsigned n)
{
	bool is_watched = ((tag ^ TLB_WATCHED) >> 12) % TLB_ENTRIES == n % TLB_ENTRIES;

	return is_watched ? tag ^ TLB_WATCHED : tag;
}

/* The page that entry @n holds, or TLB_NONE. */
static gva_t page_held(const struct tlb_entry *e, unsigned n)
{
	return page_of_tag(e->rtag != TLB_NONE(n) ? e->rtag : e->wtag, n);
}

/* What soft_cpu.banks points to the start of. */
struct tlb_state {
	struct tlb_bank bank[TLB_BANKS];
	struct fetch_entry fetch[FETCH_ENTRIES];
	/* Bit n: code came from a page with n in bits 20:12, so links may depend on it. */
	uint64_t code_index[PAGE_INDEXES / 64];
};

static struct tlb_state *state_of(const struct soft_cpu *c)
{
	return (struct tlb_state *)c->banks;
}

/* Banks. */

static void clear_bank(struct tlb_bank *bank)
{
	for (unsigned i = 0; i < TLB_SLOTS; i++) {
		bank->entry[i].rtag = TLB_NONE(i);
		bank->entry[i].wtag = TLB_NONE(i);
	}
}

int soft_tlb_init(struct soft_cpu *c)
{
	size_t size = (sizeof(struct tlb_state) + 63) & ~(size_t)63;
	struct tlb_state *state = aligned_alloc(64, size);

	if (!state)
		return -ENOMEM;
	memset(state, 0, size);
	for (unsigned i = 0; i < TLB_BANKS; i++) {
		clear_bank(&state->bank[i]);
		state->bank[i].root = NO_ROOT;
	}
	c->banks = state->bank;
	c->tlb = state->bank;
	return 0;
}

void soft_tlb_end(struct soft_cpu *c)
{
	free(state_of(c));
	c->banks = NULL;
	c->tlb = NULL;
}

static struct tlb_bank *find_bank(struct soft_cpu *c, uint64_t root, unsigned access)
{
	struct tlb_bank *oldest = c->banks;

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct tlb_bank *bank = &c->banks[i];

		if (bank->root == root && bank->access == access)
			return bank;
		if (bank->used < oldest->used)
			oldest = bank;
	}
	clear_bank(oldest);
	oldest->root = root;
	oldest->access = access;
	return oldest;
}

void soft_tlb_select(struct soft_cpu *c)
{
	uint64_t root = mmu_root_id(c->vm->mmu, c->index);
	unsigned access = soft_tlb_class(c);

	if (c->tlb->root != root || c->tlb->access != access)
		c->tlb = find_bank(c, root, access);
	c->tlb->used = ++c->tlb_clock;
}

/* Forgetting. */

static void drop_links(struct soft_cpu *c)
{
	struct tlb_state *state = state_of(c);

	memset(state->code_index, 0, sizeof(state->code_index));
	soft_links_drop(c);
}

/* Banks that are not in use are emptied when they are taken again. */
void soft_tlb_forget_all(struct soft_cpu *c)
{
	struct tlb_state *state = state_of(c);

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		if (&state->bank[i] != c->tlb)
			state->bank[i].root = NO_ROOT;
	}
	clear_bank(c->tlb);
	memset(state->fetch, 0, sizeof(state->fetch));
	drop_links(c);
}

static void forget_index(struct soft_cpu *c, unsigned index)
{
	struct tlb_state *state = state_of(c);

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		for (unsigned n = index; n < TLB_SLOTS; n += PAGE_INDEXES) {
			state->bank[i].entry[n].rtag = TLB_NONE(n);
			state->bank[i].entry[n].wtag = TLB_NONE(n);
		}
	}
	state->fetch[index % FETCH_ENTRIES].tag = 0;
	if (state->code_index[index / 64] >> (index % 64) & 1)
		drop_links(c);
}

void soft_tlb_forget(void *vm_, unsigned index)
{
	struct soft_vm *vm = vm_;

	if (vm->is_parallel) {
		soft_forget_everywhere(vm);
		return;
	}
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct soft_cpu *c = vm->cpu[i];

		if (!c)
			continue;
		if (index >= PAGE_INDEXES)
			soft_tlb_forget_all(c);
		else
			forget_index(c, index);
	}
}

static void withdraw_from(struct soft_cpu *c, gpa_t frame)
{
	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct tlb_bank *bank = &c->banks[i];

		if (bank->root == NO_ROOT)
			continue;
		for (unsigned n = 0; n < TLB_SLOTS; n++) {
			if (bank->entry[n].gpa == frame)
				bank->entry[n].wtag = TLB_NONE(n);
		}
	}
}

void soft_tlb_withdraw_write(struct soft_cpu *c, gpa_t gpa)
{
	struct soft_vm *vm = c->vm;

	if (vm->is_parallel) {
		soft_safe(c);
		soft_forget_everywhere(vm);
		soft_unsafe(c);
		return;
	}
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		if (vm->cpu[i])
			withdraw_from(vm->cpu[i], gpa & UMBRA_PAGE_MASK);
	}
}

static void each_of_bank(const struct soft_cpu *c, const struct tlb_bank *bank, mmu_tlb_fn fn,
			 void *arg)
{
	struct mmu_tlb_page page = {.vcpu = c->index,
				    .root = bank->root,
				    .access = bank->access & (X86_PF_U | TLB_SMAP_OFF)};

	for (unsigned n = 0; n < TLB_SLOTS; n++) {
		const struct tlb_entry *e = &bank->entry[n];
		bool can_read = e->rtag != TLB_NONE(n), can_write = e->wtag != TLB_NONE(n);

		page.gva = page_held(e, n);
		page.can = (can_read ? MMU_CAN_READ : 0) | (can_write ? MMU_CAN_WRITE : 0);
		page.host = e->host;
		if (page.can)
			fn(arg, &page);
	}
}

void soft_tlb_each(struct soft_cpu *c, mmu_tlb_fn fn, void *arg)
{
	const struct tlb_state *state = state_of(c);

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		if (state->bank[i].root != NO_ROOT)
			each_of_bank(c, &state->bank[i], fn, arg);
	}
	for (unsigned i = 0; i < FETCH_ENTRIES; i++) {
		const struct fetch_entry *e = &state->fetch[i];

		if (e->tag)
			fn(arg, &(struct mmu_tlb_page){.vcpu = c->index,
						       .root = e->root,
						       .gva = e->tag & UMBRA_PAGE_MASK,
						       .access = e->is_user ? X86_PF_U : 0,
						       .can = MMU_CAN_FETCH,
						       .host = e->host});
	}
}

/* Filling. */

_Noreturn static void raise_fault(struct soft_cpu *c, gva_t la, const struct mmu_fault *fault)
{
	if (fault->vector == X86_EXC_PF)
		soft_raise_pf(c, la, fault->error);
	/* Not canonical (SDM 1 3.3.7.1). */
	if (c->cur && SOFT_SEG_OF(c->cur) == X86_SS)
		soft_raise_error(c, X86_EXC_SS, 0);
	soft_raise_error(c, X86_EXC_GP, 0);
}

/* A write to the frame is about to be made, or allowed to a micro-TLB.  Returns true when the frame
 * holds code.  A vCPU that translates code of it at the same time makes its mark on the same byte:
 *   - its mark comes first: it is seen here;
 *   - this one comes first: it is seen there, and answered by soft_tlb_withdraw_write. */
static bool note_write(struct soft_vm *vm, gpa_t gpa)
{
	uint64_t n = gpa / UMBRA_PAGE_SIZE;
	uint8_t old;

	if (n >= vm->code_frame_count)
		return soft_frame_has_code(vm, gpa);
	old = atomic_load_explicit(&vm->code_frame[n], memory_order_acquire);
	if (!(old & (FRAME_HAS_CODE | FRAME_WAS_WRITTEN)))
		old = atomic_fetch_or_explicit(&vm->code_frame[n], FRAME_WAS_WRITTEN,
					       memory_order_acq_rel);
	return old & FRAME_HAS_CODE;
}

/* Entry @n makes room for the page at @start: the one that it holds can still be found. */
static void push_out(struct tlb_bank *bank, unsigned n, gva_t start)
{
	gva_t held = page_held(&bank->entry[n], n);

	if (held == TLB_NONE(n) || held == start)
		return;
	bank->entry[n + TLB_ENTRIES] = bank->entry[n];
	bank->watched[n + TLB_ENTRIES] = bank->watched[n];
}

/* The page may have been pushed out of its entry lately: then the two change places. */
static bool take_back(struct soft_cpu *c, gva_t la, unsigned access)
{
	unsigned n = (unsigned)(la >> 12) & (TLB_ENTRIES - 1), m = n + TLB_ENTRIES;
	struct tlb_entry *entry = c->tlb->entry, found = entry[m];
	uint64_t *watched = c->tlb->watched, found_watched = watched[m];

	if ((access & X86_PF_W ? found.wtag : found.rtag) != (la & UMBRA_PAGE_MASK))
		return false;
	entry[m] = entry[n];
	entry[n] = found;
	watched[m] = watched[n];
	watched[n] = found_watched;
	return true;
}

/* The page of @la is in its entry, and watched for such an access. */
static bool is_watched(const struct soft_cpu *c, gva_t la, unsigned access)
{
	const struct tlb_entry *e = soft_tlb_entry(c, la);
	uint64_t tag = access & X86_PF_W ? e->wtag : e->rtag;

	return tag == ((la & UMBRA_PAGE_MASK) ^ TLB_WATCHED);
}

static uint64_t make_tag(gva_t start, unsigned n, bool can, bool is_watched)
{
	if (!can)
		return TLB_NONE(n);
	return is_watched ? start ^ TLB_WATCHED : start;
}

static void fill(struct soft_cpu *c, gva_t la, const struct mmu_page *page)
{
	unsigned n = (unsigned)(la >> 12) & (TLB_ENTRIES - 1);
	struct tlb_entry *e = &c->tlb->entry[n];
	gva_t start = la & UMBRA_PAGE_MASK;
	unsigned can = page->can;
	uint64_t watched_bytes;
	unsigned watched = soft_points_withhold(c, start, page->gpa, &watched_bytes);

	if (page->is_table || page->is_rom)
		can &= ~MMU_CAN_WRITE;
	if ((can & MMU_CAN_WRITE) && note_write(c->vm, page->gpa))
		can &= ~MMU_CAN_WRITE;
	push_out(c->tlb, n, start);
	e->rtag = make_tag(start, n, can & MMU_CAN_READ, watched & MMU_CAN_READ);
	e->wtag = make_tag(start, n, can & MMU_CAN_WRITE, watched & MMU_CAN_WRITE);
	e->host = page->host;
	e->gpa = page->gpa;
	c->tlb->watched[n] = watched_bytes;
}

void soft_be_alone(struct soft_cpu *c)
{
	if (c->cur && !(c->mode & SOFT_STEP))
		soft_restart_step(c);
}

/* Ask the mmu; again when the answer was void before it could be used. */
static int translate(struct soft_cpu *c, gva_t la, unsigned access, struct mmu_page *out_page,
		     struct mmu_fault *out_fault)
{
	int rc;

	do {
		soft_safe(c);
		rc = mmu_translate(c->vm->mmu, c->index, la, access & ~TLB_ALIGN, out_page,
				   out_fault);
	} while (soft_unsafe(c));
	return rc;
}

void soft_tlb_resolve(struct soft_cpu *c, gva_t la, unsigned len, unsigned access,
		      struct tlb_span *out_span)
{
	unsigned class = access & TLB_SYS ? 0 : soft_tlb_class(c);
	unsigned offset = (unsigned)(la & ~UMBRA_PAGE_MASK);
	bool is_of_bank = class == c->tlb->access && !(class & TLB_ALIGN);
	struct mmu_page page;
	struct mmu_fault fault;
	bool has_code;

	if (is_of_bank && (is_watched(c, la, access) || take_back(c, la, access))) {
		const struct tlb_entry *e = soft_tlb_entry(c, la);

		*out_span = (struct tlb_span){
			.la = la, .gpa = e->gpa + offset, .host = e->host + offset, .len = len};
		return;
	}
	if (c->vm->may_mmu_stop)
		soft_be_alone(c);
	if (translate(c, la, (access & X86_PF_W) | class, &page, &fault) != 0)
		raise_fault(c, la, &fault);
	has_code = page.host && (access & X86_PF_W) && note_write(c->vm, page.gpa);
	if (page.host && is_of_bank)
		fill(c, la, &page);
	*out_span = (struct tlb_span){
		.la = la,
		.gpa = page.gpa + offset,
		.host = page.host ? page.host + offset : NULL,
		.len = len,
		.is_table = page.is_table,
		.is_rom = page.is_rom,
		.has_code = has_code,
	};
}

/* Instruction fetches. */

static const struct fetch_entry *fetch_page(struct soft_cpu *c, gva_t la)
{
	struct tlb_state *state = state_of(c);
	unsigned index = (unsigned)(la >> 12) & (PAGE_INDEXES - 1);
	struct fetch_entry *e = &state->fetch[index % FETCH_ENTRIES];
	bool is_user = c->cpl == 3;
	struct mmu_page page;
	struct mmu_fault fault;

	state->code_index[index / 64] |= 1ull << (index % 64);
	if (e->tag == ((la & UMBRA_PAGE_MASK) | 1) && e->root == c->tlb->root &&
	    e->is_user == is_user)
		return e;
	if (translate(c, la, X86_PF_I | (is_user ? X86_PF_U : 0), &page, &fault) != 0) {
		if (fault.vector == X86_EXC_PF)
			soft_raise_pf(c, la, fault.error);
		soft_raise_error(c, X86_EXC_GP, 0);
	}
	/* The walk may have made the shadow forget this very index. */
	state->code_index[index / 64] |= 1ull << (index % 64);
	*e = (struct fetch_entry){
		.tag = (la & UMBRA_PAGE_MASK) | 1,
		.root = c->tlb->root,
		.is_user = is_user,
		.gpa = page.gpa,
		.host = page.host,
	};
	return e;
}

gpa_t soft_fetch_gpa(struct soft_cpu *c, gva_t la)
{
	return fetch_page(c, la)->gpa + (la & ~UMBRA_PAGE_MASK);
}

/* Nothing executes out of a device: its bytes are those that nobody drives, all ones. */
size_t soft_fetch(struct soft_cpu *c, gva_t la, uint8_t *buf, size_t len, gpa_t *out_gpa)
{
	const struct fetch_entry *e = fetch_page(c, la);
	size_t offset = la & ~UMBRA_PAGE_MASK;
	size_t room = UMBRA_PAGE_SIZE - offset;
	size_t n = len < room ? len : room;

	if (e->host)
		soft_guest_copy(buf, e->host + offset, n);
	else
		memset(buf, 0xff, n);
	*out_gpa = e->gpa;
	return n;
}
