/* berth capture --console PATH SESSION -o OUT.pcapng: fetches what a mirror session of a running host has captured. */
#include "console.h"
#include "memory.h"
#include "pcapng.h"

#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TRIES 5
#define FRAME_MAX (1u << 17)

struct capture {
	struct console console;
	const char *session;
	struct pcapng out;
	uint64_t next, missed, count;
	uint32_t offset;  /* of the frame `next`: what is here already */
	unsigned wait_ms; /* for an answer */
	uint8_t frame[FRAME_MAX];
};

static uint64_t number(yyjson_val *o, const char *key)
{
	return yyjson_get_uint(yyjson_obj_get(o, key));
}

/* RFC 4648 section 4; SIZE_MAX: it is not. */
static size_t unbase64(uint8_t *out, size_t size, const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t group = 0;
	size_t n = 0;
	unsigned bits = 0;
	for (; *text && *text != '='; text++) {
		const char *d = strchr(digits, *text);
		if (!d)
			return SIZE_MAX;
		group = group << 6 | (uint32_t)(d - digits);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == size)
			return SIZE_MAX;
		out[n++] = (uint8_t)(group >> bits);
	}
	return n;
}

static uint64_t wall_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A frame or a piece of one. False: it is not what was asked for, or cannot be written. */
static bool take_frame(struct capture *c, yyjson_val *f, uint64_t epoch_ns)
{
	const char *data = yyjson_get_str(yyjson_obj_get(f, "data")), *port = yyjson_get_str(yyjson_obj_get(f, "port"));
	uint64_t sequence = number(f, "sequence"), offset = number(f, "offset"), whole = number(f, "captured_bytes");
	size_t n;
	if (sequence > c->next) { /* what was between has been overwritten */
		c->missed += sequence - c->next;
		c->next = sequence;
		c->offset = 0;
	}
	if (sequence != c->next || offset != c->offset || !data || !port || whole > FRAME_MAX)
		return false;
	n = unbase64(c->frame + offset, FRAME_MAX - offset, data);
	if (n > whole - offset)
		return false;
	c->offset += (uint32_t)n;
	if (c->offset < whole)
		return n;
	struct pcapng_frame frame = {.port = port,
		.out = yyjson_equals_str(yyjson_obj_get(f, "direction"), "out"),
		.time_ns = epoch_ns + number(f, "time_ns"),
		.frame_bytes = (uint32_t)number(f, "frame_bytes"),
		.len = (uint32_t)whole,
		.bytes = c->frame,
		.missed = c->missed};
	c->missed = 0;
	c->next++;
	c->offset = 0;
	c->count++;
	return pcapng_write(&c->out, &frame);
}

static int take_answer(struct capture *c, yyjson_val *root, uint64_t *end)
{
	uint64_t epoch_ns = wall_ns() - number(root, "now_ns"); /* the host's clock counts from its start */
	yyjson_val *f;
	size_t i, n;
	*end = number(root, "next");
	if (!yyjson_arr_size(yyjson_obj_get(root, "frames")) && c->next < *end) {
		fprintf(stderr, "berth: the host's answer has no frame\n");
		return EXIT_SYSTEM;
	}
	yyjson_arr_foreach(yyjson_obj_get(root, "frames"), i, n, f)
	{
		if (take_frame(c, f, epoch_ns))
			continue;
		if (ferror(c->out.file))
			fprintf(stderr, "berth: the file cannot be written: %s\n", strerror(errno));
		else
			fprintf(stderr, "berth: the host's answer is damaged\n");
		return EXIT_SYSTEM;
	}
	return EXIT_OK;
}

/* What the session has now, to the end. */
static int fetch(struct capture *c)
{
	uint64_t end = UINT64_MAX, until = UINT64_MAX;
	int result = EXIT_OK;
	while (result == EXIT_OK && c->next < until) {
		char *line = must_printf("capture %s %llu %u", c->session, (unsigned long long)c->next, c->offset);
		yyjson_doc *doc = console_ask_event(&c->console, line, "capture", c->wait_ms, TRIES, &result);
		free(line);
		if (!doc)
			return result;
		result = take_answer(c, yyjson_doc_get_root(doc), &end);
		yyjson_doc_free(doc);
		if (until == UINT64_MAX)
			until = end; /* frames that come while we read are for the next time */
	}
	return result;
}

int command_capture(const struct arguments *arguments)
{
	const char *path = arguments->values[OPTION_PCAPNG];
	struct capture *c = must_calloc(1, sizeof(*c));
	FILE *file = NULL;
	int result = EXIT_USAGE;
	c->session = arguments->operand;
	c->console.fd = -1;
	c->wait_ms = console_wait_ms(arguments->values[OPTION_WAIT]);
	if (!c->wait_ms) {
		/* said */
	} else if (!arguments->values[OPTION_CONSOLE] || !path) {
		fprintf(stderr, "berth: capture needs --console PATH and -o OUT.pcapng\nTry: berth capture --help\n");
	} else if (!(file = fopen(path, "w")) || !pcapng_begin(&c->out, file, "berth capture")) {
		fprintf(stderr, "berth: %s cannot be written: %s\n", path, strerror(errno));
		result = EXIT_SYSTEM;
	} else {
		result = console_open(&c->console, arguments->values[OPTION_CONSOLE]);
		if (result == EXIT_OK)
			result = fetch(c);
		console_close(&c->console);
	}
	if (file && fclose(file) && result == EXIT_OK) {
		fprintf(stderr, "berth: %s cannot be written: %s\n", path, strerror(errno));
		result = EXIT_SYSTEM;
	}
	if (result == EXIT_OK)
		printf("%s: %llu frames\n", path, (unsigned long long)c->count);
	free(c);
	return result;
}
