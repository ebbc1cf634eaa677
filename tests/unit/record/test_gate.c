/* Unit tests of src/record/gate.c: what passes through while nothing is recorded. */
#include "umbra/record.h"

#include <criterion/criterion.h>
#include <string.h>

static struct gate *new_gate(void)
{
	struct gate *gate;

	cr_assert_eq(gate_create(&gate, NULL), 0);
	return gate;
}

Test(gate, now_when_created_then_near_zero_and_never_back)
{
	struct gate *gate = new_gate();
	uint64_t last = gate_now_ns(gate);

	cr_assert_lt(last, 5000000000ull);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now = gate_now_ns(gate);

		cr_assert_geq(now, last);
		last = now;
	}
	gate_destroy(gate);
}

Test(gate, input_when_nothing_is_recorded_then_all_of_it_unchanged)
{
	struct gate *gate = new_gate();
	uint8_t bytes[3] = {1, 2, 3};
	const uint8_t expected[3] = {1, 2, 3};

	cr_assert_eq(gate_input(gate, 0, bytes, 3), 3);
	cr_assert_arr_eq(bytes, expected, 3);
	cr_assert_eq(gate_input(gate, 1, bytes, 0), 0);
	gate_destroy(gate);
}

Test(gate, random_when_filled_then_each_byte_is_reached_and_not_the_next)
{
	struct gate *gate = new_gate();
	uint8_t seen[1000] = {0};
	uint8_t bytes[1001];

	/* A byte that is 0 in 16 draws running was not written. */
	for (unsigned round = 0; round < 16; round++) {
		memset(bytes, 0, sizeof(bytes));
		gate_random(gate, bytes, 1000);
		cr_assert_eq(bytes[1000], 0);
		for (unsigned i = 0; i < 1000; i++)
			seen[i] |= bytes[i];
	}
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_neq(seen[i], 0);
	gate_destroy(gate);
}
