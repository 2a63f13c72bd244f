/*
 * pcapng (draft-ietf-opsawg-pcapng) and pcap files. Written is pcapng in this machine's byte order: a section header, then an interface
 * description before the first frame of each port, and enhanced packet blocks with direction and lost frames. Read are both formats in both
 * byte orders; what is read is untrusted.
 */
#include "pcapng.h"

#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_SIMPLE = 3,
	BLOCK_PACKET = 6,
	BYTE_ORDER = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	OPTION_END = 0,
	OPTION_NAME = 2,        /* of an interface */
	OPTION_TIME = 9,        /* of an interface: resolution */
	OPTION_APPLICATION = 4, /* of a section */
	OPTION_FLAGS = 2,       /* of a packet */
	OPTION_DROPS = 4,       /* of a packet */
};
#define BLOCK_MAX (1u << 20)

/* ---- writing ---- */

struct block {
	uint32_t type, len;
	uint8_t bytes[512];
};

static void put(struct block *b, const void *bytes, size_t len)
{
	if (len)
		memcpy(b->bytes + b->len, bytes, len);
	b->len += (uint32_t)len;
}

static void put32(struct block *b, uint32_t v)
{
	put(b, &v, sizeof(v));
}

static void put_option(struct block *b, uint16_t code, const void *value, size_t len)
{
	uint16_t head[2] = {code, (uint16_t)len};
	put(b, head, sizeof(head));
	put(b, value, len);
	put(b, "\0\0\0", -len & 3);
}

/* Type, whole length, what b has, data with padding, options, whole length again. */
static bool write_block(FILE *file, const struct block *b, const void *data, uint32_t data_len, const struct block *options)
{
	uint32_t padding = -data_len & 3, whole = 12 + b->len + data_len + padding + (options ? options->len : 0);
	return fwrite(&b->type, 4, 1, file) == 1 && fwrite(&whole, 4, 1, file) == 1 && fwrite(b->bytes, 1, b->len, file) == b->len &&
	       fwrite(data, 1, data_len, file) == data_len && fwrite("\0\0\0", 1, padding, file) == padding &&
	       (!options || fwrite(options->bytes, 1, options->len, file) == options->len) && fwrite(&whole, 4, 1, file) == 1;
}

bool pcapng_begin(struct pcapng *p, FILE *file, const char *application)
{
	struct block b = {.type = BLOCK_SECTION};
	const uint16_t version[2] = {1, 0};
	const int64_t unknown = -1;
	*p = (struct pcapng){.file = file};
	put32(&b, BYTE_ORDER);
	put(&b, version, sizeof(version));
	put(&b, &unknown, sizeof(unknown));
	put_option(&b, OPTION_APPLICATION, application, strnlen(application, 64));
	put_option(&b, OPTION_END, NULL, 0);
	return write_block(file, &b, "", 0, NULL);
}

static bool describe(struct pcapng *p, const char *port)
{
	struct block b = {.type = BLOCK_INTERFACE};
	const uint16_t link[2] = {LINKTYPE_ETHERNET, 0};
	const uint8_t nanoseconds = 9;
	put(&b, link, sizeof(link));
	put32(&b, 0); /* no snap length */
	put_option(&b, OPTION_NAME, port, strlen(port));
	put_option(&b, OPTION_TIME, &nanoseconds, 1);
	put_option(&b, OPTION_END, NULL, 0);
	snprintf(p->names[p->count++], sizeof(p->names[0]), "%s", port);
	return write_block(p->file, &b, "", 0, NULL);
}

bool pcapng_write(struct pcapng *p, const struct pcapng_frame *frame)
{
	struct block b = {.type = BLOCK_PACKET}, options = {0};
	char port[80];
	unsigned i = 0;
	snprintf(port, sizeof(port), "%s", frame->port);
	while (i < p->count && strcmp(p->names[i], port) != 0)
		i++;
	if (i == PCAPNG_INTERFACES)
		i--;
	else if (i == p->count && !describe(p, port))
		return false;
	put32(&b, i);
	put32(&b, (uint32_t)(frame->time_ns >> 32));
	put32(&b, (uint32_t)frame->time_ns);
	put32(&b, frame->len);
	put32(&b, frame->frame_bytes);
	put_option(&options, OPTION_FLAGS, &(uint32_t){frame->out ? 2 : 1}, 4);
	if (frame->missed)
		put_option(&options, OPTION_DROPS, &frame->missed, 8);
	put_option(&options, OPTION_END, NULL, 0);
	return write_block(p->file, &b, frame->bytes, frame->len, &options);
}

/* ---- reading ---- */

static const char cut[] = "ends in the middle of a frame";
static const char too_few[] = "has not so many frames";
static const char not_capture[] = "is no pcap or pcapng file";
static const char not_ethernet[] = "has frames that are not Ethernet's";

