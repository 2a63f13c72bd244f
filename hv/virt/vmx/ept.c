/*
 * Extended page tables (SDM vol. 3, 29.3): guest-physical to host-physical, all RAM of a VM, built once; 1 GiB entries where guest memory
 * is one aligned piece of host memory, else 2 MiB. What is not mapped is device space: an access there is an EPT violation, and the I/O bus
 * answers. Memory is write-back whatever the guest's PAT says (IPAT): no device is passed through, and the host's view of the same memory
 * is cached.
 */
#include "virt/gmem_impl.h"
#include "virt/vmx/vmx_impl.h"

#include <errno.h>
#include <hv/mem.h>
#include <string.h>

#define EPTE_RWX 0x07ull
#define EPTE_WB_IPAT (6ull << 3 | 1ull << 6)
#define EPTE_LARGE (1ull << 7)
#define EPTE_LEAF (EPTE_RWX | EPTE_WB_IPAT | EPTE_LARGE)
#define EPTE_ADDRESS 0x000ffffffffff000ull
#define EPTP_WB 6ull
#define EPTP_LEVELS_4 (3ull << 3)
#define EPTP_ACCESSED_DIRTY (1ull << 6)
#define GIB (1ull << 30)

static bool is_table(uint64_t entry)
{
	return entry & EPTE_RWX && !(entry & EPTE_LARGE);
}

static uint64_t *table_at(uint64_t entry)
{
	return hv_phys_to_virt(HPA(entry & EPTE_ADDRESS));
}

/* The table that `entry` points to, made if there is none. */
static uint64_t *descend(uint64_t *entry)
{
	if (!*entry) {
		void *table = hv_pages_alloc(HV_ORDER_4K);
		if (!table)
			return NULL;
		*entry = hv_virt_to_phys(table).v | EPTE_RWX;
	}
	return table_at(*entry);
}

/* Host-physical base if the gigabyte at gpa is one aligned piece of host memory. */
static bool one_gib(const struct gmem *m, uint64_t gpa, uint64_t *pa)
{
	const char *first = gmem_unit(m, GPA(gpa));
	if (!first)
		return false;
	*pa = hv_virt_to_phys(first).v;
	if (*pa % GIB)
		return false;
	for (uint64_t at = GMEM_UNIT; at < GIB; at += GMEM_UNIT)
		if (gmem_unit(m, GPA(gpa + at)) != first + at)
			return false;
	return true;
}

static int map_gib(struct virt_vm *n, const struct gmem *m, uint64_t gpa, uint64_t bytes, bool gib_pages)
{
	uint64_t *pdpt = descend(&n->root[gpa >> 39 & 511]), pa;
	if (!pdpt)
		return -ENOMEM;
	uint64_t *pdpte = &pdpt[gpa >> 30 & 511];
	if (gib_pages && bytes == GIB && one_gib(m, gpa, &pa)) {
		*pdpte = pa | EPTE_LEAF;
		return 0;
	}
	uint64_t *pd = descend(pdpte);
	if (!pd)
		return -ENOMEM;
	for (uint64_t at = 0; at < bytes; at += GMEM_UNIT)
		pd[at >> GMEM_UNIT_SHIFT] = hv_virt_to_phys(gmem_unit(m, GPA(gpa + at))).v | EPTE_LEAF;
	return 0;
}

int vmx_ept_create(struct virt_vm *n, const struct gmem *m, bool gib_pages, bool accessed_dirty)
{
	struct gmem_range ranges[2];
	unsigned count = gmem_ranges(m, ranges, 2);
	n->root = hv_pages_alloc(HV_ORDER_4K);
	if (!n->root)
		return -ENOMEM;
	n->eptp = hv_virt_to_phys(n->root).v | EPTP_WB | EPTP_LEVELS_4 | (accessed_dirty ? EPTP_ACCESSED_DIRTY : 0);
	for (unsigned i = 0; i < count; i++) {
		for (uint64_t at = 0; at < ranges[i].bytes; at += GIB) {
			int ret = map_gib(n, m, ranges[i].start.v + at, HV_MIN(GIB, ranges[i].bytes - at), gib_pages);
			if (ret) {
				vmx_ept_destroy(n);
				return ret;
			}
		}
	}
	return 0;
}

static void free_table(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level > 1 && i < 512; i++)
		if (is_table(table[i]))
			free_table(table_at(table[i]), level - 1);
	hv_pages_free(table, HV_ORDER_4K);
}

void vmx_ept_destroy(struct virt_vm *n)
{
	if (n->root)
		free_table(n->root, 4); /* level 2 entries are all large pages */
	n->root = NULL;
}
