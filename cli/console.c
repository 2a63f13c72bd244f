/*
 * The control console of a host, from the other end of the line. Bytes may be lost or damaged on it, so nothing is taken for an answer that
 * is not a whole line of JSON with the expected id, and no wait is without an end.
 */
#include "console.h"

#include "command.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

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

/* The document of a line that is our answer, or NULL. */
static yyjson_doc *parse_answer(const char *line, uint32_t id)
{
	yyjson_doc *doc = yyjson_read(line, strlen(line), 0);
	yyjson_val *root = yyjson_doc_get_root(doc), *number = yyjson_obj_get(root, "id");
	if (yyjson_equals_str(yyjson_obj_get(root, "event"), "config") && yyjson_is_uint(number) && yyjson_get_uint(number) == id &&
		yyjson_is_str(yyjson_obj_get(root, "state")))
		return doc;
	yyjson_doc_free(doc);
	return NULL;
}

yyjson_doc *console_ask(struct console *c, const char *line, uint32_t id, unsigned wait_ms, unsigned tries)
{
	for (unsigned i = 0; i < tries; i++) {
		int64_t until = now_ms() + wait_ms;
		char *text;
		errno = 0;
		if (!send_text(c, line, strlen(line), until) || !send_text(c, "\n", 1, until)) {
			if (errno)
				return NULL;
			continue;
		}
		while ((text = read_line(c, until))) {
			yyjson_doc *doc = parse_answer(text, id);
			free(text);
			if (doc)
				return doc;
		}
		if (errno)
			return NULL;
	}
	errno = 0;
	return NULL;
}

/* The document of a line that is the event or an error, or NULL. */
static yyjson_doc *parse_event(const char *line, const char *event)
{
	yyjson_doc *doc = yyjson_read(line, strlen(line), 0);
	yyjson_val *name = yyjson_obj_get(yyjson_doc_get_root(doc), "event");
	if (yyjson_equals_str(name, event) || yyjson_equals_str(name, "error"))
		return doc;
	yyjson_doc_free(doc);
	return NULL;
}

static yyjson_doc *wait_for_event(struct console *c, const char *line, const char *event, unsigned wait_ms)
{
	int64_t until = now_ms() + wait_ms;
	yyjson_doc *doc = NULL;
	char *text;
	errno = 0;
	if (!send_text(c, line, strlen(line), until) || !send_text(c, "\n", 1, until))
		return NULL;
	while (!doc && (text = read_line(c, until))) {
		doc = parse_event(text, event);
		free(text);
	}
	return doc;
}

yyjson_doc *console_ask_event(struct console *c, const char *line, const char *event, unsigned wait_ms, unsigned tries, int *result)
{
	yyjson_doc *doc = NULL;
	for (unsigned i = 0; i < tries && !doc && (!i || !errno); i++)
		doc = wait_for_event(c, line, event, wait_ms);
	yyjson_val *root = yyjson_doc_get_root(doc);
	*result = EXIT_OK;
	if (doc && !yyjson_equals_str(yyjson_obj_get(root, "event"), "error"))
		return doc;
	*result = EXIT_SYSTEM;
	if (doc)
		fprintf(stderr, "berth: the host says: %s\n", yyjson_get_str(yyjson_obj_get(root, "text")));
	else if (errno)
		fprintf(stderr, "berth: the console failed: %s\n", strerror(errno));
	else
		fprintf(stderr, "berth: the host does not answer on its control console\n"
				"  hint: is this the host's second serial port, and does nobody else read it?\n");
	yyjson_doc_free(doc);
	return NULL;
}
