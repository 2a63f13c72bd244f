/*
 * The page allocator of the machine: kern/buddy.c over all RAM, under one lock (control paths only). The boot memory map becomes the free list: RAM
 * minus the first MiB, the image's segments and the boot archive.
 */
#include "arch/mem.h"
#include "arch/layout.h"
#include "arch/paging.h"
#include "kern/buddy.h"
#include "kern/lock.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>

#define LOW_MEMORY_END (1ull << 20) /* firmware's data, and the page where other cores start */

extern char __boot_start[], __boot_end[], __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __data_end[];

static struct buddy buddy;
static struct hv_lock lock;
static struct ranges free_ranges, writable_ranges, readable_ranges; /* boot only; too large for a stack */
static uint64_t stack_next = HV_STACK_BASE;

/* ---- start ---- */
static void check(bool fits)
{
	if (!fits)
		hv_panic("memory map has more than %u ranges", RANGES_MAX);
}

static void reserve(uint64_t start, uint64_t end)
{
	check(ranges_remove(&free_ranges, HV_ALIGN_DOWN(start, HV_PAGE_SIZE), HV_ALIGN_UP(end, HV_PAGE_SIZE)));
}

/* Physical start of a linked part of the image. */
static uint64_t phys(const char *linked)
{
	return (uint64_t)linked - HV_IMAGE_BASE;
}

static void reserve_image(void)
{
	reserve((uint64_t)__boot_start, (uint64_t)__boot_end);
	reserve(phys(__text_start), phys(__text_end));
	reserve(phys(__rodata_start), phys(__rodata_end));
	reserve(phys(__data_start), phys(__data_end));
}

/* Seen through the direct map the image's text and constants, and what firmware left, are read-only, too. */
static void make_readable(uint64_t start, uint64_t end)
{
	check(ranges_remove(&writable_ranges, start, end));
	check(ranges_add(&readable_ranges, start, end));
}

static void plan_direct_map(const struct boot_info *info)
{
	writable_ranges = info->ram;
	readable_ranges = info->firmware;
	for (unsigned i = 0; i < info->keep.count; i++)
		check(ranges_add(&writable_ranges, info->keep.r[i].start, info->keep.r[i].end));
	check(ranges_add(&writable_ranges, 0, LOW_MEMORY_END));
	check(ranges_remove(&readable_ranges, 0, LOW_MEMORY_END));
	make_readable(phys(__text_start), phys(__text_end));
	make_readable(phys(__rodata_start), phys(__rodata_end));
}

void host_mem_init(const struct boot_info *info)
{
	uint64_t pages, state, state_bytes;

	plan_direct_map(info);
	free_ranges = info->ram;
	reserve(0, LOW_MEMORY_END);
	reserve_image();
	for (unsigned i = 0; i < info->keep.count; i++)
		reserve(info->keep.r[i].start, info->keep.r[i].end);
	reserve(HV_DIRECT_BYTES, UINT64_MAX);
	if (!free_ranges.count)
		hv_panic("no usable memory");
	paging_init(&writable_ranges, &readable_ranges, &free_ranges);
	pages = free_ranges.r[free_ranges.count - 1].end / HV_PAGE_SIZE;
	state_bytes = HV_ALIGN_UP(pages, HV_PAGE_SIZE);
	if (!ranges_take(&free_ranges, state_bytes, HV_PAGE_SIZE, UINT64_MAX, &state))
		hv_panic("no memory for %lu page states", (unsigned long)pages);
	__builtin_memset((void *)(HV_DIRECT_BASE + state), 0, state_bytes);
	buddy_init(&buddy, (void *)HV_DIRECT_BASE, (uint8_t *)(HV_DIRECT_BASE + state), pages);
	for (unsigned i = 0; i < free_ranges.count; i++)
		buddy_add(&buddy, free_ranges.r[i].start / HV_PAGE_SIZE, free_ranges.r[i].end / HV_PAGE_SIZE);
	paging_use_allocator();
	log_info("mem.ready", "%lu MiB free, highest address %lx", (unsigned long)(buddy.free_pages >> 8), (unsigned long)(pages * HV_PAGE_SIZE));
}

/* ---- pages ---- */
void *hv_pages_alloc(unsigned order)
{
	unsigned long irq;
	void *p;

	if (order > BUDDY_MAX_ORDER)
		return NULL;
	irq = hv_lock_irq(&lock);
	p = buddy_alloc(&buddy, order);
	hv_unlock_irq(&lock, irq);
	if (p)
		__builtin_memset(p, 0, HV_PAGE_SIZE << order);
	return p;
}

