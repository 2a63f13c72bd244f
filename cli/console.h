/* The client's side of a host's control console: lines out, JSON events in (docs/control-console.md). */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

struct console {
	int fd;
	char *buffer; /* what was read and has no newline yet */
	size_t len;
	uint32_t last_id; /* of an "ask" */
};

/* path: a serial port (set to 115200 baud, raw) or a UNIX socket. EXIT_OK, or EXIT_SYSTEM with a message printed. */
int console_open(struct console *c, const char *path);
void console_close(struct console *c);
/* How long --wait SECONDS (NULL: not given) is to wait for an answer; 0: that is no such number, with a message printed. */
unsigned console_wait_ms(const char *text);
/*
 * Sends the line "config ARGUMENTS" and waits for the host's answer to it: its "config" event with this id and the line's CRC. Other
 * events, late answers to earlier lines and damaged ones are passed over. Sends again when there is no answer for wait_ms, or when the line
 * arrived damaged, `tries` times in all. NULL: no answer; errno is 0 or says why the console fails.
 */
yyjson_doc *console_ask(struct console *c, const char *arguments, uint32_t id, unsigned wait_ms, unsigned tries);
/* IEEE 802.3 clause 3.2.9, as in zlib. */
uint32_t console_crc32(const uint8_t *bytes, size_t len);

/*
 * Sends a command as "ask ID COMMAND" and waits for what the host answers to that: the event of this name with this ID and the line's CRC.
 * Other events, late answers to earlier lines, damaged ones and noise are passed over. Sends again, under another ID and with more
 * patience, when there is no answer for wait_ms, or when the line arrived damaged. The host's "error" event, and no answer, are reported:
 * then NULL, and *result says which.
 * @pre line has at most CONSOLE_COMMAND_MAX bytes
 */
#define CONSOLE_COMMAND_MAX 1000u
yyjson_doc *console_ask_event(struct console *c, const char *line, const char *event, unsigned wait_ms, unsigned tries, int *result);

#endif
