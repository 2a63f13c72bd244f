/*
 * A VM's fixed devices: interrupt controllers, timers, UART, RTC, ACPI, debug-exit. platform.c holds the one visible list of them.
 *
 * Threads: an access comes in exit context on any vCPU's core; a device that several vCPUs can touch keeps its state under its own short
 * spinlock. Timers of shared devices (PIT, RTC, PM timer) live on config.io_core: an exit changes state and posts a message there.
 * The LAPIC's timer lives on its vCPU's core.
 */
#ifndef HV_VDEV_PLATFORM_H
#define HV_VDEV_PLATFORM_H

#include <hv/types.h>

struct vm;
struct vm_stats_sink;
struct state_writer;
struct state_reader;

/*
 * Makes them, attaches them to the VM's I/O bus and a LAPIC to each vCPU (vcpu_set_lapic), writes the ACPI tables into guest memory.
 * 0, -ENOMEM, -EBUSY (a port or address is taken), -ENOSPC, -EFAULT (no guest memory below 1 MiB). Fiber on io_core.
 */
int platform_create(struct vm *vm) HV_MUST_CHECK;
/* @pre no vCPU runs. Cancels timers on all cores; no-op when there is none. Fiber on io_core, may yield. */
void platform_destroy(struct vm *vm);
/* Power-on state of every device. @pre no vCPU runs. Loop context on io_core. */
void platform_reset(struct vm *vm);
/* Hands every console byte that is still buffered to config.console. Loop context on io_core, for vm.c before it calls ended(). */
void platform_console_flush(struct vm *vm);
/* Bytes for the UART's receiver; returns how many it took. Loop context on io_core. */
size_t platform_console_input(struct vm *vm, const char *bytes, size_t len);
/* Presses the ACPI power button: a guest with ACPI shuts down by itself. Loop context on io_core. */
void platform_power_button(struct vm *vm);
/* Reports the devices' counters. Loop context on io_core. */
void platform_stats(struct vm *vm, struct vm_stats_sink *sink);

/* Saves all devices and LAPICs. @pre no vCPU runs. Overrun is seen in the writer. Loop context on io_core. */
void platform_save(struct vm *vm, struct state_writer *w);
/*
 * Restores what platform_save wrote. Every section is decoded and checked before the first is applied: on an error nothing has changed.
 * 0, -ENOENT (a section is missing), -EINVAL (damaged or impossible state), -EPROTO (newer). @pre no vCPU runs. Loop context on io_core.
 */
int platform_load(struct vm *vm, struct state_reader *r) HV_MUST_CHECK;

#endif
