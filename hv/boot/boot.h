/* What a boot protocol hands to the rest of the start-up, and the start-up's own pieces. */
#ifndef HV_BOOT_BOOT_H
#define HV_BOOT_BOOT_H

#include "kern/ranges.h"
#include <hv/types.h>

#define BOOT_CMDLINE_BYTES 1024
#define BOOT_MODULES_MAX 256
#define BOOT_MAP_END (4ull << 30) /* what the boot page tables reach */

/* A file that the loader put into memory. */
struct boot_module {
	uint64_t address, bytes;
	const char *name; /* stays valid; NULL: it is an archive of files */
};

/* A screen in text mode, cells of a character and an attribute; address 0: none is known. */
#define BOOT_SCREEN_COLUMNS_MAX 132u
#define BOOT_SCREEN_ROWS_MAX 60u
struct boot_screen {
	uint64_t address;
	uint32_t pitch, columns, rows; /* pitch: bytes of a line */
};

struct boot_info {
	struct ranges ram;      /* usable memory */
	struct ranges firmware; /* ACPI tables and NVS: not ours, but readable */
	struct ranges keep;     /* parts of ram that hold modules and what names them */
	uint64_t rsdp;          /* 0 = look for it */
	struct boot_screen screen;
	struct boot_module modules[BOOT_MODULES_MAX];
	unsigned module_count;
	char cmdline[BOOT_CMDLINE_BYTES];
};

/* ---- portable; a false means that the machine cannot be started, and *error says why ---- */

/*
 * Adds a BIOS-style memory map (ACPI 6.4, 15.3): `count` entries of { u64 address, u64 bytes, u32 type }, each `stride` bytes apart,
 * 4-aligned. Entries may overlap and be unsorted: where they do, the stricter one counts. False when there are more ranges than fit.
 */
bool boot_memory_map(const void *entries, uint32_t count, size_t stride, struct boot_info *info) HV_MUST_CHECK;
/* Adds a module and keeps its memory. Refused (false): not in RAM, beyond BOOT_MAP_END, or no room for it. The memory map is known. */
bool boot_module_add(struct boot_info *info, uint64_t start, uint64_t end, const char *name) HV_MUST_CHECK;
/*
 * Reads Multiboot2's boot information (specification 2.0, 3.6): `bytes` of it are readable at `mbi`, its physical address is `pa`. Every
 * length is checked before use; a malformed tag refuses the whole. Names of modules stay where they are; their pages are in info->keep.
 */
bool multiboot2_read(const void *mbi, size_t bytes, uint64_t pa, struct boot_info *info, const char **error) HV_MUST_CHECK;

/* ---- bare metal only ---- */

/* `bytes` at physical address pa, through the boot page tables; NULL when they do not reach it. */
const void *boot_at(uint64_t pa, uint64_t bytes);
/* Copies everything out of the PVH start info. */
bool pvh_read(uint32_t start_info, struct boot_info *info, const char **error) HV_MUST_CHECK;
/* Starts all other cores and waits until each is in its loop. */
void smp_start(void);
/* The rest of a core's own start, then its loop. */
_Noreturn void boot_core_loop(void);
/* entry.S */
_Noreturn void boot_switch_stack(void *top, void (*fn)(void));

#endif
