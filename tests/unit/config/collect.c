#include "collect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void report(void *arg, const struct config_problem *p)
{
	struct collected *c = arg;
	bool error = p->severity == CONFIG_ERROR;
	if (error)
		c->errors++;
	else
		c->warnings++;
	int n = snprintf(c->text + c->len, sizeof(c->text) - c->len, "%s %s%s: %s (%s)\n", error ? "error" : "warning", p->path,
		p->at_key ? "@" : "", p->message, p->hint);
	c->len += (size_t)n < sizeof(c->text) - c->len ? (size_t)n : 0;
}

struct config_sink collect_sink(struct collected *c)
{
	c->len = c->errors = c->warnings = 0;
	c->text[0] = 0;
	return (struct config_sink){report, c};
}

static int secret(void *arg, const char *name, char *out, size_t size)
{
	const char *text = !strcmp(name, "good") ? "abcdefghijklmn" : !strcmp(name, "short") ? "abcde" : !strcmp(name, "empty") ? "" : NULL;
	if (!strcmp(name, "later"))
		return -EAGAIN;
	if (!text)
		return -ENOENT;
	snprintf(out, size, "%s", text);
	return (int)strlen(text);
}

struct config *collect_read(const char *json, struct collected *collected, int *result)
{
	struct config *config = malloc(sizeof(*config));
	struct config_sink sink = collect_sink(collected);
	struct config_secrets secrets = {secret, NULL};
	size_t len = strlen(json);
	char *copy = malloc(len); /* exactly as long, so that ASan sees a read behind the end */
	memcpy(copy, json, len);
	for (size_t i = 0; i < len; i++)
		if (copy[i] == '\'')
			copy[i] = '"';
	memset(config, 0xa5, sizeof(*config)); /* decoding leaves nothing of what was there */
	*result = config_read_json(copy, len, config, &secrets, &sink);
	free(copy);
	return config;
}
