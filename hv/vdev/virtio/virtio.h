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
/* Reports the devices' counters. Loop context on io_core. */
void virtio_stats(struct vm *vm, struct vm_stats_sink *sink);

#endif
