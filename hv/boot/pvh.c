/*
 * PVH start info (Xen, public/arch-x86/hvm/start_info.h describes the layout): memory map, command line, modules, RSDP. The first module is the
 * boot archive.
 */
#include "boot/boot.h"

#define PVH_MAGIC 0x336ec578u

struct pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap; /* memmap from version 1 on */
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t address, bytes, cmdline, reserved;
};

#define PVH_MEMORY_BYTES 24u /* of an entry of the memory map: as E820's, padded */

bool pvh_read(uint32_t start_info, struct boot_info *info, const char **error)
{
	const struct pvh_start_info *s = boot_at(start_info, sizeof(*s));
	const struct pvh_module *mod;
	const void *map;
	const char *cmdline;

	*error = "there is none";
	if (!s || s->magic != PVH_MAGIC || s->version < 1)
		return false;
	*error = "its memory map is not usable";
	map = boot_at(s->memmap, (uint64_t)s->memmap_entries * PVH_MEMORY_BYTES);
	if (!map || !boot_memory_map(map, s->memmap_entries, PVH_MEMORY_BYTES, info))
		return false;
	info->rsdp = s->rsdp;
	cmdline = boot_at(s->cmdline, BOOT_CMDLINE_BYTES);
	for (unsigned i = 0; cmdline && i < BOOT_CMDLINE_BYTES - 1 && cmdline[i]; i++)
		info->cmdline[i] = cmdline[i];
	*error = "its module is not in memory";
	mod = s->nr_modules ? boot_at(s->modlist, sizeof(*mod)) : NULL;
	return !mod || boot_module_add(info, mod->address, mod->address + mod->bytes, NULL);
}
