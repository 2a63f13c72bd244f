/* Memory for a short-lived program: an allocation succeeds or the program ends with a message. */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include <stdlib.h>

void *must_realloc(void *old, size_t size);
void *must_calloc(size_t count, size_t size);
char *must_strdup(const char *text);
char *must_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
