/* Collecting and printing what is wrong. */
#include "problems.h"

#include "memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_MAX 120 /* characters of a line that are shown */

void problems_add(struct problems *problems, enum config_severity severity, struct position position, const char *path, const char *hint,
	const char *fmt, ...)
{
	va_list ap;
	char *message = NULL;
	if (severity == CONFIG_ERROR)
		problems->errors++;
	else
		problems->warnings++;
	if (problems->count == MAX_PROBLEMS)
		return;
	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	problems->list[problems->count++] = (struct problem){.severity = severity,
		.position = position,
		.path = must_strdup(path),
		.message = message ? message : must_strdup(fmt),
		.hint = must_strdup(hint ? hint : "")};
}

static bool later(const struct problem *a, const struct problem *b)
{
	if (a->position.line != b->position.line)
		return a->position.line > b->position.line;
	return a->position.column > b->position.column;
}

/* Stable: problems of one place stay in the order in which they were found. */
static void sort(struct problems *problems)
{
	for (unsigned i = 1; i < problems->count; i++) {
		struct problem moved = problems->list[i];
		unsigned j = i;
		for (; j && later(&problems->list[j - 1], &moved); j--)
			problems->list[j] = problems->list[j - 1];
		problems->list[j] = moved;
	}
}

/* Where line n begins; NULL if the text has fewer. */
static const char *find_line(const struct problems *problems, unsigned n, size_t *len)
{
	const char *line = problems->text, *end = problems->text + problems->len;
	for (; line && n > 1; n--) {
		line = memchr(line, '\n', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	if (!line || line >= end)
		return NULL;
	const char *newline = memchr(line, '\n', (size_t)(end - line));
	*len = newline ? (size_t)(newline - line) : (size_t)(end - line);
	return line;
}

/*
 * Somebody may have written a secret itself where its file's name belongs: does it begin at line[i]? Then the rest of the line is
 * hidden. A "file:" or "module:" is no secret.
 */
static bool hidden(const char *line, size_t i, size_t len)
{
	static const char key[] = "secret:";
	if (i < sizeof(key) - 1 || strncmp(line + i - (sizeof(key) - 1), key, sizeof(key) - 1) != 0)
		return false;
	size_t value = i;
	while (value < len && (line[value] == ' ' || line[value] == '"' || line[value] == '\''))
		value++;
	bool names_file =
		(len - value > 5 && !strncmp(line + value, "file:", 5)) || (len - value > 7 && !strncmp(line + value, "module:", 7));
	return !names_file && value < len;
}

/* Quotes the line and points at the column. Bytes that could move the cursor are shown as '?', tabs as one space. */
static void print_line(const struct problems *problems, struct position at)
{
	size_t len;
	const char *line = problems->text && at.line ? find_line(problems, at.line, &len) : NULL;
	if (!line || !at.column || at.column > QUOTED_MAX)
		return;
	fprintf(stderr, "%6u | ", at.line);
	unsigned shown = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];
		if (hidden(line, i, len)) {
			fputs(" ***", stderr);
			break;
		}
		bool goes_on = (c & 0xc0) == 0x80;
		if (!goes_on && shown++ == QUOTED_MAX)
			break;
		fputc(c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? '?' : c, stderr);
	}
	fprintf(stderr, "\n       | %*s^\n", (int)at.column - 1, "");
}

void problems_print(struct problems *problems)
{
	sort(problems);
	for (unsigned i = 0; i < problems->count; i++) {
		const struct problem *p = &problems->list[i];
		fprintf(stderr, "%s:", problems->file);
		if (p->position.line)
			fprintf(stderr, "%u:%u:", p->position.line, p->position.column);
		fprintf(stderr, " %s: %s%s%s\n", p->severity == CONFIG_ERROR ? "error" : "warning", p->path, *p->path ? ": " : "",
			p->message);
		print_line(problems, p->position);
		if (*p->hint)
			fprintf(stderr, "  hint: %s\n", p->hint);
	}
	unsigned more = problems->errors + problems->warnings - problems->count;
	if (more)
		fprintf(stderr, "%s: and %u more\n", problems->file, more);
}

yyjson_mut_val *problems_json(struct problems *problems, yyjson_mut_doc *doc)
{
	yyjson_mut_val *list = yyjson_mut_arr(doc);
	sort(problems);
	for (unsigned i = 0; i < problems->count; i++) {
		const struct problem *p = &problems->list[i];
		yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, list);
		yyjson_mut_obj_add_strcpy(doc, object, "file", problems->file);
		yyjson_mut_obj_add_uint(doc, object, "line", p->position.line);
		yyjson_mut_obj_add_uint(doc, object, "column", p->position.column);
		yyjson_mut_obj_add_str(doc, object, "severity", p->severity == CONFIG_ERROR ? "error" : "warning");
		yyjson_mut_obj_add_strcpy(doc, object, "path", p->path);
		yyjson_mut_obj_add_strcpy(doc, object, "message", p->message);
		yyjson_mut_obj_add_strcpy(doc, object, "hint", p->hint);
	}
	return list;
}

void problems_free(struct problems *problems)
{
	for (unsigned i = 0; i < problems->count; i++) {
		free(problems->list[i].path);
		free(problems->list[i].message);
		free(problems->list[i].hint);
	}
	problems->count = 0;
}
