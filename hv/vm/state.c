/* Saved state: sections of {tag u32, version u16, instance u16, length u32} and bytes (state.h). */
#include "vm/state.h"

#include <errno.h>
#include <string.h>

#define HEADER_BYTES 12u

void state_writer_init(struct state_writer *w, void *buf, size_t size)
{
	*w = (struct state_writer){.buf = buf, .size = size};
}

void state_put(struct state_writer *w, const void *p, size_t len)
{
	if (w->failed || len > w->size - w->used) {
		w->failed = true;
		return;
	}
	memcpy(w->buf + w->used, p, len);
	w->used += len;
}

void state_put_u8(struct state_writer *w, uint8_t x)
{
	state_put(w, &x, sizeof(x));
}

void state_put_u16(struct state_writer *w, uint16_t x)
{
	state_put(w, &x, sizeof(x));
}

void state_put_u32(struct state_writer *w, uint32_t x)
{
	state_put(w, &x, sizeof(x));
}

void state_put_u64(struct state_writer *w, uint64_t x)
{
	state_put(w, &x, sizeof(x));
}

void state_begin(struct state_writer *w, uint32_t tag, uint16_t version, uint16_t instance)
{
	w->section = w->used;
	state_put_u32(w, tag);
	state_put_u16(w, version);
	state_put_u16(w, instance);
	state_put_u32(w, 0);
}

void state_end(struct state_writer *w)
{
	if (w->failed)
		return;
	uint32_t len = (uint32_t)(w->used - w->section - HEADER_BYTES);
	memcpy(w->buf + w->section + 8, &len, sizeof(len));
}

int64_t state_writer_finish(const struct state_writer *w)
{
	return w->failed ? -ENOSPC : (int64_t)w->used;
}

void state_reader_init(struct state_reader *r, const void *buf, size_t size)
{
	*r = (struct state_reader){.buf = buf, .size = size};
}

int state_open(struct state_reader *r, uint32_t tag, uint16_t max_version, uint16_t instance)
{
	for (size_t at = 0; at < r->size;) {
		uint32_t t, len;
		uint16_t version, inst;
		if (r->size - at < HEADER_BYTES)
			return -EINVAL;
		memcpy(&t, r->buf + at, 4);
		memcpy(&version, r->buf + at + 4, 2);
		memcpy(&inst, r->buf + at + 6, 2);
		memcpy(&len, r->buf + at + 8, 4);
		at += HEADER_BYTES;
		if (len > r->size - at)
			return -EINVAL;
		if (t == tag && inst == instance) {
			if (version == 0)
				return -EINVAL;
			if (version > max_version)
				return -EPROTO;
			r->pos = at;
			r->end = at + len;
			r->failed = false;
			return version;
		}
		at += len;
	}
	return -ENOENT;
}

void state_get(struct state_reader *r, void *p, size_t len)
{
	if (r->failed || len > r->end - r->pos) {
		r->failed = true;
		memset(p, 0, len);
		return;
	}
	memcpy(p, r->buf + r->pos, len);
	r->pos += len;
}

uint8_t state_get_u8(struct state_reader *r)
{
	uint8_t x;
	state_get(r, &x, sizeof(x));
	return x;
}

uint16_t state_get_u16(struct state_reader *r)
{
	uint16_t x;
	state_get(r, &x, sizeof(x));
	return x;
}

uint32_t state_get_u32(struct state_reader *r)
{
	uint32_t x;
	state_get(r, &x, sizeof(x));
	return x;
}

uint64_t state_get_u64(struct state_reader *r)
{
	uint64_t x;
	state_get(r, &x, sizeof(x));
	return x;
}

bool state_reader_ok(const struct state_reader *r)
{
	return !r->failed;
}

bool state_close(struct state_reader *r)
{
	return !r->failed && r->pos == r->end;
}
