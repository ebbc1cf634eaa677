/* Every access of guest memory by its linear address (access.c, tlb.c), and who may make one while
 * others run (parallel.c). */
#ifndef SOFT_ACCESS_H
#define SOFT_ACCESS_H

#include "cpu.h"

/* Linear addresses; the rights of the current CPL, or of the supervisor for the
 * _sys forms (descriptor tables, TSS: SDM 3A 4.6).  Any alignment, page crossing, MMIO, tables,
 * watchpoints; each may raise.  A store that crosses pages checks both before it writes. */
uint64_t soft_load(struct soft_cpu *c, gva_t la, unsigned size); /* 1, 2, 4 or 8, zero-extended */
void soft_store(struct soft_cpu *c, gva_t la, unsigned size, uint64_t value);
void soft_load_bytes(struct soft_cpu *c, gva_t la, void *buf, size_t len); /* up to 4096 */
void soft_store_bytes(struct soft_cpu *c, gva_t la, const void *buf, size_t len);
uint64_t soft_load_sys(struct soft_cpu *c, gva_t la, unsigned size);
void soft_store_sys(struct soft_cpu *c, gva_t la, unsigned size, uint64_t value);
/* Raise #AC when alignment is checked and @la is not a multiple of @align, a power of 2 (SDM
 * 3A 6.15, table 6-7).  soft_load, soft_store and read-modify-writes do so by their size, the
 * others not. */
void soft_check_alignment(struct soft_cpu *c, gva_t la, unsigned align);
/* Raise what a store would raise, and store nothing. */
void soft_probe_store(struct soft_cpu *c, gva_t la, size_t len);
void soft_probe_load(struct soft_cpu *c, gva_t la, size_t len);

/* A read-modify-write of 1 to 16 bytes.  begin makes every check and gives a pointer to the bytes,
 * naturally fit for a host atomic operation when they lie in RAM; end makes what was written there
 * real where it was a copy (MMIO, page crossing), and tells the shadow and the code cache. */
void soft_rmw_begin(struct soft_cpu *c, gva_t la, unsigned len, struct soft_rmw *out_rmw);
void soft_rmw_end(struct soft_cpu *c, struct soft_rmw *rmw);

/* Around every call of the mmu from a vCPU thread: parallel.c.  soft_unsafe returns true when what
 * the call returned may be void. */
void soft_safe(struct soft_cpu *c);
bool soft_unsafe(struct soft_cpu *c);
/* From begin to end no other vCPU touches memory but by the mmu.  Translations from before begin
 * may be void.  An end without begin does nothing. */
void soft_exclusive_begin(struct soft_cpu *c);
void soft_exclusive_end(struct soft_cpu *c);
#define SOFT_MMU_CALL(c, call)                                                                     \
	do {                                                                                       \
		soft_safe(c);                                                                      \
		call;                                                                              \
		soft_unsafe(c);                                                                    \
	} while (0)

/* Instruction bytes for translation: up to @len bytes at linear @la, without crossing its page.
 * Returns how many, and the frame's GPA; raises #PF as an instruction fetch does. */
size_t soft_fetch(struct soft_cpu *c, gva_t la, uint8_t *buf, size_t len, gpa_t *out_gpa);
/* The GPA alone of a byte to execute; raises likewise. */
gpa_t soft_fetch_gpa(struct soft_cpu *c, gva_t la);

#endif
