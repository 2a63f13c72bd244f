/* virtio-rng (VIRTIO 1.2, 5.4): fills the guest's buffers with random bytes. Owner: io_core. */
#include "vdev/virtio/device.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <hv/rand.h>
#include <string.h>

enum {
	VRNG_QUEUE_SIZE = 16,
	VRNG_SEGS = 16,
	VRNG_BURST = 4,
	VRNG_BYTES_MAX = 256, /* of one chain: a guest that asks for megabytes must not hold up the core; the driver asks again */
};

struct vrng {
	struct virtio_dev dev;
	uint64_t bytes;
};

static struct vrng *of_dev(struct virtio_dev *d)
{
	return hv_container_of(d, struct vrng, dev);
}

/* By way of private memory: the generator must not work in memory that the guest can change. */
static uint32_t fill(const struct vring_chain *c)
{
	uint8_t bytes[VRNG_BYTES_MAX];
	uint32_t n = HV_MIN(c->in_bytes, (uint32_t)VRNG_BYTES_MAX);
	hv_random(bytes, n);
	return (uint32_t)blk_segs_from_buf(c->segs + c->out_segs, c->in_segs, 0, bytes, n);
}

static unsigned vrng_poll(struct virtio_dev *d)
{
	struct hv_seg segs[VRNG_SEGS];
	struct vring_chain c;
	unsigned taken = 0;
	for (; taken < VRNG_BURST && !d->draining; taken++) {
		enum vring_pop got = virtio_pop(d, 0, &c, segs, VRNG_SEGS);
		if (got == VRING_TOO_LONG || (got == VRING_CHAIN && c.in_bytes == 0))
			virtio_break(d, 0, c.head, "request without writable bytes, or with too many segments");
		if (got != VRING_CHAIN || !virtio_running(d))
			break;
		uint32_t n = fill(&c);
		of_dev(d)->bytes += n;
		vring_push(&d->queues[0].ring, c.head, n);
	}
	return taken + virtio_publish(d, 0);
}

static void vrng_start(struct virtio_dev *d)
{
}

static void vrng_stats(struct virtio_dev *d, struct vm_stats_sink *sink)
{
	virtio_counter(d, sink, "bytes", of_dev(d)->bytes);
}

static void vrng_destroy(struct virtio_dev *d)
{
	hv_contig_free(of_dev(d), sizeof(struct vrng));
}

static const struct virtio_ops vrng_ops = {.start = vrng_start, .poll = vrng_poll, .stats = vrng_stats, .destroy = vrng_destroy};

int vrng_attach(struct vm *vm)
{
	struct vrng *r = hv_contig_alloc(sizeof(*r), HV_PAGE_SIZE);
	if (!r)
		return trace_error(-ENOMEM);
	memset(r, 0, sizeof(*r));
	struct virtio_dev *d = &r->dev;
	hv_snprintf(d->name, sizeof(d->name), "rng");
	d->queue_count = 1;
	d->queues[0].max_size = VRNG_QUEUE_SIZE;
	d->queues[0].listens = true;
	int err = virtio_dev_add(vm, d, 4, 0x00ff00, &vrng_ops);
	if (err < 0)
		hv_contig_free(r, sizeof(*r));
	return err;
}
