/* What was found out about this machine at boot; constant after that. Bare metal only. */
#ifndef HV_ARCH_PLATFORM_H
#define HV_ARCH_PLATFORM_H

#include "arch/acpi.h"

const struct acpi_info *platform_acpi(void);
/* Finds and reads the tables; rsdp 0 = look for it below 1 MiB. */
void platform_init(uint64_t rsdp);
/* Enumerates PCI (pci.c). */
void pci_init(const struct acpi_info *acpi);

#endif
