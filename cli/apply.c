/*
 * berth apply --console PATH NEW.yaml: checks and compiles NEW.yaml here, sends it with its secrets to the host over the host's control
 * console, in lines that the host acknowledges one by one, and has the host apply it. The host checks again and refuses what it cannot do
 * while it runs; then nothing has changed.
 */
#include "console.h"
#include "host_file.h"
#include "memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CHUNK 720u /* bytes of a line, before base64: the host's lines have 1023 bytes */
#define SECRET_MAX 4096u
#define BEGIN_TRIES 8u
#define TRIES 10u
#define APPLY_TRIES 20u

struct sender {
	struct console console;
	uint32_t id;
	unsigned wait_ms; /* for an answer; then the line is sent again */
	bool progress;    /* shown on a terminal */
	size_t sent, total;
};

static void base64(char *out, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < len; i += 3) {
		uint32_t group =
			(uint32_t)bytes[i] << 16 | (i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0) | (i + 2 < len ? bytes[i + 2] : 0);
		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < len ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[group & 63] : '=';
	}
	*out = 0;
}

static int no_answer(void)
{
	if (errno)
		fprintf(stderr, "berth: the console failed: %s\n", strerror(errno));
	else
		fprintf(stderr, "berth: the host does not answer on its control console\n"
				"  hint: is this the host's second serial port, and does nobody else read it?\n");
	return EXIT_SYSTEM;
}

static const char *text_of(yyjson_val *object, const char *key)
{
	const char *text = yyjson_get_str(yyjson_obj_get(object, key));
	return text ? text : "";
}

/* Asks; reports no answer and answers that are an error. NULL: reported. */
static yyjson_doc *ask(struct sender *s, const char *line, unsigned tries, int *result)
{
	yyjson_doc *doc = console_ask(&s->console, line, s->id, s->wait_ms, tries);
	yyjson_val *root = yyjson_doc_get_root(doc);
	if (!doc) {
		*result = no_answer();
	} else if (yyjson_equals_str(yyjson_obj_get(root, "state"), "error")) {
		fprintf(stderr, "berth: the host says: %s\n", text_of(root, "text"));
		yyjson_doc_free(doc);
		doc = NULL;
		*result = EXIT_SYSTEM;
	}
	return doc;
}

static void show_progress(struct sender *s, size_t now)
{
	if (s->progress)
		fprintf(stderr, "\rsending: %zu of %zu bytes", now, s->total);
}

/* Sends what the host does not have yet of a part that has begun. The host's answers say where to go on. */
static int send_data(struct sender *s, const uint8_t *bytes, size_t size)
{
	char line[64 + CHUNK / 3 * 4 + 4];
	size_t at = 0;
	int result = EXIT_OK;
	for (unsigned stuck = 0; at < size;) {
		size_t len = size - at < CHUNK ? size - at : CHUNK;
		int n = snprintf(line, sizeof(line), "data %u %zu %08x ", s->id, at, console_crc32(bytes + at, len));
		base64(line + n, bytes + at, len);
		yyjson_doc *doc = ask(s, line, TRIES, &result);
		explicit_bzero(line, sizeof(line));
		if (!doc)
			return result;
		size_t now = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "offset"));
		stuck = now > at ? 0 : stuck + 1;
		at = now;
		yyjson_doc_free(doc);
		if (stuck > TRIES || at > size) {
			fprintf(stderr, "berth: the line to the host is too bad: the transfer does not get on\n");
			return EXIT_SYSTEM;
		}
		show_progress(s, s->sent + at);
	}
	s->sent += size;
	return EXIT_OK;
}

static int send_part(struct sender *s, const char *name, const uint8_t *bytes, size_t size)
{
	char *line = must_printf("part %u %s %zu %08x", s->id, name, size, console_crc32(bytes, size));
	int result = EXIT_OK;
	yyjson_doc *doc = ask(s, line, TRIES, &result);
	free(line);
	yyjson_doc_free(doc);
	return doc ? send_data(s, bytes, size) : result;
}

static const char *path_of(const struct host_file *host, const char *name)
{
	for (unsigned i = 0; i < host->needed_count; i++)
		if (!strcmp(host->needed[i].name, name))
			return host->needed[i].path;
	return NULL;
}

/* Only over this console, in memory that is wiped, and never into a message. */
static int send_secret(struct sender *s, const struct host_file *host, const char *name)
{
	uint8_t bytes[SECRET_MAX];
	const char *path = path_of(host, name);
	FILE *file = path ? fopen(path, "r") : NULL;
	size_t len = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
	int result = EXIT_SYSTEM;
	if (file)
		fclose(file);
	if (!len)
		fprintf(stderr, "berth: the secret file \"%s\" cannot be read\n", path ? path : name);
	else
		result = send_part(s, name, bytes, len);
	explicit_bzero(bytes, sizeof(bytes));
	return result;
}

static bool first_use(const struct host_file *host, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (!strcmp(host->yaml.secrets[k].name, host->yaml.secrets[i].name))
			return false;
	return true;
}

