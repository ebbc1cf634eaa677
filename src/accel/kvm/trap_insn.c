/* Which instruction was it?  At the exit of a trapped store RIP is past it already, and x86 code
 * cannot be read backwards: each length is tried, and what fits is an instruction that ends at RIP
 * and stores that many bytes to that place.  A prefix may make two of one (the last byte of the
 * instruction before is often one by chance); decoding that began well before falls into step with
 * the code after a few instructions, so where it arrives decides.  What is not sure is not told. */
#include "kvm.h"

#define BEFORE	   64 /* bytes of code before RIP that are looked at */
#define SWEEP_ROOM 32 /* and how far from RIP a decoding must begin to count */

struct code {
	enum x86_mode mode;
	unsigned before; /* bytes in front of RIP */
	size_t len;
	uint8_t bytes[BEFORE + X86_INSN_MAX];
};

static void read_code(const struct accel_vm *vm, const struct x86_state *st, struct code *code)
{
	gva_t pc = x86_linear_pc(st);

	code->mode = x86_mode_of(st);
	code->before = (unsigned)u64_min(BEFORE, pc);
	code->len = kvm_guest_read(vm, st, pc - code->before, code->bytes, sizeof(code->bytes));
	if (code->len >= code->before)
		return;
	/* The page before is not mapped. */
	code->before = (unsigned)u64_min(BEFORE, pc % UMBRA_PAGE_SIZE);
	code->len = kvm_guest_read(vm, st, pc - code->before, code->bytes, sizeof(code->bytes));
	code->before = (unsigned)u64_min(code->before, code->len);
}

/* The bytes of a store that lie in the page of @va: those go as one write, 8 bytes at most. */
static bool part_is(const struct accel_vm *vm, const struct x86_state *st, gva_t va, unsigned bytes,
		    gpa_t gpa, unsigned len)
{
	struct x86_walk walk;

	if (x86_walk(st, va, mem_phys_read, vm->mem, &walk) != 0)
		return false;
	if (bytes <= 8)
		return walk.gpa == gpa && bytes == len;
	return range_fits(gpa, len, walk.gpa, bytes);
}

static bool stores_there(const struct accel_vm *vm, const struct x86_state *st,
			 const struct x86_insn_stores *stores, gpa_t gpa, unsigned len)
{
	unsigned i;

	for (i = 0; i < stores->count; i++) {
		gva_t va = stores->store[i].addr;
		unsigned bytes = stores->store[i].bytes;
		unsigned first = (unsigned)u64_min(bytes, UMBRA_PAGE_SIZE - va % UMBRA_PAGE_SIZE);

		if (part_is(vm, st, va, first, gpa, len) ||
		    (bytes > first && part_is(vm, st, va + first, bytes - first, gpa, len)))
			return true;
	}
	return false;
}

/* A REP string instruction that is not done: RIP is at it. */
static bool is_rep_here(const struct accel_vm *vm, const struct x86_state *st,
			const struct code *code, gpa_t gpa, unsigned len, unsigned *out_length)
{
	const uint8_t *at = code->bytes + code->before;
	size_t room = code->len - code->before;
	struct x86_insn_stores stores;
	struct x86_insn insn;

	if (x86_insn_decode(code->mode, at, room, &insn) < 0 || !insn.has_rep ||
	    insn.kind != X86_INSN_STRING ||
	    x86_insn_stores(st, at, room, st->rip + insn.length, &stores) < 0)
		return false;
	*out_length = insn.length;
	return stores_there(vm, st, &stores, gpa, len);
}

/* Bit n: the n bytes before RIP are an instruction that fits. */
static unsigned candidates(const struct accel_vm *vm, const struct x86_state *st,
			   const struct code *code, gpa_t gpa, unsigned len)
{
	unsigned found = 0;
	int n;

	for (n = 1; n <= X86_INSN_MAX && (unsigned)n <= code->before; n++) {
		struct x86_insn_stores stores;

		if (x86_insn_stores(st, code->bytes + code->before - n, (size_t)n, st->rip,
				    &stores) == n &&
		    stores_there(vm, st, &stores, gpa, len))
			found |= 1u << n;
	}
	return found;
}

/* The length of the last instruction before RIP when decoding begins at @at; 0: it is lost. */
static unsigned sweep(const struct code *code, unsigned at)
{
	struct x86_insn insn = {.length = 0};

	while (at < code->before) {
		if (x86_insn_decode(code->mode, code->bytes + at, code->before - at, &insn) < 0)
			return 0;
		at += insn.length;
	}
	return insn.length;
}

/* Where decoding arrives from most of the bytes before, and from none elsewhere. */
static unsigned settle(const struct code *code, unsigned found)
{
	unsigned starts = code->before > SWEEP_ROOM ? code->before - SWEEP_ROOM : 0;
	unsigned votes = 0, agreed = 0, at;

	for (at = 0; at < starts; at++) {
		unsigned length = sweep(code, at);

		if (!(found >> length & 1))
			continue;
		if (agreed && agreed != length)
			return 0;
		agreed = length;
		votes++;
	}
	return 2 * votes > starts ? agreed : 0;
}

void kvm_trap_writer(const struct accel_vm *vm, const struct x86_state *st, gpa_t gpa, unsigned len,
		     struct accel_trapped *out)
{
	struct code code;
	unsigned found, length;

	out->next_rip = st->rip;
	out->insn_len = 0;
	read_code(vm, st, &code);
	found = candidates(vm, st, &code, gpa, len);
	if (is_rep_here(vm, st, &code, gpa, len, &length)) {
		/* Behind one that fits as well: either of them. */
		if (found)
			return;
		out->rip = st->rip;
		memcpy(out->insn, code.bytes + code.before, length);
	} else {
		length = found & (found - 1) ? settle(&code, found)
					     : (unsigned)__builtin_ffs((int)found) - (found != 0);
		if (length == 0)
			return;
		out->rip = st->rip - length;
		memcpy(out->insn, code.bytes + code.before - length, length);
	}
	out->insn_len = (uint8_t)length;
	out->insn_mode = code.mode;
}
