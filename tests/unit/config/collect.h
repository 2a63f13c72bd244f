/* For tests: a sink that writes problems into a text, a line each: "error PATH: MESSAGE (HINT)\n"; the path has '@' behind it for a key. */
#ifndef TESTS_CONFIG_COLLECT_H
#define TESTS_CONFIG_COLLECT_H

#include <config/config.h>

struct collected {
	char text[16384];
	size_t len;
	unsigned errors, warnings;
};

struct config_sink collect_sink(struct collected *collected);
/* A heap-allocated configuration decoded from JSON written with ' for ". Secrets: "good" 14 characters, "short" 5. */
struct config *collect_read(const char *json, struct collected *collected, int *result);

#endif
