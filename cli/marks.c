/* Positions of the configuration's places in the YAML file. A list searched linearly: it is small, and asked only when something is wrong.
 */
#include "marks.h"

#include "memory.h"

#include <string.h>

void marks_add(struct marks *marks, const char *path, struct position key, struct position value)
{
	if (marks->count == marks->room) {
		marks->room = marks->room ? marks->room * 2 : 64;
		marks->marks = must_realloc(marks->marks, marks->room * sizeof(marks->marks[0]));
	}
	marks->marks[marks->count++] = (struct mark){.path = must_strdup(path), .key = key, .value = value};
}

static const struct mark *find_exact(const struct marks *marks, const char *path)
{
	for (size_t i = 0; i < marks->count; i++)
		if (!strcmp(marks->marks[i].path, path))
			return &marks->marks[i];
	return NULL;
}

struct position marks_find(const struct marks *marks, const char *path, bool at_key)
{
	char *around = must_strdup(path);
	const struct mark *mark;
	bool exact = true;
	while (!(mark = find_exact(marks, around)) && *around) {
		char *dot = strrchr(around, '.'), *bracket = strrchr(around, '[');
		char *cut = dot > bracket ? dot : bracket;
		*(cut ? cut : around) = 0;
		exact = false;
	}
	free(around);
	if (!mark)
		return (struct position){0, 0};
	return exact && at_key ? mark->key : mark->value;
}

unsigned marks_line_around(const struct marks *marks, size_t i)
{
	const char *path = marks->marks[i].path, *dot = strrchr(path, '.'), *bracket = strrchr(path, '[');
	const char *cut = dot > bracket ? dot : bracket;
	size_t len = cut ? (size_t)(cut - path) : 0;
	while (len && i-- > 0) /* what is around stands before, and near */
		if (!strncmp(marks->marks[i].path, path, len) && !marks->marks[i].path[len])
			return marks->marks[i].key.line;
	return 0;
}

void marks_free(struct marks *marks)
{
	for (size_t i = 0; i < marks->count; i++)
		free(marks->marks[i].path);
	free(marks->marks);
	*marks = (struct marks){NULL, 0, 0};
}
