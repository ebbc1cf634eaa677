/* Segment registers with their hidden parts, in the forms that boot protocols ask for.
 * Source: SDM 3A 3.4.5 (descriptors), 3.4.5.1 (types), 20.1.1 (real-address mode). */
#include "umbra/x86.h"

/* The accessed bit is set in both: VM entry refuses a usable segment without it (SDM 3C 26.3.1.2).
 */
#define SEG_TYPE_DATA_RW_ACCESSED 0x3
#define SEG_TYPE_CODE_RX_ACCESSED 0xb

struct x86_seg x86_seg_flat(uint16_t selector, bool is_code, unsigned bits, unsigned dpl)
{
	struct x86_seg seg = {
		.selector = selector,
		.limit = UINT32_MAX,
		.type = is_code ? SEG_TYPE_CODE_RX_ACCESSED : SEG_TYPE_DATA_RW_ACCESSED,
		.dpl = (uint8_t)(dpl & 3),
		.s = true,
		.present = true,
		.g = true,
	};

	/* CS.L=1 with CS.D=1 is reserved (SDM 3A 5.2.1); data segments have no L bit, and B only
	 * matters for a stack that is not 64-bit. */
	seg.l = is_code && bits == 64;
	seg.db = bits == 32 || (bits == 64 && !is_code);
	return seg;
}

/* Data type for CS too: that is what a real-mode load leaves there. */
struct x86_seg x86_seg_real(uint16_t selector)
{
	struct x86_seg seg = {
		.selector = selector,
		.base = (uint64_t)selector << 4,
		.limit = 0xffff,
		.type = SEG_TYPE_DATA_RW_ACCESSED,
		.s = true,
		.present = true,
	};

	return seg;
}
