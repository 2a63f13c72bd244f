/*
 * The LUN as a disk: requests become SCSI commands (SBC-3), one op each, data straight from and to the request's segments.
 *
 *   waiting --command_issue--> in flight --task_done--> done()
 *      ^                          |  retry, wait, attention
 *      +--------------------------+-- connection lost (command_recover)
 *
 * A request that needs several commands (large DISCARD, write with FUA) keeps its progress in blk_req.scratch and goes round again.
 * Invariants: session.h.
 */
#include "library.h"
#include "session.h"
#include <errno.h>
#include <hv/log.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ULL
#define MAX_RETRIES 8           /* of SENSE_RETRY and protocol errors */
#define WAIT_FIRST_NS (10 * MS) /* SENSE_WAIT: doubling ... */
#define WAIT_MAX_NS (1000 * MS) /* ... to this */
#define CANCEL_GRACE_NS (1000 * MS)
#define COMMAND_MAX_NS (60000 * MS) /* without an answer the connection is dropped, even when NOPs are answered */

enum { READ_16 = 0x88, WRITE_16 = 0x8a, SYNCHRONIZE_CACHE_16 = 0x91, WRITE_SAME_16 = 0x93, UNMAP = 0x42 };
enum { PHASE_DATA, PHASE_SYNC };

static const uint8_t zero_block[4096];

static struct iscsi_initiator *from_blk(struct blk_dev *dev)
{
	return hv_container_of(dev, struct iscsi_initiator, lun.blk);
}

