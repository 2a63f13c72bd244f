/*
 * The control console of a host, from the other end of the line. Bytes may be lost, damaged or late on it, so nothing is taken for an
 * answer that is not a whole line of JSON with a good CRC, our id and the CRC of the line that we sent, and no wait is without an end.
 */
#include "console.h"

#include "command.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S 3.0
#define MAX_LINE (16u << 20) /* counters of a large host are long */

static int open_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;
	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int open_port(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios settings;
	if (fd < 0 || !isatty(fd))
		return fd;
	if (!tcgetattr(fd, &settings)) {
		cfmakeraw(&settings);
		cfsetspeed(&settings, B115200);
		settings.c_cflag |= CLOCAL | CREAD;
		if (!tcsetattr(fd, TCSANOW, &settings))
			return fd;
	}
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

int console_open(struct console *c, const char *path)
{
	struct stat st;
	*c = (struct console){.fd = -1};
	if (!stat(path, &st))
		c->fd = S_ISSOCK(st.st_mode) ? open_socket(path) : open_port(path);
	if (c->fd >= 0)
		return EXIT_OK;
	fprintf(stderr, "berth: the console %s cannot be opened: %s\n", path, strerror(errno));
	return EXIT_SYSTEM;
}

void console_close(struct console *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->buffer);
	*c = (struct console){.fd = -1};
}

unsigned console_wait_ms(const char *text)
{
	char *end = NULL;
	double seconds = text ? strtod(text, &end) : WAIT_S;
	if (seconds >= 0.01 && seconds <= 3600 && (!text || (end != text && !*end)))
		return (unsigned)(seconds * 1000);
	fprintf(stderr, "berth: --wait takes seconds, 0.01 to 3600, not \"%s\"\n", text);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool wait_for(struct console *c, short events, int64_t until)
{
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = events};
		int64_t left = until - now_ms();
		int n = left <= 0 ? 0 : poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (left <= 0) {
			errno = 0;
			return false;
		}
	}
}

