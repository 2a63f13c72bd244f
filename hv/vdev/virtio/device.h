/*
 * A virtio device, inside hv/vdev/virtio: what pci.c (registers, exit context), device.c (life cycle, poller) and the device types share.
 *
 * Two sides meet in struct virtio_dev:
 *   registers  written by the guest from any vCPU core; under dev->lock
 *   rings      and all requests: the VM's io_core, loop context; no lock
 * The exit side never touches a ring: it changes registers, sets an `attention` bit and wakes the io_core.
 *
 * Phases (io_core changes them, under dev->lock):
 *
 *	IDLE --DRIVER_OK--> RUNNING --malformed ring--> BROKEN (status NEEDS_RESET)
 *	 ^                    |                           |
 *	 |                    +-------- status = 0 -------+--> STOPPING (requests in flight are cancelled)
 *	 +------------- all requests done, registers reset ---------+
 *
 * The guest reads its old status until the device is IDLE again (VIRTIO 1.2, 4.1.4.3.1: it waits for 0), so no late completion can meet a
 * ring that the guest has given a new use.
 */
#ifndef HV_VDEV_VIRTIO_DEVICE_H
#define HV_VDEV_VIRTIO_DEVICE_H

#include "vdev/lock.h"
#include "vdev/pci.h"
#include "vdev/virtio/ring.h"
#include <hv/core.h>
#include <hv/vm.h>

struct vm;
struct virtio;
struct virtio_dev;

/* VIRTIO 1.2, 2.1 */
enum {
	VIRTIO_S_ACKNOWLEDGE = 1,
	VIRTIO_S_DRIVER = 2,
	VIRTIO_S_DRIVER_OK = 4,
	VIRTIO_S_FEATURES_OK = 8,
	VIRTIO_S_NEEDS_RESET = 64,
	VIRTIO_S_FAILED = 128,
};

/* VIRTIO 1.2, 6 */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

#define VIRTIO_QUEUES_MAX 32 /* a power of two: a notification port each */
#define VIRTIO_NO_VECTOR 0xffff
#define VIRTIO_CONFIG_MAX 128

enum virtio_phase { VIRTIO_IDLE, VIRTIO_RUNNING, VIRTIO_BROKEN, VIRTIO_STOPPING };

struct virtio_queue {
	/* The device's, constant. */
	uint16_t max_size;
	bool listens; /* the guest must notify when it adds chains to an idle queue (not so for receive buffers); constant while the rings
			 run */
	/* Registers, under dev->lock. */
	uint16_t size, vector;
	bool enabled;
	uint64_t desc, driver, device;
	uint16_t start_avail, start_used; /* where the ring starts: 0, or what was saved */
	/* io_core's. */
	struct vring ring;
	bool stalled; /* nothing can be taken until a completion calls: waiting chains are no reason to stay awake */
	/* Counters. */
	_Atomic uint64_t kicks;
	uint64_t interrupts, suppressed, chains;
};

struct virtio_ops {
	/* Rings run, features are negotiated. Loop context on io_core, like all below but config_read and config_write. */
	void (*start)(struct virtio_dev *d);
	/* A bounded round: takes chains, publishes used entries. Returns how much it did. Only while RUNNING. */
	unsigned (*poll)(struct virtio_dev *d);
	/* Asks requests in flight to end early; may be called again. NULL: it has none, ever. */
	void (*cancel)(struct virtio_dev *d);
	unsigned (*in_flight)(const struct virtio_dev *d);
	/* Nothing is in flight: forget what belongs to this run. May be NULL. */
	void (*stop)(struct virtio_dev *d);
	/* The guest wrote bytes of config; under dev->lock, exit context. NULL: read-only. */
	void (*config_write)(struct virtio_dev *d, unsigned offset, unsigned size, uint64_t value);
	/* Counters other than the queues'. May be NULL. */
	void (*stats)(struct virtio_dev *d, struct vm_stats_sink *sink);
	/* State that is not registers or rings. load: decodes, checks, then applies; -EINVAL. May be NULL. */
	void (*save)(struct virtio_dev *d, struct state_writer *w);
	int (*load)(struct virtio_dev *d, struct state_reader *r);
	/* Unhooks from its backend and frees its memory. @pre IDLE */
	void (*destroy)(struct virtio_dev *d);
};

