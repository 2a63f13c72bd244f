/*
 * The dirty log (dirty.h). Two bits decide: the page's bit in the log (gmem.c), and its right in nested paging: to be written without a
 * fault (W), or where the machine logs by itself, without being logged again (D).
 *
 *	protected, clean --guest writes--> W or D set, then the log's bit --vm_dirty_read--> bit taken, W or D cleared, TLBs flushed
 *
 * No write is lost: the right is given before the bit is set, and taken after the bit was; a write by an old TLB entry in between is
 *covered by the bit just taken, because vm_dirty_read returns after the flush. What a machine has in its own log is brought over when a
 *vCPU's time slice ends (the vendor's unload).
 *
 * TLBs: nested.generation is raised, and each vCPU's core is asked by a message to leave its guest; a vendor's load flushes when it sees
 * another generation. Only after all cores have answered may tables be freed.
 */
#include "virt/dirty.h"

#include "virt/gmem_impl.h"
#include "virt/nested.h"
#include "virt/vcpu_impl.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/mem.h>
#include <string.h>

#define PAGES_PER_UNIT (GMEM_UNIT / HV_PAGE_SIZE)
#define YIELD_UNITS 64 /* between two turns of the core's loop */

struct dirty_log {
	uint64_t **table; /* [units]: the 4 KiB entries of each 2 MiB of RAM, NULL: mapped by one large entry */
	size_t units, bytes;
	struct leave {
		struct hv_msg msg;
		struct dirty_log *log;
	} leave[HV_MAX_CORES];
	_Atomic unsigned answers;
};

static void maybe_yield(size_t i)
{
	if (i % YIELD_UNITS == YIELD_UNITS - 1)
		hv_fiber_yield();
}

/* ---- cores leave the guest once ---- */

static void on_leave(struct hv_msg *m)
{
	atomic_fetch_add_explicit(&hv_container_of(m, struct leave, msg)->log->answers, 1, memory_order_release);
}

static void leave_all(struct vm *vm)
{
	struct dirty_log *d = vm->dirty;
	unsigned asked = 0;
	atomic_store(&d->answers, 0);
	for (unsigned i = 0; i < vm->cpu_count; i++)
		asked += hv_msg_post(vm->vcpus[i]->core, &d->leave[vm->vcpus[i]->core].msg); /* false: asked for another vCPU */
	while (atomic_load_explicit(&d->answers, memory_order_acquire) < asked)
		hv_fiber_yield();
}

static void flush_all(struct vm *vm)
{
	atomic_fetch_add(&vm->nested->generation, 1);
	leave_all(vm);
}

/* ---- rights ---- */

static uint64_t guarded(const struct nested *n)
{
	return n->machine_logs ? n->format->dirty : n->format->write;
}

static uint64_t *entry_of(const struct dirty_log *d, uint64_t page)
{
	return &d->table[page / PAGES_PER_UNIT][page % PAGES_PER_UNIT];
}

/* 512 small entries, each guarded, instead of the large one of unit i. */
static int split(struct vm *vm, size_t i)
{
	struct dirty_log *d = vm->dirty;
	struct nested *n = vm->nested;
	uint64_t *large = nested_unit_entry(n, gmem_page_gpa(vm->gmem, i * PAGES_PER_UNIT)), *table = hv_pages_alloc(HV_ORDER_4K);
	if (!large || !table) {
		if (table)
			hv_pages_free(table, HV_ORDER_4K);
		return -ENOMEM;
	}
	for (unsigned k = 0; k < PAGES_PER_UNIT; k++)
		table[k] = (*large & ~(NESTED_LARGE | guarded(n))) + k * HV_PAGE_SIZE;
	d->table[i] = table;
	__atomic_store_n(large, hv_virt_to_phys(table).v | n->format->table, __ATOMIC_RELEASE);
	return 0;
}

