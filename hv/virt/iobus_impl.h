/* The I/O bus: making it. Devices need only iobus.h. */
#ifndef HV_VIRT_IOBUS_IMPL_H
#define HV_VIRT_IOBUS_IMPL_H

#include "virt/iobus.h"

struct iobus;

/* NULL when there is no memory. Loop context. */
struct iobus *iobus_create(void);
void iobus_destroy(struct iobus *bus);

#endif
