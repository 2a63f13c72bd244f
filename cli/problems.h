/* What is wrong with a configuration file: collected with positions, printed for people (file:line:column, the line, a hint) or as JSON. */
#ifndef CLI_PROBLEMS_H
#define CLI_PROBLEMS_H

#include "marks.h"

#include <config/config.h>
#include <yyjson.h>

#define MAX_PROBLEMS 200 /* more are only counted */

struct problem {
	enum config_severity severity;
	struct position position;
	char *path, *message, *hint;
};

struct problems {
	const char *file; /* its name as the user gave it */
	const char *text; /* its contents, for quoting lines; NULL: could not be read */
	size_t len;
	struct problem list[MAX_PROBLEMS];
	unsigned count, errors, warnings;
};

void problems_add(struct problems *problems, enum config_severity severity, struct position position, const char *path, const char *hint,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Prints in the order of the file, on standard error. */
void problems_print(struct problems *problems);
/* [{file, line, column, severity, path, message, hint}, ...] */
yyjson_mut_val *problems_json(struct problems *problems, yyjson_mut_doc *doc);
void problems_free(struct problems *problems);

#endif
