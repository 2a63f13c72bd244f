/*
 * The host's own page tables (SDM vol. 3, 4.5): one root for all cores, W^X, NX, global pages, the largest page that fits. Mappings are only added,
 * so no core ever needs a TLB shoot-down. Additions after boot are serialised by a lock.
 *
 * Until the allocator works, table pages are cut from the boot memory map and reached through the boot page tables' direct map, which lies at the
 * same address as the final one.
 */
#include "arch/paging.h"
#include "arch/cpu.h"
#include "arch/layout.h"
#include "kern/lock.h"
#include <hv/log.h>
#include <hv/mem.h>

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G (1ull << 8)
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull
#define BOOT_MAP_END (4ull << 30)

#define CPUID7_EBX_SMEP (1u << 7)
#define CPUID7_EBX_SMAP (1u << 20)
#define CPUID7_ECX_UMIP (1u << 2)
#define CPUID81_EDX_1G (1u << 26)

extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __data_end[];

static struct hv_lock map_lock, va_lock;
static struct ranges *boot_free; /* NULL once the allocator works */
static uint64_t *root;
static bool has_1g;
static uint64_t mmio_next = HV_MMIO_BASE;

static uint64_t *table_at(uint64_t entry)
{
	return (uint64_t *)(HV_DIRECT_BASE + (entry & PTE_ADDRESS));
}

static uint64_t *new_table(void)
{
	uint64_t pa;
	void *p;

	if (!boot_free)
		return hv_pages_alloc(0);
	if (!ranges_take(boot_free, HV_PAGE_SIZE, HV_PAGE_SIZE, BOOT_MAP_END, &pa))
		return NULL;
	p = (void *)(HV_DIRECT_BASE + pa);
	__builtin_memset(p, 0, HV_PAGE_SIZE);
	return p;
}

/* The entry for `va` in the table of `level` (0 = 4 KiB entries), making the tables above it. NULL: out of memory. */
static uint64_t *entry_for(uint64_t va, unsigned level)
{
	uint64_t *table = root;

	for (unsigned l = 3; l > level; l--) {
		uint64_t *e = &table[va >> (12 + 9 * l) & 511];

		if (!(*e & PTE_P)) {
			uint64_t *t = new_table();

			if (!t)
				return NULL;
			*e = ((uint64_t)t - HV_DIRECT_BASE) | PTE_P | PTE_W | PTE_A;
		}
		hv_assert(!(*e & PTE_PS));
		table = table_at(*e);
	}
	return &table[va >> (12 + 9 * level) & 511];
}

static unsigned largest_level(uint64_t va, uint64_t pa, uint64_t bytes)
{
	for (unsigned level = has_1g ? 2 : 1; level > 0; level--) {
		uint64_t size = HV_PAGE_SIZE << (9 * level);

		if (((va | pa) & (size - 1)) == 0 && bytes >= size)
			return level;
	}
	return 0;
}

static bool map_locked(uint64_t va, uint64_t pa, uint64_t bytes, unsigned rights)
{
	uint64_t bits = PTE_P | PTE_A | PTE_D | PTE_G;

	if (rights & PAGING_RW)
		bits |= PTE_W;
	if (!(rights & PAGING_EXEC))
		bits |= PTE_NX;
	if (rights & PAGING_UNCACHED)
		bits |= PTE_PCD | PTE_PWT; /* PAT entry 3: UC at reset (SDM vol. 3, 11.12.4) */
	while (bytes) {
		unsigned level = largest_level(va, pa, bytes);
		uint64_t size = HV_PAGE_SIZE << (9 * level);
		uint64_t *e = entry_for(va, level);

		if (!e)
			return false;
		hv_assert(!(*e & PTE_P));
		*(volatile uint64_t *)e = pa | bits | (level ? PTE_PS : 0);
		va += size;
		pa += size;
		bytes -= size;
	}
	return true;
}

bool paging_map(uint64_t va, uint64_t pa, uint64_t bytes, unsigned rights)
{
	unsigned long irq;
	bool ok;

	hv_assert(((va | pa | bytes) & (HV_PAGE_SIZE - 1)) == 0);
	irq = hv_lock_irq(&map_lock);
	ok = map_locked(va, pa, bytes, rights);
	hv_unlock_irq(&map_lock, irq);
	return ok;
}

