/*
 * Reception of a configuration over the control console. The line may be noisy and what comes over it hostile: every number is bounded
 * before it is used, memory is bounded and taken when a part begins, and a line that does not fit in is answered and changes nothing.
 *
 *   closed --begin--> open --part--> receiving --data ...--> received --part--> receiving ...
 *      ^                |                            `--check, apply (apply.c)
 *      `--abort, apply, 30 s without a line (control.c), another begin--'
 *
 * The sender sends a line and waits for its answer, which says how many bytes of the part are here. A line that was lost or damaged (each
 * carries the CRC of its bytes) is sent again; one that is here already is answered like the first time. So no loss of a line, a byte or an
 * answer can end in anything but the file as it was sent, which the part's CRC shows, or in no file.
 *
 * Owner: the core of the control console. Nothing of the contents is logged or echoed.
 */
#include "transfer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

uint32_t transfer_crc32(uint32_t crc, const uint8_t *bytes, size_t len)
{
	static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc = nibble[(crc ^ bytes[i]) & 15] ^ crc >> 4;
		crc = nibble[(crc ^ bytes[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

/* ---- words of a line ---- */

bool transfer_number(const char **line, uint32_t max, uint32_t *out)
{
	const char *p = *line;
	uint64_t n = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > max)
			return false;
	}
	if (*p && *p != ' ')
		return false;
	*out = (uint32_t)n;
	*line = *p ? p + 1 : p;
	return true;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Eight hexadecimal digits. */
static bool take_crc(const char **line, uint32_t *out)
{
	const char *p = *line;

	*out = 0;
	for (unsigned i = 0; i < 8; i++, p++) {
		if (hex_digit(*p) < 0)
			return false;
		*out = *out << 4 | (uint32_t)hex_digit(*p);
	}
	if (*p && *p != ' ')
		return false;
	*line = *p ? p + 1 : p;
	return true;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 section 4, with padding. How many bytes, or -1. */
static int base64_decode(const char *text, uint8_t *out, size_t room)
{
	size_t len = strlen(text), n = 0;

	if (len % 4)
		return -1;
	for (size_t i = 0; i < len; i += 4) {
		unsigned padding = i + 4 == len ? (unsigned)(text[len - 1] == '=') + (text[len - 1] == '=' && text[len - 2] == '=') : 0;
		uint32_t group = 0;

		for (unsigned k = 0; k < 4; k++) {
			int digit = k < 4 - padding ? base64_digit(text[i + k]) : 0;

			if (digit < 0)
				return -1;
			group = group << 6 | (uint32_t)digit;
		}
		if (n + 3 - padding > room)
			return -1;
		for (unsigned k = 0; k < 3 - padding; k++)
			out[n++] = (uint8_t)(group >> (16 - 8 * k));
	}
	return (int)n;
}

/* ---- parts ---- */

static struct transfer_part *current(struct transfer *t)
{
	return t->count ? &t->parts[t->count - 1] : NULL;
}

static bool part_complete(const struct transfer_part *p)
{
	return p->got == p->size;
}

static struct transfer_answer refusal(const char *text)
{
	return (struct transfer_answer){.state = "error", .text = text};
}

static struct transfer_answer progress(struct transfer *t)
{
	const struct transfer_part *p = current(t);

	if (!p)
		return (struct transfer_answer){.state = "ready", .text = ""};
	return (struct transfer_answer){.state = part_complete(p) ? "received" : "receiving", .offset = p->got, .text = ""};
}

static struct transfer_answer again(struct transfer *t, const char *text)
{
	return (struct transfer_answer){.state = "again", .offset = current(t)->got, .text = text};
}

static bool name_good(const char *name, size_t len)
{
	if (!len || len > TRANSFER_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] <= ' ' || name[i] >= 0x7f)
			return false;
	}
	return true;
}

/* The last part. */
static void drop(struct transfer *t)
{
	struct transfer_part *p = current(t);

	t->total -= p->size;
	free(p->bytes);
	t->count--;
}

static struct transfer_answer part_begin(struct transfer *t, const char *line)
{
	const char *name = line, *space = strchr(line, ' ');
	struct transfer_part *p = current(t);
	uint32_t size, crc;

	if (!space || !name_good(name, (size_t)(space - name)))
		return refusal("a part has a name of 1 to 63 printable characters");
	line = space + 1;
	if (!transfer_number(&line, TRANSFER_MAX_BYTES, &size) || !size || !take_crc(&line, &crc) || *line)
		return refusal("part ID NAME BYTES CRC: at most 4194304 bytes, the CRC-32 in eight hexadecimal digits");
	if (p && strlen(p->name) == (size_t)(space - name) && !memcmp(p->name, name, strlen(p->name)) && p->size == size && p->crc == crc)
		return progress(t); /* the answer to it got lost */
	if (p && !p->got)
		drop(t); /* its line was damaged on its way */
	else if (p && !part_complete(p))
		return refusal("another part is not complete");
	if (t->count == TRANSFER_MAX_PARTS || t->total + size > TRANSFER_MAX_BYTES)
		return refusal("the parts are too many or too large");
	p = &t->parts[t->count];
	*p = (struct transfer_part){.size = size, .crc = crc, .bytes = malloc(size)};
	if (!p->bytes)
		return refusal("the host has no memory for it");
	memcpy(p->name, name, (size_t)(space - name));
	t->total += size;
	t->count++;
	return progress(t);
}

/* All of the part is here: was it sent like this? If not it begins anew. */
static struct transfer_answer part_end(struct transfer *t)
{
	struct transfer_part *p = current(t);

	if (p->crc == p->crc_so_far)
		return progress(t);
	p->got = 0;
	p->crc_so_far = 0;
	return again(t, "the checksum of the whole part is wrong");
}

static struct transfer_answer take_chunk(struct transfer *t, size_t offset, uint32_t crc, const uint8_t *bytes, size_t len)
{
	struct transfer_part *p = current(t);

	if (transfer_crc32(0, bytes, len) != crc)
		return again(t, "the line's checksum is wrong");
	if (offset < p->got && offset + len <= p->got)
		return progress(t); /* it is here already: the answer got lost */
	if (offset != p->got)
		return again(t, "another offset is expected");
	if (len > p->size - p->got)
		return again(t, "it is more than the part has");
	memcpy(p->bytes + p->got, bytes, len);
	p->got += len;
	p->crc_so_far = transfer_crc32(p->crc_so_far, bytes, len);
	return part_complete(p) ? part_end(t) : progress(t);
}

static struct transfer_answer data(struct transfer *t, const char *line)
{
	uint8_t bytes[TRANSFER_CHUNK_MAX];
	struct transfer_answer answer;
	uint32_t offset, crc;
	int len;

	if (!current(t))
		return refusal("no part has begun");
	if (!transfer_number(&line, TRANSFER_MAX_BYTES, &offset) || !take_crc(&line, &crc))
		return again(t, "data ID OFFSET CRC BASE64: a number is wrong");
	len = base64_decode(line, bytes, sizeof(bytes));
	answer = len > 0 ? take_chunk(t, offset, crc, bytes, (size_t)len) : again(t, "that is not base64 of 1 to 720 bytes");
	explicit_bzero(bytes, sizeof(bytes));
	return answer;
}

/* ---- the whole ---- */

void transfer_discard(struct transfer *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		explicit_bzero(t->parts[i].bytes, t->parts[i].size);
		free(t->parts[i].bytes);
	}
	*t = (struct transfer){.open = false};
}

static struct transfer_answer begin(struct transfer *t, uint32_t id)
{
	if (!t->open || t->id != id) {
		transfer_discard(t);
		t->open = true;
		t->id = id;
	}
	return progress(t);
}

static bool word(const char **line, const char *wanted)
{
	size_t len = strlen(wanted);

	if (strncmp(*line, wanted, len) != 0 || (*line)[len] != ' ')
		return false;
	*line += len + 1;
	return true;
}

void transfer_line(struct transfer *t, const char *line, struct transfer_answer *answer)
{
	struct transfer_answer (*run)(struct transfer *, const char *) = NULL;
	bool begins = word(&line, "begin"), aborts = !begins && word(&line, "abort");
	uint32_t id;

	if (!begins && !aborts && word(&line, "part"))
		run = part_begin;
	else if (!begins && !aborts && word(&line, "data"))
		run = data;
	*answer = refusal("config begin ID, part, data, check, apply or abort: see docs/control-console.md");
	if ((!begins && !aborts && !run) || !transfer_number(&line, UINT32_MAX, &id))
		return;
	if (begins) {
		*answer = begin(t, id);
	} else if (!t->open || t->id != id) {
		*answer = refusal("no transfer of this number is open: it was ended, or 30 seconds passed without a line");
	} else if (aborts) {
		transfer_discard(t);
		*answer = (struct transfer_answer){.state = "aborted", .text = ""};
	} else {
		*answer = run(t, line);
	}
}

bool transfer_complete(const struct transfer *t, uint32_t id)
{
	return t->open && t->id == id && t->count && part_complete(&t->parts[t->count - 1]);
}

const struct transfer_part *transfer_find(const struct transfer *t, const char *name)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (!strcmp(t->parts[i].name, name))
			return &t->parts[i];
	}
	return NULL;
}
