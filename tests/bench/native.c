/* The loops of the guest `speed` on this host's own processor: one line each, with the name, the
 * seconds of processor time and the result.
 *
 *   native [SHARE]     SHARE divides the counts (default 1) */
#ifndef __clang__
/* As the guest is compiled; clang makes this program only to see that it can. */
#pragma GCC optimize("no-tree-vectorize", "no-tree-loop-distribute-patterns")
#endif
#include "guests/speed_loops.c" /* NOLINT(bugprone-suspicious-include) */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	uint64_t share = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;

	for (unsigned i = 0; i < speed_loop_count; i++) {
		double start = now();
		uint64_t result = speed_loops[i].run(speed_loops[i].count / share);

		printf("%s %.6f 0x%" PRIx64 "\n", speed_loops[i].name, now() - start, result);
	}
	return 0;
}
