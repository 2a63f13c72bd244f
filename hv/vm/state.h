/*
 * Saved state of vCPUs and virtual devices: a flat buffer of sections {tag, version, length, bytes}. Little-endian, fixed-width values only.
 *
 * Writing never overruns: too small a buffer sets `failed`, seen once at the end. Reading treats the bytes as hostile: every get is bounded
 * by its section; a short section sets `failed` and yields zeroes, so a loader reads everything into private memory, asks state_reader_ok,
 * checks the values, and only then applies them (decode may fail, apply cannot).
 *
 *	state_begin(w, STATE_TAG('U','A','R','T'), 1, index);  state_put_u8(w, u->lcr); ...  state_end(w);
 *	if (state_open(r, STATE_TAG('U','A','R','T'), 1, index) < 0) ...;  lcr = state_get_u8(r); ...  if (!state_close(r)) return -EINVAL;
 */
#ifndef HV_VM_STATE_H
#define HV_VM_STATE_H

#include <hv/types.h>

#define STATE_TAG(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

struct state_writer {
	uint8_t *buf;
	size_t size, used;
	size_t section; /* offset of the open section's header */
	bool failed;
};
void state_writer_init(struct state_writer *w, void *buf, size_t size);
void state_begin(struct state_writer *w, uint32_t tag, uint16_t version, uint16_t instance);
void state_end(struct state_writer *w);
void state_put(struct state_writer *w, const void *p, size_t len);
void state_put_u8(struct state_writer *w, uint8_t x);
void state_put_u16(struct state_writer *w, uint16_t x);
void state_put_u32(struct state_writer *w, uint32_t x);
void state_put_u64(struct state_writer *w, uint64_t x);
/* Bytes written, or -ENOSPC. */
int64_t state_writer_finish(const struct state_writer *w);

struct state_reader {
	const uint8_t *buf;
	size_t size;
	size_t pos, end; /* inside the open section */
	bool failed;
};
void state_reader_init(struct state_reader *r, const void *buf, size_t size);
/* Opens the section of that tag and instance, wherever it stands. Its version (1 .. max_version), -ENOENT, -EINVAL (damaged), -EPROTO (newer). */
int state_open(struct state_reader *r, uint32_t tag, uint16_t max_version, uint16_t instance) HV_MUST_CHECK;
/* True when no get overran and every byte of the section was read. */
bool state_close(struct state_reader *r) HV_MUST_CHECK;
bool state_reader_ok(const struct state_reader *r);
void state_get(struct state_reader *r, void *p, size_t len);
uint8_t state_get_u8(struct state_reader *r);
uint16_t state_get_u16(struct state_reader *r);
uint32_t state_get_u32(struct state_reader *r);
uint64_t state_get_u64(struct state_reader *r);

#endif
