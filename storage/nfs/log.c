/*
 * Write log of a file: a ring of entries in order of submission, each a header and its data in one piece (so that it is one flat buffer for
 * the library). Invariants 2 and 3 of client.h live here.
 *
 *   append -> PENDING --sent--> SENT --answered UNSTABLE--> UNSTABLE --COMMIT--> FREE
 *                ^               |  '--answered FILE_SYNC (and covering nothing older that is not stable), or failed--^
 *                +--- retry -----+            |
 *                +--- connection lost --------+
 *
 * Free entries in the middle are passed over; the head moves when the oldest is free. An entry that does not fit before the ring's end is
 * preceded by a free filler.
 */
#include "client.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

#define ALIGN 64u

_Static_assert(sizeof(struct nfs_write) == ALIGN, "entries are aligned");

int log_open(struct nfs_log *log)
{
	memset(log, 0, sizeof(*log));
	log->base = hv_contig_alloc(NFS_LOG_BYTES, HV_PAGE_SIZE);
	return log->base ? 0 : trace_error(-ENOMEM);
}

void log_close(struct nfs_log *log)
{
	if (log->base)
		hv_contig_free(log->base, NFS_LOG_BYTES);
	log->base = NULL;
}

static struct nfs_write *entry_at(const struct nfs_log *log, uint32_t at)
{
	return (struct nfs_write *)(log->base + at);
}

static uint32_t position(const struct nfs_log *log, const struct nfs_write *w)
{
	return (uint32_t)((const uint8_t *)w - log->base);
}

struct nfs_write *log_first(const struct nfs_log *log)
{
	return log->used ? entry_at(log, log->head) : NULL;
}

struct nfs_write *log_after(const struct nfs_log *log, const struct nfs_write *w)
{
	uint32_t next = (position(log, w) + w->span) % NFS_LOG_BYTES;

	return next == log->tail ? NULL : entry_at(log, next);
}

/* Takes `span` bytes at the tail. @pre they are free and do not cross the ring's end */
static struct nfs_write *take(struct nfs_log *log, uint32_t span)
{
	struct nfs_write *w = entry_at(log, log->tail);

	*w = (struct nfs_write){.span = span, .state = WRITE_FREE};
	log->tail = (log->tail + span) % NFS_LOG_BYTES;
	log->used += span;
	return w;
}

struct nfs_write *log_append(struct nfs_log *log, struct blk_req *req)
{
	uint32_t span = (uint32_t)HV_ALIGN_UP(sizeof(struct nfs_write) + req->length_bytes, (uint64_t)ALIGN);
	uint32_t to_end = NFS_LOG_BYTES - log->tail, filler = to_end < span ? to_end : 0;
	struct nfs_write *w;

	if (!log->used)
		log->cursor = log->head = log->tail;
	/* used never reaches the whole size: head == tail means empty. */
	if (log->used + filler + span >= NFS_LOG_BYTES)
		return NULL;
	if (filler)
		(void)take(log, filler); /* stays free: passed over */
	w = take(log, span);
	w->bytes = (uint32_t)req->length_bytes;
	w->offset = req->offset_bytes;
	w->sync = req->flags & BLK_F_FUA;
	w->req = req;
	blk_segs_to_buf(req->segs, req->nsegs, 0, log_data(w), req->length_bytes);
	req->scratch[STORAGE_SCRATCH_OP] = (uintptr_t)w;
	log_set_state(log, w, WRITE_PENDING);
	return w;
}

static bool counts_as_replaying(const struct nfs_write *w)
{
	return w->acked && (w->state == WRITE_PENDING || w->state == WRITE_SENT);
}

/* True when `at` lies before the cursor, in the ring's order from the head. */
static bool before_cursor(const struct nfs_log *log, uint32_t at)
{
	return (at + NFS_LOG_BYTES - log->head) % NFS_LOG_BYTES < (log->cursor + NFS_LOG_BYTES - log->head) % NFS_LOG_BYTES;
}

void log_set_state(struct nfs_log *log, struct nfs_write *w, enum nfs_write_state state)
{
	log->pending -= w->state == WRITE_PENDING;
	log->unstable -= w->state == WRITE_UNSTABLE;
	log->replaying -= counts_as_replaying(w);
	w->state = (uint8_t)state;
	log->pending += state == WRITE_PENDING;
	log->replaying += counts_as_replaying(w);
	if (state == WRITE_UNSTABLE && log->unstable++ == 0)
		log->oldest_ns = hv_now_ns();
	if (state == WRITE_PENDING && before_cursor(log, position(log, w)))
		log->cursor = position(log, w);
}

void log_free(struct nfs_log *log, struct nfs_write *w)
{
	log_set_state(log, w, WRITE_FREE);
	while (log->used && entry_at(log, log->head)->state == WRITE_FREE) {
		struct nfs_write *first = entry_at(log, log->head);
		bool at_cursor = log->cursor == log->head;

		log->head = (log->head + first->span) % NFS_LOG_BYTES;
		log->used -= first->span;
		if (at_cursor)
			log->cursor = log->head;
	}
}

bool log_covers_older(const struct nfs_log *log, const struct nfs_write *w)
{
	for (const struct nfs_write *o = log_first(log); o && o != w; o = log_after(log, o))
		if (o->state != WRITE_FREE && o->offset < w->offset + w->bytes && w->offset < o->offset + o->bytes)
			return true;
	return false;
}

struct nfs_write *log_next_pending(struct nfs_log *log)
{
	if (!log->pending)
		return NULL;
	while (entry_at(log, log->cursor)->state != WRITE_PENDING) /* ends: there is one at or after the cursor */
		log->cursor = (log->cursor + entry_at(log, log->cursor)->span) % NFS_LOG_BYTES;
	return entry_at(log, log->cursor);
}

void log_committed(struct nfs_log *log, uint64_t epoch)
{
	struct nfs_write *next;

	for (struct nfs_write *w = log_first(log); w; w = next) {
		next = log_after(log, w);
		if (w->state == WRITE_UNSTABLE && w->epoch <= epoch)
			log_free(log, w);
	}
	if (log->unstable)
		log->oldest_ns = hv_now_ns();
}

unsigned log_replay(struct nfs_log *log)
{
	unsigned acked = 0;
	struct nfs_write *next;

	log->has_verifier = false;
	for (struct nfs_write *w = log_first(log); w; w = next) {
		next = log_after(log, w);
		if (w->state == WRITE_FREE)
			continue;
		w->progress = 0;
		w->part_unstable = false;
		w->not_before_ns = 0;
		if (!w->acked && !w->req) { /* its request ended by deadline or cancel: nobody was promised anything */
			log_free(log, w);
			continue;
		}
		acked += w->acked;
		log_set_state(log, w, WRITE_PENDING);
	}
	return acked;
}
