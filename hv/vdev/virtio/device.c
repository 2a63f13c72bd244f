/*
 * What all virtio devices share: life cycle, one poller per VM on its io_core, notifications and interrupts. See device.h for the phases.
 *
 * While the poller finds work, guests are asked not to notify (no exits). When the loop is about to sleep or to run a guest it arms: each
 * listening queue asks for a notification and is looked at once more, so no chain is left behind. A stalled queue (full of requests in
 * flight, or refused by its backend) is not armed: the completion that unstalls it runs on this core anyway.
 */
#include "vdev/virtio/device.h"
#include "vdev/virtio/virtio.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

#define VIRTIO_MALFORMED_LOGGED 8 /* log lines per device: a guest that breaks its rings in a loop must not flood the log */

/* Per VM. */
struct virtio {
	struct vm *vm;
	struct virtio_dev *first, **last;
	struct hv_poller poller;
};

/* ---- registers and configuration ---- */

void virtio_registers_reset(struct virtio_dev *d)
{
	d->status = 0;
	d->config_vector = VIRTIO_NO_VECTOR;
	d->queue_select = 0;
	d->feature_select = d->accepted_select = 0;
	d->accepted = 0;
	d->resetting = false;
	atomic_store(&d->isr, 0);
	for (unsigned i = 0; i < d->queue_count; i++) {
		struct virtio_queue *q = &d->queues[i];
		q->size = q->max_size;
		q->vector = VIRTIO_NO_VECTOR;
		q->enabled = false;
		q->desc = q->driver = q->device = 0;
		q->start_avail = q->start_used = 0;
	}
}

void virtio_attention(struct virtio_dev *d)
{
	atomic_store_explicit(&d->attention, true, memory_order_release);
	hv_core_wake(d->vm->config.io_core);
}

static void config_interrupt(struct virtio_dev *d, uint16_t vector)
{
	atomic_fetch_or(&d->isr, 2);
	d->config_interrupts++;
	vpci_msix_raise(&d->pci, vector);
}

void virtio_config_set(struct virtio_dev *d, unsigned offset, const void *bytes, unsigned len)
{
	vdev_lock(&d->lock);
	bool changed = memcmp(d->config + offset, bytes, len) != 0;
	if (changed) {
		memcpy(d->config + offset, bytes, len);
		d->generation = (uint8_t)(d->generation + d->config_read);
		d->config_read = false;
	}
	bool tell = changed && (d->status & VIRTIO_S_DRIVER_OK) && !d->resetting;
	uint16_t vector = d->config_vector;
	vdev_unlock(&d->lock);
	if (tell)
		config_interrupt(d, vector);
}

/* ---- phases ---- */

static void set_phase(struct virtio_dev *d, enum virtio_phase phase)
{
	vdev_lock(&d->lock);
	d->phase = (uint8_t)phase;
	vdev_unlock(&d->lock);
}

void virtio_break(struct virtio_dev *d, unsigned q, unsigned desc, const char *why)
{
	if (d->phase != VIRTIO_RUNNING)
		return;
	d->malformed++;
	if (d->malformed <= VIRTIO_MALFORMED_LOGGED)
		log_warn("virtio.malformed", "%s: %s queue %u descriptor %u: %s; the device needs a reset%s", d->vm->name, d->name, q, desc,
			why, d->malformed == VIRTIO_MALFORMED_LOGGED ? " (not logged for this device any more)" : "");
	vdev_lock(&d->lock);
	d->phase = VIRTIO_BROKEN;
	d->status |= VIRTIO_S_NEEDS_RESET;
	uint16_t vector = d->config_vector;
	vdev_unlock(&d->lock);
	config_interrupt(d, vector);
}

/* The guest has set DRIVER_OK: its queues are fixed from now until it resets the device. */
static void dev_start(struct virtio_dev *d)
{
	set_phase(d, VIRTIO_RUNNING);
	for (unsigned i = 0; i < d->queue_count; i++) {
		struct virtio_queue *q = &d->queues[i];
		q->stalled = false;
		if (!q->enabled)
			continue;
		struct vring_config config = {.size = q->size,
			.desc = q->desc,
			.driver = q->driver,
			.device = q->device,
			.event_idx = virtio_has(d, VIRTIO_F_EVENT_IDX),
			.indirect = virtio_has(d, VIRTIO_F_INDIRECT_DESC)};
		if (vring_start(&q->ring, d->vm->gmem, &config, q->start_avail, q->start_used) < 0) {
			virtio_break(d, i, 0, q->ring.fault);
			return;
		}
		(void)vring_arm(&q->ring, false); /* the poller is awake: its first round looks at the ring */
	}
	d->ops->start(d);
}

