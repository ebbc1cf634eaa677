/* Fuzz the page walk: the bytes are the choices that make control registers, tables and accesses,
 * each held against the slow walker.  Every fourth case has registers that no guest could have:
 * there the walk must come back, whatever it says. */
#include "walk_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define TRIALS_MAX 64 /* a run ends here, however long the input is */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *at;
	size_t left;
};

/* The next bytes that hold @bits; zeroes when the input has ended. */
static uint64_t choose_from_script(void *ctx, unsigned bits)
{
	struct script *script = ctx;
	uint8_t raw[8] = {0};
	size_t len = u64_min((bits + 7) / 8, script->left);

	memcpy(raw, script->at, len);
	script->at += len;
	script->left -= len;
	return le64_get(raw) & ~0ull >> (64 - bits);
}

static void must(bool is_true, const struct walk_trial *trial)
{
	char text[1024];

	if (is_true)
		return;
	walk_trial_print(trial, text, sizeof(text));
	fprintf(stderr, "fuzz_walk: %s\n", text);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct walk_rig *rig = walk_rig_create();
	struct script script = {data, size};
	struct walk_trial trial = {.difference = NULL};
	unsigned i;

	for (i = 0; i < TRIALS_MAX && script.left > 0; i++) {
		if (choose_from_script(&script, 2) == 3) {
			walk_rig_try_illegal(rig, choose_from_script, &script);
			continue;
		}
		walk_rig_try(rig, choose_from_script, &script, &trial);
		must(!trial.difference, &trial);
	}
	must(walk_rig_is_memory_equal(rig), &trial);
	walk_rig_destroy(rig);
	return 0;
}
