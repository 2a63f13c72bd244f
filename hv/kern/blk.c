/* What every disk shares (hv/blk.h): the check of a request, its accounting, and copies to and from its segments. */
#include <errno.h>
#include <hv/blk.h>
#include <hv/core.h>

static const char *const op_names[BLK_OP_COUNT] = {
	[BLK_READ] = "read",
	[BLK_WRITE] = "write",
	[BLK_FLUSH] = "flush",
	[BLK_DISCARD] = "discard",
	[BLK_WRITE_ZEROES] = "write-zeroes",
};

const char *blk_op_name(unsigned op)
{
	return op < BLK_OP_COUNT ? op_names[op] : "unknown";
}

unsigned blk_latency_bucket(uint64_t ns)
{
	uint64_t units = ns / 125; /* microseconds / 8 */
	unsigned bucket = units ? 63u - (unsigned)__builtin_clzll(units) : 0;

	return HV_MIN(bucket, BLK_LATENCY_BUCKETS - 1u);
}

static bool range_ok(const struct blk_dev *dev, const struct blk_req *req)
{
	return req->length_bytes && req->offset_bytes <= dev->size_bytes && req->length_bytes <= dev->size_bytes - req->offset_bytes &&
		req->offset_bytes % dev->block_bytes == 0 && req->length_bytes % dev->block_bytes == 0;
}

static bool segs_ok(const struct blk_dev *dev, const struct blk_req *req)
{
	uint64_t total = 0;

	if (!req->nsegs || req->nsegs > dev->max_segs || req->length_bytes > dev->max_bytes)
		return false;
	for (unsigned i = 0; i < req->nsegs; i++)
		total += req->segs[i].len;
	return total == req->length_bytes;
}

static int check(const struct blk_dev *dev, const struct blk_req *req)
{
	if (dev->state == BLK_STATE_GONE)
		return -ENODEV;
	switch (req->op) {
	case BLK_READ:
		return range_ok(dev, req) && segs_ok(dev, req) ? 0 : -EINVAL;
	case BLK_WRITE:
		if (dev->read_only)
			return -EROFS;
		return range_ok(dev, req) && segs_ok(dev, req) ? 0 : -EINVAL;
	case BLK_FLUSH:
		return req->length_bytes || req->nsegs ? -EINVAL : 0;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		if (!(req->op == BLK_DISCARD ? dev->can_discard : dev->can_write_zeroes))
			return -EOPNOTSUPP;
		if (dev->read_only)
			return -EROFS;
		return range_ok(dev, req) && !req->nsegs ? 0 : -EINVAL;
	default:
		return -EOPNOTSUPP;
	}
}

int blk_submit(struct blk_dev *dev, struct blk_req *req)
{
	int err = check(dev, req);

	if (err)
		return err;
	req->dev = dev;
	req->next = req->prev = NULL;
	req->submitted_ns = hv_now_ns();
	dev->stats.in_flight++;
	err = dev->ops->submit(dev, req);
	if (err) { /* refused: the request is the submitter's again, as if never offered. On success it may be done already. */
		dev->stats.in_flight--;
		dev->stats.again += err == -EAGAIN;
		req->dev = NULL;
	}
	return err;
}

void blk_cancel(struct blk_dev *dev, struct blk_req *req)
{
	if (dev->ops->cancel && req->dev == dev)
		dev->ops->cancel(dev, req);
}

void blk_complete(struct blk_req *req, int status)
{
	struct blk_dev *dev = req->dev;
	struct blk_stats *s = &dev->stats;

	s->in_flight--;
	s->ios[req->op]++;
	if (status)
		s->errors[req->op]++;
	else
		s->bytes[req->op] += req->length_bytes;
	s->latency[blk_latency_bucket(hv_now_ns() - req->submitted_ns)]++;
	req->dev = NULL;
	req->done(req, status);
}

/* Walks `len` bytes after the first `skip`; direction by `to_buf`. */
static size_t copy(const struct hv_seg *segs, unsigned nsegs, size_t skip, char *buf, size_t len, bool to_buf)
{
	size_t done = 0;

	for (unsigned i = 0; i < nsegs && done < len; i++) {
		size_t n;
		char *at;

		if (skip >= segs[i].len) {
			skip -= segs[i].len;
			continue;
		}
		n = HV_MIN(segs[i].len - skip, len - done);
		at = (char *)segs[i].base + skip;
		if (to_buf)
			__builtin_memcpy(buf + done, at, n);
		else
			__builtin_memcpy(at, buf + done, n);
		skip = 0;
		done += n;
	}
	return done;
}

size_t blk_segs_to_buf(const struct hv_seg *segs, unsigned nsegs, size_t skip, void *buf, size_t len)
{
	return copy(segs, nsegs, skip, buf, len, true);
}

size_t blk_segs_from_buf(const struct hv_seg *segs, unsigned nsegs, size_t skip, const void *buf, size_t len)
{
	return copy(segs, nsegs, skip, (char *)(uintptr_t)buf, len, false);
}