/* One step towards IDLE; true when there. */
static bool dev_stop(struct virtio_dev *d)
{
	set_phase(d, VIRTIO_STOPPING);
	if (d->ops->in_flight && d->ops->in_flight(d)) {
		d->ops->cancel(d);
		if (d->ops->in_flight(d))
			return false;
	}
	for (unsigned i = 0; i < d->queue_count; i++) {
		struct virtio_queue *q = &d->queues[i];
		q->suppressed += q->ring.interrupts_suppressed;
		q->ring.interrupts_suppressed = 0;
		vring_stop(&q->ring);
	}
	if (d->ops->stop)
		d->ops->stop(d);
	d->resets++;
	vdev_lock(&d->lock);
	d->phase = VIRTIO_IDLE;
	virtio_registers_reset(d);
	vdev_unlock(&d->lock);
	return true;
}

/* Acts on what the exit side asked for. */
static unsigned dev_attend(struct virtio_dev *d)
{
	if (!atomic_load_explicit(&d->attention, memory_order_relaxed) && d->phase != VIRTIO_STOPPING)
		return 0;
	atomic_exchange_explicit(&d->attention, false, memory_order_acquire);
	vdev_lock(&d->lock);
	bool reset = d->resetting, ok = d->status & VIRTIO_S_DRIVER_OK;
	vdev_unlock(&d->lock);
	if (reset)
		return dev_stop(d);
	if (ok && d->phase == VIRTIO_IDLE)
		dev_start(d);
	return 1;
}

/* ---- rings ---- */

enum vring_pop virtio_pop(struct virtio_dev *d, unsigned q, struct vring_chain *c, struct hv_seg *segs, unsigned max_segs)
{
	struct vring *r = &d->queues[q].ring;
	if (!r->running || !virtio_running(d))
		return VRING_EMPTY;
	enum vring_pop got = vring_pop(r, c, segs, max_segs);
	if (got == VRING_BROKEN)
		virtio_break(d, q, r->fault_desc, r->fault);
	return got;
}

unsigned virtio_publish_gathered(struct virtio_dev *d, unsigned qi)
{
	struct virtio_queue *q = &d->queues[qi];
	uint16_t n = (uint16_t)(q->ring.next_used - q->ring.published);
	if (!q->ring.running || !virtio_running(d))
		return 0;
	q->chains += n;
	if (vring_publish(&q->ring)) {
		q->interrupts++;
		atomic_fetch_or(&d->isr, 1);
		vpci_msix_raise(&d->pci, __atomic_load_n(&q->vector, __ATOMIC_RELAXED));
	}
	return n;
}

/* ---- the poller ---- */

static unsigned dev_poll(struct virtio_dev *d)
{
	unsigned work = dev_attend(d);
	if (virtio_running(d) && vpci_bus_master(&d->pci))
		work += d->ops->poll(d);
	return work;
}

static unsigned poll_all(struct hv_poller *p)
{
	struct virtio *v = hv_container_of(p, struct virtio, poller);
	unsigned work = 0;
	for (struct virtio_dev *d = v->first; d; d = d->next)
		work += dev_poll(d);
	return work;
}

/* True when the device has something to do before the core may sleep. */
static bool dev_arm(struct virtio_dev *d, bool on)
{
	bool work = on && atomic_load_explicit(&d->attention, memory_order_acquire);
	if (!virtio_running(d) || !vpci_bus_master(&d->pci))
		return work;
	for (unsigned i = 0; i < d->queue_count; i++) {
		struct virtio_queue *q = &d->queues[i];
		if (!q->ring.running)
			continue;
		work |= on && q->ring.next_used != q->ring.published;
		if (q->listens && !(on && (q->stalled || d->draining)))
			work |= vring_arm(&q->ring, on);
	}
	return work;
}

static bool arm_all(struct hv_poller *p, bool on)
{
	struct virtio *v = hv_container_of(p, struct virtio, poller);
	bool work = false;
	for (struct virtio_dev *d = v->first; d; d = d->next)
		work |= dev_arm(d, on);
	return work;
}

/* ---- a VM's devices ---- */

int virtio_dev_add(struct vm *vm, struct virtio_dev *d, uint16_t type, uint32_t class_code, const struct virtio_ops *ops)
{
	d->vm = vm;
	d->ops = ops;
	d->type = type;
	d->offered |= VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC;
	virtio_registers_reset(d);
	int err = virtio_pci_init(d, class_code);
	if (err == 0)
		err = vpci_register(vm, &d->pci);
	if (err < 0)
		return err;
	*vm->virtio->last = d;
	vm->virtio->last = &d->next;
	return 0;
}

struct virtio_dev *virtio_first(struct vm *vm)
{
	return vm->virtio ? vm->virtio->first : NULL;
}