static int send_all(struct sender *s, const struct host_file *host)
{
	size_t len = 0;
	char *json = yyjson_mut_write(host->yaml.json, 0, &len), *line = must_printf("begin %u", s->id);
	int result = json ? EXIT_OK : EXIT_SYSTEM;
	yyjson_doc *doc = json ? ask(s, line, BEGIN_TRIES, &result) : NULL;
	s->total = len;
	if (doc)
		result = send_part(s, "config.json", (const uint8_t *)json, len);
	for (unsigned i = 0; i < host->yaml.secret_count && result == EXIT_OK; i++)
		if (first_use(host, i))
			result = send_secret(s, host, host->yaml.secrets[i].name);
	if (s->progress && doc)
		fprintf(stderr, "\n");
	yyjson_doc_free(doc);
	free(line);
	free(json);
	return result;
}

/* ---- the result ---- */

static void print_problem(yyjson_val *problem)
{
	const char *at = text_of(problem, "at"), *path = text_of(problem, "path"), *hint = text_of(problem, "hint");
	fprintf(stderr, "%s%s%s: %s%s%s\n", at, at[0] ? ": " : "", text_of(problem, "severity"), path, path[0] ? ": " : "",
		text_of(problem, "message"));
	if (hint[0])
		fprintf(stderr, "  hint: %s\n", hint);
}

/* Was it printed when the file was checked here? */
static bool known(const struct host_file *host, yyjson_val *problem)
{
	for (unsigned i = 0; i < host->problems.count; i++)
		if (!strcmp(host->problems.list[i].message, text_of(problem, "message")))
			return true;
	return false;
}

static void print_answer(const struct host_file *host, yyjson_val *root, const char *state)
{
	yyjson_val *value;
	size_t i, n;
	size_t count = yyjson_arr_size(yyjson_obj_get(root, "changes"));
	yyjson_arr_foreach(yyjson_obj_get(root, "changes"), i, n, value)
	{
		const char *at = text_of(value, "at");
		printf("%s%s%s\n", at, at[0] ? ": " : "", text_of(value, "text"));
	}
	yyjson_arr_foreach(yyjson_obj_get(root, "problems"), i, n, value)
	{
		if (!known(host, value))
			print_problem(value);
	}
	if (!strcmp(state, "refused"))
		printf("refused: nothing was changed\n");
	else
		printf("%s: %zu change%s\n", state, count, count == 1 ? "" : "s");
}

static int finish(struct sender *s, const struct host_file *host, const struct arguments *arguments)
{
	char *line = must_printf("%s %u", arguments->values[OPTION_DRY_RUN] ? "check" : "apply", s->id);
	int result = EXIT_OK;
	yyjson_doc *doc = ask(s, line, APPLY_TRIES, &result);
	free(line);
	if (!doc && !arguments->values[OPTION_DRY_RUN])
		fprintf(stderr, "  hint: whether the change was made is not known: apply the same file again, and the host says what is "
				"left to do\n");
	if (!doc)
		return result;
	yyjson_val *root = yyjson_doc_get_root(doc);
	const char *state = text_of(root, "state");
	if (arguments->values[OPTION_JSON]) {
		char *text = yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, NULL);
		fputs(text ? text : "", stdout);
		free(text);
	} else {
		print_answer(host, root, state);
	}
	result = !strcmp(state, "applied") || !strcmp(state, "checked") ? EXIT_OK : EXIT_INVALID;
	yyjson_doc_free(doc);
	return result;
}

static void give_up(struct sender *s)
{
	char *line = must_printf("abort %u", s->id);
	yyjson_doc_free(console_ask(&s->console, line, s->id, s->wait_ms / 4, 1)); /* else the host forgets it after 30 seconds */
	free(line);
}

int command_apply(const struct arguments *arguments)
{
	struct sender s = {.progress = isatty(STDERR_FILENO) && !arguments->values[OPTION_JSON], .console = {.fd = -1}};
	if (!arguments->values[OPTION_CONSOLE]) {
		fprintf(stderr, "berth: apply needs --console PATH\nTry: berth apply --help\n");
		return EXIT_USAGE;
	}
	s.wait_ms = console_wait_ms(arguments->values[OPTION_WAIT]);
	if (!s.wait_ms)
		return EXIT_USAGE;
	struct host_file *host = must_calloc(1, sizeof(*host));
	int result = host_file_load(host, arguments, true);
	problems_print(&host->problems);
	if (result == EXIT_OK)
		result = console_open(&s.console, arguments->values[OPTION_CONSOLE]);
	if (result == EXIT_OK && getrandom(&s.id, sizeof(s.id), 0) != sizeof(s.id))
		result = EXIT_SYSTEM;
	if (result == EXIT_OK) {
		result = send_all(&s, host);
		if (result == EXIT_OK)
			result = finish(&s, host, arguments);
		if (result != EXIT_OK || arguments->values[OPTION_DRY_RUN])
			give_up(&s);
	}
	console_close(&s.console);
	host_file_free(host);
	free(host);
	return result;
}