struct input {
	FILE *file;
	bool swap;
	unsigned left; /* frames up to the one that is wanted */
	uint8_t *bytes;
	uint32_t size, len, frame_bytes;
};

static uint32_t order(const struct input *in, uint32_t v)
{
	return in->swap ? __builtin_bswap32(v) : v;
}

static bool take(struct input *in, uint32_t *words, unsigned count)
{
	if (fread(words, 4, count, in->file) != count)
		return false;
	for (unsigned i = 0; i < count; i++)
		words[i] = order(in, words[i]);
	return true;
}

/* len bytes of a frame come next. Keeps them when it is the wanted one. */
static const char *take_frame(struct input *in, uint32_t len, uint32_t frame_bytes)
{
	if (--in->left)
		return fseek(in->file, len, SEEK_CUR) ? cut : NULL;
	if (len > in->size)
		return "has a longer frame than can be traced";
	in->len = len;
	in->frame_bytes = frame_bytes;
	return fread(in->bytes, 1, len, in->file) == len ? NULL : cut;
}

static const char *read_pcap(struct input *in)
{
	uint32_t head[5], record[4];
	if (!take(in, head, 5))
		return not_capture;
	if ((head[4] & 0xffff) != LINKTYPE_ETHERNET)
		return not_ethernet;
	while (in->left) {
		const char *problem;
		if (!take(in, record, 4))
			return too_few;
		if (record[2] > BLOCK_MAX)
			return not_capture;
		problem = take_frame(in, record[2], record[3]);
		if (problem)
			return problem;
	}
	return NULL;
}

/* A block, its type and length taken: whole - 12 bytes and the length again follow. */
static const char *read_block(struct input *in, uint32_t type, uint32_t rest)
{
	uint32_t head[5] = {0}, taken = 0;
	const char *problem = NULL;
	if (type == BLOCK_INTERFACE && rest >= 8) {
		if (!take(in, head, 1))
			return cut;
		taken = 4;
		if ((in->swap ? head[0] >> 16 : head[0] & 0xffff) != LINKTYPE_ETHERNET)
			return not_ethernet;
	} else if (type == BLOCK_PACKET && rest >= 20) {
		if (!take(in, head, 5))
			return cut;
		if (head[3] > rest - 20)
			return not_capture;
		problem = take_frame(in, head[3], head[4]);
		taken = 20 + head[3];
	} else if (type == BLOCK_SIMPLE && rest >= 4) {
		if (!take(in, head, 1))
			return cut;
		taken = 4 + (head[0] < rest - 4 ? head[0] : rest - 4);
		problem = take_frame(in, taken - 4, head[0]);
	}
	if (problem || !in->left)
		return problem;
	return fseek(in->file, rest - taken + 4, SEEK_CUR) ? cut : NULL;
}

static const char *read_pcapng(struct input *in)
{
	uint32_t block[3];
	bool first = true;
	while (in->left) {
		const char *problem;
		if (!take(in, block, 2))
			return too_few;
		if (first || order(in, block[0]) == BLOCK_SECTION) { /* its type is a palindrome; its order tells */
			uint32_t magic;
			if (fread(&magic, 4, 1, in->file) != 1 || (magic != BYTE_ORDER && magic != __builtin_bswap32(BYTE_ORDER)))
				return not_capture;
			block[1] = order(in, block[1]);
			in->swap = magic != BYTE_ORDER;
			block[1] = order(in, block[1]);
			if (block[1] < 28 || block[1] > BLOCK_MAX || fseek(in->file, block[1] - 12, SEEK_CUR))
				return not_capture;
			first = false;
			continue;
		}
		if (block[1] < 12 || block[1] > BLOCK_MAX || block[1] & 3)
			return not_capture;
		problem = read_block(in, block[0], block[1] - 12);
		if (problem)
			return problem;
	}
	return NULL;
}

const char *capture_file_read(FILE *file, unsigned number, uint8_t *bytes, uint32_t size, uint32_t *len, uint32_t *frame_bytes)
{
	static const uint32_t pcap[] = {0xa1b2c3d4, 0xa1b23c4d}; /* microseconds, nanoseconds */
	struct input in = {.file = file, .left = number, .bytes = bytes, .size = size};
	uint32_t magic;
	const char *problem = not_capture;
	if (!number || fread(&magic, 4, 1, file) != 1)
		return number ? not_capture : "has no frame 0: the first is 1";
	in.swap = magic == __builtin_bswap32(pcap[0]) || magic == __builtin_bswap32(pcap[1]);
	if (in.swap || magic == pcap[0] || magic == pcap[1]) {
		problem = read_pcap(&in);
	} else if (magic == BLOCK_SECTION) {
		rewind(file);
		problem = read_pcapng(&in);
	}
	*len = in.len;
	*frame_bytes = in.frame_bytes;
	return problem;
}