bool paging_lookup(uint64_t va, uint64_t *pa)
{
	const uint64_t *table = root;

	for (unsigned level = 4; level-- > 0;) {
		uint64_t e = *(const volatile uint64_t *)&table[va >> (12 + 9 * level) & 511];
		uint64_t size = HV_PAGE_SIZE << (9 * level);

		if (!(e & PTE_P))
			return false;
		if (!level || e & PTE_PS) {
			*pa = (e & PTE_ADDRESS & ~(size - 1)) | (va & (size - 1));
			return true;
		}
		table = table_at(e);
	}
	return false;
}

static void map_boot(uint64_t va, uint64_t pa, uint64_t bytes, unsigned rights)
{
	if (!map_locked(va, pa, bytes, rights))
		hv_panic("no memory for page tables");
}

static void map_image_part(const char *start, const char *end, unsigned rights)
{
	map_boot((uint64_t)start, (uint64_t)start - HV_IMAGE_BASE, (uint64_t)(end - start), rights);
}

static void map_direct(const struct ranges *set, unsigned rights)
{
	for (unsigned i = 0; i < set->count; i++) {
		uint64_t start = set->r[i].start, end = HV_MIN(set->r[i].end, HV_DIRECT_BYTES);

		if (start < end)
			map_boot(HV_DIRECT_BASE + start, start, end - start, rights);
	}
}

void paging_init(const struct ranges *writable, const struct ranges *readable, struct ranges *free)
{
	has_1g = cpu_cpuid(0x80000001, 0).edx & CPUID81_EDX_1G;
	boot_free = free;
	root = new_table();
	if (!root)
		hv_panic("no memory for page tables");
	map_image_part(__text_start, __text_end, PAGING_EXEC);
	map_image_part(__rodata_start, __rodata_end, 0);
	map_image_part(__data_start, __data_end, PAGING_RW);
	map_direct(writable, PAGING_RW);
	map_direct(readable, 0);
	paging_init_core();
	cpu_set_cr3(paging_root());
}

void paging_use_allocator(void)
{
	boot_free = NULL;
}

uint64_t paging_root(void)
{
	return (uint64_t)root - HV_DIRECT_BASE;
}

void paging_init_core(void)
{
	uint64_t cr4 = cpu_cr4() | CR4_PGE;
	struct cpuid features = cpu_cpuid(0, 0).eax >= 7 ? cpu_cpuid(7, 0) : (struct cpuid){0, 0, 0, 0};

	if (features.ebx & CPUID7_EBX_SMEP)
		cr4 |= CR4_SMEP;
	if (features.ebx & CPUID7_EBX_SMAP)
		cr4 |= CR4_SMAP;
	if (features.ecx & CPUID7_ECX_UMIP)
		cr4 |= CR4_UMIP;
	cpu_set_cr4(cr4);
	cpu_set_cr0(cpu_cr0() | CR0_WP);
}

/* Address space for `bytes` at the same offset within 2 MiB as `pa`, so that large registers get large pages. 0 when there is none left. */
static uint64_t take_mmio_va(uint64_t pa, uint64_t bytes)
{
	const uint64_t large = 2ull << 20;
	unsigned long irq = hv_lock_irq(&va_lock);
	uint64_t va = HV_ALIGN_UP(mmio_next, large) + (pa & (large - 1));

	if (bytes > HV_MMIO_END - va)
		va = 0;
	else
		mmio_next = va + bytes + HV_PAGE_SIZE;
	hv_unlock_irq(&va_lock, irq);
	return va;
}

static void *map_window(uint64_t pa, uint64_t bytes, unsigned rights)
{
	uint64_t first = HV_ALIGN_DOWN(pa, HV_PAGE_SIZE), end = HV_ALIGN_UP(pa + bytes, HV_PAGE_SIZE), va;

	if (!bytes || pa + bytes < pa || end > PTE_ADDRESS || end < pa)
		return NULL;
	va = take_mmio_va(first, end - first);
	if (!va || !paging_map(va, first, end - first, rights))
		return NULL;
	return (char *)va + (pa - first);
}

void *hv_mmio_map(hpa_t pa, size_t bytes)
{
	return map_window(pa.v, bytes, PAGING_RW | PAGING_UNCACHED);
}

const void *paging_map_firmware(uint64_t pa, uint64_t bytes)
{
	return map_window(pa, bytes, 0);
}
