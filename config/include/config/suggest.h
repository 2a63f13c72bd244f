/* "Did you mean": the known word nearest to a mistyped one. Used for keys, names and the command line. */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

#include <stddef.h>

struct config_suggest {
	const char *word; /* what was typed */
	const char *best; /* the nearest candidate so far; NULL if none is near */
	size_t distance;
};

void config_suggest_begin(struct config_suggest *suggest, const char *word);
/* Offers a candidate. It is near if it differs by few edits (insert, delete, replace, swap) for its length, or only by case. */
void config_suggest_offer(struct config_suggest *suggest, const char *candidate);

#endif
