/* What a step must know beforehand of the instruction it steps over, on KVMs where the plain single
 * step has a flaw that the self-test found:
 *   IRET    the instruction at the target runs in the same step: a debug register waits there.
 *   PUSHF   stores the TF that belongs to the step: it is cleared in memory afterwards.
 * and HLT, after which the processor may be halted.
 * Source: SDM 2A IRET, PUSHF; SDM 3A 3.4.5 (descriptors). */
#include "kvm.h"

#define OPCODE_PUSHF 0x9c
#define OPCODE_IRET  0xcf
#define OPCODE_HLT   0xf4

/* Bits that a stack address has: SS.B outside of 64-bit mode. */
static gva_t stack_address(const struct x86_state *st)
{
	uint64_t rsp = st->gpr[X86_RSP];

	if (x86_mode_of(st) == X86_MODE_LONG64)
		return rsp;
	rsp &= st->seg[X86_SS].db ? UINT32_MAX : UINT16_MAX;
	return (uint32_t)(st->seg[X86_SS].base + rsp);
}

/* IRET. */

static uint64_t frame_word(const uint8_t *frame, unsigned bits, unsigned index)
{
	const uint8_t *at = frame + (size_t)index * bits / 8;

	return bits == 64 ? le64_get(at) : bits == 32 ? le32_get(at) : le16_get(at);
}

static uint32_t descriptor_base(const uint8_t *descriptor)
{
	return (le32_get(descriptor + 2) & 0xffffff) | (uint32_t)descriptor[7] << 24;
}

bool kvm_step_iret_target(const struct x86_state *st, unsigned operand_bits, const uint8_t *frame,
			  const uint8_t *descriptor, gva_t *out_target)
{
	enum x86_mode mode = x86_mode_of(st);
	uint64_t ip, cs;

	if (operand_bits != 16 && operand_bits != 32 && operand_bits != 64)
		return false;
	ip = frame_word(frame, operand_bits, 0);
	cs = frame_word(frame, operand_bits, 1) & 0xffff;
	if (mode == X86_MODE_REAL || mode == X86_MODE_V86)
		*out_target = (uint32_t)((cs << 4) + ip);
	else if (!descriptor || (descriptor[6] & 0x20)) /* L: the base counts as 0 */
		*out_target = ip;
	else
		*out_target = (uint32_t)(descriptor_base(descriptor) + ip);
	return true;
}

static bool read_descriptor(const struct accel_vm *vm, const struct x86_state *st,
			    uint16_t selector, uint8_t descriptor[8])
{
	gva_t table = selector & 4 ? st->ldtr.base : st->gdtr.base;

	return kvm_guest_read(vm, st, table + (selector & 0xfff8u), descriptor, 8) == 8;
}

static void plan_iret(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct kvm_step *step = &vcpu->step;
	unsigned bytes = 2 * step->operand_bits / 8;
	uint8_t frame[16] = {0};
	uint8_t descriptor[8];
	bool has_descriptor = false;

	if (bytes > sizeof(frame) ||
	    kvm_guest_read(vcpu->vm, st, stack_address(st), frame, bytes) != bytes)
		return;
	if (st->cr0 & X86_CR0_PE)
		has_descriptor = read_descriptor(vcpu->vm, st,
						 (uint16_t)frame_word(frame, step->operand_bits, 1),
						 descriptor);
	step->has_target = kvm_step_iret_target(st, step->operand_bits, frame,
						has_descriptor ? descriptor : NULL, &step->target);
	/* With all registers in use the last one gives way for this one instruction. */
	step->target_slot =
		vcpu->debug.point_count < KVM_POINTS ? vcpu->debug.point_count : KVM_POINTS - 1;
}

/* Before and after. */

static bool has_byte(const uint8_t *bytes, size_t len, int byte)
{
	return memchr(bytes, byte, len) != NULL;
}

static void plan(struct accel_vcpu *vcpu, const struct x86_state *st,
		 const struct kvm_mode_quirks *quirk, const uint8_t *bytes, size_t len)
{
	struct x86_insn insn;

	if (x86_insn_decode(x86_mode_of(st), bytes, len, &insn) != 0)
		return;
	vcpu->step.kind = insn.kind;
	vcpu->step.operand_bits = insn.operand_bits;
	if (insn.kind == X86_INSN_HLT)
		vcpu->may_be_halted = true;
	if (insn.kind == X86_INSN_IRET && quirk->iret_steps_two)
		plan_iret(vcpu, st);
}

/* Most instructions have none of the opcodes among their bytes and need no decoder. */
void kvm_step_prepare(struct accel_vcpu *vcpu)
{
	struct x86_state st;
	uint8_t bytes[X86_INSN_MAX];
	size_t len;

	memset(&vcpu->step, 0, sizeof(vcpu->step));
	if (!vcpu->debug.step)
		return;
	if (!vcpu->vm->probe.must_read_ahead && !vcpu->debug.block_irq)
		return;
	if (kvm_state_get(vcpu, &st, X86_STATE_GPR | X86_STATE_SREG) != 0)
		return;
	len = kvm_guest_read(vcpu->vm, &st, x86_linear_pc(&st), bytes, sizeof(bytes));
	if (has_byte(bytes, len, OPCODE_IRET) || has_byte(bytes, len, OPCODE_PUSHF) ||
	    has_byte(bytes, len, OPCODE_HLT))
		plan(vcpu, &st, &vcpu->vm->probe.quirk[accel_mode_of(&st)], bytes, len);
}

/* Bit 8 of the pushed flags: bit 0 of their second byte. */
static void clear_pushed_tf(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct x86_walk walk;
	uint8_t byte;

	if (x86_walk(st, stack_address(st) + 1, mem_phys_read, vcpu->vm->mem, &walk) != 0 ||
	    mem_peek(vcpu->vm->mem, walk.gpa, &byte, 1) != 1 || !(byte & 1))
		return;
	byte &= (uint8_t)~1u;
	mem_poke(vcpu->vm->mem, walk.gpa, &byte, 1);
}

void kvm_step_finish(struct accel_vcpu *vcpu)
{
	struct x86_state st;

	if (vcpu->step.kind != X86_INSN_PUSHF ||
	    kvm_state_get(vcpu, &st, X86_STATE_GPR | X86_STATE_SREG) != 0)
		return;
	if (vcpu->vm->probe.quirk[accel_mode_of(&st)].pushf_shows_tf)
		clear_pushed_tf(vcpu, &st);
}
