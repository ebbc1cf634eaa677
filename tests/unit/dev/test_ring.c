/* Unit tests of the output queue of character back ends. */
#include "src/dev/chardev_internal.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

/* Puts and takes of changing sizes, so that the bytes wrap and the ring grows while wrapped. */
Test(ring, bytes_when_put_and_taken_in_any_rhythm_then_in_order)
{
	struct chardev_ring ring = {.size = 0};
	uint8_t out[5000];
	size_t put = 0;
	size_t taken = 0;

	for (size_t round = 0; round < 3000; round++) {
		size_t len;

		for (size_t i = 0; i < round * 37 % 4099; i++)
			cr_assert(ring_put(&ring, pattern(put++)));
		len = ring_peek(&ring, out, round * 53 % 4001);
		for (size_t i = 0; i < len; i++)
			cr_assert_eq(out[i], pattern(taken + i));
		ring_drop(&ring, len);
		taken += len;
		cr_assert_eq(ring.len, put - taken);
	}
	cr_assert_gt(ring.size, 4096u);
	free(ring.data);
}

Test(ring, put_when_full_then_refused_and_nothing_lost)
{
	struct chardev_ring ring = {.size = 0};
	uint8_t byte;

	for (size_t i = 0; i < CHARDEV_OUT_MAX_BYTES; i++)
		cr_assert(ring_put(&ring, pattern(i)));
	cr_assert_not(ring_put(&ring, 0));
	for (size_t i = 0; i < CHARDEV_OUT_MAX_BYTES; i++) {
		cr_assert_eq(ring_peek(&ring, &byte, 1), 1);
		cr_assert_eq(byte, pattern(i));
		ring_drop(&ring, 1);
	}
	cr_assert_eq(ring_peek(&ring, &byte, 1), 0);
}

/* A burst must not keep a mebibyte for the rest of the run. */
Test(ring, memory_when_empty_after_a_burst_then_given_back)
{
	struct chardev_ring ring = {.size = 0};

	for (size_t i = 0; i < 100000; i++)
		ring_put(&ring, 0);
	ring_drop(&ring, 100000);
	cr_assert_null(ring.data);
	cr_assert_eq(ring.size, 0);
	cr_assert(ring_put(&ring, 1));
	free(ring.data);
}
