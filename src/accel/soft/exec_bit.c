/* Bits: BT, BTS, BTR, BTC, BSF, BSR, POPCNT, CRC32, BSWAP.
 * A bit offset in a register may name a bit far from a memory operand: it is signed, and selects
 * the unit of the operand's size first.  BSF and BSR of 0 leave the destination as the host does,
 * and all flags but CF of the bit tests are the host's. Source: SDM 2A BT, BSF, BSWAP, CRC32; 2B
 * POPCNT. */
#include "exec_int.h"

/* Bit tests.  The host masks the offset, as the guest would within one unit. */

#define NATIVE_BIT(bits, name)                                                                     \
	SOFT_INLINE uint##bits##_t native_##name##_##bits(uint##bits##_t v, uint##bits##_t bit,    \
							  uint32_t *ax)                            \
	{                                                                                          \
		__asm__(NATIVE_FLAGS_IN #name " %2, %0" NATIVE_FLAGS_OUT                           \
			: "+r"(v), "+a"(*ax)                                                       \
			: "r"(bit)                                                                 \
			: "cc");                                                                   \
		return v;                                                                          \
	}
/* The offset is the sum of a register, or none, and an immediate. */
#define BIT_OFFSET(bits, reg) ((uint##bits##_t)(SOFT_GET(bits, reg) + i->imm))
#define BIT_REG_FORM(bits, name)                                                                   \
	NATIVE_BIT(bits, name)                                                                     \
	SOFT_OP(name##_r_##bits)                                                                   \
	{                                                                                          \
		uint32_t ax = NATIVE_AX();                                                         \
		uint##bits##_t v = SOFT_GET(bits, i->dst), bit = BIT_OFFSET(bits, i->src);         \
		v = native_##name##_##bits(v, bit, &ax);                                           \
		SOFT_PUT(bits, i->dst, v);                                                         \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}
#define BIT_CHANGE(bits, name)                                                                     \
	BIT_REG_FORM(bits, name)                                                                   \
	SOFT_MEM_OP(name##_m_##bits)                                                               \
	{                                                                                          \
		uint32_t ax = NATIVE_AX();                                                         \
		uint##bits##_t a, bit = BIT_OFFSET(bits, i->src);                                  \
		SOFT_MODIFY(bits, a, SOFT_EA(), native_##name##_##bits(a, bit, &ax));              \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDE_WIDTHS(BIT_CHANGE, bts)
SOFT_WIDE_WIDTHS(BIT_CHANGE, btr)
SOFT_WIDE_WIDTHS(BIT_CHANGE, btc)

/* BT writes no register: not even the upper half that a 32-bit write would clear. */
#define BIT_TEST(bits)                                                                             \
	NATIVE_BIT(bits, bt)                                                                       \
	SOFT_OP(bt_r_##bits)                                                                       \
	{                                                                                          \
		uint32_t ax = NATIVE_AX();                                                         \
		uint##bits##_t bit = BIT_OFFSET(bits, i->src);                                     \
		native_bt_##bits(SOFT_GET(bits, i->dst), bit, &ax);                                \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(bt_m_##bits)                                                                   \
	{                                                                                          \
		uint32_t ax = NATIVE_AX();                                                         \
		uint##bits##_t v, bit = BIT_OFFSET(bits, i->src);                                  \
		SOFT_LOAD(bits, v, SOFT_EA());                                                     \
		native_bt_##bits(v, bit, &ax);                                                     \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDE_WIDTHS(BIT_TEST)

/* Effective address of the unit: whole units of the offset are added to the operand's address. */
#define UNIT_OFFSET(bits, log2_bits)                                                               \
	SOFT_OP(unit_offset_##bits)                                                                \
	{                                                                                          \
		int64_t unit = (int##bits##_t)SOFT_GET(bits, i->src) >> (log2_bits);               \
		c->r[SLOT_TEMP] = SOFT_EA() + (uint64_t)unit * ((bits) / 8);                       \
		SOFT_NEXT();                                                                       \
	}
UNIT_OFFSET(16, 4)
UNIT_OFFSET(32, 5)
UNIT_OFFSET(64, 6)

uint8_t soft_emit_bit_address(struct tr *t, bool is_write)
{
	static soft_op_fn *const BY_SIZE[4] = SOFT_BY_WIDE_WIDTH(unit_offset);
	const ZydisDecodedOperand *dst = &t->op[0];
	unsigned seg = soft_mem_segment(dst);
	struct insn *i = tr_slot_lea(t, BY_SIZE[tr_width(dst->size)], dst);

	i->src = tr_reg(t->op[1].reg.value);
	if (t->code_bits == 64 && t->address_bits == 64 && seg != X86_FS && seg != X86_GS)
		return TR_SLOT_OFFSET(SLOT_TEMP);
	tr_address(t, SLOT_EA2, seg, SLOT_TEMP, 0, dst->size / 8, is_write);
	return TR_SLOT_OFFSET(SLOT_EA2);
}

struct bit_op {
	uint16_t mnemonic;
	soft_op_fn *r[4], *m[4];
};
static const struct bit_op BIT_OPS[] = {
	{ZYDIS_MNEMONIC_BT, SOFT_BY_WIDE_WIDTH(bt_r), SOFT_BY_WIDE_WIDTH(bt_m)},
	{ZYDIS_MNEMONIC_BTS, SOFT_BY_WIDE_WIDTH(bts_r), SOFT_BY_WIDE_WIDTH(bts_m)},
	{ZYDIS_MNEMONIC_BTR, SOFT_BY_WIDE_WIDTH(btr_r), SOFT_BY_WIDE_WIDTH(btr_m)},
	{ZYDIS_MNEMONIC_BTC, SOFT_BY_WIDE_WIDTH(btc_r), SOFT_BY_WIDE_WIDTH(btc_m)},
};

static bool emit_bit(struct tr *t)
{
	const ZydisDecodedOperand *dst = &t->op[0], *bit = &t->op[1];
	bool is_write = t->z->mnemonic != ZYDIS_MNEMONIC_BT;
	const struct bit_op *op = BIT_OPS;
	unsigned w = tr_width(dst->size);
	struct insn *i;

	if (t->is_locked)
		return soft_emit_locked(t);
	while (op->mnemonic != t->z->mnemonic)
		op++;
	if (tr_is_reg(dst)) {
		i = tr_slot(t, op->r[w]);
		i->dst = tr_reg(dst->reg.value);
	} else if (tr_is_imm(bit)) {
		i = tr_slot_mem(t, op->m[w], dst, dst->size / 8, is_write);
	} else {
		uint8_t address = soft_emit_bit_address(t, is_write);

		i = tr_slot(t, op->m[w]);
		i->base = address;
		i->seg_len = (uint8_t)(soft_mem_segment(dst) << 4 | SOFT_LEN_OF(i));
	}
	i->src = tr_is_imm(bit) ? TR_SLOT_OFFSET(SLOT_ZERO) : tr_reg(bit->reg.value);
	i->imm = tr_is_imm(bit) ? bit->imm.value.u : 0;
	return true;
}

/* Scans work on the whole destination: what a source of 0 does to its upper half is up to the
 * host. */
#define SCAN(bits, name, modifier)                                                                 \
	SOFT_OP(name##_##bits)                                                                     \
	{                                                                                          \
		uint32_t ax = NATIVE_AX();                                                         \
		uint64_t v = SOFT_GET(64, i->dst), src = SOFT_GET(bits, i->src);                   \
		__asm__(NATIVE_FLAGS_IN #name " %" modifier "2, %" modifier "0" NATIVE_FLAGS_OUT   \
			: "+r"(v), "+a"(ax)                                                        \
			: "r"(src)                                                                 \
			: "cc");                                                                   \
		SOFT_PUT(64, i->dst, v);                                                           \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}
SCAN(16, bsf, "w")
SCAN(32, bsf, "k")
SCAN(64, bsf, "q")
SCAN(16, bsr, "w")
SCAN(32, bsr, "k")
SCAN(64, bsr, "q")

/* ZF says that the source was 0; the other flags are cleared. */
#define POPCNT(bits)                                                                               \
	SOFT_OP(popcnt_##bits)                                                                     \
	{                                                                                          \
		uint##bits##_t v = SOFT_GET(bits, i->src);                                         \
		__asm__("popcnt %0, %0" : "+r"(v) : : "cc");                                       \
		SOFT_PUT(bits, i->dst, v);                                                         \
		FLAGS_SET_STATUS(v ? 0 : X86_RFLAGS_ZF);                                           \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDE_WIDTHS(POPCNT)

static bool emit_scan(struct tr *t)
{
	static soft_op_fn *const BSF[4] = SOFT_BY_WIDE_WIDTH(bsf);
	static soft_op_fn *const BSR[4] = SOFT_BY_WIDE_WIDTH(bsr);
	static soft_op_fn *const POPCNT[4] = SOFT_BY_WIDE_WIDTH(popcnt);
	soft_op_fn *const *by_size = t->z->mnemonic == ZYDIS_MNEMONIC_BSF   ? BSF
				     : t->z->mnemonic == ZYDIS_MNEMONIC_BSR ? BSR
									    : POPCNT;
	uint8_t src = soft_emit_source(t, &t->op[1]);
	struct insn *i = tr_slot(t, by_size[tr_width(t->op[0].size)]);

	i->dst = tr_reg(t->op[0].reg.value);
	i->src = src;
	return true;
}

/* CRC32 accumulates 32 bits; the upper half of the destination is cleared in every form. */
#define CRC32(bits)                                                                                \
	SOFT_OP(crc32_##bits)                                                                      \
	{                                                                                          \
		uint64_t crc = SOFT_GET(32, i->dst);                                               \
		uint##bits##_t src = SOFT_GET(bits, i->src);                                       \
		__asm__("crc32 %1, %" CRC32_DESTINATION_##bits "0" : "+r"(crc) : "r"(src));        \
		SOFT_PUT(32, i->dst, crc);                                                         \
		SOFT_NEXT();                                                                       \
	}
#define CRC32_DESTINATION_8  "k"
#define CRC32_DESTINATION_16 "k"
#define CRC32_DESTINATION_32 "k"
#define CRC32_DESTINATION_64 "q"
SOFT_WIDTHS(CRC32)

static bool emit_crc32(struct tr *t)
{
	static soft_op_fn *const BY_SIZE[4] = SOFT_BY_WIDTH(crc32);
	uint8_t src = soft_emit_source(t, &t->op[1]);
	struct insn *i = tr_slot(t, BY_SIZE[tr_width(t->op[1].size)]);

	i->dst = tr_reg(t->op[0].reg.value);
	i->src = src;
	return true;
}

/* BSWAP.  With a 16-bit operand the manual leaves it undefined: 66 0F C8 is BSWAP AX. */

SOFT_OP(bswap_16)
{
	uint64_t v = SOFT_GET(64, i->dst);

	__asm__(".byte 0x66, 0x0f, 0xc8" : "+a"(v));
	SOFT_PUT(64, i->dst, v);
	SOFT_NEXT();
}

SOFT_OP(bswap_32)
{
	SOFT_PUT(32, i->dst, __builtin_bswap32(SOFT_GET(32, i->dst)));
	SOFT_NEXT();
}

SOFT_OP(bswap_64)
{
	SOFT_PUT(64, i->dst, __builtin_bswap64(SOFT_GET(64, i->dst)));
	SOFT_NEXT();
}

static bool emit_bswap(struct tr *t)
{
	static soft_op_fn *const BY_SIZE[4] = SOFT_BY_WIDE_WIDTH(bswap);
	struct insn *i = tr_slot(t, BY_SIZE[tr_width(t->operand_bits)]);

	i->dst = tr_reg(t->op[0].reg.value);
	return true;
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_BT, 0, emit_bit},	  {ZYDIS_MNEMONIC_BTS, ROW_LOCK, emit_bit},
	{ZYDIS_MNEMONIC_BTR, ROW_LOCK, emit_bit}, {ZYDIS_MNEMONIC_BTC, ROW_LOCK, emit_bit},
	{ZYDIS_MNEMONIC_BSF, 0, emit_scan},	  {ZYDIS_MNEMONIC_BSR, 0, emit_scan},
	{ZYDIS_MNEMONIC_POPCNT, 0, emit_scan},	  {ZYDIS_MNEMONIC_CRC32, 0, emit_crc32},
	{ZYDIS_MNEMONIC_BSWAP, 0, emit_bswap},
};
const struct soft_rows soft_rows_bit = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
