/* A VM's PCI host bridge. */
#ifndef HV_VDEV_PCI_H
#define HV_VDEV_PCI_H

#include <hv/types.h>

struct vm;

/* 0, -ENOMEM, -EBUSY. Fiber on io_core. */
int vpci_create(struct vm *vm) HV_MUST_CHECK;
/* @pre no vCPU runs, devices detached. No-op when there is none. */
void vpci_destroy(struct vm *vm);

#endif
