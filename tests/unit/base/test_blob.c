/* Unit tests of src/base/blob.c: the bounded byte stream. */
#include "umbra/blob.h"

#include <criterion/criterion.h>
#include <string.h>

Test(blob, put_when_room_then_little_endian_in_order)
{
	uint8_t bytes[18];
	const uint8_t expected[18] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e,
				      0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 'a',	'b',  'c'};
	struct blob b = blob_over(bytes, sizeof(bytes));

	blob_put_u8(&b, 0x01);
	blob_put_u16(&b, 0x0203);
	blob_put_u32(&b, 0x04050607);
	blob_put_u64(&b, 0x08090a0b0c0d0e0full);
	blob_put_bytes(&b, "abc", 3);
	cr_assert(!b.is_failed);
	cr_assert_eq(b.pos, sizeof(bytes));
	cr_assert_arr_eq(bytes, expected, sizeof(bytes));
}

Test(blob, get_when_written_then_same_values)
{
	uint8_t bytes[32];
	char text[4] = "";
	struct blob b = blob_over(bytes, sizeof(bytes));

	blob_put_u8(&b, 0xfe);
	blob_put_u16(&b, 0xfedc);
	blob_put_u32(&b, 0xfedcba98);
	blob_put_u64(&b, 0xfedcba9876543210ull);
	blob_put_bytes(&b, "xyz", 4);
	b = blob_over(bytes, b.pos);
	cr_assert_eq(blob_get_u8(&b), 0xfe);
	cr_assert_eq(blob_get_u16(&b), 0xfedc);
	cr_assert_eq(blob_get_u32(&b), 0xfedcba98);
	cr_assert_eq(blob_get_u64(&b), 0xfedcba9876543210ull);
	blob_get_bytes(&b, text, 4);
	cr_assert_str_eq(text, "xyz");
	cr_assert(!b.is_failed);
}

Test(blob, put_when_one_byte_short_then_failed_and_nothing_written)
{
	uint8_t bytes[8] = {0};
	struct blob b = blob_over(bytes, 7);

	blob_put_u64(&b, UINT64_MAX);
	cr_assert(b.is_failed);
	cr_assert_eq(b.pos, 0);
	/* It stays failed although this would fit. */
	blob_put_u8(&b, 0xff);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		cr_assert_eq(bytes[i], 0);
}

Test(blob, get_when_past_the_end_then_zeros)
{
	uint8_t bytes[3] = {1, 2, 3};
	uint8_t out[4] = {9, 9, 9, 9};
	struct blob b = blob_over(bytes, sizeof(bytes));

	cr_assert_eq(blob_get_u32(&b), 0);
	cr_assert(b.is_failed);
	cr_assert_eq(blob_get_u8(&b), 0);
	cr_assert_eq(blob_get_u16(&b), 0);
	cr_assert_eq(blob_get_u64(&b), 0);
	blob_get_bytes(&b, out, sizeof(out));
	for (unsigned i = 0; i < sizeof(out); i++)
		cr_assert_eq(out[i], 0);
}

Test(blob, get_when_the_rest_is_too_short_then_failed)
{
	uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct blob b = blob_over(bytes, 4);

	cr_assert_eq(blob_get_u8(&b), 1);
	cr_assert_eq(blob_get_u32(&b), 0);
	cr_assert(b.is_failed);
}

Test(blob, get_bytes_when_length_is_huge_then_failed)
{
	uint8_t bytes[4] = {0};
	struct blob b = blob_over(bytes, sizeof(bytes));

	blob_get_u8(&b);
	blob_put_bytes(&b, bytes, SIZE_MAX);
	cr_assert(b.is_failed);
}

Test(blob, bytes_when_empty_then_null_is_allowed)
{
	struct blob b = blob_over(NULL, 0);

	blob_put_bytes(&b, NULL, 0);
	blob_get_bytes(&b, NULL, 0);
	cr_assert(!b.is_failed);
}
