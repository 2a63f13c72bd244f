/* Values of the configuration as text, as the configuration writes them: the way back of value.c. Pure. */
#ifndef CONFIG_VALUE_TEXT_H
#define CONFIG_VALUE_TEXT_H

#include <config/diff.h>
#include <config/schema.h>

/* One value of `type` at `value`; names of references are looked up in c. A secret is never shown. Longer text is cut. */
void value_show(
	char out[CONFIG_VALUE_TEXT], const struct config *c, const struct config_field *field, enum config_type type, const void *value);
/* A whole list of values of the struct at base: "[10-19, 30]", or "nothing" when it is empty. */
void value_show_list(char out[CONFIG_VALUE_TEXT], const struct config *c, const struct config_field *field, const void *base);

#endif
