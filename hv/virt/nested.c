/* Nested page tables (nested.h). */
#include "virt/nested.h"

#include "virt/gmem_impl.h"
#include <errno.h>
#include <hv/mem.h>

#define ADDRESS 0x000ffffffffff000ull
#define GIB (1ull << 30)
#define LEVELS 4

static uint64_t *table_at(uint64_t entry)
{
	return hv_phys_to_virt(HPA(entry & ADDRESS));
}

/* The table that `entry` points to, made if there is none. */
static uint64_t *descend(const struct nested *n, uint64_t *entry)
{
	if (!*entry) {
		void *table = hv_pages_alloc(HV_ORDER_4K);
		if (!table)
			return NULL;
		*entry = hv_virt_to_phys(table).v | n->format->table;
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

static int map_gib(struct nested *n, const struct gmem *m, uint64_t gpa, uint64_t bytes, bool gib_pages)
{
	uint64_t *pdpt = descend(n, &n->root[gpa >> 39 & 511]), pa;
	if (!pdpt)
		return -ENOMEM;
	uint64_t *pdpte = &pdpt[gpa >> 30 & 511];
	if (gib_pages && bytes == GIB && one_gib(m, gpa, &pa)) {
		*pdpte = pa | n->format->leaf;
		return 0;
	}
	uint64_t *pd = descend(n, pdpte);
	if (!pd)
		return -ENOMEM;
	for (uint64_t at = 0; at < bytes; at += GMEM_UNIT)
		pd[at >> GMEM_UNIT_SHIFT] = hv_virt_to_phys(gmem_unit(m, GPA(gpa + at))).v | n->format->leaf;
	return 0;
}

int nested_create(struct nested *n, const struct nested_format *format, const struct gmem *m, bool gib_pages)
{
	struct gmem_range ranges[2];
	unsigned count = gmem_ranges(m, ranges, 2);
	n->format = format;
	atomic_store(&n->generation, 1);
	n->root = hv_pages_alloc(HV_ORDER_4K);
	if (!n->root)
		return -ENOMEM;
	n->root_pa = hv_virt_to_phys(n->root);
	for (unsigned i = 0; i < count; i++) {
		for (uint64_t at = 0; at < ranges[i].bytes; at += GIB) {
			int ret = map_gib(n, m, ranges[i].start.v + at, HV_MIN(GIB, ranges[i].bytes - at), gib_pages);
			if (ret) {
				nested_destroy(n);
				return ret;
			}
		}
	}
	return 0;
}

int nested_map_page(struct nested *n, gpa_t gpa, hpa_t hpa)
{
	uint64_t *table = n->root;
	for (unsigned shift = 39; table && shift > 12; shift -= 9)
		table = descend(n, &table[gpa.v >> shift & 511]);
	if (!table)
		return -ENOMEM;
	table[gpa.v >> 12 & 511] = hpa.v | (n->format->leaf & ~NESTED_LARGE);
	return 0;
}

uint64_t *nested_unit_entry(struct nested *n, gpa_t gpa)
{
	uint64_t *pdpte = &table_at(n->root[gpa.v >> 39 & 511])[gpa.v >> 30 & 511];
	if (*pdpte & NESTED_LARGE) {
		uint64_t *pd = hv_pages_alloc(HV_ORDER_4K);
		if (!pd)
			return NULL;
		for (unsigned i = 0; i < 512; i++)
			pd[i] = *pdpte + i * GMEM_UNIT;
		__atomic_store_n(pdpte, hv_virt_to_phys(pd).v | n->format->table, __ATOMIC_RELEASE);
	}
	return &table_at(*pdpte)[gpa.v >> GMEM_UNIT_SHIFT & 511];
}

static bool is_table(const struct nested *n, uint64_t entry)
{
	return entry & n->format->present && !(entry & NESTED_LARGE);
}

static void free_table(const struct nested *n, uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level > 1 && i < 512; i++)
		if (is_table(n, table[i]))
			free_table(n, table_at(table[i]), level - 1);
	hv_pages_free(table, HV_ORDER_4K);
}

void nested_destroy(struct nested *n)
{
	if (n->root)
		free_table(n, n->root, LEVELS);
	n->root = NULL;
}