void hv_pages_free(void *p, unsigned order)
{
	unsigned long irq;
	bool ok;

	if (!p)
		return;
	irq = hv_lock_irq(&lock);
	ok = buddy_free(&buddy, p, order);
	hv_unlock_irq(&lock, irq);
	if (!ok)
		hv_panic("hv_pages_free(%p, %u): not an allocated block", p, order);
}

void *hv_contig_alloc(size_t bytes, size_t align)
{
	uint64_t n = (bytes + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	unsigned long irq;
	void *p;

	if (!bytes || bytes > (HV_PAGE_SIZE << BUDDY_MAX_ORDER) || align & (align - 1))
		return NULL;
	irq = hv_lock_irq(&lock);
	p = buddy_alloc_run(&buddy, n, HV_MAX(align / HV_PAGE_SIZE, 1ul));
	hv_unlock_irq(&lock, irq);
	if (p)
		__builtin_memset(p, 0, n * HV_PAGE_SIZE);
	return p;
}

void hv_contig_free(void *p, size_t bytes)
{
	unsigned long irq;
	bool ok;

	if (!p)
		return;
	irq = hv_lock_irq(&lock);
	ok = buddy_free_run(&buddy, p, (bytes + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE);
	hv_unlock_irq(&lock, irq);
	if (!ok)
		hv_panic("hv_contig_free(%p, %zu): not an allocated run", p, bytes);
}

void hv_mem_usage(uint64_t *total_bytes, uint64_t *free_bytes)
{
	unsigned long irq = hv_lock_irq(&lock);

	*total_bytes = buddy.total_pages * HV_PAGE_SIZE;
	*free_bytes = buddy.free_pages * HV_PAGE_SIZE;
	hv_unlock_irq(&lock, irq);
}

/* ---- translation ---- */
hpa_t hv_virt_to_phys(const void *p)
{
	uint64_t va = (uint64_t)p, pa;

	if (va - HV_DIRECT_BASE < HV_DIRECT_BYTES)
		return HPA(va - HV_DIRECT_BASE);
	if (va >= HV_IMAGE_BASE)
		return HPA(va - HV_IMAGE_BASE);
	if (!paging_lookup(va, &pa))
		hv_panic("hv_virt_to_phys(%p): not mapped", p);
	return HPA(pa);
}

void *hv_phys_to_virt(hpa_t pa)
{
	return (void *)(HV_DIRECT_BASE + pa.v);
}

/* ---- stacks: kept for the next one of their size, never unmapped ---- */
struct stack_slot {
	struct stack_slot *next;
};
#define STACK_ORDERS 8 /* 16 KiB .. 2 MiB */
#define STACK_MIN_BYTES 16384ul
static struct stack_slot *stack_pool[STACK_ORDERS];
static struct hv_lock stack_lock;

static int stack_order(size_t bytes)
{
	for (int i = 0; i < STACK_ORDERS; i++)
		if (bytes <= STACK_MIN_BYTES << i)
			return i;
	return -1;
}

static bool map_stack(uint64_t va, size_t size)
{
	for (size_t at = 0; at < size; at += STACK_MIN_BYTES) {
		void *p = hv_pages_alloc(2);

		if (!p)
			return false;
		if (!paging_map(va + at, hv_virt_to_phys(p).v, STACK_MIN_BYTES, PAGING_RW)) {
			hv_pages_free(p, 2);
			return false;
		}
	}
	return true;
}

int arch_stack_alloc(size_t bytes, void **base, size_t *size)
{
	int order = stack_order(bytes);
	struct stack_slot *s;
	unsigned long irq;
	uint64_t va;

	if (order < 0)
		return trace_error(-ENOMEM);
	*size = STACK_MIN_BYTES << order;
	irq = hv_lock_irq(&stack_lock);
	s = stack_pool[order];
	if (s)
		stack_pool[order] = s->next;
	va = stack_next + HV_PAGE_SIZE; /* below it stays unmapped */
	if (!s)
		stack_next = va + *size;
	hv_unlock_irq(&stack_lock, irq);
	*base = s;
	if (s)
		return 0;
	if (va + *size > HV_STACK_END || !map_stack(va, *size))
		return trace_error(-ENOMEM); /* what was mapped stays: address space is plenty, and memory is short anyway */
	*base = (void *)va;
	return 0;
}

void arch_stack_free(void *base, size_t size)
{
	struct stack_slot *s = base;
	int order = stack_order(size);
	unsigned long irq = hv_lock_irq(&stack_lock);

	s->next = stack_pool[order];
	stack_pool[order] = s;
	hv_unlock_irq(&stack_lock, irq);
}
