/* What a boot protocol hands to the rest of the start-up, and the start-up's own pieces. Bare metal only. */
#ifndef HV_BOOT_BOOT_H
#define HV_BOOT_BOOT_H

#include <hv/types.h>
#include "kern/ranges.h"

#define BOOT_CMDLINE_BYTES 1024

struct boot_info {
	struct ranges ram;      /* usable memory */
	struct ranges firmware; /* ACPI tables and NVS: not ours, but readable */
	struct ranges keep;     /* parts of ram that hold the boot archive */
	uint64_t rsdp;          /* 0 = look for it */
	uint64_t archive, archive_bytes;
	char cmdline[BOOT_CMDLINE_BYTES];
};

/* Copies everything out of the PVH start info; false when it is not one. Boot page tables active. */
bool pvh_read(uint32_t start_info, struct boot_info *info) HV_MUST_CHECK;
/* Starts all other cores and waits until each is in its loop. */
void smp_start(void);
/* The rest of a core's own start, then its loop. */
_Noreturn void boot_core_loop(void);
/* pvh.S */
_Noreturn void boot_switch_stack(void *top, void (*fn)(void));

#endif
