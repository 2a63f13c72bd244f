/* Reception of a configuration and its secrets over the control console, line by line (transfer.c). */
#ifndef MGMT_TRANSFER_H
#define MGMT_TRANSFER_H

#include <hv/types.h>

#define TRANSFER_MAX_BYTES (4u << 20) /* all parts together */
#define TRANSFER_MAX_PARTS 40
#define TRANSFER_NAME_MAX 63
#define TRANSFER_CHUNK_MAX 720u /* bytes of a `data` line, before base64 */
#define TRANSFER_IDLE_NS 30000000000ull

/* A file: the configuration, "config.json", or a secret by its name. */
struct transfer_part {
	char name[TRANSFER_NAME_MAX + 1];
	uint8_t *bytes;
	size_t size, got;
	uint32_t crc, crc_so_far;
};

struct transfer {
	bool open;
	uint32_t id; /* chosen by the sender, so that it knows answers to it from others */
	struct transfer_part parts[TRANSFER_MAX_PARTS];
	unsigned count; /* the last is being received, the others are complete */
	size_t total;
};

struct transfer_answer {
	const char *state; /* "ready", "receiving", "received", "again" (send from offset), "error", "aborted" */
	size_t offset;     /* bytes of the current part that are here */
	const char *text;  /* "error", "again": why */
};

/* Carries out `begin ID`, `part ID NAME BYTES CRC`, `data ID OFFSET CRC BASE64` or `abort ID`. Any other text: an error. */
void transfer_line(struct transfer *t, const char *line, struct transfer_answer *answer);
/* Is everything that was begun complete, with this id? */
bool transfer_complete(const struct transfer *t, uint32_t id);
/* NULL: there is none of that name. */
const struct transfer_part *transfer_find(const struct transfer *t, const char *name);
/* Forgets all, and wipes it: there are secrets in it. */
void transfer_discard(struct transfer *t);

/* The next word of *line as a number of at most `max`; moves *line behind it and one space. False: not a number, too large. */
bool transfer_number(const char **line, uint32_t max, uint32_t *out);
/* CRC-32 of IEEE 802.3 clause 3.2.9 (reflected, as in zlib), continued from crc; begin with 0. */
uint32_t transfer_crc32(uint32_t crc, const uint8_t *bytes, size_t len);

#endif
