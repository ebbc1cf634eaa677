/* A guest for several vCPUs in 64-bit mode, made to make them meet: vCPU 0 goes through rounds, in
 * each of which it hangs another page table in, changes the entry in it that the others are walking
 * through at that very moment, rewrites an instruction that they execute, and sends them an
 * interrupt.  In its handler each of the others drops the old translation, checks that it sees the
 * new page and the new instruction, and acknowledges.  Meanwhile all of them count, in one counter
 * together and in one of their own.  After the last round vCPU 0 writes to port SMP_GUEST_EXIT. */
#ifndef TESTS_SMP_GUEST_H
#define TESTS_SMP_GUEST_H

#include "umbra/mem.h"
#include "umbra/x86.h"

#define SMP_GUEST_RAM  0x400000ull
#define SMP_GUEST_EXIT 0xf4
#define SMP_GUEST_CODE 0x10000ull

/* What it counts, at SMP_GUEST_DATA. */
#define SMP_GUEST_DATA 0x13000ull
struct smp_guest_data {
	uint64_t round, limit;
	uint64_t bad_page, bad_code; /* checks that failed */
	uint64_t mates;		     /* vCPUs besides vCPU 0 */
	uint64_t unused[3];
	uint64_t acknowledged[24];
	uint64_t total; /* 0x100: counted by all */
	uint64_t unused2[7];
	uint64_t own[24][8]; /* 0x140: counted by each */
};

/* Put code, tables and data into RAM: @vcpus in all, @rounds to go. */
void smp_guest_load(struct mem_space *mem, unsigned vcpus, uint64_t rounds);
/* The state that vCPU @index begins in. */
void smp_guest_state(unsigned index, struct x86_state *out_st);

#endif
