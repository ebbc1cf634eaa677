/* Edit distance between short words (Damerau-Levenshtein, adjacent swaps only). */
#include "umbra/nearest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 32u /* longer words are not worth a guess */
#define EDIT_MAX 2u

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static int letter(const char *word, size_t i)
{
	return tolower((unsigned char)word[i]);
}

/* Both words have at most WORD_MAX letters. */
static unsigned edits_between(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[3][WORD_MAX + 1]; /* the last three rows of the table, in turn */

	for (size_t j = 0; j <= b_len; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *now = row[i % 3];
		const unsigned *last = row[(i + 2) % 3];
		const unsigned *before = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned change = letter(a, i - 1) != letter(b, j - 1);

			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + change);
			if (i > 1 && j > 1 && letter(a, i - 1) == letter(b, j - 2) &&
			    letter(a, i - 2) == letter(b, j - 1) && before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
	}
	return row[a_len % 3][b_len];
}

const char *nearest_word(const char *word, const char *const *words, size_t n)
{
	size_t len = strlen(word);
	size_t best_edits = EDIT_MAX + 1;
	const char *best = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other_len = strlen(words[i]);
		size_t edits;

		if (other_len > WORD_MAX)
			continue;
		edits = edits_between(word, len, words[i], other_len);
		if (edits < best_edits && 2 * edits < (len > other_len ? len : other_len)) {
			best_edits = edits;
			best = words[i];
		}
	}
	return best;
}
