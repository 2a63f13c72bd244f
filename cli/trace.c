/* berth trace --console PATH PORT: asks a running host what would become of a frame, and prints each step with what decided it. */
#include "console.h"
#include "frame_text.h"
#include "memory.h"
#include "pcapng.h"

#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FRAME_MAX 9216u
#define TRIES 3

struct frame {
	uint8_t bytes[FRAME_MAX];
	uint32_t len, head; /* head: the bytes that are sent; zeros follow */
};

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Hexadecimal digits; spaces and colons between them do not matter. */
static int from_hex(const char *text, struct frame *f)
{
	unsigned digits = 0;
	for (; *text; text++) {
		int d = digit(*text);
		if (d < 0 && (*text == ' ' || *text == ':' || *text == '\n'))
			continue;
		if (d < 0 || digits / 2 == FRAME_MAX) {
			fprintf(stderr,
				d < 0 ? "berth: --frame takes hexadecimal digits, not \"%c\"\n" : "berth: the frame is too long%.0d\n",
				*text);
			return EXIT_USAGE;
		}
		f->bytes[digits / 2] = (uint8_t)(f->bytes[digits / 2] << 4 | d);
		digits++;
	}
	f->len = f->head = digits / 2;
	if (digits % 2 == 0 && digits)
		return EXIT_OK;
	fprintf(stderr, "berth: --frame needs whole bytes, two digits each\n");
	return EXIT_USAGE;
}

/* "FILE" or "FILE:N", the N-th frame. */
static int from_file(const char *text, struct frame *f)
{
	const char *colon = strrchr(text, ':');
	char *end = NULL;
	unsigned long which = colon ? strtoul(colon + 1, &end, 10) : 1;
	bool numbered = colon && colon[1] && !*end;
	char *path = must_printf("%.*s", numbered ? (int)(colon - text) : (int)strlen(text), text);
	FILE *file = fopen(path, "r");
	const char *problem =
		file ? capture_file_read(file, numbered ? (unsigned)which : 1, f->bytes, FRAME_MAX, &f->head, &f->len) : strerror(errno);
	if (file)
		fclose(file);
	if (!problem && f->len > FRAME_MAX)
		problem = "has a longer frame than can be traced";
	if (problem)
		fprintf(stderr, "berth: %s: %s\n", path, problem);
	free(path);
	return problem ? EXIT_SYSTEM : EXIT_OK;
}

static int from_words(const char *text, struct frame *f)
{
	char at[64] = "";
	const char *problem = frame_describe(text, f->bytes, FRAME_MAX, &f->len, &f->head, at);
	if (!problem)
		return EXIT_OK;
	fprintf(stderr, "berth: \"%s\" %s\n", at, problem);
	return EXIT_USAGE;
}

static int make_frame(const struct arguments *arguments, struct frame *f)
{
	const char *hex = arguments->values[OPTION_FRAME], *file = arguments->values[OPTION_PCAP],
		   *words = arguments->values[OPTION_DESCRIBE];
	if (!arguments->values[OPTION_CONSOLE] || !!hex + !!file + !!words != 1) {
		fprintf(stderr, "berth: trace needs --console PATH and one of --frame, --pcap and --describe\nTry: berth trace --help\n");
		return EXIT_USAGE;
	}
	return hex ? from_hex(hex, f) : file ? from_file(file, f) : from_words(words, f);
}

/* The console's line; bytes that have no room in it go as zeros: the switch does not look that far. */
static char *make_line(const char *port, const struct frame *f)
{
	char *line = must_calloc(1, CONSOLE_COMMAND_MAX + 64);
	size_t n = (size_t)snprintf(line, CONSOLE_COMMAND_MAX, "trace %.71s ", port);
	for (uint32_t i = 0; i < f->head && n + 2 < CONSOLE_COMMAND_MAX - 8; i++)
		n += (size_t)sprintf(line + n, "%02x", f->bytes[i]);
	sprintf(line + n, " %u", f->len);
	return line;
}

static const char *text_of(yyjson_val *o, const char *key)
{
	const char *text = yyjson_get_str(yyjson_obj_get(o, key));
	return text ? text : "";
}

static void print_steps(yyjson_val *root)
{
	yyjson_val *s;
	size_t i, n;
	yyjson_arr_foreach(yyjson_obj_get(root, "steps"), i, n, s)
	{
		const char *path = text_of(s, "path"), *at = text_of(s, "at");
		printf("%-9s %s", text_of(s, "stage"), text_of(s, "text"));
		if (path[0])
			printf("  [%s%s%s]", at, at[0] ? " " : "", path);
		printf("\n");
	}
}

int command_trace(const struct arguments *arguments)
{
	struct frame *f = must_calloc(1, sizeof(*f));
	struct console console = {.fd = -1};
	yyjson_doc *doc = NULL;
	unsigned wait_ms = console_wait_ms(arguments->values[OPTION_WAIT]);
	int result = wait_ms ? make_frame(arguments, f) : EXIT_USAGE;
	if (result == EXIT_OK)
		result = console_open(&console, arguments->values[OPTION_CONSOLE]);
	if (result == EXIT_OK) {
		char *line = make_line(arguments->operand, f);
		doc = console_ask_event(&console, line, "trace", wait_ms, TRIES, &result);
		free(line);
	}
	if (doc && arguments->values[OPTION_JSON]) {
		char *text = yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, NULL);
		fputs(text ? text : "", stdout);
		free(text);
	} else if (doc) {
		print_steps(yyjson_doc_get_root(doc));
	}
	yyjson_doc_free(doc);
	console_close(&console);
	free(f);
	return result;
}
