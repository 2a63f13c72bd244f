/*
 * The memory map and modules of whatever boot protocol. They are the loader's or firmware's, so trusted to be honest but not to be tidy.
 */
#include "boot/boot.h"

enum { E820_RAM = 1, E820_ACPI = 3, E820_NVS = 4 };
#define LAST_PAGE (~0ull & ~(HV_PAGE_SIZE - 1))

struct entry {
	uint64_t address, end;
	uint32_t type;
};

/* False: an empty entry, or one that runs beyond the end of the address space. */
static bool get_entry(const void *entries, size_t stride, uint32_t i, struct entry *e)
{
	const char *p = (const char *)entries + i * stride;
	uint64_t bytes;

	__builtin_memcpy(&e->address, p, 8);
	__builtin_memcpy(&bytes, p + 8, 8);
	__builtin_memcpy(&e->type, p + 16, 4);
	e->end = e->address + bytes;
	return e->end > e->address;
}

static uint64_t page_up(uint64_t at)
{
	return at > LAST_PAGE ? LAST_PAGE : HV_ALIGN_UP(at, HV_PAGE_SIZE);
}

bool boot_memory_map(const void *entries, uint32_t count, size_t stride, struct boot_info *info)
{
	struct entry e;
	bool ok = true;

	for (uint32_t i = 0; i < count; i++) {
		if (!get_entry(entries, stride, i, &e))
			continue;
		if (e.type == E820_RAM)
			ok &= ranges_add(&info->ram, page_up(e.address), HV_ALIGN_DOWN(e.end, HV_PAGE_SIZE));
		else if (e.type == E820_ACPI || e.type == E820_NVS)
			ok &= ranges_add(&info->firmware, HV_ALIGN_DOWN(e.address, HV_PAGE_SIZE), page_up(e.end));
	}
	for (uint32_t i = 0; i < count; i++)
		if (get_entry(entries, stride, i, &e) && e.type != E820_RAM)
			ok &= ranges_remove(&info->ram, HV_ALIGN_DOWN(e.address, HV_PAGE_SIZE), page_up(e.end));
	return ok;
}

static bool in_ram(const struct boot_info *info, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < info->ram.count; i++)
		if (start >= info->ram.r[i].start && end <= info->ram.r[i].end)
			return true;
	return false;
}

bool boot_module_add(struct boot_info *info, uint64_t start, uint64_t end, const char *name)
{
	if (end < start || end > BOOT_MAP_END || info->module_count == BOOT_MODULES_MAX || (end > start && !in_ram(info, start, end)))
		return false;
	if (end > start && !ranges_add(&info->keep, HV_ALIGN_DOWN(start, HV_PAGE_SIZE), HV_ALIGN_UP(end, HV_PAGE_SIZE)))
		return false;
	info->modules[info->module_count++] = (struct boot_module){start, end - start, name};
	return true;
}
