/* Lazy flags.  Between instructions the six status flags are not kept as bits but as what made
 *them: fr   the result, zero-extended to 64 bits from its width fs   the second source,
 *zero-extended; for FLAGS_INC, _DEC: CF before; for FLAGS_MIXED: CF, AF and OF at their places in
 *RFLAGS; for FLAGS_ALL: all six at their places fo   the kind and the width: FLAGS_OP(kind, bits)
 * Most are overwritten unread; each is computed when it is asked for.
 * Source: SDM 1 3.4.3.1; Bochs and blink keep them the same way. */
#ifndef SOFT_FLAGS_H
#define SOFT_FLAGS_H

#include "umbra/x86.h"

enum soft_flags_kind {
	FLAGS_ADD,   /* fr = a + fs */
	FLAGS_SUB,   /* fr = a - fs; CMP, NEG (a = 0) too */
	FLAGS_LOGIC, /* CF = OF = AF = 0 */
	FLAGS_INC,
	FLAGS_DEC,
	FLAGS_MIXED, /* ZF, SF and PF from fr; CF, AF and OF from fs */
	FLAGS_ALL    /* everything from fs */
};

/* Width code: 0..3 for 8, 16, 32, 64 bits. */
#define FLAGS_WIDTH(bits)    ((bits) == 8 ? 0u : (bits) == 16 ? 1u : (bits) == 32 ? 2u : 3u)
#define FLAGS_OP(kind, bits) ((uint64_t)(kind)*4 + FLAGS_WIDTH(bits))

static inline unsigned flags_kind(uint64_t fo)
{
	return (unsigned)(fo >> 2);
}

static inline unsigned flags_top_bit(uint64_t fo)
{
	return (8u << (fo & 3)) - 1;
}

static inline uint64_t flags_mask(uint64_t fo)
{
	return ~0ull >> (63 - flags_top_bit(fo));
}

static inline bool flags_cf(uint64_t fr, uint64_t fs, uint64_t fo)
{
	switch (flags_kind(fo)) {
	case FLAGS_ADD:
		return fr < fs;
	case FLAGS_SUB:
		return ((fr + fs) & flags_mask(fo)) < fs;
	case FLAGS_LOGIC:
		return false;
	default:
		return fs & X86_RFLAGS_CF;
	}
}

static inline bool flags_zf(uint64_t fr, uint64_t fs, uint64_t fo)
{
	return flags_kind(fo) == FLAGS_ALL ? (fs & X86_RFLAGS_ZF) != 0 : fr == 0;
}

static inline bool flags_sf(uint64_t fr, uint64_t fs, uint64_t fo)
{
	return flags_kind(fo) == FLAGS_ALL ? (fs & X86_RFLAGS_SF) != 0
					   : (fr >> flags_top_bit(fo)) & 1;
}

static inline bool flags_pf(uint64_t fr, uint64_t fs, uint64_t fo)
{
	return flags_kind(fo) == FLAGS_ALL ? (fs & X86_RFLAGS_PF) != 0
					   : !__builtin_parity((unsigned)fr & 0xff);
}

static inline bool flags_of(uint64_t fr, uint64_t fs, uint64_t fo)
{
	unsigned top = flags_top_bit(fo);
	uint64_t a;

	switch (flags_kind(fo)) {
	case FLAGS_ADD:
		a = fr - fs;
		return ((~(a ^ fs) & (a ^ fr)) >> top) & 1;
	case FLAGS_SUB:
		a = fr + fs;
		return (((a ^ fs) & (a ^ fr)) >> top) & 1;
	case FLAGS_LOGIC:
		return false;
	case FLAGS_INC:
		return fr == 1ull << top;
	case FLAGS_DEC:
		return fr == (1ull << top) - 1;
	default:
		return fs & X86_RFLAGS_OF;
	}
}

static inline bool flags_af(uint64_t fr, uint64_t fs, uint64_t fo)
{
	switch (flags_kind(fo)) {
	case FLAGS_ADD:
		return ((fr - fs) ^ fs ^ fr) & 0x10;
	case FLAGS_SUB:
		return ((fr + fs) ^ fs ^ fr) & 0x10;
	case FLAGS_LOGIC:
		return false;
	case FLAGS_INC:
		return (fr & 0xf) == 0;
	case FLAGS_DEC:
		return (fr & 0xf) == 0xf;
	default:
		return fs & X86_RFLAGS_AF;
	}
}

/* Condition code @cc of Jcc, SETcc and CMOVcc (SDM 2D B.1.4.7). */
static inline __attribute__((always_inline)) bool flags_condition(unsigned cc, uint64_t fr,
								  uint64_t fs, uint64_t fo)
{
	bool v;

	switch (cc >> 1) {
	case 0:
		v = flags_of(fr, fs, fo);
		break;
	case 1:
		v = flags_cf(fr, fs, fo);
		break;
	case 2:
		v = flags_zf(fr, fs, fo);
		break;
	case 3:
		v = flags_cf(fr, fs, fo) || flags_zf(fr, fs, fo);
		break;
	case 4:
		v = flags_sf(fr, fs, fo);
		break;
	case 5:
		v = flags_pf(fr, fs, fo);
		break;
	case 6:
		v = flags_sf(fr, fs, fo) != flags_of(fr, fs, fo);
		break;
	default:
		v = flags_zf(fr, fs, fo) || flags_sf(fr, fs, fo) != flags_of(fr, fs, fo);
		break;
	}
	return v ^ (cc & 1);
}

/* The six flags at their places in RFLAGS. */
static inline uint64_t flags_status(uint64_t fr, uint64_t fs, uint64_t fo)
{
	if (flags_kind(fo) == FLAGS_ALL)
		return fs & X86_RFLAGS_STATUS;
	return (flags_cf(fr, fs, fo) ? X86_RFLAGS_CF : 0) |
	       (flags_pf(fr, fs, fo) ? X86_RFLAGS_PF : 0) |
	       (flags_af(fr, fs, fo) ? X86_RFLAGS_AF : 0) |
	       (flags_zf(fr, fs, fo) ? X86_RFLAGS_ZF : 0) |
	       (flags_sf(fr, fs, fo) ? X86_RFLAGS_SF : 0) |
	       (flags_of(fr, fs, fo) ? X86_RFLAGS_OF : 0);
}

#endif
