/* The back end that runs guest code with the host kernel's KVM. */
#ifndef UMBRA_ACCEL_KVM_H
#define UMBRA_ACCEL_KVM_H

#include "umbra/accel.h"
#include "umbra/print.h"

/* The one instance; see umbra/accel.h for what its functions promise. */
extern const struct accel_ops accel_kvm;

/* Measure what this host's KVM does, as vm_start would, and print it for a person: one row per CPU
 * mode, and beneath it what is missing, what that means, and what to do about it.
 * @out_caps filled on 0.
 * Call: any thread, no VM needed.  Errors: -ENOENT, -EACCES, -ENOTSUP, -ENOMEM ...; @err tells the
 * fix, and nothing was printed. */
int kvm_probe_host(struct accel_caps *out_caps, const struct print_sink *sink,
		   struct umbra_err *err);

#endif
