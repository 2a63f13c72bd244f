/*
 * Contract: a disk. Offered by what stores data (LUN, file, virtual disk, RAM, error/delay variants), used by what needs a disk (virtio-blk).
 * One request object walks down the whole path and back; layers add their state in its scratch space, so nothing allocates.
 *
 * Rules
 *  1. blk_submit either returns -errno and keeps no trace of the request, or 0 and calls req->done exactly once, later or before it returns.
 *  2. All calls and done() are in loop context on the device's core (dev->core).
 *  3. -EAGAIN from submit is back-pressure: the caller keeps the request and offers it again; it is never an error to a guest.
 *  4. done(0) of a write means: readable by any later read. Stable (survives loss of the server) only after a later flush is done(0), or with
 *     BLK_F_FUA.
 *  5. Losing the storage is a state: a request waits (the device reconnects and replays it) until its deadline, if it has one (-ETIMEDOUT).
 *  6. Segments' total length equals length_bytes; offset and length are multiples of dev->block_bytes; the submitter has checked it, and
 *     blk_submit checks again (guest-controlled values are never a precondition).
 */
#ifndef HV_BLK_H
#define HV_BLK_H

#include <hv/types.h>

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES, BLK_OP_COUNT };
#define BLK_F_FUA 0x01u   /* write: stable when done */
#define BLK_F_UNMAP 0x02u /* write-zeroes: may deallocate */

#define BLK_SCRATCH_WORDS 12

struct blk_dev;

struct blk_req {
	/* The submitter's: constant from submit until done. */
	uint8_t op; /* enum blk_op */
	uint8_t flags;
	uint16_t nsegs;
	const struct hv_seg *segs;
	uint64_t offset_bytes, length_bytes;
	uint64_t deadline_ns; /* absolute hv_now_ns(); 0 = none */
	/*
	 * status: 0; -EIO medium/hardware error; -ENOSPC; -EROFS; -ETIMEDOUT deadline passed; -ECANCELED; -EINVAL out of range;
	 * -EOPNOTSUPP; -ENODEV device gone for good.
	 */
	void (*done)(struct blk_req *req, int status);
	void *owner;
	/* The device's from submit until done. */
	struct blk_dev *dev;
	struct blk_req *next, *prev; /* queue links of the current holder */
	uint64_t submitted_ns;
	uint64_t scratch[BLK_SCRATCH_WORDS];
};

struct blk_ops {
	int (*submit)(struct blk_dev *dev, struct blk_req *req);
	/* Asks for an early end of a submitted request: done(-ECANCELED) or its true result follows, exactly once. NULL: not cancellable. */
	void (*cancel)(struct blk_dev *dev, struct blk_req *req);
	/* Releases the device. @pre no request in flight */
	void (*close)(struct blk_dev *dev);
};

#define BLK_LATENCY_BUCKETS 32 /* bucket i counts latencies in [2^i, 2^(i+1)) microseconds/8, see blk_latency_bucket */

struct blk_stats {
	uint64_t ios[BLK_OP_COUNT], bytes[BLK_OP_COUNT], errors[BLK_OP_COUNT];
	uint64_t latency[BLK_LATENCY_BUCKETS];
	uint64_t in_flight, again;
};

enum blk_state { BLK_STATE_ONLINE, BLK_STATE_WAITING /* for its storage */, BLK_STATE_GONE };

struct blk_dev {
	const struct blk_ops *ops;
	const char *name;
	uint64_t size_bytes;
	uint32_t block_bytes;     /* logical block: 512 or 4096 */
	uint32_t physical_bytes;  /* preferred alignment */
	uint32_t max_bytes;       /* largest single read/write */
	uint16_t max_segs;        /* most segments in one request */
	uint16_t core;            /* owner core */
	bool read_only, can_discard, can_write_zeroes;
	enum blk_state state;
	struct blk_stats stats;
	/* Told on the owner core when size, read_only or state change; may be NULL. */
	void (*changed)(struct blk_dev *dev, void *arg);
	void *changed_arg;
};

/*
 * Checks the request against the device (range, alignment, segments, read-only), stamps and counts it, hands it to ops->submit.
 * 0, -EAGAIN, -EINVAL, -EROFS, -EOPNOTSUPP, -ENODEV.
 */
int blk_submit(struct blk_dev *dev, struct blk_req *req) HV_MUST_CHECK;
void blk_cancel(struct blk_dev *dev, struct blk_req *req);
/* For devices: counts the end and calls req->done(req, status). The request belongs to the submitter again when it is called. */
void blk_complete(struct blk_req *req, int status);
/* The histogram bucket of a latency. */
unsigned blk_latency_bucket(uint64_t ns);
const char *blk_op_name(unsigned op);

/*
 * Copies between a request's segments and flat memory: `skip` bytes into the data, `len` bytes. Returns bytes copied.
 */
size_t blk_segs_to_buf(const struct hv_seg *segs, unsigned nsegs, size_t skip, void *buf, size_t len);
size_t blk_segs_from_buf(const struct hv_seg *segs, unsigned nsegs, size_t skip, const void *buf, size_t len);

#endif
