/*
 * Virtio over PCI, modern only (VIRTIO 1.2, 4.1): registers, and nothing else. All of it runs in exit context on vCPU cores under
 *dev->lock; what concerns rings is left to device.c by virtio_attention.
 *
 *	BAR 0  I/O ports   notification, 4 bytes per queue: a port exit needs no instruction decoding (4.1.4.4.1 allows any BAR)
 *	BAR 1  memory      0x0000 common configuration, 0x0800 ISR, 0x1000 device configuration, 0x2000 notification for drivers without
 *	                   I/O ports, 0x3000 MSI-X table, 0x3800 MSI-X pending bits
 */
#include "vdev/virtio/device.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

enum {
	PORT_BAR = 0,
	MEMORY_BAR = 1,
	PORT_BYTES = 4 * VIRTIO_QUEUES_MAX,
	MEMORY_BYTES = 0x4000,
	AT_COMMON = 0x0000,
	AT_ISR = 0x0800,
	AT_CONFIG = 0x1000,
	AT_NOTIFY = 0x2000,
	AT_MSIX_TABLE = 0x3000,
	AT_MSIX_PBA = 0x3800,
	NOTIFY_STRIDE = 4,
	COMMON_BYTES = 0x3c,
};

/* 4.1.4.3 Common configuration structure layout: offsets. */
enum {
	R_FEATURE_SELECT = 0x00,
	R_FEATURE = 0x04,
	R_ACCEPTED_SELECT = 0x08,
	R_ACCEPTED = 0x0c,
	R_CONFIG_VECTOR = 0x10,
	R_QUEUE_COUNT = 0x12,
	R_STATUS = 0x14,
	R_GENERATION = 0x15,
	R_QUEUE_SELECT = 0x16,
	R_QUEUE_SIZE = 0x18,
	R_QUEUE_VECTOR = 0x1a,
	R_QUEUE_ENABLE = 0x1c,
	R_QUEUE_NOTIFY_OFF = 0x1e,
	R_QUEUE_DESC = 0x20,
	R_QUEUE_DRIVER = 0x28,
	R_QUEUE_DEVICE = 0x30,
};

static struct virtio_dev *of_pci(struct vpci_dev *p)
{
	return hv_container_of(p, struct virtio_dev, pci);
}

/* ---- common configuration ---- */

static struct virtio_queue *selected(struct virtio_dev *d)
{
	return d->queue_select < d->queue_count ? &d->queues[d->queue_select] : NULL;
}

