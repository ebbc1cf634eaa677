/* The accel_ops of the software CPU. */
#ifndef SOFT_VM_H
#define SOFT_VM_H

#include "run.h"

#include "umbra/accel_soft.h"

/* struct accel_vm and struct accel_vcpu are ours: one of each holds the machine or the vCPU. */
struct accel_vm {
	struct soft_vm soft;
};
struct accel_vcpu {
	struct soft_cpu soft;
};

/* vcpu.c */
int soft_vcpu_open(struct accel_vcpu **out_vcpu, struct accel_vm *vm,
		   const struct accel_vcpu_config *config, struct umbra_err *err);
void soft_vcpu_close(struct accel_vcpu *vcpu);
int soft_vcpu_reset(struct accel_vcpu *vcpu, struct umbra_err *err);
void soft_vcpu_run(struct accel_vcpu *vcpu, struct accel_exit *out_exit);
void soft_vcpu_run_briefly(struct accel_vcpu *vcpu, struct accel_exit *out_exit);
void soft_vcpu_kick(struct accel_vcpu *vcpu);
int soft_vcpu_debug_set(struct accel_vcpu *vcpu, const struct accel_debug *debug);
int soft_vcpu_reflect(struct accel_vcpu *vcpu, unsigned vector, uint64_t dr6);
bool soft_vcpu_is_halted_for_good(struct accel_vcpu *vcpu);
void soft_vcpu_show_exits(const struct accel_vcpu *vcpu, const struct print_sink *sink);

/* state.c */
int soft_state_get(struct accel_vcpu *vcpu, struct x86_state *st, unsigned parts);
int soft_state_set(struct accel_vcpu *vcpu, const struct x86_state *st, unsigned parts,
		   struct umbra_err *err);

/* Events of the shadow MMU (watch.c): mmu_config.who and .stop. */
void soft_mmu_who(void *vm, unsigned vcpu, bool has_insn, struct mmu_who *out_who);
void soft_mmu_arm(void *vm, bool is_armed);
bool soft_mmu_stop(void *vm, unsigned vcpu, uint64_t hit);

#endif
