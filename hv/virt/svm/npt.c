/*
 * Nested page tables (APM vol. 2, 15.25): guest-physical to host-physical, all RAM of a VM, built once; 1 GiB entries where guest memory is one
 * aligned piece of host memory, else 2 MiB. What is not mapped is device space: an access there is a nested page fault, and the I/O bus answers.
 * The nested walk is a user access (15.25.5), so every entry has U; memory is executable, as a guest's RAM is.
 */
#include "virt/gmem_impl.h"
#include "virt/svm/svm_impl.h"

#include <errno.h>
#include <hv/mem.h>
#include <string.h>

#define NPTE_TABLE 0x07ull       /* P, W, U */
#define NPTE_LARGE (0x87ull | 0x60) /* P, W, U, A, D, PS */
#define NPTE_ADDRESS 0x000ffffffffff000ull
#define GIB (1ull << 30)

static bool is_table(uint64_t entry)
{
	return (entry & 0x81) == 0x01;
}

static uint64_t *table_at(uint64_t entry)
{
	return hv_phys_to_virt(HPA(entry & NPTE_ADDRESS));
}

/* The table that `entry` points to, made if there is none. */
static uint64_t *descend(uint64_t *entry)
{
	if (!*entry) {
		void *table = hv_pages_alloc(HV_ORDER_4K);
		if (!table)
			return NULL;
		*entry = hv_virt_to_phys(table).v | NPTE_TABLE;
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
		*pdpte = pa | NPTE_LARGE;
		return 0;
	}
	uint64_t *pd = descend(pdpte);
	if (!pd)
		return -ENOMEM;
	for (uint64_t at = 0; at < bytes; at += GMEM_UNIT)
		pd[at >> GMEM_UNIT_SHIFT] = hv_virt_to_phys(gmem_unit(m, GPA(gpa + at))).v | NPTE_LARGE;
	return 0;
}

int svm_npt_create(struct virt_vm *n, const struct gmem *m, bool gib_pages)
{
	struct gmem_range ranges[2];
	unsigned count = gmem_ranges(m, ranges, 2);
	n->root = hv_pages_alloc(HV_ORDER_4K);
	if (!n->root)
		return -ENOMEM;
	n->npt_root = hv_virt_to_phys(n->root);
	for (unsigned i = 0; i < count; i++) {
		for (uint64_t at = 0; at < ranges[i].bytes; at += GIB) {
			int ret = map_gib(n, m, ranges[i].start.v + at, HV_MIN(GIB, ranges[i].bytes - at), gib_pages);
			if (ret) {
				svm_npt_destroy(n);
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

void svm_npt_destroy(struct virt_vm *n)
{
	if (n->root)
		free_table(n->root, 4); /* level 2 entries are all large pages */
	n->root = NULL;
}