/* Back to large entries. */
static void merge_all(struct vm *vm)
{
	struct dirty_log *d = vm->dirty;
	struct nested *n = vm->nested;
	for (size_t i = 0; i < d->units; i++) {
		gpa_t gpa = gmem_page_gpa(vm->gmem, i * PAGES_PER_UNIT);
		if (d->table[i])
			__atomic_store_n(
				nested_unit_entry(n, gpa), hv_virt_to_phys(gmem_unit(vm->gmem, gpa)).v | n->format->leaf, __ATOMIC_RELEASE);
		maybe_yield(i);
	}
}

bool dirty_write_fault(struct vm *vm, gpa_t gpa)
{
	uint64_t page;
	if (!atomic_load_explicit(&vm->nested->logging, memory_order_acquire) || vm->nested->machine_logs ||
		!gmem_page(vm->gmem, gpa, &page))
		return false;
	if (vm->dirty->table[page / PAGES_PER_UNIT])
		__atomic_fetch_or(entry_of(vm->dirty, page), vm->nested->format->write, __ATOMIC_ACQ_REL);
	gmem_mark(vm->gmem, gpa, 1);
	return true;
}

/* ---- on, read, off ---- */

static void forget(struct vm *vm)
{
	struct dirty_log *d = vm->dirty;
	vm->dirty = NULL;
	hv_contig_free(d, d->bytes);
}

int vm_dirty_start(struct vm *vm)
{
	if (vm->dirty)
		return -EALREADY;
	int ret = gmem_log_start(vm->gmem);
	if (ret)
		return ret;
	size_t units = gmem_bytes(vm->gmem) / GMEM_UNIT, bytes = sizeof(struct dirty_log) + units * sizeof(uint64_t *);
	struct dirty_log *d = hv_contig_alloc(bytes, HV_PAGE_SIZE);
	if (!d) {
		gmem_log_stop(vm->gmem);
		return -ENOMEM;
	}
	memset(d, 0, bytes);
	d->units = units;
	d->bytes = bytes;
	d->table = (uint64_t **)(d + 1);
	for (unsigned i = 0; i < HV_MAX_CORES; i++)
		d->leave[i] = (struct leave){.msg = {.fn = on_leave}, .log = d};
	vm->dirty = d;
	atomic_store(&vm->nested->logging, true); /* a write that meets a split unit finds the log on, and the machine's is on everywhere */
	leave_all(vm);
	for (size_t i = 0; i < units && !ret; i++) {
		ret = split(vm, i);
		maybe_yield(i);
	}
	if (ret) {
		vm_dirty_stop(vm);
		return ret;
	}
	flush_all(vm);
	return 0;
}

size_t vm_dirty_words(const struct vm *vm)
{
	return (gmem_bytes(vm->gmem) / HV_PAGE_SIZE + 63) / 64;
}

gpa_t vm_dirty_gpa(const struct vm *vm, uint64_t page)
{
	return gmem_page_gpa(vm->gmem, page);
}

uint64_t vm_dirty_read(struct vm *vm, uint64_t *bits)
{
	struct dirty_log *d = vm->dirty;
	uint64_t count = 0, guard = ~guarded(vm->nested);
	leave_all(vm); /* what the machine has logged is brought over */
	for (size_t i = 0; i < vm_dirty_words(vm); i++) {
		bits[i] = gmem_log_take(vm->gmem, i);
		for (uint64_t left = bits[i]; left; left &= left - 1, count++)
			__atomic_fetch_and(entry_of(d, i * 64 + (unsigned)__builtin_ctzll(left)), guard, __ATOMIC_ACQ_REL);
		maybe_yield(i);
	}
	flush_all(vm);
	return count;
}

void vm_dirty_stop(struct vm *vm)
{
	struct dirty_log *d = vm->dirty;
	merge_all(vm);
	flush_all(vm); /* nobody walks the small tables any more */
	atomic_store(&vm->nested->logging, false);
	leave_all(vm); /* nobody logs any more, or handles a fault that came before */
	for (size_t i = 0; i < d->units; i++)
		if (d->table[i])
			hv_pages_free(d->table[i], HV_ORDER_4K);
	gmem_log_stop(vm->gmem);
	forget(vm);
}

void dirty_destroy(struct vm *vm)
{
	if (vm->dirty)
		forget(vm); /* the small tables are nested paging's now, and go with it */
}
