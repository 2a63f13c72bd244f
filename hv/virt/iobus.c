/*
 * The I/O bus (iobus.h): for each space a sorted array of regions. vCPU cores look up without a lock: a sequence count is odd while a writer
 * moves entries, and a reader that saw it change looks again. Writers (attach, detach: rare) take a spinlock. Regions belong to their devices
 * and live as long as the VM, so that a region found just before its detach is still safe to call.
 */
#include "virt/iobus_impl.h"

#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/mem.h>
#include <stdatomic.h>
#include <string.h>

#define REGIONS_MAX 128

struct slot {
	_Atomic uint64_t start, end; /* end: first address behind */
	struct io_region *_Atomic region;
};

struct space {
	_Atomic uint32_t sequence;
	_Atomic uint32_t count;
	atomic_flag writing;
	struct slot slots[REGIONS_MAX];
};

struct iobus {
	struct space spaces[2];
};

struct iobus *iobus_create(void)
{
	struct iobus *bus = hv_contig_alloc(sizeof(*bus), HV_PAGE_SIZE);
	if (bus)
		memset(bus, 0, sizeof(*bus));
	return bus;
}

void iobus_destroy(struct iobus *bus)
{
	if (bus)
		hv_contig_free(bus, sizeof(*bus));
}

static void write_begin(struct space *s)
{
	while (atomic_flag_test_and_set_explicit(&s->writing, memory_order_acquire))
		__builtin_ia32_pause();
	atomic_fetch_add_explicit(&s->sequence, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void write_end(struct space *s)
{
	atomic_fetch_add_explicit(&s->sequence, 1, memory_order_release);
	atomic_flag_clear_explicit(&s->writing, memory_order_release);
}

static void slot_set(struct slot *to, uint64_t start, uint64_t end, struct io_region *r)
{
	atomic_store_explicit(&to->start, start, memory_order_relaxed);
	atomic_store_explicit(&to->end, end, memory_order_relaxed);
	atomic_store_explicit(&to->region, r, memory_order_relaxed);
}

static void slot_copy(struct slot *to, const struct slot *from)
{
	slot_set(to, from->start, from->end, from->region);
}

/* The first slot that ends above addr (count when there is none). */
static uint32_t find(const struct space *s, uint64_t addr)
{
	uint32_t lo = 0, hi = atomic_load_explicit(&s->count, memory_order_relaxed);
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (atomic_load_explicit(&s->slots[mid].end, memory_order_relaxed) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int iobus_attach(struct vm *vm, enum io_space space, struct io_region *r)
{
	struct space *s = &vm->iobus->spaces[space];
	uint64_t end = r->start + r->bytes;
	if (r->bytes == 0 || end < r->start || (space == IO_PORT && end > 0x10000))
		return -EINVAL;
	int ret = 0;
	write_begin(s);
	uint32_t n = s->count, at = find(s, r->start);
	if (r->attached || (at < n && s->slots[at].start < end)) {
		ret = -EBUSY;
	} else if (n == REGIONS_MAX) {
		ret = -ENOSPC;
	} else {
		for (uint32_t i = n; i > at; i--)
			slot_copy(&s->slots[i], &s->slots[i - 1]);
		slot_set(&s->slots[at], r->start, end, r);
		s->count = n + 1;
		r->attached = true;
	}
	write_end(s);
	return ret;
}

void iobus_detach(struct vm *vm, enum io_space space, struct io_region *r)
{
	struct space *s = &vm->iobus->spaces[space];
	write_begin(s);
	if (r->attached) {
		uint32_t n = s->count, at = find(s, r->start);
		if (at < n && s->slots[at].region == r) {
			for (uint32_t i = at; i + 1 < n; i++)
				slot_copy(&s->slots[i], &s->slots[i + 1]);
			s->count = n - 1;
			r->attached = false;
		}
	}
	write_end(s);
}

/* The region at addr with its bounds into *h; false when nobody answers there. */
static bool lookup(const struct space *s, uint64_t addr, struct io_hint *h)
{
	for (;;) {
		uint32_t sequence = atomic_load_explicit(&s->sequence, memory_order_acquire);
		bool found = false;
		uint32_t at = find(s, addr);
		if (at < REGIONS_MAX && at < atomic_load_explicit(&s->count, memory_order_relaxed)) {
			uint64_t start = atomic_load_explicit(&s->slots[at].start, memory_order_relaxed);
			uint64_t end = atomic_load_explicit(&s->slots[at].end, memory_order_relaxed);
			found = start <= addr;
			if (found)
				*h = (struct io_hint){
					start, end - start, atomic_load_explicit(&s->slots[at].region, memory_order_relaxed), sequence};
		}
		atomic_thread_fence(memory_order_acquire);
		if (!(sequence & 1) && sequence == atomic_load_explicit(&s->sequence, memory_order_relaxed))
			return found;
		__builtin_ia32_pause();
	}
}

static uint64_t all_ones(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

/* An access that begins in one region and ends outside of it is split into bytes, as a bus does. */
__attribute__((noinline)) static bool dispatch_bytes(struct vm *vm, enum io_space space, struct io_access *a)
{
	bool any = false;
	uint64_t value = 0;
	for (unsigned i = 0; i < a->size; i++) {
		struct io_access byte = {.vcpu = a->vcpu, .addr = a->addr + i, .size = 1, .write = a->write, .value = a->value >> (8 * i) & 0xff};
		any |= iobus_dispatch(vm, space, &byte);
		value |= (byte.value & 0xff) << (8 * i);
	}
	if (!a->write)
		a->value = value;
	return any;
}

static bool call(struct vm *vm, enum io_space space, const struct io_hint *h, struct io_access *a)
{
	a->offset = a->addr - h->start;
	if (h->bytes - a->offset < a->size)
		return dispatch_bytes(vm, space, a);
	h->region->access(h->region, a);
	if (!a->write)
		a->value &= all_ones(a->size);
	return true;
}

__attribute__((noinline)) static bool search(struct vm *vm, enum io_space space, struct io_access *a)
{
	struct io_hint found, *h = a->hint ? a->hint : &found;
	if (lookup(&vm->iobus->spaces[space], a->addr, h))
		return call(vm, space, h, a);
	atomic_fetch_add_explicit(&vm->io_unclaimed, 1, memory_order_relaxed);
	if (!a->write)
		a->value = all_ones(a->size);
	return false;
}

/* Guests touch the same device again and again: the last region, if the space is as it was, else a search. */
bool iobus_dispatch(struct vm *vm, enum io_space space, struct io_access *a)
{
	const struct io_hint *h = a->hint;
	if (h && a->addr - h->start < h->bytes &&
		h->sequence == atomic_load_explicit(&vm->iobus->spaces[space].sequence, memory_order_acquire))
		return call(vm, space, h, a);
	return search(vm, space, a);
}