static int attach_devices(struct vm *vm)
{
	const struct vm_config *config = &vm->config;
	int err = 0;
	for (unsigned i = 0; i < config->disk_count && err == 0; i++)
		err = vblk_attach(vm, i, &config->disks[i]);
	for (unsigned i = 0; i < config->nic_count && err == 0; i++)
		err = vnet_attach(vm, i, &config->nics[i]);
	if (err == 0)
		err = vrng_attach(vm);
	return err;
}

int virtio_attach_all(struct vm *vm)
{
	struct virtio *v = hv_contig_alloc(sizeof(*v), HV_PAGE_SIZE);
	if (!v)
		return trace_error(-ENOMEM);
	memset(v, 0, sizeof(*v));
	v->vm = vm;
	v->last = &v->first;
	v->poller.poll = poll_all;
	v->poller.arm = arm_all;
	v->poller.name = "virtio";
	vm->virtio = v;
	hv_poller_add(&v->poller);
	int err = attach_devices(vm);
	if (err < 0)
		virtio_detach_all(vm);
	return err;
}

static bool all_idle(const struct virtio *v)
{
	for (const struct virtio_dev *d = v->first; d; d = d->next)
		if (d->phase != VIRTIO_IDLE || d->resetting)
			return false;
	return true;
}

/*
 * As if the guest wrote 0 to each status register; the poller does the work while this fiber yields. A cancelled request always ends
 * (hv/blk.h), so this does too.
 */
void virtio_reset_all(struct vm *vm)
{
	struct virtio *v = vm->virtio;
	if (!v)
		return;
	for (struct virtio_dev *d = v->first; d; d = d->next) {
		vdev_lock(&d->lock);
		d->resetting = true;
		vdev_unlock(&d->lock);
		virtio_attention(d);
	}
	while (!all_idle(v))
		hv_fiber_yield();
}

void virtio_detach_all(struct vm *vm)
{
	struct virtio *v = vm->virtio;
	if (!v)
		return;
	virtio_reset_all(vm);
	hv_poller_remove(&v->poller);
	while (v->first) {
		struct virtio_dev *d = v->first;
		v->first = d->next;
		vpci_unregister(&d->pci);
		d->ops->destroy(d);
	}
	vm->virtio = NULL;
	hv_contig_free(v, sizeof(*v));
}

static bool all_quiet(const struct virtio *v)
{
	for (const struct virtio_dev *d = v->first; d; d = d->next) {
		if (atomic_load(&d->attention) || d->phase == VIRTIO_STOPPING || (d->ops->in_flight && d->ops->in_flight(d)))
			return false;
		for (unsigned i = 0; i < d->queue_count; i++)
			if (virtio_running(d) && d->queues[i].ring.running && d->queues[i].ring.next_used != d->queues[i].ring.published)
				return false;
	}
	return true;
}

void virtio_drain(struct vm *vm)
{
	struct virtio *v = vm->virtio;
	if (!v)
		return;
	for (struct virtio_dev *d = v->first; d; d = d->next)
		d->draining = true;
	while (!all_quiet(v))
		hv_fiber_yield();
}

void virtio_resume(struct vm *vm)
{
	for (struct virtio_dev *d = virtio_first(vm); d; d = d->next)
		d->draining = false;
	hv_core_wake(vm->config.io_core);
}

/* ---- counters ---- */

void virtio_counter(struct virtio_dev *d, struct vm_stats_sink *sink, const char *what, uint64_t value)
{
	char name[64];
	hv_snprintf(name, sizeof(name), "%s.%s", d->name, what);
	sink->counter(sink, name, value);
}

static void dev_stats(struct virtio_dev *d, struct vm_stats_sink *sink)
{
	uint64_t kicks = 0, chains = 0, interrupts = 0, suppressed = 0;
	for (unsigned i = 0; i < d->queue_count; i++) {
		const struct virtio_queue *q = &d->queues[i];
		kicks += atomic_load_explicit(&q->kicks, memory_order_relaxed);
		chains += q->chains;
		interrupts += q->interrupts;
		suppressed += q->suppressed + q->ring.interrupts_suppressed;
	}
	virtio_counter(d, sink, "kicks", kicks);
	virtio_counter(d, sink, "chains", chains);
	virtio_counter(d, sink, "interrupts", interrupts);
	virtio_counter(d, sink, "interrupts_suppressed", suppressed);
	virtio_counter(d, sink, "interrupts_config", d->config_interrupts);
	virtio_counter(d, sink, "malformed", d->malformed);
	virtio_counter(d, sink, "resets", d->resets);
	virtio_counter(d, sink, "msix_sent", d->pci.msix_sent);
	if (d->ops->stats)
		d->ops->stats(d, sink);
}

void virtio_stats(struct vm *vm, struct vm_stats_sink *sink)
{
	for (struct virtio_dev *d = virtio_first(vm); d; d = d->next)
		dev_stats(d, sink);
}
