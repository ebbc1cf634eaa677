/* The oracle of the page walks: linear-address translation written down from the SDM alone, in its
 * order and words, as literal as possible and as slow as that makes it.  It shares nothing with
 * src/, not even the names of the control bits.
 * Source: SDM 3A chapter 4, sections and tables as cited. */
#ifndef UMBRA_TEST_SLOW_WALKER_H
#define UMBRA_TEST_SLOW_WALKER_H

#include <stdbool.h>
#include <stdint.h>

/* Physical memory, a byte at a time.  Where nobody answers a read gives 0xff and a write is lost;
 * a write to ROM is lost too. */
struct slow_memory {
	uint8_t (*read)(void *ctx, uint64_t pa);
	void (*write)(void *ctx, uint64_t pa, uint8_t byte);
	void *ctx;
};

struct slow_cpu {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t pdpte[4];
	bool has_pdpte; /* false: PDPTEs are read, and checked, at each translation */
	uint32_t pkru;
	unsigned maxphyaddr;
};

struct slow_access {
	uint64_t linear;
	bool is_write, is_fetch;
	bool is_user_mode;	  /* CPL = 3 */
	bool is_explicit_with_ac; /* a supervisor access that EFLAGS.AC = 1 lets through SMAP */
};

enum slow_outcome { SLOW_OK, SLOW_NOT_CANONICAL, SLOW_NOT_PRESENT, SLOW_RESERVED, SLOW_DENIED };

/* A paging-structure entry that the translation read, with the flags that it set there. */
struct slow_used {
	uint64_t pa, value;
	unsigned bytes;
	unsigned level; /* 5 = PML5E ... 1 = PTE */
	bool has_accessed;
};

struct slow_result {
	enum slow_outcome outcome;
	uint32_t error_code; /* of the page fault */
	uint64_t physical;   /* the rest is about SLOW_OK, where not said otherwise */
	uint64_t page_bytes; /* 0 = paging is off */
	bool is_writable, is_user, is_executable; /* also SLOW_DENIED: all entries together */
	bool is_global;
	unsigned key;
	unsigned used_count; /* always: the last one is where the translation ended */
	struct slow_used used[5];
	uint64_t reserved_set; /* SLOW_RESERVED: the offending bits */
	unsigned set_accessed; /* bit n: the flag of the entry of level n was changed to 1 */
	bool set_dirty;
};

/* Translate, check the rights, and update A and D when the access is allowed. */
void slow_translate(const struct slow_cpu *cpu, const struct slow_memory *memory,
		    const struct slow_access *access, struct slow_result *out_result);

#endif
