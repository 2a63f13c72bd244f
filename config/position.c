/*
 * Where the places of the configuration stand in the YAML file it was made from. `berth compile` writes it into the JSON:
 *
 *   "positions": {"file": "host.yaml", "lines": {"uplinks[0]": 2, "portgroups[1].vlan": 9, ...}}
 *
 * A place without an entry stands on the line of the nearest place around it. Kept as hashes, sorted; of a path they say only the line, so
 * that untrusted input can make a message name a wrong line and nothing else. It is optional, and what is beyond the table's room is left
 * out.
 */
#include "position.h"

#include <config/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BITS 20
#define POSITION_LINE_MAX ((1u << LINE_BITS) - 1)
#define FNV_OFFSET 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

/* The entry of a path (len bytes) on line 0. FNV-1a; its high bits are the ones that mix. */
static uint64_t entry(const char *path, size_t len)
{
	uint64_t hash = FNV_OFFSET;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)path[i]) * FNV_PRIME;
	hash ^= hash >> 32;
	return hash << LINE_BITS;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void read_lines(struct config_positions *out, struct report *report, yyjson_val *lines)
{
	yyjson_obj_iter iter = yyjson_obj_iter_with(lines);
	yyjson_val *key;
	while ((key = yyjson_obj_iter_next(&iter)) && out->count < CONFIG_MAX_POSITIONS) {
		yyjson_val *line = yyjson_obj_iter_get_val(key);
		if (!yyjson_is_uint(line) || yyjson_get_uint(line) > POSITION_LINE_MAX) {
			report_error(report, "make it with: berth compile HOST.yaml -o HOST.json", "a line of \"positions\" is no number");
			return;
		}
		out->lines[out->count++] = entry(yyjson_get_str(key), yyjson_get_len(key)) | yyjson_get_uint(line);
	}
	qsort(out->lines, out->count, sizeof(out->lines[0]), compare);
}

void position_read(struct config_positions *out, struct report *report, yyjson_val *json)
{
	yyjson_val *file = yyjson_obj_get(json, "file"), *lines = yyjson_obj_get(json, "lines");
	size_t mark = config_path_push_key(&report->path, CONFIG_POSITIONS_KEY, strlen(CONFIG_POSITIONS_KEY));
	if (yyjson_is_str(file) && yyjson_is_obj(lines)) {
		config_printable(out->file, CONFIG_FILE_NAME_MAX - 3, yyjson_get_str(file), yyjson_get_len(file));
		read_lines(out, report, lines);
	} else {
		report_error(report, "make it with: berth compile HOST.yaml -o HOST.json", "\"positions\" is not {file, lines}");
	}
	config_path_pop(&report->path, mark);
}

static unsigned find(const struct config_positions *positions, uint64_t wanted)
{
	unsigned low = 0, high = positions->count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (positions->lines[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low < positions->count && positions->lines[low] >> LINE_BITS == wanted >> LINE_BITS
		       ? positions->lines[low] & POSITION_LINE_MAX
		       : 0;
}

/* The length of the place around path (len bytes): up to its last '.' or '['. */
static size_t around(const char *path, size_t len)
{
	while (len && path[len - 1] != '.' && path[len - 1] != '[')
		len--;
	return len ? len - 1 : 0;
}

unsigned config_line(const struct config *config, const char *path)
{
	for (size_t len = strlen(path); len; len = around(path, len)) {
		unsigned line = find(&config->positions, entry(path, len));
		if (line)
			return line;
	}
	return 0;
}

const char *config_position(const struct config *config, const char *path, char out[CONFIG_POSITION_MAX + 1])
{
	unsigned line = config_line(config, path);
	out[0] = 0;
	if (line && config->positions.file[0])
		snprintf(out, CONFIG_POSITION_MAX + 1, "%s:%u", config->positions.file, line % (POSITION_LINE_MAX + 1));
	return out;
}