static void put_be(uint8_t *p, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

/* ---- ops ---- */

struct iscsi_op *command_op_get(struct iscsi_initiator *s, struct blk_req *req)
{
	struct iscsi_op *op = hv_slab_get(&s->ops);

	if (!op)
		return NULL;
	memset(op, 0, offsetof(struct iscsi_op, iov));
	op->s = s;
	op->req = req;
	op->sent_ns = hv_now_ns();
	op->prev = s->in_flight_tail;
	if (op->prev)
		op->prev->next = op;
	else
		s->in_flight_head = op;
	s->in_flight_tail = op;
	if (req)
		req->scratch[STORAGE_SCRATCH_OP] = (uintptr_t)op;
	return op;
}

void command_op_put(struct iscsi_op *op)
{
	struct iscsi_initiator *s = op->s;

	if (op->prev)
		op->prev->next = op->next;
	else
		s->in_flight_head = op->next;
	if (op->next)
		op->next->prev = op->prev;
	else
		s->in_flight_tail = op->prev;
	if (op->req)
		op->req->scratch[STORAGE_SCRATCH_OP] = 0;
	free(op->task.datain.data); /* the library's copy of sense data */
	hv_slab_put(&s->ops, op);
}

bool command_op_send(struct iscsi_op *op, iscsi_command_cb callback)
{
	if (iscsi_scsi_command_async(op->s->ctx, op->s->config.lun, &op->task, callback, NULL, op) == 0)
		return true;
	session_fail(op->s, false, "command could not be sent: %s", iscsi_get_error(op->s->ctx));
	return false;
}

struct sense_verdict command_verdict(int status, const struct scsi_task *task)
{
	if (status < 0 || status > 0xff)
		return (struct sense_verdict){SENSE_DROP, -EIO, "protocol error"};
	struct sense_verdict v =
		sense_judge((uint8_t)status, (uint8_t)task->sense.key, (uint8_t)(task->sense.ascq >> 8), (uint8_t)task->sense.ascq);

	/* Good, but not all of the data moved: RFC 7143 section 11.4.5, or against it. */
	if (v.action == SENSE_OK && task->xfer_dir != SCSI_XFER_NONE && task->residual_status == SCSI_RESIDUAL_UNDERFLOW && task->residual)
		v = (struct sense_verdict){SENSE_RETRY, -EIO, "short transfer"};
	if (v.action == SENSE_OK && task->xfer_dir == SCSI_XFER_READ && task->datain.size != task->expxferlen)
		v = (struct sense_verdict){SENSE_RETRY, -EIO, "good status without all of the data"};
	return v;
}

/* ---- building commands ---- */

static void task_init(struct scsi_task *task, uint8_t opcode, unsigned cdb_bytes, int direction, uint32_t bytes)
{
	task->cdb_size = (int)cdb_bytes;
	task->cdb[0] = opcode;
	task->xfer_dir = direction;
	task->expxferlen = (int)bytes;
}

/* The request's segments as the library's vectors, neighbours joined. */
static unsigned op_map_segments(struct iscsi_op *op)
{
	const struct blk_req *req = op->req;
	unsigned n = 0;

	for (unsigned i = 0; i < req->nsegs; i++) {
		const struct hv_seg *seg = &req->segs[i];

		if (!seg->len)
			continue;
		if (n && (uint8_t *)op->iov[n - 1].iov_base + op->iov[n - 1].iov_len == seg->base)
			op->iov[n - 1].iov_len += seg->len;
		else
			op->iov[n++] = (struct scsi_iovec){.iov_base = seg->base, .iov_len = seg->len};
	}
	return n;
}

static void build_transfer(struct iscsi_op *op, bool write)
{
	const struct blk_req *req = op->req;
	uint32_t block = op->s->lun.blk.block_bytes;
	unsigned n = op_map_segments(op);

	op->bytes = req->length_bytes;
	task_init(&op->task, write ? WRITE_16 : READ_16, 16, write ? SCSI_XFER_WRITE : SCSI_XFER_READ, (uint32_t)req->length_bytes);
	put_be(op->task.cdb + 2, req->offset_bytes / block, 8);
	put_be(op->task.cdb + 10, req->length_bytes / block, 4);
	if (write)
		scsi_task_set_iov_out(&op->task, op->iov, (int)n);
	else
		scsi_task_set_iov_in(&op->task, op->iov, (int)n);
}

static void build_sync(struct iscsi_op *op)
{
	op->bytes = 0;
	task_init(&op->task, SYNCHRONIZE_CACHE_16, 16, SCSI_XFER_NONE, 0); /* whole LUN: block 0, count 0 */
}

/* UNMAP with one descriptor (SBC-3 5.28), or WRITE SAME(16) of a zero block (5.42), for the next part of the request. */
static void build_range(struct iscsi_op *op, bool unmap)
{
	struct iscsi_initiator *s = op->s;
	const struct blk_req *req = op->req;
	uint32_t block = s->lun.blk.block_bytes;
	uint64_t progress = req->scratch[STORAGE_SCRATCH_PROGRESS];
	uint64_t first = (req->offset_bytes + progress) / block, count = (req->length_bytes - progress) / block;
	uint64_t most = unmap ? s->limits.max_unmap_blocks : s->limits.max_write_same_blocks;

	count = HV_MIN(count, HV_MIN(most ? most : 65535u, (uint64_t)UINT32_MAX));
	op->bytes = count * block;
	if (unmap) {
		task_init(&op->task, UNMAP, 10, SCSI_XFER_WRITE, sizeof(op->parameters));
		put_be(op->task.cdb + 7, sizeof(op->parameters), 2);
		put_be(op->parameters, sizeof(op->parameters) - 2, 2);
		put_be(op->parameters + 2, sizeof(op->parameters) - 8, 2);
		put_be(op->parameters + 8, first, 8);
		put_be(op->parameters + 16, count, 4);
		op->iov[0] = (struct scsi_iovec){.iov_base = op->parameters, .iov_len = sizeof(op->parameters)};
	} else {
		task_init(&op->task, WRITE_SAME_16, 16, SCSI_XFER_WRITE, block);
		op->task.cdb[1] = req->flags & BLK_F_UNMAP && s->limits.write_same ? 0x08 : 0;
		put_be(op->task.cdb + 2, first, 8);
		put_be(op->task.cdb + 10, count, 4);
		op->iov[0] = (struct scsi_iovec){.iov_base = (void *)(uintptr_t)zero_block, .iov_len = block};
	}
	scsi_task_set_iov_out(&op->task, op->iov, 1);
}

static void op_build(struct iscsi_op *op)
{
	switch (op->req->op) {
	case BLK_READ:
		build_transfer(op, false);
		break;
	case BLK_WRITE:
		if (op->req->scratch[STORAGE_SCRATCH_PHASE] == PHASE_SYNC)
			build_sync(op);
		else
			build_transfer(op, true);
		break;
	case BLK_FLUSH:
		build_sync(op);
		break;
	case BLK_DISCARD:
		build_range(op, true);
		break;
	default: /* BLK_WRITE_ZEROES: submit admits nothing else */
		build_range(op, false);
		break;
	}
}

/* ---- ends of commands ---- */

/* The steps of a write with FUA. True when there is another one. Data that a cache lost before the second step is written again. */
static bool stable_write_advance(const struct iscsi_initiator *s, struct blk_req *req)
{
	uint64_t *phase = &req->scratch[STORAGE_SCRATCH_PHASE], *written_in = &req->scratch[STORAGE_SCRATCH_PROGRESS];

	if (*phase == PHASE_SYNC && *written_in == s->cache_lives)
		return false;
	*written_in = s->cache_lives;
	*phase = *phase == PHASE_DATA ? PHASE_SYNC : PHASE_DATA;
	return true;
}

/* A command went well: true when the request has another step. */
static bool request_advance(const struct iscsi_initiator *s, struct blk_req *req, uint64_t bytes)
{
	if (req->op == BLK_WRITE && req->flags & BLK_F_FUA)
		return stable_write_advance(s, req);
	if (req->op != BLK_DISCARD && req->op != BLK_WRITE_ZEROES)
		return false;
	req->scratch[STORAGE_SCRATCH_PROGRESS] += bytes;
	return req->scratch[STORAGE_SCRATCH_PROGRESS] < req->length_bytes;
}

static void unit_ready(struct iscsi_initiator *s, bool ready, const char *text)
{
	if (s->unit_waits == !ready)
		return;
	s->unit_waits = !ready;
	if (ready)
		log_info("iscsi.unit.ready", "%s: LUN %u works again", s->link.name, s->config.lun);
	else
		log_warn("iscsi.unit.waits", "%s: LUN %u: %s; requests wait", s->link.name, s->config.lun, text);
}

/* Waits for its turn again: at once, or after a time that doubles with each wait. */
static void request_requeue(struct iscsi_initiator *s, struct blk_req *req, bool later)
{
	uint64_t *waits = &req->scratch[STORAGE_SCRATCH_NOT_BEFORE], retries = req->scratch[STORAGE_SCRATCH_RETRIES];
	unsigned n = (unsigned)(retries >> 32);

	*waits = 0;
	if (later) {
		*waits = hv_now_ns() + HV_MIN(WAIT_FIRST_NS << HV_MIN(n, 10u), WAIT_MAX_NS);
		req->scratch[STORAGE_SCRATCH_RETRIES] = retries + (1ULL << 32);
	}
	s->link.stats.retried++;
	blk_queue_insert_ordered(&s->waiting, req);
}

/* Counts a bounded retry; true when the request has none left. */
static bool retries_used_up(struct blk_req *req)
{
	return (uint32_t)++req->scratch[STORAGE_SCRATCH_RETRIES] > MAX_RETRIES;
}

static void request_failed(struct iscsi_initiator *s, struct blk_req *req, const struct sense_verdict *v, int status)
{
	log_warn("iscsi.io.error", "%s: %s of %llu bytes at %llu: %s", s->link.name, blk_op_name(req->op),
		(unsigned long long)req->length_bytes, (unsigned long long)req->offset_bytes, v->text);
	blk_complete(req, status);
}

static void task_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct iscsi_op *op = arg;
	struct iscsi_initiator *s = op->s;
	struct blk_req *req = op->req;
	struct sense_verdict v;
	uint64_t bytes;

	if (ctx != s->ctx || status == SCSI_STATUS_CANCELLED)
		return; /* the connection is going down: session_lose takes the op back */
	v = command_verdict(status, &op->task);
	if (v.action == SENSE_DROP || library_task_queued(ctx, &op->task)) {
		/* Invariant 2: the library may still read the segments. Replayed, unless it keeps happening. */
		if (retries_used_up(req) && !op->abandon_status)
			op->abandon_status = -EIO;
		session_fail(s, false, "%s",
			v.action == SENSE_DROP ? iscsi_get_error(ctx) : "the target answered a write before it took the data");
		return;
	}
	bytes = op->bytes;
	if (op->abandon_status && v.action != SENSE_OK && v.action != SENSE_FAIL)
		v = (struct sense_verdict){SENSE_FAIL, op->abandon_status, "cancelled"};
	command_op_put(op);
	switch (v.action) {
	case SENSE_OK:
		unit_ready(s, true, NULL);
		if (request_advance(s, req, bytes))
			blk_queue_insert_ordered(&s->waiting, req);
		else
			blk_complete(req, 0);
		break;
	case SENSE_RETRY:
		if (retries_used_up(req))
			request_failed(s, req, &v, v.status);
		else
			request_requeue(s, req, true);
		break;
	case SENSE_WAIT:
		unit_ready(s, false, v.text);
		request_requeue(s, req, true);
		break;
	case SENSE_ATTENTION:
		s->cache_lives++;
		request_requeue(s, req, false);
		probe_start(s);
		break;
	default:
		if (v.status == -ECANCELED || v.status == -ETIMEDOUT)
			blk_complete(req, v.status);
		else
			request_failed(s, req, &v, v.status);
		break;
	}
}

