/*
 * Fault layer. A request is carried by an op from a slab, with a request of its own to the disk below, so that the layers' states never
 * mix.
 *
 * An op: HELD (hang) -> BELOW -> DELAYED -> finished. cancel ends it at once when it is HELD or DELAYED, and is passed on when it is BELOW.
 * The deadline of a request also ends it when it is HELD. Owner: the core of the disk below.
 */
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <storage/fault.h>
#include <storage/queue.h>
#include <string.h>

#define FAULT_OPS 256
#define SEND_AGAIN_NS 1000000

enum fault_op_state { OP_HELD, OP_BELOW, OP_DELAYED };

struct fault_op {
	struct blk_req below; /* first: its owner finds the op */
	struct blk_req *req;
	struct fault_lun *lun;
	struct hv_timer timer;
	enum fault_op_state state;
	int status;
	bool torn;
	struct hv_seg segs[2]; /* of a torn write */
};

struct fault_lun {
	struct blk_dev blk;
	struct blk_dev *below;
	struct fault_config config;
	struct hv_slab ops;
	struct blk_queue held;
	uint64_t requests, writes, submits;
};

static struct fault_lun *from_blk(struct blk_dev *dev)
{
	return hv_container_of(dev, struct fault_lun, blk);
}

static struct fault_op *op_of(struct blk_req *req)
{
	return (struct fault_op *)(uintptr_t)req->scratch[STORAGE_SCRATCH_OP];
}

static bool every(uint64_t count, uint32_t n)
{
	return n && count % n == 0;
}

static void op_finish(struct fault_op *op, int status)
{
	struct blk_req *req = op->req;

	hv_timer_cancel(&op->timer);
	if (op->state == OP_HELD)
		blk_queue_remove(&op->lun->held, req);
	hv_slab_put(&op->lun->ops, op);
	blk_complete(req, status);
}

static void delay_over(struct hv_timer *timer)
{
	struct fault_op *op = hv_container_of(timer, struct fault_op, timer);

	op_finish(op, op->status);
}

/* The result is known: end now or after the delay. */
static void op_result(struct fault_op *op, int status)
{
	if (op->torn && !status)
		status = -EIO;
	if (op->lun->config.delay_us == 0) {
		op_finish(op, status);
		return;
	}
	op->state = OP_DELAYED;
	op->status = status;
	op->timer.fn = delay_over;
	hv_timer_arm(&op->timer, hv_now_ns() + op->lun->config.delay_us * 1000ULL);
}

static void below_done(struct blk_req *below, int status)
{
	op_result(below->owner, status);
}

/* Only the first half of the data goes down. Segments are cut in a copy of the first two: enough for a tear. */
static void op_tear(struct fault_op *op)
{
	const struct blk_req *req = op->req;
	uint64_t half = HV_ALIGN_DOWN(req->length_bytes / 2, (uint64_t)op->lun->blk.block_bytes);
	uint64_t length = 0;
	unsigned n = 0;

	for (; n < HV_MIN(req->nsegs, 2) && length < half; n++) {
		op->segs[n] = req->segs[n];
		op->segs[n].len = (uint32_t)HV_MIN((uint64_t)op->segs[n].len, half - length);
		length += op->segs[n].len;
	}
	uint64_t excess = length % op->lun->blk.block_bytes;

	if (length <= excess)
		return; /* too scattered to tear in two segments: stays whole, still reported as failed */
	op->segs[n - 1].len -= (uint32_t)excess;
	op->below.segs = op->segs;
	op->below.nsegs = (uint16_t)n;
	op->below.length_bytes = length - excess;
}

static void op_send(struct fault_op *op);

static void send_again(struct hv_timer *timer)
{
	op_send(hv_container_of(timer, struct fault_op, timer));
}

static void op_send(struct fault_op *op)
{
	struct blk_req *req = op->req;
	int err;

	op->state = OP_BELOW;
	op->below = (struct blk_req){.op = req->op,
		.flags = req->flags,
		.nsegs = req->nsegs,
		.segs = req->segs,
		.offset_bytes = req->offset_bytes,
		.length_bytes = req->length_bytes,
		.deadline_ns = req->deadline_ns,
		.done = below_done,
		.owner = op};
	if (op->torn)
		op_tear(op);
	err = blk_submit(op->lun->below, &op->below);
	if (err == -EAGAIN) { /* accepted from above already: try again soon */
		op->state = OP_DELAYED;
		op->timer.fn = send_again;
		hv_timer_arm(&op->timer, hv_now_ns() + SEND_AGAIN_NS);
	} else if (err) {
		op_result(op, err);
	}
}