struct virtio_dev {
	struct vpci_dev pci;
	struct vm *vm;
	const struct virtio_ops *ops;
	struct virtio_dev *next; /* of the VM's devices */
	char name[16];           /* "disk0" */
	uint16_t type;           /* VIRTIO 1.2, 5: device ID */
	uint16_t queue_count;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
	uint64_t offered; /* feature bits */

	struct vdev_lock lock;
	/* Registers, under lock. */
	uint8_t status, generation;
	bool config_read; /* since the last change of config: the next change is a new generation */
	uint16_t config_vector, queue_select;
	uint32_t feature_select, accepted_select;
	uint64_t accepted;
	bool resetting;
	uint8_t phase; /* enum virtio_phase; io_core also reads it without the lock */
	uint8_t config[VIRTIO_CONFIG_MAX];
	uint16_t config_bytes;
	_Atomic uint8_t isr;
	/* Something for the poller: start, reset. */
	atomic_bool attention;
	bool draining; /* io_core's: take no new chains */
	/* Counters, io_core's. */
	uint64_t malformed, resets, config_interrupts;
};

/* ---- device.c ---- */
/* Fills what all device types share and puts the device on the PCI bus and into the VM's list. 0, -ENOSPC, -EBUSY. */
int virtio_dev_add(struct vm *vm, struct virtio_dev *d, uint16_t type, uint32_t class_code, const struct virtio_ops *ops) HV_MUST_CHECK;
/* The VM's devices, in the order they were added. */
struct virtio_dev *virtio_first(struct vm *vm);
/* Takes a chain of queue q into segs; handles malformed ones (device becomes BROKEN, VRING_BROKEN comes back). io_core. */
enum vring_pop virtio_pop(struct virtio_dev *d, unsigned q, struct vring_chain *c, struct hv_seg *segs, unsigned max_segs);
/* Publishes used entries, raises the queue's interrupt when the guest wants one. Returns how many entries became visible. io_core. */
unsigned virtio_publish_gathered(struct virtio_dev *d, unsigned q);
static inline unsigned virtio_publish(struct virtio_dev *d, unsigned q)
{
	const struct vring *r = &d->queues[q].ring;
	return r->next_used == r->published ? 0 : virtio_publish_gathered(d, q);
}
/* The chain or the device's state is beyond repair: NEEDS_RESET (2.1.1), log line, no more processing. io_core. */
void virtio_break(struct virtio_dev *d, unsigned q, unsigned desc, const char *why);
/* Replaces bytes of config; the guest gets a configuration change interrupt if they differ. io_core. */
void virtio_config_set(struct virtio_dev *d, unsigned offset, const void *bytes, unsigned len);
static inline bool virtio_running(const struct virtio_dev *d)
{
	return d->phase == VIRTIO_RUNNING;
}
static inline bool virtio_has(const struct virtio_dev *d, uint64_t feature)
{
	return d->accepted & feature;
}
/* Makes the io_core look at the device. Any core, any context. */
void virtio_attention(struct virtio_dev *d);
/* Registers as after power-on. @pre lock */
void virtio_registers_reset(struct virtio_dev *d);
/* One counter "<device>.<what>". */
void virtio_counter(struct virtio_dev *d, struct vm_stats_sink *sink, const char *what, uint64_t value);

/* ---- pci.c: the transport (VIRTIO 1.2, 4.1) ---- */
/* Fills d->pci: IDs, BARs, capabilities. @pre type, queues, name set */
int virtio_pci_init(struct virtio_dev *d, uint32_t class_code) HV_MUST_CHECK;

/* ---- device types ---- */
int vblk_attach(struct vm *vm, unsigned index, const struct vm_disk_config *config) HV_MUST_CHECK;
int vnet_attach(struct vm *vm, unsigned index, const struct vm_nic_config *config) HV_MUST_CHECK;
int vrng_attach(struct vm *vm) HV_MUST_CHECK;

#endif
