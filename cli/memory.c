/* Memory for a short-lived program. */
#include "memory.h"

#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *checked(void *memory)
{
	if (!memory) {
		fputs("berth: out of memory\n", stderr);
		exit(EXIT_SYSTEM);
	}
	return memory;
}

void *must_realloc(void *old, size_t size)
{
	return checked(realloc(old, size));
}

void *must_calloc(size_t count, size_t size)
{
	return checked(calloc(count, size));
}

char *must_strdup(const char *text)
{
	return checked(strdup(text));
}

char *must_printf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return checked(text);
}
