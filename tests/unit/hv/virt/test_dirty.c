/*
 * The dirty log over real nested page tables and guest memory, with a machine that is played by hand: what it may write, what it logs, what
 * a look takes; the log's end leaves the tables as they were; every failed allocation undoes.
 */
#include "test.h"
#include "virt/dirty.h"
#include "virt/gmem_impl.h"
#include "virt/nested.h"
#include "virt/vcpu_impl.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/mem.h>
#include <stdlib.h>

#define MEMORY (6 * GMEM_UNIT)

static const struct nested_format format = {.table = 7, .leaf = 7 | NESTED_LARGE, .present = 1, .write = 2, .dirty = 1 << 6};
static struct vm vm;
static struct vcpu vcpus[2];
static struct nested nested;
static uint64_t *bits;
static uint64_t before;

static uint64_t used(void)
{
	uint64_t total, unused;
	hv_mem_usage(&total, &unused);
	return total - unused;
}

static int start(bool machine_logs)
{
	native_start(2);
	before = used();
	memset(&vm, 0, sizeof(vm));
	memset(&nested, 0, sizeof(nested));
	if (gmem_create(MEMORY, &vm.gmem) || nested_create(&nested, &format, vm.gmem, false))
		return -1;
	nested.machine_logs = machine_logs;
	vm.nested = &nested;
	vm.cpu_count = 2;
	for (unsigned i = 0; i < 2; i++) {
		vcpus[i].core = (uint16_t)i;
		vm.vcpus[i] = &vcpus[i];
	}
	bits = calloc(gmem_bytes(vm.gmem) / HV_PAGE_SIZE / 64, sizeof(*bits));
	return 0;
}

static int setup(void **state)
{
	return start(false);
}
static int setup_machine_logs(void **state)
{
	return start(true);
}

static int teardown(void **state)
{
	dirty_destroy(&vm);
	nested_destroy(&nested);
	gmem_destroy(vm.gmem);
	free(bits);
	assert_int_equal(used(), before);
	return 0;
}

/* ---- in a fiber on core 0 ---- */
static int result;
static uint64_t count;
static unsigned failing; /* the n-th allocation of vm_dirty_start; 0: none */
static void fiber_start(void *arg)
{
	native_fail_alloc(failing);
	result = vm_dirty_start(&vm);
	native_fail_alloc(0);
}
static void fiber_read(void *arg)
{
	count = vm_dirty_read(&vm, bits);
}
static void fiber_stop(void *arg)
{
	vm_dirty_stop(&vm);
}
static void in_fiber(void (*fn)(void *))
{
	native_core_select(0);
	assert_int_equal(hv_fiber_spawn("test", fn, NULL, 0), 0);
	native_run(100000);
	native_core_select(0);
}
static int dirty_on(void)
{
	result = 1;
	in_fiber(fiber_start);
	return result;
}
static uint64_t look(void)
{
	in_fiber(fiber_read);
	return count;
}
static bool is_dirty(uint64_t page)
{
	return bits[page / 64] >> (page % 64) & 1;
}

/* The leaf of a guest page as a processor finds it. */
static uint64_t *leaf(uint64_t gpa, bool *large)
{
	uint64_t *table = nested.root;
	*large = false;
	for (unsigned shift = 39;; shift -= 9) {
		uint64_t *e = &table[gpa >> shift & 511];
		*large = *e & NESTED_LARGE;
		if (shift == 12 || *large)
			return e;
		table = hv_phys_to_virt(HPA(*e & 0x000ffffffffff000ull));
	}
}

/* A processor's write to guest memory. False: it faults. */
static bool machine_writes(uint64_t gpa)
{
	bool large;
	uint64_t *e = leaf(gpa, &large);
	if (!(*e & format.write))
		return false;
	if (!(*e & format.dirty) && nested.machine_logs && atomic_load(&nested.logging))
		gmem_mark(vm.gmem, GPA(gpa), 1);
	*e |= format.dirty;
	return true;
}

