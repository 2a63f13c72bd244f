/* Interrupt controllers' start-up. Bare metal only. */
#ifndef HV_ARCH_IRQ_H
#define HV_ARCH_IRQ_H

#include "arch/acpi.h"

void irq_disable_pic(void);
/* Masks all IO-APICs' inputs. */
void irq_init_ioapics(const struct acpi_info *acpi);
/* Routes an ISA interrupt (edge, active high) to fn(arg) on `core` in irq context. 0, -ENODEV, -ENOSPC. */
int irq_route_isa(const struct acpi_info *acpi, unsigned isa, unsigned core, void (*fn)(void *arg), void *arg) HV_MUST_CHECK;

#endif
