/* A back end without a processor, for tests of src/cpu: every "instruction" is one byte, RIP runs
 * round a small loop of RAM, 0xCC traps, debug registers and single step work as on hardware. */
#ifndef MOCK_ACCEL_H
#define MOCK_ACCEL_H

#include "umbra/accel.h"

#define MOCK_START 0x1000u /* the loop: MOCK_START <= rip < MOCK_START + MOCK_LEN */
#define MOCK_LEN   64u
#define MOCK_BRIEF 16u /* instructions of mock_run_briefly */

extern const struct accel_ops mock_accel;
/* For accel_ops.run_briefly, which it does without. */
void mock_run_briefly(struct accel_vcpu *v, struct accel_exit *out);

/* Number of vCPUs that are executing right now. */
int mock_running(void);
/* How often vCPU @index executed the instruction at @addr since the start. */
uint64_t mock_executed(unsigned index, gva_t addr);
/* Have vCPU @index find this byte to be a request for its @world's stop, or an HLT: the instruction
 * at @addr calls @fn(@arg) from the vCPU's thread, as a device would. */
void mock_set_io(gva_t addr, void (*fn)(void *arg), void *arg);

/* Wake every vCPU that is halted: what an interrupt from another vCPU does. */
void mock_wake(void *unused);

#endif