static void write_protection(void **state)
{
	bool large;
	uint64_t *data = gmem_ptr(vm.gmem, GPA(0x5000), 8, true);
	assert_false(dirty_write_fault(&vm, GPA(0x5000))); /* off */
	uint32_t generation = atomic_load(&nested.generation);
	assert_int_equal(dirty_on(), 0);
	assert_int_equal(dirty_on(), -EALREADY);
	assert_true(atomic_load(&nested.generation) > generation);
	assert_int_equal(look(), 0);
	assert_false(machine_writes(0x5000));
	assert_true(dirty_write_fault(&vm, GPA(0x5008)));
	assert_true(machine_writes(0x5000));
	assert_false(machine_writes(0x6000));
	assert_ptr_equal(hv_phys_to_virt(HPA(*leaf(0x5000, &large) & 0x000ffffffffff000ull)), data); /* the same memory */
	assert_false(large);
	assert_false(dirty_write_fault(&vm, GPA(MEMORY))); /* not RAM */
	generation = atomic_load(&nested.generation);
	assert_int_equal(look(), 1);
	assert_true(is_dirty(5));
	assert_true(atomic_load(&nested.generation) > generation);
	assert_false(machine_writes(0x5000)); /* protected again */
	assert_int_equal(look(), 0);
	in_fiber(fiber_stop);
	assert_true(machine_writes(0x5000));
	assert_int_equal(*leaf(0x5000, &large) & 0xfff & ~format.dirty, format.leaf);
	assert_true(large);
	assert_false(dirty_write_fault(&vm, GPA(0x5000)));
}

static void machine_that_logs(void **state)
{
	bool large;
	assert_true(machine_writes(0x5000)); /* before: D is set in the large entry */
	assert_int_equal(dirty_on(), 0);
	assert_true(machine_writes(0x5000));
	assert_true(machine_writes(GMEM_UNIT + 0x7000));
	assert_false(dirty_write_fault(&vm, GPA(0x5000)));
	assert_int_equal(look(), 2);
	assert_true(is_dirty(5) && is_dirty(512 + 7));
	assert_int_equal(*leaf(0x5000, &large) & format.dirty, 0);
	assert_true(machine_writes(0x5000));
	assert_int_equal(look(), 1);
	in_fiber(fiber_stop);
	assert_int_equal(dirty_on(), 0); /* and again */
	assert_int_equal(look(), 0);
}

/* What the hypervisor writes for the guest counts too. */
static void written_for_the_guest(void **state)
{
	uint64_t x = 0;
	assert_int_equal(gmem_write(vm.gmem, GPA(0x1000), &x, 8), 0); /* off: not marked */
	assert_int_equal(dirty_on(), 0);
	assert_int_equal(gmem_write(vm.gmem, GPA(GMEM_UNIT - 4), &x, 8), 0);
	gmem_mark(vm.gmem, GPA(0x2fff), 2);
	gmem_mark(vm.gmem, GPA(0x9000), 0);
	gmem_mark(vm.gmem, GPA(MEMORY - 1), 100); /* what is not RAM is left out */
	gmem_mark(vm.gmem, GPA(UINT64_MAX - 5), 100);
	assert_int_equal(look(), 5);
	assert_true(is_dirty(511) && is_dirty(512) && is_dirty(2) && is_dirty(3) && is_dirty(MEMORY / HV_PAGE_SIZE - 1));
}

static void pages_have_addresses(void **state)
{
	uint64_t page;
	assert_int_equal(gmem_page_gpa(vm.gmem, 3).v, 0x3000);
	assert_true(gmem_page(vm.gmem, GPA(0x3fff), &page) && page == 3);
	assert_false(gmem_page(vm.gmem, GPA(MEMORY), &page));
	assert_false(gmem_page(vm.gmem, GPA(GMEM_HIGH), &page));
	assert_int_equal(vm_dirty_words(&vm), MEMORY / HV_PAGE_SIZE / 64);
}

static void failed_allocations_undo(void **state)
{
	bool large;
	for (unsigned i = 1; i < 8; i++) { /* the bits (the first time), the log, a table for each of six units */
		uint64_t at_first = used();
		failing = i;
		assert_int_equal(dirty_on(), -ENOMEM);
		assert_null(vm.dirty);
		assert_true(machine_writes(0x5000));
		assert_int_equal(*leaf(0x5000, &large) & NESTED_LARGE, NESTED_LARGE);
		assert_true(used() <= at_first + HV_PAGE_SIZE); /* the bits stay */
	}
	failing = 0;
	assert_int_equal(dirty_on(), 0); /* left on: the end of the VM frees it */
}

static void gigabyte_is_split(void **state)
{
	uint64_t *pdpt = hv_phys_to_virt(HPA(nested.root[0] & 0x000ffffffffff000ull));
	pdpt[1] = 0x40000000 | format.leaf;
	uint64_t *e = nested_unit_entry(&nested, GPA(0x40000000 + 5 * GMEM_UNIT));
	assert_int_equal(*e, (0x40000000 + 5 * GMEM_UNIT) | format.leaf);
	assert_int_equal(pdpt[1] & 0xfff, format.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(write_protection, setup, teardown),
		cmocka_unit_test_setup_teardown(machine_that_logs, setup_machine_logs, teardown),
		cmocka_unit_test_setup_teardown(written_for_the_guest, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_have_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_allocations_undo, setup, teardown),
		cmocka_unit_test_setup_teardown(gigabyte_is_split, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
