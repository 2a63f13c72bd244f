/*
 * PVH start info (Xen, public/arch-x86/hvm/start_info.h describes the layout): memory map, command line, modules, RSDP. Written by the
 * loader or firmware, so it is trusted to be honest but not to be tidy: entries may overlap and be unsorted.
 */
#include "arch/layout.h"
#include "boot/boot.h"
#include <hv/log.h>

#define PVH_MAGIC 0x336ec578u
#define BOOT_MAP_END (4ul << 30) /* what the boot page tables reach */

struct pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap; /* memmap from version 1 on */
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t address, bytes, cmdline, reserved;
};

struct pvh_memory {
	uint64_t address, bytes;
	uint32_t type, reserved; /* as E820 */
};

enum { E820_RAM = 1, E820_RESERVED, E820_ACPI, E820_NVS, E820_UNUSABLE };

static const void *at(uint64_t pa, uint64_t bytes)
{
	if (!pa || pa >= BOOT_MAP_END || bytes > BOOT_MAP_END - pa)
		return NULL;
	return (const void *)(HV_DIRECT_BASE + pa);
}

static bool read_memory(const struct pvh_start_info *s, struct boot_info *info)
{
	const struct pvh_memory *m = at(s->memmap, (uint64_t)s->memmap_entries * sizeof(*m));
	bool ok = true;

	if (!m)
		return false;
	for (uint32_t i = 0; i < s->memmap_entries; i++) {
		uint64_t start = m[i].address, end = start + m[i].bytes;

		if (end < start)
			continue;
		if (m[i].type == E820_RAM)
			ok &= ranges_add(&info->ram, HV_ALIGN_UP(start, HV_PAGE_SIZE), HV_ALIGN_DOWN(end, HV_PAGE_SIZE));
		else if (m[i].type == E820_ACPI || m[i].type == E820_NVS)
			ok &= ranges_add(&info->firmware, HV_ALIGN_DOWN(start, HV_PAGE_SIZE), HV_ALIGN_UP(end, HV_PAGE_SIZE));
	}
	/* Where entries overlap, the stricter one counts. */
	for (uint32_t i = 0; i < s->memmap_entries; i++)
		if (m[i].type != E820_RAM && m[i].address + m[i].bytes >= m[i].address)
			ok &= ranges_remove(&info->ram, HV_ALIGN_DOWN(m[i].address, HV_PAGE_SIZE),
				HV_ALIGN_UP(m[i].address + m[i].bytes, HV_PAGE_SIZE));
	return ok;
}

bool pvh_read(uint32_t start_info, struct boot_info *info)
{
	const struct pvh_start_info *s = at(start_info, sizeof(*s));
	const struct pvh_module *mod;
	const char *cmdline;

	if (!s || s->magic != PVH_MAGIC || s->version < 1 || !read_memory(s, info))
		return false;
	info->rsdp = s->rsdp;
	cmdline = at(s->cmdline, BOOT_CMDLINE_BYTES);
	for (unsigned i = 0; cmdline && i < BOOT_CMDLINE_BYTES - 1 && cmdline[i]; i++)
		info->cmdline[i] = cmdline[i];
	mod = s->nr_modules ? at(s->modlist, sizeof(*mod)) : NULL;
	if (!mod || mod->address + mod->bytes < mod->address)
		return true;
	info->archive = mod->address;
	info->archive_bytes = mod->bytes;
	return ranges_add(&info->keep, HV_ALIGN_DOWN(mod->address, HV_PAGE_SIZE), HV_ALIGN_UP(mod->address + mod->bytes, HV_PAGE_SIZE));
}
