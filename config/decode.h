/* Between read.c (objects, lists, references) and decode.c (single values). */
#ifndef CONFIG_DECODE_H
#define CONFIG_DECODE_H

#include "report.h"

#include <config/schema.h>
#include <errno.h>
#include <yyjson.h>

struct decoder {
	struct config *config; /* sections that stand before the current one are complete */
	const struct config_secrets *secrets;
	struct report report;
};

/* Decodes one value of `type` to out and reports what is wrong with it. */
void decode_scalar(struct decoder *d, const struct config_field *field, enum config_type type, yyjson_val *json, void *out);
/* Stores a BOOL or UINT of the field's size. */
void decode_store(const struct config_field *field, uint64_t value, void *out);
/* Reports: "<what>" must be <wanted>, not <what it is>. */
void decode_wrong_type(struct decoder *d, const char *what, yyjson_val *json, const char *wanted, const char *hint);
/* Index of the element of a section that has this name; -1: reported. */
int decode_reference(struct decoder *d, const char *section, const char *name);

#endif