void command_issue(struct iscsi_initiator *s)
{
	uint64_t now = 0;
	struct blk_req *next;

	if (s->link.state != STORAGE_LINK_READY || s->probe.running || s->failed)
		return;
	for (struct blk_req *req = s->waiting.head; req; req = next) {
		struct iscsi_op *op;

		next = req->next;
		if (req->scratch[STORAGE_SCRATCH_NOT_BEFORE]) {
			now = now ? now : hv_now_ns();
			if (req->scratch[STORAGE_SCRATCH_NOT_BEFORE] > now)
				continue;
		}
		op = command_op_get(s, req);
		if (!op)
			return;
		blk_queue_remove(&s->waiting, req);
		op_build(op);
		if (!command_op_send(op, task_done))
			return;
	}
}

/* ---- the block contract ---- */

static int command_submit(struct blk_dev *dev, struct blk_req *req)
{
	struct iscsi_initiator *s = from_blk(dev);

	if (s->link.state == STORAGE_LINK_CLOSED)
		return trace_error(-ENODEV);
	if (req->op >= BLK_OP_COUNT || (req->op <= BLK_WRITE && (req->length_bytes > dev->max_bytes || req->nsegs > SESSION_MAX_SEGS)))
		return trace_error(-EINVAL);
	if ((req->op == BLK_DISCARD && !dev->can_discard) || (req->op == BLK_WRITE_ZEROES && !dev->can_write_zeroes))
		return trace_error(-EOPNOTSUPP);
	memset(req->scratch, 0, sizeof(req->scratch));
	req->scratch[STORAGE_SCRATCH_SEQ] = ++s->seq;
	blk_queue_push(&s->waiting, req);
	command_issue(s);
	return 0;
}

