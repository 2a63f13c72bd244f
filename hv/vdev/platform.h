/* A VM's fixed devices: interrupt controllers, timers, UART, RTC, ACPI, debug-exit. */
#ifndef HV_VDEV_PLATFORM_H
#define HV_VDEV_PLATFORM_H

#include <hv/types.h>

struct vm;
struct vm_stats_sink;

/* Makes them, attaches them to the VM's I/O bus and a LAPIC to each vCPU (vcpu_set_lapic). 0, -ENOMEM, -EBUSY. Fiber on io_core. */
int platform_create(struct vm *vm) HV_MUST_CHECK;
/* @pre no vCPU runs. No-op when there is none. Fiber on io_core. */
void platform_destroy(struct vm *vm);
/* Bytes for the UART's receiver; returns how many it took. Loop context on io_core. */
size_t platform_console_input(struct vm *vm, const char *bytes, size_t len);
/* Reports the devices' counters. Loop context on io_core. */
void platform_stats(struct vm *vm, struct vm_stats_sink *sink);

#endif