static uint32_t feature_word(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void put(uint8_t *image, unsigned offset, uint64_t value, unsigned size)
{
	memcpy(image + offset, &value, size);
}

/* The structure as the guest reads it now. @pre lock */
static void common_image(struct virtio_dev *d, uint8_t image[64])
{
	const struct virtio_queue *q = selected(d);
	memset(image, 0, 64);
	put(image, R_FEATURE_SELECT, d->feature_select, 4);
	put(image, R_FEATURE, feature_word(d->offered, d->feature_select), 4);
	put(image, R_ACCEPTED_SELECT, d->accepted_select, 4);
	put(image, R_ACCEPTED, feature_word(d->accepted, d->accepted_select), 4);
	put(image, R_CONFIG_VECTOR, d->config_vector, 2);
	put(image, R_QUEUE_COUNT, d->queue_count, 2);
	put(image, R_STATUS, d->status, 1);
	put(image, R_GENERATION, d->generation, 1);
	put(image, R_QUEUE_SELECT, d->queue_select, 2);
	if (!q)
		return; /* 4.1.4.3.1: size 0 says that there is no such queue */
	put(image, R_QUEUE_SIZE, q->size, 2);
	put(image, R_QUEUE_VECTOR, q->vector, 2);
	put(image, R_QUEUE_ENABLE, q->enabled, 2);
	put(image, R_QUEUE_NOTIFY_OFF, d->queue_select, 2);
	put(image, R_QUEUE_DESC, q->desc, 8);
	put(image, R_QUEUE_DRIVER, q->driver, 8);
	put(image, R_QUEUE_DEVICE, q->device, 8);
}

/* Returns true when the io_core has to act. @pre lock */
static bool write_status(struct virtio_dev *d, uint8_t value)
{
	if (d->resetting)
		return false;
	if (value == 0) {
		if (d->phase == VIRTIO_IDLE && !(d->status & VIRTIO_S_DRIVER_OK)) {
			virtio_registers_reset(d);
			return false;
		}
		d->resetting = true;
		return true;
	}
	uint8_t added = value & (uint8_t)~d->status & (uint8_t)~VIRTIO_S_NEEDS_RESET;
	if ((added & VIRTIO_S_FEATURES_OK) && ((d->accepted & ~d->offered) || !(d->accepted & VIRTIO_F_VERSION_1)))
		added &= (uint8_t)~VIRTIO_S_FEATURES_OK; /* 2.2.2: we refuse this set; the driver reads the bit back */
	if ((added & VIRTIO_S_DRIVER_OK) && !((d->status | added) & VIRTIO_S_FEATURES_OK))
		added &= (uint8_t)~VIRTIO_S_DRIVER_OK;
	d->status |= added;
	return added & VIRTIO_S_DRIVER_OK;
}

static uint16_t checked_vector(struct virtio_dev *d, uint64_t value)
{
	return value < d->pci.msix_count ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

static void set_half(uint64_t *field, bool high, uint32_t value)
{
	*field = high ? (*field & 0xffffffffull) | (uint64_t)value << 32 : (*field & ~0xffffffffull) | value;
}

/* Registers of the selected queue. They are fixed once the queue is enabled or the device runs. @pre lock */
static void write_queue(struct virtio_dev *d, unsigned offset, uint32_t value)
{
	struct virtio_queue *q = selected(d);
	if (!q)
		return;
	if (offset == R_QUEUE_VECTOR) {
		q->vector = checked_vector(d, value);
		return;
	}
	if (q->enabled || (d->status & VIRTIO_S_DRIVER_OK))
		return;
	switch (offset) {
	case R_QUEUE_SIZE:
		if (value && value <= q->max_size && !(value & (value - 1)))
			q->size = (uint16_t)value;
		break;
	case R_QUEUE_ENABLE:
		q->enabled = value == 1;
		break;
	case R_QUEUE_DESC:
	case R_QUEUE_DESC + 4:
		set_half(&q->desc, offset & 4, value);
		break;
	case R_QUEUE_DRIVER:
	case R_QUEUE_DRIVER + 4:
		set_half(&q->driver, offset & 4, value);
		break;
	case R_QUEUE_DEVICE:
	case R_QUEUE_DEVICE + 4:
		set_half(&q->device, offset & 4, value);
		break;
	default:
		break;
	}
}

/* The width that 4.1.3.1 demands for the field at `offset`; 0: read-only or none. */
static unsigned field_width(unsigned offset)
{
	switch (offset) {
	case R_STATUS:
		return 1;
	case R_CONFIG_VECTOR:
	case R_QUEUE_SELECT:
	case R_QUEUE_SIZE:
	case R_QUEUE_VECTOR:
	case R_QUEUE_ENABLE:
		return 2;
	case R_FEATURE_SELECT:
	case R_ACCEPTED_SELECT:
	case R_ACCEPTED:
		return 4;
	default:
		return offset >= R_QUEUE_DESC && offset < R_QUEUE_DEVICE + 8 && offset % 4 == 0 ? 4 : 0;
	}
}

/* @pre lock. Returns true when the io_core has to act. */
static bool common_write(struct virtio_dev *d, unsigned offset, unsigned size, uint32_t value)
{
	if (size != field_width(offset) || (d->resetting && offset != R_STATUS))
		return false;
	switch (offset) {
	case R_FEATURE_SELECT:
		d->feature_select = value;
		break;
	case R_ACCEPTED_SELECT:
		d->accepted_select = value;
		break;
	case R_ACCEPTED:
		if (!(d->status & VIRTIO_S_FEATURES_OK) && d->accepted_select < 2)
			set_half(&d->accepted, d->accepted_select, value);
		break;
	case R_CONFIG_VECTOR:
		d->config_vector = checked_vector(d, value);
		break;
	case R_STATUS:
		return write_status(d, (uint8_t)value);
	case R_QUEUE_SELECT:
		d->queue_select = (uint16_t)value;
		break;
	default:
		write_queue(d, offset, value);
		break;
	}
	return false;
}

static void common_access(struct virtio_dev *d, struct io_access *a, unsigned offset)
{
	bool act = false;
	uint8_t image[64];
	vdev_lock(&d->lock);
	if (a->write) {
		if (a->size == 8) {
			act = common_write(d, offset, 4, (uint32_t)a->value);
			act |= common_write(d, offset + 4, 4, (uint32_t)(a->value >> 32));
		} else {
			act = common_write(d, offset, a->size, (uint32_t)a->value);
		}
	} else {
		common_image(d, image);
		a->value = 0;
		if (offset + a->size <= sizeof(image))
			memcpy(&a->value, image + offset, a->size);
	}
	vdev_unlock(&d->lock);
	if (act)
		virtio_attention(d);
}

/* ---- the other structures ---- */

static void config_access(struct virtio_dev *d, struct io_access *a, unsigned offset)
{
	vdev_lock(&d->lock);
	if (a->write) {
		if (d->ops->config_write && offset + a->size <= d->config_bytes)
			d->ops->config_write(d, offset, a->size, a->value);
	} else {
		a->value = 0;
		d->config_read = true;
		if (offset + a->size <= sizeof(d->config))
			memcpy(&a->value, d->config + offset, a->size);
	}
	vdev_unlock(&d->lock);
}

static void notify(struct virtio_dev *d, unsigned queue)
{
	if (queue >= d->queue_count)
		return;
	atomic_fetch_add_explicit(&d->queues[queue].kicks, 1, memory_order_relaxed);
	hv_core_wake(d->vm->config.io_core);
}

static void port_access(struct vpci_dev *p, struct io_access *a)
{
	if (a->write)
		notify(of_pci(p), (unsigned)a->offset / NOTIFY_STRIDE);
	else
		a->value = 0;
}

static void memory_access(struct vpci_dev *p, struct io_access *a)
{
	struct virtio_dev *d = of_pci(p);
	unsigned offset = (unsigned)a->offset;
	if (vpci_msix_access(p, a))
		return;
	if (offset < AT_COMMON + COMMON_BYTES)
		common_access(d, a, offset - AT_COMMON);
	else if (offset == AT_ISR && !a->write)
		a->value = atomic_exchange(&d->isr, 0);
	else if (offset >= AT_CONFIG && offset < AT_NOTIFY)
		config_access(d, a, offset - AT_CONFIG);
	else if (offset >= AT_NOTIFY && offset < AT_NOTIFY + PORT_BYTES && a->write)
		notify(d, (offset - AT_NOTIFY) / NOTIFY_STRIDE);
	else if (!a->write)
		a->value = 0;
}

/* ---- capabilities (4.1.4) ---- */

enum { CAP_VENDOR = 0x09, CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_ISR = 3, CFG_DEVICE = 4, CFG_PCI = 5 };

struct virtio_cap {
	uint8_t id, next, len, type, bar, instance, padding[2];
	uint32_t offset, length;
	uint32_t extra; /* notify: multiplier; PCI access: data window */
};
_Static_assert(sizeof(struct virtio_cap) == 20, "4.1.4");

/*
 * 4.1.4.9: a window into the BARs through configuration space, for firmware that has not mapped them. The guest writes bar, offset and
 * length, then reads or writes the data bytes. Guests serialise this themselves; anything else gives garbage to them, not harm to us.
 */
static void pci_cfg_hook(struct vpci_dev *p, unsigned offset, unsigned size, bool write)
{
	struct virtio_cap cap;
	uint8_t *at = p->config + p->hook_start + 4 - sizeof(cap); /* the capability ends with the data bytes */
	memcpy(&cap, at, sizeof(cap));
	if (cap.bar != PORT_BAR && cap.bar != MEMORY_BAR)
		return;
	if ((cap.length != 1 && cap.length != 2 && cap.length != 4) || cap.offset % cap.length)
		return;
	if (cap.offset > p->bar[cap.bar].bytes - cap.length)
		return;
	struct io_access a = {.addr = cap.offset, .offset = cap.offset, .size = (uint8_t)cap.length, .write = write, .value = cap.extra};
	p->bar[cap.bar].access(p, &a);
	if (!write)
		memcpy(p->config + p->hook_start, &a.value, cap.length);
}

static int add_cap(struct vpci_dev *p, uint8_t type, uint8_t bar, uint32_t offset, uint32_t length, uint32_t extra)
{
	struct virtio_cap cap = {.type = type, .bar = bar, .offset = offset, .length = length, .extra = extra};
	struct virtio_cap writable = {.bar = 0xff, .offset = ~0u, .length = ~0u, .extra = ~0u};
	cap.len = type == CFG_NOTIFY || type == CFG_PCI ? 20 : 16;
	return vpci_cap_add(p, CAP_VENDOR, &cap, cap.len, type == CFG_PCI ? (const uint8_t *)&writable : NULL);
}

static int add_caps(struct virtio_dev *d)
{
	struct vpci_dev *p = &d->pci;
	uint32_t notify_bytes = NOTIFY_STRIDE * d->queue_count;
	int err = add_cap(p, CFG_COMMON, MEMORY_BAR, AT_COMMON, COMMON_BYTES, 0);
	if (err >= 0) /* the preferred notification comes first */
		err = add_cap(p, CFG_NOTIFY, PORT_BAR, 0, notify_bytes, NOTIFY_STRIDE);
	if (err >= 0)
		err = add_cap(p, CFG_NOTIFY, MEMORY_BAR, AT_NOTIFY, notify_bytes, NOTIFY_STRIDE);
	if (err >= 0)
		err = add_cap(p, CFG_ISR, MEMORY_BAR, AT_ISR, 4, 0);
	if (err >= 0 && d->config_bytes)
		err = add_cap(p, CFG_DEVICE, MEMORY_BAR, AT_CONFIG, d->config_bytes, 0);
	if (err >= 0)
		err = add_cap(p, CFG_PCI, 0, 0, 0, 0);
	if (err >= 0)
		vpci_cap_hook(p, (unsigned)err + 16, 4);
	return err < 0 ? err : 0;
}

int virtio_pci_init(struct virtio_dev *d, uint32_t class_code)
{
	struct vpci_dev *p = &d->pci;
	p->name = d->name;
	p->vendor_id = p->subsys_vendor_id = 0x1af4;
	p->device_id = (uint16_t)(0x1040 + d->type); /* 4.1.2 */
	p->subsys_id = p->device_id;                 /* 4.1.2.1: 0x40 or higher for a device without legacy interface */
	p->revision = 1;
	p->class_code = class_code;
	p->bar[PORT_BAR] = (struct vpci_bar){.bytes = PORT_BYTES, .io = true, .access = port_access};
	p->bar[MEMORY_BAR] = (struct vpci_bar){.bytes = MEMORY_BYTES, .access = memory_access};
	p->msix_count = (uint16_t)(d->queue_count + 1);
	p->msix_bar = MEMORY_BAR;
	p->msix_table = AT_MSIX_TABLE;
	p->msix_pba = AT_MSIX_PBA;
	p->config_hook = pci_cfg_hook;
	return add_caps(d);
}
