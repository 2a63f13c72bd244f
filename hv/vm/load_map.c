/* Guest memory as the loaders see it (load_map.h). */
#include "vm/load_map.h"
#include "vdev/pci.h"
#include "virt/gmem.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define FOUR_GIB 0x100000000ull

uint64_t load_low_ram_end(struct vm *vm)
{
	struct gmem_range ranges[4];
	unsigned n = gmem_ranges(vm->gmem, ranges, HV_ARRAY_LEN(ranges));
	uint64_t end = 0;
	for (unsigned i = 0; i < n && i < HV_ARRAY_LEN(ranges); i++)
		if (ranges[i].start.v < FOUR_GIB)
			end = HV_MAX(end, ranges[i].start.v + ranges[i].bytes);
	return end;
}

static unsigned add(struct load_map_entry *out, unsigned n, uint64_t start, uint64_t bytes, enum load_mem type)
{
	if (bytes != 0 && n < LOAD_MAP_MAX)
		out[n++] = (struct load_map_entry){start, bytes, type};
	return n;
}

unsigned load_memory_map(struct vm *vm, struct load_map_entry out[LOAD_MAP_MAX])
{
	struct gmem_range ranges[4];
	unsigned count = gmem_ranges(vm->gmem, ranges, HV_ARRAY_LEN(ranges)), n = 0;
	uint64_t low_end = load_low_ram_end(vm);

	n = add(out, n, 0, LOAD_LOW_END, LOAD_MEM_RAM);
	n = add(out, n, LOAD_LOW_END, LOAD_HIGH_START - LOAD_LOW_END, LOAD_MEM_RESERVED); /* ISA hole and ACPI tables */
	n = add(out, n, LOAD_HIGH_START, low_end - LOAD_HIGH_START, LOAD_MEM_RAM);
	n = add(out, n, VPCI_ECAM_BASE, VPCI_ECAM_BYTES, LOAD_MEM_RESERVED);
	for (unsigned i = 0; i < count && i < HV_ARRAY_LEN(ranges); i++)
		if (ranges[i].start.v >= FOUR_GIB)
			n = add(out, n, ranges[i].start.v, ranges[i].bytes, LOAD_MEM_RAM);
	return n;
}

bool load_fits(struct vm *vm, uint64_t start, uint64_t bytes)
{
	uint64_t end = load_low_ram_end(vm);
	return start >= LOAD_HIGH_START && start <= end && bytes <= end - start;
}

int load_put(struct vm *vm, uint64_t gpa, const void *p, uint64_t bytes)
{
	return bytes != 0 && gmem_write(vm->gmem, GPA(gpa), p, bytes) < 0 ? -ENOSPC : 0;
}

int load_zero(struct vm *vm, uint64_t gpa, uint64_t bytes)
{
	static const uint8_t zeroes[HV_PAGE_SIZE];
	while (bytes != 0) {
		uint64_t n = HV_MIN(bytes, (uint64_t)sizeof(zeroes));
		int err = load_put(vm, gpa, zeroes, n);
		if (err)
			return err;
		gpa += n;
		bytes -= n;
	}
	return 0;
}

int load_gdt(struct vm *vm, struct vcpu_start *start)
{
	static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff};
	start->gdt_base = LOAD_GDT_GPA;
	start->gdt_limit = sizeof(gdt) - 1;
	start->ds_selector = LOAD_DS;
	return load_put(vm, LOAD_GDT_GPA, gdt, sizeof(gdt));
}
