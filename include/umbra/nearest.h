/* Which of the known words was meant: for "did you mean" in messages. */
#ifndef UMBRA_NEAREST_H
#define UMBRA_NEAREST_H

#include <stddef.h>

/* The word of @words (@n of them) that is nearest to @word by edits (a letter put in, left out,
 * replaced, or two swapped): at most two, and fewer than a half of the letters; of equally near
 * ones the first.  Letter case does not count.  Returns NULL when none is that near.
 * Pure: any thread. */
const char *nearest_word(const char *word, const char *const *words, size_t n);

#endif
