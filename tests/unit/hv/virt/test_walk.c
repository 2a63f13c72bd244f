/* The guest page walk in its three modes: addresses, rights, accessed and dirty bits, error codes, damaged tables. */
#include "test.h"
#include "virt/gmem_impl.h"
#include "virt/walk.h"
#include "virt/x86.h"
#include <errno.h>

#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define NX (1ull << 63)

static struct gmem *m;
static struct walk w;
static uint32_t error;
static gpa_t gpa;

static void set(uint64_t at, uint64_t entry)
{
	assert_int_equal(gmem_write(m, GPA(at), &entry, 8), 0);
}

static uint64_t entry_at(uint64_t at)
{
	uint64_t e;
	assert_int_equal(gmem_read(m, GPA(at), &e, 8), 0);
	return e;
}

static int setup(void **state)
{
	native_start(1);
	if (gmem_create(GMEM_UNIT, &m))
		return -1;
	w = (struct walk){.gmem = m, .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1000, .cr4 = CR4_PAE, .efer = EFER_LMA | EFER_LME | EFER_NXE};
	set(0x1000, 0x2000 | P | W | U);
	set(0x2000, 0x3000 | P | W | U);
	set(0x3000, 0x4000 | P | W | U);
	set(0x4000, 0x5000 | P | W | U);       /* 0x0000: user */
	set(0x4008, 0x6000 | P | W);           /* 0x1000: supervisor */
	set(0x4010, 0x7000 | P | U);           /* 0x2000: user, read-only */
	set(0x4018, 0x8000 | P | W | U | NX);  /* 0x3000: not executable */
	set(0x3008, 0x200000 | P | W | U | PS); /* 2 MiB at 0x200000 */
	set(0x2008, 0x40000000 | P | W | PS);  /* 1 GiB at 1 GiB */
	return 0;
}

static int teardown(void **state)
{
	gmem_destroy(m);
	return 0;
}

static int go(uint64_t gva, unsigned access)
{
	error = 0;
	return walk_translate(&w, gva, access, &gpa, &error);
}

static void long_mode_addresses(void **state)
{
	assert_int_equal(go(0x123, WALK_READ), 0);
	assert_int_equal(gpa.v, 0x5123);
	assert_int_equal(go(0x201234, WALK_READ), 0);
	assert_int_equal(gpa.v, 0x201234);
	assert_int_equal(go(0x40012345, WALK_READ), 0);
	assert_int_equal(gpa.v, 0x40012345);
	assert_int_equal(go(0x5000, WALK_READ), -EFAULT);
	assert_int_equal(error, 0);
	assert_int_equal(go(0x5000, WALK_WRITE), -EFAULT);
	assert_int_equal(error, PF_WRITE);
}

static void accessed_and_dirty(void **state)
{
	assert_int_equal(go(0, WALK_READ), 0);
	assert_int_equal(entry_at(0x4000), 0x5000 | P | W | U | A);
	assert_int_equal(entry_at(0x1000) & (A | D), A);
	assert_int_equal(go(0, WALK_WRITE), 0);
	assert_int_equal(entry_at(0x4000) & (A | D), A | D);
	w.cpl = 3;
	assert_int_equal(go(0x1000, WALK_READ), -EFAULT); /* refused: not accessed */
	assert_int_equal(entry_at(0x4008) & A, 0);
}

static void rights(void **state)
{
	assert_int_equal(go(0x2000, WALK_WRITE), -EFAULT);
	assert_int_equal(error, PF_PRESENT | PF_WRITE);
	w.cr0 &= ~CR0_WP;
	assert_int_equal(go(0x2000, WALK_WRITE), 0);
	w.cpl = 3;
	assert_int_equal(go(0x2000, WALK_WRITE), -EFAULT);
	assert_int_equal(error, PF_PRESENT | PF_WRITE | PF_USER);
	assert_int_equal(go(0x1000, WALK_READ), -EFAULT);
	assert_int_equal(error, PF_PRESENT | PF_USER);
	assert_int_equal(go(0x1000, WALK_READ | WALK_IMPLICIT), 0);
	assert_int_equal(go(0x3000, WALK_FETCH), -EFAULT);
	assert_int_equal(error, PF_PRESENT | PF_USER | PF_FETCH);
	assert_int_equal(go(0x3000, WALK_READ), 0);
}

static void smep_and_smap(void **state)
{
	w.cr4 |= CR4_SMEP;
	assert_int_equal(go(0, WALK_FETCH), -EFAULT);
	assert_int_equal(go(0x1000, WALK_FETCH), 0);
	w.cr4 |= CR4_SMAP;
	assert_int_equal(go(0, WALK_READ), -EFAULT);
	w.rflags = FLAGS_AC;
	assert_int_equal(go(0, WALK_READ), 0);
	assert_int_equal(go(0, WALK_READ | WALK_IMPLICIT), -EFAULT);
}

static void reserved_bits_and_tables_outside_of_ram(void **state)
{
	w.efer &= ~EFER_NXE;
	assert_int_equal(go(0x3000, WALK_READ), -EFAULT);
	assert_int_equal(error, PF_PRESENT | PF_RESERVED);
	set(0x3008, 0x201000 | P | PS | 1u << 13); /* 2 MiB page, misaligned */
	assert_int_equal(go(0x200000, WALK_READ), -EFAULT);
	assert_int_equal(error, PF_PRESENT | PF_RESERVED);
	w.phys_bits = 40;
	set(0x4000, 0x5000 | P | 1ull << 45);
	assert_int_equal(go(0, WALK_READ), -EFAULT);
	w.cr3 = 0xd0000000;
	assert_int_equal(go(0, WALK_READ), -ENXIO);
}

static void legacy_and_pae(void **state)
{
	uint32_t pde = 0x9000 | 3, large = 0x00400000 | 3 | PS, pte = 0xa000 | 3;
	w = (struct walk){.gmem = m, .cr0 = CR0_PE | CR0_PG, .cr3 = 0x8000, .cr4 = CR4_PSE};
	assert_int_equal(gmem_write(m, GPA(0x8000), &pde, 4), 0);
	assert_int_equal(gmem_write(m, GPA(0x8004), &large, 4), 0);
	assert_int_equal(gmem_write(m, GPA(0x9004), &pte, 4), 0);
	assert_int_equal(go(0x1abc, WALK_READ), 0);
	assert_int_equal(gpa.v, 0xaabc);
	assert_int_equal(go(0x512345, WALK_WRITE), 0);
	assert_int_equal(gpa.v, 0x512345);
	w.cr4 = CR4_PAE;
	w.cr3 = 0x8020;
	set(0x8020, 0xb000 | P);
	set(0xb000, 0xc000 | P | W);
	set(0xc008, 0xd000 | P | W);
	assert_int_equal(go(0x1def, WALK_WRITE), 0);
	assert_int_equal(gpa.v, 0xddef);
	assert_int_equal(entry_at(0x8020), 0xb000 | P); /* no accessed bit in a PDPTE */
	w.cr0 = CR0_PE;
	assert_int_equal(go(0x12345, WALK_WRITE), 0);
	assert_int_equal(gpa.v, 0x12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(long_mode_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(accessed_and_dirty, setup, teardown),
		cmocka_unit_test_setup_teardown(rights, setup, teardown),
		cmocka_unit_test_setup_teardown(smep_and_smap, setup, teardown),
		cmocka_unit_test_setup_teardown(reserved_bits_and_tables_outside_of_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(legacy_and_pae, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
