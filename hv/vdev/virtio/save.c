/*
 * Saved state of virtio devices: one section VIOD per device, instance = its place in the VM's list. Taken while drained: nothing in
 * flight, all used entries published, so a ring is its two indices. Loading decodes and checks into private memory, then applies; a device
 * that was running starts again at the poller's next round, where its ring addresses are checked like a guest's.
 */
#include "vdev/virtio/device.h"
#include "vdev/virtio/virtio.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

#define TAG_DEVICE STATE_TAG('V', 'I', 'O', 'D')
#define VERSION 1

struct saved_queue {
	uint16_t size, vector, avail, used;
	uint8_t enabled;
	uint64_t desc, driver, device;
};

struct saved_dev {
	uint16_t type;
	uint8_t status, generation, isr;
	uint16_t config_vector, queue_select;
	uint32_t feature_select, accepted_select;
	uint64_t accepted;
	uint16_t queue_count;
	struct saved_queue queues[VIRTIO_QUEUES_MAX];
};

static void queue_save(const struct virtio_queue *q, struct state_writer *w)
{
	state_put_u16(w, q->size);
	state_put_u16(w, q->vector);
	state_put_u16(w, q->ring.running ? q->ring.next_avail : q->start_avail);
	state_put_u16(w, q->ring.running ? q->ring.next_used : q->start_used);
	state_put_u8(w, q->enabled);
	state_put_u64(w, q->desc);
	state_put_u64(w, q->driver);
	state_put_u64(w, q->device);
}

static void dev_save(struct virtio_dev *d, struct state_writer *w)
{
	vdev_lock(&d->lock);
	state_put_u16(w, d->type);
	state_put_u8(w, d->status);
	state_put_u8(w, d->generation);
	state_put_u8(w, atomic_load(&d->isr));
	state_put_u16(w, d->config_vector);
	state_put_u16(w, d->queue_select);
	state_put_u32(w, d->feature_select);
	state_put_u32(w, d->accepted_select);
	state_put_u64(w, d->accepted);
	state_put_u16(w, d->queue_count);
	for (unsigned i = 0; i < d->queue_count; i++)
		queue_save(&d->queues[i], w);
	vdev_unlock(&d->lock);
	if (d->ops->save)
		d->ops->save(d, w);
}

void virtio_save(struct vm *vm, struct state_writer *w)
{
	uint16_t instance = 0;
	for (struct virtio_dev *d = virtio_first(vm); d; d = d->next) {
		state_begin(w, TAG_DEVICE, VERSION, instance++);
		dev_save(d, w);
		state_end(w);
	}
}

static void queue_decode(struct state_reader *r, struct saved_queue *q)
{
	q->size = state_get_u16(r);
	q->vector = state_get_u16(r);
	q->avail = state_get_u16(r);
	q->used = state_get_u16(r);
	q->enabled = state_get_u8(r);
	q->desc = state_get_u64(r);
	q->driver = state_get_u64(r);
	q->device = state_get_u64(r);
}

static bool queue_ok(const struct virtio_dev *d, unsigned i, const struct saved_queue *q)
{
	return q->size && q->size <= d->queues[i].max_size && !(q->size & (q->size - 1)) && q->enabled <= 1 &&
	       (q->vector < d->pci.msix_count || q->vector == VIRTIO_NO_VECTOR);
}

static int dev_decode(struct virtio_dev *d, struct state_reader *r, struct saved_dev *s)
{
	s->type = state_get_u16(r);
	s->status = state_get_u8(r);
	s->generation = state_get_u8(r);
	s->isr = state_get_u8(r);
	s->config_vector = state_get_u16(r);
	s->queue_select = state_get_u16(r);
	s->feature_select = state_get_u32(r);
	s->accepted_select = state_get_u32(r);
	s->accepted = state_get_u64(r);
	s->queue_count = state_get_u16(r);
	if (s->type != d->type || s->queue_count != d->queue_count || (s->accepted & ~d->offered) ||
		((s->status & VIRTIO_S_DRIVER_OK) && !(s->accepted & VIRTIO_F_VERSION_1)) ||
		(s->config_vector >= d->pci.msix_count && s->config_vector != VIRTIO_NO_VECTOR))
		return trace_error(-EINVAL);
	for (unsigned i = 0; i < d->queue_count; i++) {
		queue_decode(r, &s->queues[i]);
		if (!queue_ok(d, i, &s->queues[i]))
			return trace_error(-EINVAL);
	}
	return state_reader_ok(r) ? 0 : trace_error(-EINVAL);
}

static void dev_apply(struct virtio_dev *d, const struct saved_dev *s)
{
	vdev_lock(&d->lock);
	d->status = s->status;
	d->generation = s->generation;
	atomic_store(&d->isr, s->isr);
	d->config_vector = s->config_vector;
	d->queue_select = s->queue_select;
	d->feature_select = s->feature_select;
	d->accepted_select = s->accepted_select;
	d->accepted = s->accepted;
	for (unsigned i = 0; i < d->queue_count; i++) {
		const struct saved_queue *from = &s->queues[i];
		struct virtio_queue *q = &d->queues[i];
		q->size = from->size;
		q->vector = from->vector;
		q->start_avail = from->avail;
		q->start_used = from->used;
		q->enabled = from->enabled;
		q->desc = from->desc;
		q->driver = from->driver;
		q->device = from->device;
	}
	if (s->status & VIRTIO_S_NEEDS_RESET)
		d->phase = VIRTIO_BROKEN;
	vdev_unlock(&d->lock);
	virtio_attention(d);
}

static int dev_load(struct virtio_dev *d, struct state_reader *r)
{
	struct saved_dev s;
	if (d->phase != VIRTIO_IDLE)
		return trace_error(-EINVAL);
	int err = dev_decode(d, r, &s);
	if (err == 0 && d->ops->load)
		err = d->ops->load(d, r);
	if (err == 0 && !state_close(r))
		err = trace_error(-EINVAL);
	if (err == 0)
		dev_apply(d, &s);
	return err;
}

int virtio_load(struct vm *vm, struct state_reader *r)
{
	uint16_t instance = 0;
	for (struct virtio_dev *d = virtio_first(vm); d; d = d->next) {
		if (state_open(r, TAG_DEVICE, VERSION, instance++) < 0)
			return trace_error(-EINVAL);
		int err = dev_load(d, r);
		if (err < 0)
			return err;
	}
	return 0;
}
