/* --reg NAME=VALUE: registers that the user sets for the entry, after everything else. */
#include "load_internal.h"

#include "umbra/nearest.h"

#include <errno.h>
#include <inttypes.h>

#define REG_RIP	   X86_GPR_COUNT
#define REG_RFLAGS (X86_GPR_COUNT + 1)

/* In the order of enum x86_gpr, then the two others. */
static const char *const reg_names[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
	"r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
};

_Static_assert(UMBRA_ARRAY_SIZE(reg_names) == REG_RFLAGS + 1, "a name for each register");

/* Bits that must be zero for VM entry (SDM 3C 26.3.1.4): 63..22, 15, 5, 3, and VM, since no entry
 * state here has the segments of virtual-8086 mode. */
#define RFLAGS_NOT_ALLOWED (~0x3fffffull | 1ull << 15 | 1ull << 5 | 1ull << 3 | X86_RFLAGS_VM)

static int rip_check(const struct x86_state *st, uint64_t value, struct umbra_err *err)
{
	bool is_canonical = value < 1ull << 47 || value >= ~0ull << 47;

	if ((st->efer & X86_EFER_LMA) ? is_canonical : value <= UINT32_MAX)
		return 0;
	return umbra_err_set(
		err, EINVAL, "--reg rip=0x%" PRIx64 ": %s", value,
		(st->efer & X86_EFER_LMA)
			? "not canonical"
			: "more than 0xffffffff, and the image is not entered in long mode");
}

static int reg_set(struct x86_state *st, unsigned number, uint64_t value, struct umbra_err *err)
{
	if (number == REG_RIP) {
		int rc = rip_check(st, value, err);

		if (rc == 0)
			st->rip = value;
		return rc;
	}
	if (number == REG_RFLAGS) {
		if (value & RFLAGS_NOT_ALLOWED)
			return umbra_err_set(err, EINVAL,
					     "--reg rflags=0x%" PRIx64 ": bits 0x%" PRIx64
					     " must be 0",
					     value, (uint64_t)(value & RFLAGS_NOT_ALLOWED));
		st->rflags = value | X86_RFLAGS_FIXED;
		return 0;
	}
	st->gpr[number] = value;
	return 0;
}

static int reg_find(const char *name, unsigned *out_number, struct umbra_err *err)
{
	const char *near = nearest_word(name, reg_names, UMBRA_ARRAY_SIZE(reg_names));
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(reg_names); i++) {
		if (strcmp(name, reg_names[i]) == 0) {
			*out_number = i;
			return 0;
		}
	}
	return umbra_err_set(err, EINVAL,
			     "--reg %s: no such register%s%s; there are rax to r15, rip and rflags",
			     name, near ? "; did you mean " : "", near ? near : "");
}

int load_regs_set(const struct load_config *config, struct x86_state *st, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; i < config->reg_count; i++) {
		char name[sizeof(config->reg[i].name) + 1] = "";
		unsigned number = 0;
		int rc;

		memcpy(name, config->reg[i].name, sizeof(config->reg[i].name));
		rc = reg_find(name, &number, err);
		if (rc == 0)
			rc = reg_set(st, number, config->reg[i].value, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