static void hold_expired(struct hv_timer *timer)
{
	op_finish(hv_container_of(timer, struct fault_op, timer), -ETIMEDOUT);
}

static void op_hold(struct fault_op *op)
{
	op->state = OP_HELD;
	blk_queue_push(&op->lun->held, op->req);
	op->timer.fn = hold_expired;
	if (op->req->deadline_ns)
		hv_timer_arm(&op->timer, op->req->deadline_ns);
}

static int fault_submit(struct blk_dev *dev, struct blk_req *req)
{
	struct fault_lun *lun = from_blk(dev);
	const struct fault_config *c = &lun->config;
	struct fault_op *op;

	if (every(++lun->submits, c->again_every))
		return -EAGAIN;
	op = hv_slab_get(&lun->ops);
	if (!op)
		return -EAGAIN;
	memset(op, 0, sizeof(*op));
	op->req = req;
	op->lun = lun;
	req->scratch[STORAGE_SCRATCH_OP] = (uintptr_t)op;
	lun->requests++;
	if (req->op == BLK_WRITE && req->length_bytes > lun->blk.block_bytes)
		op->torn = every(++lun->writes, c->torn_every);
	op->state = OP_BELOW;
	if (every(lun->requests, c->hang_every))
		op_hold(op);
	else if (every(lun->requests, c->error_every))
		op_result(op, c->error_status ? c->error_status : -EIO);
	else
		op_send(op);
	return 0;
}

static void fault_cancel(struct blk_dev *dev, struct blk_req *req)
{
	struct fault_op *op = op_of(req);

	if (op->state == OP_BELOW)
		blk_cancel(op->lun->below, &op->below);
	else
		op_finish(op, -ECANCELED);
}

static void fault_close(struct blk_dev *dev)
{
	struct fault_lun *lun = from_blk(dev);

	hv_assert(lun->ops.in_use == 0);
	lun->below->changed = NULL;
	lun->below->ops->close(lun->below);
	hv_slab_destroy(&lun->ops);
	hv_contig_free(lun, sizeof(*lun));
}

static const struct blk_ops fault_ops = {.submit = fault_submit, .cancel = fault_cancel, .close = fault_close};

/* What the disk below is, this one is. */
static void below_changed(struct blk_dev *below, void *arg)
{
	struct fault_lun *lun = arg;

	lun->blk.size_bytes = below->size_bytes;
	lun->blk.read_only = below->read_only;
	lun->blk.state = below->state;
	if (lun->blk.changed)
		lun->blk.changed(&lun->blk, lun->blk.changed_arg);
}

int fault_lun_create(const char *name, struct blk_dev *below, const struct fault_config *config, struct blk_dev **out)
{
	struct fault_lun *lun = hv_contig_alloc(sizeof(*lun), 4096);

	if (!lun)
		return trace_error(-ENOMEM);
	memset(lun, 0, sizeof(*lun));
	if (hv_slab_init(&lun->ops, "fault-op", sizeof(struct fault_op), FAULT_OPS)) {
		hv_contig_free(lun, sizeof(*lun));
		return trace_error(-ENOMEM);
	}
	lun->blk = *below;
	lun->blk.ops = &fault_ops;
	lun->blk.name = name;
	lun->blk.stats = (struct blk_stats){0};
	lun->blk.changed = NULL;
	lun->below = below;
	lun->config = *config;
	below->changed = below_changed;
	below->changed_arg = lun;
	*out = &lun->blk;
	return 0;
}

void fault_lun_set(struct blk_dev *dev, const struct fault_config *config)
{
	from_blk(dev)->config = *config;
}

void fault_lun_release(struct blk_dev *dev)
{
	struct fault_lun *lun = from_blk(dev);
	struct blk_req *req;

	while ((req = lun->held.head) != NULL) {
		hv_timer_cancel(&op_of(req)->timer);
		blk_queue_remove(&lun->held, req);
		op_send(op_of(req));
	}
}
