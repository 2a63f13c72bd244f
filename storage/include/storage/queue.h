/*
 * A list of requests, linked through blk_req.next and .prev: a request is in at most one. Owner core only; nothing allocates.
 * blk_req.scratch belongs to the device that holds the request; STORAGE_SCRATCH_* say which word holds what in the initiators.
 */
#ifndef STORAGE_QUEUE_H
#define STORAGE_QUEUE_H

#include <hv/blk.h>

struct blk_queue {
	struct blk_req *head, *tail;
	unsigned count;
};

enum storage_scratch {
	STORAGE_SCRATCH_SEQ,        /* order of submission */
	STORAGE_SCRATCH_PROGRESS,   /* bytes of the request that are finished */
	STORAGE_SCRATCH_PHASE,      /* step of a request that needs several commands */
	STORAGE_SCRATCH_RETRIES,    /* low 32 bits: bounded retries; high: waits */
	STORAGE_SCRATCH_NOT_BEFORE, /* hv_now_ns() before which it is not sent again; 0 = at once */
	STORAGE_SCRATCH_OP,         /* the command slot that carries it, NULL while it waits */
	STORAGE_SCRATCH_STATUS,     /* with which it will end, once that is known; 0 = as it goes */
};

static inline void blk_queue_push(struct blk_queue *q, struct blk_req *req)
{
	req->next = NULL;
	req->prev = q->tail;
	if (q->tail)
		q->tail->next = req;
	else
		q->head = req;
	q->tail = req;
	q->count++;
}

static inline void blk_queue_remove(struct blk_queue *q, struct blk_req *req)
{
	if (req->prev)
		req->prev->next = req->next;
	else
		q->head = req->next;
	if (req->next)
		req->next->prev = req->prev;
	else
		q->tail = req->prev;
	req->next = req->prev = NULL;
	q->count--;
}

/* Back into the order of submission: before the first entry that was submitted later. */
static inline void blk_queue_insert_ordered(struct blk_queue *q, struct blk_req *req)
{
	struct blk_req *after = q->head;

	while (after && after->scratch[STORAGE_SCRATCH_SEQ] < req->scratch[STORAGE_SCRATCH_SEQ])
		after = after->next;
	if (!after) {
		blk_queue_push(q, req);
		return;
	}
	req->next = after;
	req->prev = after->prev;
	if (after->prev)
		after->prev->next = req;
	else
		q->head = req;
	after->prev = req;
	q->count++;
}

#endif
