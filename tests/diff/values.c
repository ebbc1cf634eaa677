/* See values.h. */
#include "values.h"

#include <string.h>

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define F80_BYTES 10

uint64_t value_int(struct rng *r)
{
	uint64_t v = rng_next(r);

	switch (rng_below(r, 8)) {
	case 0:
		return rng_below(r, 4);
	case 1:
		return ~(uint64_t)rng_below(r, 4);
	case 2: /* one bit, or one less, or a sign-extended one */
		return (1ull << rng_below(r, 64)) - rng_below(r, 3);
	case 3:
		return ~0ull << rng_below(r, 64);
	case 4:
		return v & 0xff;
	case 5:
		return (uint64_t)(int64_t)(int32_t)v;
	case 6: /* a few bits */
		return v & rng_next(r) & rng_next(r) & rng_next(r);
	default:
		return v;
	}
}

static uint32_t value_f32(struct rng *r)
{
	static const uint32_t CORNER[] = {
		0,	    0x3f800000, 1,	    0x007fffff, 0x00800000, 0x7f7fffff,
		0x7f800000, 0x7fc00000, 0x7f800001, 0x7fffffff, 0x4f000000, 0x4effffff,
		0x4f800000, 0x5f000000, 0x3f000000, 0x3fc00000, 0x4b000001, 0x40490fdb,
	};
	uint32_t v = (uint32_t)rng_next(r);

	switch (rng_below(r, 4)) {
	case 0:
		return CORNER[rng_below(r, COUNT(CORNER))] | (v & 0x80000000u);
	case 1: /* near one another, so that sums cancel and products stay finite */
		return (v & 0x807fffffu) | (120 + rng_below(r, 24)) << 23;
	case 2: /* a small integer or half of one, which is often exact */
		return (v & 0x80780000u) | (126 + rng_below(r, 8)) << 23;
	default:
		return v;
	}
}

static uint64_t value_f64(struct rng *r)
{
	static const uint64_t CORNER[] = {
		0,
		0x3ff0000000000000,
		1,
		0x000fffffffffffff,
		0x0010000000000000,
		0x7fefffffffffffff,
		0x7ff0000000000000,
		0x7ff8000000000000,
		0x7ff0000000000001,
		0x7fffffffffffffff,
		0x41e0000000000000,
		0x41dfffffffc00000,
		0x43e0000000000000,
		0x3fe0000000000000,
		0x47efffffe0000000, /* largest float */
		0x47f0000000000000,
		0x3810000000000000, /* least normal float */
		0x36a0000000000000, /* least float */
		0x3690000000000000,
	};
	uint64_t v = rng_next(r);

	switch (rng_below(r, 4)) {
	case 0:
		return CORNER[rng_below(r, COUNT(CORNER))] | (v & 1ull << 63);
	case 1:
		return (v & 0x800fffffffffffffull) | (1000ull + rng_below(r, 80)) << 52;
	case 2:
		return (v & 0x800f000000000000ull) | (1022ull + rng_below(r, 10)) << 52;
	default:
		return v;
	}
}

static void value_f80(struct rng *r, uint8_t out[F80_BYTES])
{
	static const struct {
		uint64_t significand;
		uint16_t exponent;
	} CORNER[] = {
		{0, 0},
		{1ull << 63, 0x3fff},
		{1, 0},
		{~0ull >> 1, 0},
		{1ull << 63, 0},
		{1ull << 63, 1},
		{~0ull, 0x7ffe},
		{1ull << 63, 0x7fff},
		{3ull << 62, 0x7fff},
		{1ull << 63 | 1, 0x7fff},
		{0, 0x7fff},
		{1, 0x7fff},
		{1, 0x3fff},
		{0, 0x4000},
		{1ull << 63, 0x403e},
		{~0ull, 0x403d},
		{1ull << 63, 0x401e},
		{1ull << 63, 0x400e},
		{0xc90fdaa22168c235, 0x4000},
		{1ull << 63, 0x3ffe},
		{3ull << 62, 0x3fff},
	};
	unsigned corner = rng_below(r, COUNT(CORNER));
	uint64_t significand = rng_next(r);
	uint16_t exponent = (uint16_t)rng_next(r);

	switch (rng_below(r, 4)) {
	case 0:
		significand = CORNER[corner].significand;
		exponent = (uint16_t)(CORNER[corner].exponent | (exponent & 0x8000));
		break;
	case 1:
		significand |= 1ull << 63;
		exponent = (uint16_t)((exponent & 0x8000) | (0x3fc0 + rng_below(r, 0x90)));
		break;
	case 2:
		significand = (significand & 0xff00000000000000) | 1ull << 63;
		exponent = (uint16_t)((exponent & 0x8000) | (0x3ffe + rng_below(r, 10)));
		break;
	default:
		significand |= 1ull << 63;
	}
	memcpy(out, &significand, sizeof(significand));
	memcpy(out + sizeof(significand), &exponent, sizeof(exponent));
}

static void value_bcd(struct rng *r, uint8_t out[F80_BYTES])
{
	for (unsigned i = 0; i < F80_BYTES; i++)
		out[i] = (uint8_t)(rng_below(r, 10) << 4 | rng_below(r, 10));
	out[F80_BYTES - 1] = rng_one_in(r, 2) ? 0x80 : 0;
}

/* One value; returns its size. */
static size_t value_one(struct rng *r, enum value_kind kind, uint8_t out[16])
{
	uint64_t v = 0;

	switch (kind) {
	case VALUE_F80:
		value_f80(r, out);
		return F80_BYTES;
	case VALUE_BCD:
		value_bcd(r, out);
		return F80_BYTES;
	case VALUE_F32:
		v = value_f32(r);
		memcpy(out, &v, sizeof(v));
		return 4;
	case VALUE_F64:
		v = value_f64(r);
		break;
	case VALUE_INT:
	case VALUE_KIND_COUNT:
		v = value_int(r);
		break;
	}
	memcpy(out, &v, sizeof(v));
	return sizeof(v);
}

void value_fill(struct rng *r, enum value_kind kind, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	while (len) {
		uint8_t one[16];
		size_t n = value_one(r, kind, one);

		n = n < len ? n : len;
		memcpy(p, one, n);
		p += n;
		len -= n;
	}
}

void value_noise(struct rng *r, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t v = rng_next(r);

		memcpy(p, &v, sizeof(v));
	}
	while (len--)
		*p++ = (uint8_t)rng_next(r);
}

enum value_kind value_kind_of(const ZydisDecodedOperand *op)
{
	switch (op->element_type) {
	case ZYDIS_ELEMENT_TYPE_FLOAT32:
		return VALUE_F32;
	case ZYDIS_ELEMENT_TYPE_FLOAT64:
		return VALUE_F64;
	case ZYDIS_ELEMENT_TYPE_FLOAT80:
		return VALUE_F80;
	case ZYDIS_ELEMENT_TYPE_LONGBCD:
		return VALUE_BCD;
	default:
		return VALUE_INT;
	}
}