static void command_cancel(struct blk_dev *dev, struct blk_req *req)
{
	struct iscsi_initiator *s = from_blk(dev);
	struct iscsi_op *op = (struct iscsi_op *)(uintptr_t)req->scratch[STORAGE_SCRATCH_OP];

	if (op) {
		if (!op->abandon_ns) {
			op->abandon_ns = hv_now_ns() + CANCEL_GRACE_NS;
			op->abandon_status = -ECANCELED;
		}
		return;
	}
	blk_queue_remove(&s->waiting, req);
	s->link.stats.canceled++;
	blk_complete(req, -ECANCELED);
}

/* The LUN lives and dies with its session. */
static void command_close(struct blk_dev *dev)
{
	hv_assert(from_blk(dev)->in_flight_head == NULL || from_blk(dev)->probe.running);
}

const struct blk_ops command_blk_ops = {.submit = command_submit, .cancel = command_cancel, .close = command_close};

void command_tick(struct iscsi_initiator *s, uint64_t now)
{
	struct blk_req *req, *next;

	for (req = s->waiting.head; req; req = next) {
		next = req->next;
		if (!req->deadline_ns || now < req->deadline_ns)
			continue;
		blk_queue_remove(&s->waiting, req);
		s->link.stats.timed_out++;
		blk_complete(req, -ETIMEDOUT);
		next = s->waiting.head; /* done() may have changed the list */
	}
	for (struct iscsi_op *op = s->in_flight_head; op; op = op->next) {
		if (op->req && op->req->deadline_ns && now >= op->req->deadline_ns && op->abandon_status != -ETIMEDOUT) {
			op->abandon_status = -ETIMEDOUT;
			op->abandon_ns = now;
		}
		if (op->abandon_ns && now >= op->abandon_ns)
			session_fail(s, false, "a request was %s by the target",
				op->abandon_status == -ETIMEDOUT ? "not answered in time" : "cancelled and not answered");
		else if (now - op->sent_ns > COMMAND_MAX_NS)
			session_fail(s, false, "a command was not answered for %llu s", COMMAND_MAX_NS / (1000 * MS));
	}
}

void command_recover(struct iscsi_initiator *s)
{
	struct blk_queue ended = {0};
	struct iscsi_op *op;
	struct blk_req *req;

	s->cache_lives++;
	while ((op = s->in_flight_head) != NULL) {
		int status = op->abandon_status;

		req = op->req;
		command_op_put(op);
		if (!req)
			continue;
		if (!status) {
			s->link.stats.replayed++;
			blk_queue_insert_ordered(&s->waiting, req);
			continue;
		}
		req->scratch[STORAGE_SCRATCH_NOT_BEFORE] = (uint64_t)(int64_t)status;
		blk_queue_push(&ended, req);
	}
	while ((req = ended.head) != NULL) {
		int status = (int)(int64_t)req->scratch[STORAGE_SCRATCH_NOT_BEFORE];

		blk_queue_remove(&ended, req);
		if (status == -ETIMEDOUT)
			s->link.stats.timed_out++;
		else if (status == -ECANCELED)
			s->link.stats.canceled++;
		blk_complete(req, status);
	}
}
