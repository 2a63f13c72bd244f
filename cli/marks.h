/*
 * Positions in the YAML file: for each path of the configuration ("vms[0].nics[1].portgroup") where its key and its value begin. Lines and
 * columns count from 1; columns count characters.
 */
#ifndef CLI_MARKS_H
#define CLI_MARKS_H

#include <stdbool.h>
#include <stddef.h>

struct position {
	unsigned line, column; /* line 0: unknown, or the file as a whole */
};

struct mark {
	char *path;
	struct position key, value; /* an element of a list has no key: both are the value's */
};

struct marks {
	struct mark *marks;
	size_t count, room;
};

void marks_add(struct marks *marks, const char *path, struct position key, struct position value);
/* The position of a path, or of the nearest place around it that has one. */
struct position marks_find(const struct marks *marks, const char *path, bool at_key);
/* The line of the key of the nearest place around mark i; 0: none. */
unsigned marks_line_around(const struct marks *marks, size_t i);
void marks_free(struct marks *marks);

#endif
