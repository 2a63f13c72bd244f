/* The known word nearest to a mistyped one, by Damerau-Levenshtein distance (restricted: no substring is edited twice). */
#include <config/suggest.h>
#include <string.h>

#define WORD_MAX 40 /* longer words are not worth a guess */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;
	return m < c ? m : c;
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[3][WORD_MAX + 1]; /* before the last, last and current row of the matrix */
	size_t *before = row[0], *last = row[1], *now = row[2];
	for (size_t j = 0; j <= b_len; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = lower(a[i - 1]) != lower(b[j - 1]);
			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]) &&
				before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		size_t *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b_len];
}

void config_suggest_begin(struct config_suggest *suggest, const char *word)
{
	*suggest = (struct config_suggest){.word = word, .distance = (size_t)-1};
}

void config_suggest_offer(struct config_suggest *suggest, const char *candidate)
{
	size_t a = strlen(suggest->word), b = strlen(candidate);
	if (!a || !b || a > WORD_MAX || b > WORD_MAX)
		return;
	size_t d = distance(suggest->word, a, candidate, b);
	size_t limit = b <= 3 ? 1 : b <= 6 ? 2 : b / 3;
	if (d < b && d <= limit && d < suggest->distance) {
		suggest->distance = d;
		suggest->best = candidate;
	}
}
