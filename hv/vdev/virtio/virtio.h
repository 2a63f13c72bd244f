/* A VM's virtio devices. */
#ifndef HV_VDEV_VIRTIO_H
#define HV_VDEV_VIRTIO_H

#include <hv/types.h>

struct vm;
struct vm_stats_sink;

/* Makes what vm->config lists (disks, NICs) and a random-number source, on its PCI bus. 0, -ENOMEM, -EBUSY. Fiber on io_core. */
int virtio_attach_all(struct vm *vm) HV_MUST_CHECK;
/* Cancels and waits for I/O in flight, frees. @pre no vCPU runs. Fiber on io_core, may yield. */
void virtio_detach_all(struct vm *vm);
/*
 * Machine reset: all devices as virtio_attach_all left them; I/O in flight is cancelled and waited for. Also the pause before save:
 * virtio_drain lets I/O in flight end (no cancel) and takes no new chains until virtio_resume. @pre no vCPU runs. Fiber on io_core, may
 * yield.
 */
void virtio_reset_all(struct vm *vm);
void virtio_drain(struct vm *vm);
void virtio_resume(struct vm *vm);
/* Device and transport state. @pre drained; same devices. -EINVAL */
struct state_writer;
struct state_reader;
void virtio_save(struct vm *vm, struct state_writer *w);
int virtio_load(struct vm *vm, struct state_reader *r) HV_MUST_CHECK;
/* Reports the devices' counters. Loop context on io_core. */
void virtio_stats(struct vm *vm, struct vm_stats_sink *sink);

#endif