static bool send_text(struct console *c, const char *text, size_t len, int64_t until)
{
	while (len) {
		if (!wait_for(c, POLLOUT, until))
			return false;
		ssize_t n = send(c->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK)
			n = write(c->fd, text, len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* The next whole line, to be freed; NULL: time is up (errno 0) or the console fails. */
static char *read_line(struct console *c, int64_t until)
{
	for (;;) {
		char *newline = c->len ? memchr(c->buffer, '\n', c->len) : NULL;
		if (newline) {
			size_t len = (size_t)(newline - c->buffer);
			char *line = must_printf("%.*s", (int)len, c->buffer);
			memmove(c->buffer, newline + 1, c->len - len - 1);
			c->len -= len + 1;
			return line;
		}
		if (!wait_for(c, POLLIN, until))
			return NULL;
		if (c->len >= MAX_LINE)
			c->len = 0; /* no event of a host is as long */
		c->buffer = must_realloc(c->buffer, c->len + 65536);
		ssize_t n = read(c->fd, c->buffer + c->len, 65536);
		if (n == 0)
			errno = EPIPE;
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return NULL;
		c->len += n > 0 ? (size_t)n : 0;
	}
}

uint32_t console_crc32(const uint8_t *bytes, size_t len)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* An event that arrived as it was sent, or NULL. It begins with the CRC of what stands behind that. */
static yyjson_doc *parse_event(const char *line)
{
	static const char begin[] = "{\"crc\":\"01234567\",";
	char wanted[sizeof(begin)];
	size_t len = strlen(line);
	if (len < sizeof(begin))
		return NULL;
	snprintf(wanted, sizeof(wanted), "{\"crc\":\"%08x\",",
		console_crc32((const uint8_t *)line + sizeof(begin) - 1, len - sizeof(begin) + 1));
	return strncmp(line, wanted, sizeof(begin) - 1) ? NULL : yyjson_read(line, len, 0);
}

/* What a line has asked for. */
struct question {
	const char *event;
	uint32_t id, crc;
	bool asked; /* by "ask"; else it is a line of a transfer: one that arrives damaged is answered by "again" */
};

enum match { MATCH_NONE, MATCH_ANSWER, MATCH_DAMAGED };

/* MATCH_DAMAGED: of our question, it seems, but of what became of it on its way. */
static enum match match(yyjson_val *root, const struct question *q)
{
	yyjson_val *number = yyjson_obj_get(root, "id"), *event = yyjson_obj_get(root, "event");
	char request[9];
	snprintf(request, sizeof(request), "%08x", q->crc);
	if (!yyjson_is_uint(number) || yyjson_get_uint(number) != q->id)
		return MATCH_NONE;
	if (!yyjson_equals_str(event, q->event) && !(q->asked && yyjson_equals_str(event, "error")))
		return MATCH_NONE;
	if (yyjson_equals_str(yyjson_obj_get(root, "request"), request))
		return MATCH_ANSWER;
	return q->asked || yyjson_equals_str(yyjson_obj_get(root, "state"), "again") ? MATCH_DAMAGED : MATCH_NONE;
}

/* Waits for the answer. NULL: send again, or, with errno, give up. */
static yyjson_doc *read_answer(struct console *c, const struct question *q, int64_t until)
{
	char *text;
	while ((text = read_line(c, until))) {
		yyjson_doc *doc = parse_event(text);
		enum match is = match(yyjson_doc_get_root(doc), q);
		free(text);
		if (is == MATCH_ANSWER)
			return doc;
		yyjson_doc_free(doc);
		if (is == MATCH_DAMAGED) {
			errno = 0;
			return NULL;
		}
	}
	return NULL;
}

/* A newline in front ends what the host may have of a line that was cut off. */
static bool send_line(struct console *c, const char *line, int64_t until)
{
	return send_text(c, "\n", 1, until) && send_text(c, line, strlen(line), until) && send_text(c, "\n", 1, until);
}

yyjson_doc *console_ask(struct console *c, const char *arguments, uint32_t id, unsigned wait_ms, unsigned tries)
{
	struct question q = {.event = "config", .id = id, .crc = console_crc32((const uint8_t *)arguments, strlen(arguments))};
	char *line = must_printf("config %s", arguments);
	yyjson_doc *doc = NULL;
	int error = 0;
	for (unsigned i = 0; i < tries && !doc && !error; i++) {
		int64_t until = now_ms() + wait_ms;
		errno = 0;
		if (send_line(c, line, until))
			doc = read_answer(c, &q, until);
		error = doc ? 0 : errno;
	}
	explicit_bzero(line, strlen(line)); /* it may be part of a secret */
	free(line);
	errno = error;
	return doc;
}

/* ---- commands without a transfer ---- */

/* Numbers that no other sender's late answers have, hardly. */
static uint32_t next_id(struct console *c)
{
	if (!c->last_id && getrandom(&c->last_id, sizeof(c->last_id), 0) != sizeof(c->last_id))
		c->last_id = (uint32_t)now_ms();
	return ++c->last_id;
}

static yyjson_doc *ask_once(struct console *c, const char *command, const char *event, unsigned wait_ms)
{
	struct question q = {.event = event, .id = next_id(c), .asked = true};
	char *arguments = must_printf("%u %s", q.id, command), *line = must_printf("ask %s", arguments);
	int64_t until = now_ms() + wait_ms;
	q.crc = console_crc32((const uint8_t *)arguments, strlen(arguments));
	errno = 0;
	yyjson_doc *doc = send_line(c, line, until) ? read_answer(c, &q, until) : NULL;
	int error = doc ? 0 : errno;
	free(line);
	free(arguments);
	errno = error;
	return doc;
}

yyjson_doc *console_ask_event(struct console *c, const char *line, const char *event, unsigned wait_ms, unsigned tries, int *result)
{
	yyjson_doc *doc = NULL;
	for (unsigned i = 0; i < tries && !doc && (!i || !errno); i++)
		doc = ask_once(c, line, event, wait_ms * (i + 1));
	int error = errno;
	yyjson_val *root = yyjson_doc_get_root(doc);
	*result = EXIT_OK;
	if (doc && !yyjson_equals_str(yyjson_obj_get(root, "event"), "error"))
		return doc;
	*result = EXIT_SYSTEM;
	if (doc)
		fprintf(stderr, "berth: the host says: %s\n", yyjson_get_str(yyjson_obj_get(root, "text")));
	else if (error)
		fprintf(stderr, "berth: the console failed: %s\n", strerror(error));
	else
		fprintf(stderr, "berth: the host does not answer on its control console\n"
				"  hint: is this the host's second serial port, and does nobody else read it?\n");
	yyjson_doc_free(doc);
	return NULL;
}
