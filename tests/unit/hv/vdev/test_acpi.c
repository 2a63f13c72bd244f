/* The ACPI tables: checksums, where they point, what they say. With BERTH_DUMP=DIR they are also written there, for iasl -d. */
#include "test.h"

#include "machine.h"
#include "vdev/acpi.h"
#include "virt/gmem.h"
#include <stdio.h>
#include <stdlib.h>

#define RSDP 0xe0000u

static uint8_t area[ACPI_AREA_BYTES];

static int setup(void **state)
{
	machine_start(3, 4 << 20);
	assert_int_equal(gmem_read(m.vm.gmem, GPA(RSDP), area, sizeof(area)), 0);
	return 0;
}
static int teardown(void **state)
{
	machine_stop();
	return 0;
}

static uint64_t get(const uint8_t *t, unsigned at, unsigned bytes)
{
	uint64_t x = 0;
	memcpy(&x, t + at, bytes);
	return x;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;
	while (len--)
		s += *p++;
	return s;
}

static const uint8_t *at(uint64_t gpa)
{
	assert_in_range(gpa, RSDP, RSDP + ACPI_AREA_BYTES - 64);
	return area + (gpa - RSDP);
}

static const uint8_t *table(const char *signature)
{
	const uint8_t *xsdt = at(get(area, 24, 8));
	for (uint64_t i = 36; i < get(xsdt, 4, 4); i += 8) {
		const uint8_t *t = at(get(xsdt, i, 8));
		if (memcmp(t, signature, 4) == 0) {
			assert_int_equal(sum(t, get(t, 4, 4)), 0);
			return t;
		}
	}
	fail_msg("no %s", signature);
	return NULL;
}

static void root(void **state)
{
	assert_memory_equal(area, "RSD PTR ", 8);
	assert_int_equal(sum(area, 20), 0);
	assert_int_equal(sum(area, 36), 0);
	const uint8_t *xsdt = at(get(area, 24, 8));
	assert_memory_equal(xsdt, "XSDT", 4);
	assert_int_equal(sum(xsdt, get(xsdt, 4, 4)), 0);
}

static void madt(void **state)
{
	const uint8_t *t = table("APIC");
	unsigned cpus = 0, ioapics = 0, overrides = 0;
	for (uint64_t i = 44; i < get(t, 4, 4); i += t[i + 1]) {
		assert_true(t[i + 1] >= 2);
		cpus += t[i] == 0 && t[i + 3] == cpus && t[i + 4] == 1;
		ioapics += t[i] == 1 && get(t, i + 4, 4) == 0xfec00000;
		if (t[i] == 2 && t[i + 3] == 0) {
			overrides++;
			assert_int_equal(get(t, i + 4, 4), 2);
		}
	}
	assert_int_equal(cpus, 3);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 1);
}

static void fadt_agrees_with_the_devices(void **state)
{
	const uint8_t *t = table("FACP");
	assert_memory_equal(at(get(t, 40, 4)), "DSDT", 4);
	assert_int_equal(sum(at(get(t, 40, 4)), get(at(get(t, 40, 4)), 4, 4)), 0);
	assert_memory_equal(at(get(t, 36, 4)), "FACS", 4);
	assert_int_equal(get(t, 36, 4) % 64, 0);
	uint16_t timer = (uint16_t)get(t, 76, 4), control = (uint16_t)get(t, 64, 4);
	uint32_t before = in32(timer);
	pass(MS);
	assert_in_range(in32(timer) - before, 3570, 3590);
	assert_int_equal(get(t, 116, 1), 1);
	assert_int_equal(get(t, 120, 8), 0xcf9);
	/* \_S5 is Name, Package of 4, and its first element is the sleep type */
	const uint8_t *dsdt = at(get(t, 40, 4));
	const uint8_t *s5 = NULL;
	for (unsigned i = 36; i + 16 < get(dsdt, 4, 4); i++)
		if (memcmp(dsdt + i, "\x08_S5_\x12", 6) == 0)
			s5 = dsdt + i;
	assert_non_null(s5);
	assert_int_equal(s5[9], 4);
	assert_int_equal(s5[10], 0x0a);
	out16(control, (uint16_t)(1 << 13 | s5[11] << 10));
	assert_int_equal(m.vm.end_how, VM_END_POWER_OFF);
}

static void mcfg(void **state)
{
	const uint8_t *t = table("MCFG");
	assert_int_equal(get(t, 44, 8), 0xe0000000);
	assert_int_equal(t[55], 0);
}

static void dump(void **state)
{
	const char *dir = getenv("BERTH_DUMP"), *names[] = {"FACP", "APIC", "MCFG"};
	if (!dir)
		skip();
	for (unsigned i = 0; i < 4; i++) {
		char path[256];
		const uint8_t *t = i < 3 ? table(names[i]) : at(get(table("FACP"), 40, 4));
		snprintf(path, sizeof(path), "%s/%.4s.dat", dir, t);
		FILE *f = fopen(path, "wb");
		assert_non_null(f);
		assert_int_equal(fwrite(t, 1, get(t, 4, 4), f), get(t, 4, 4));
		fclose(f);
	}
}

static void too_small_a_buffer_fails(void **state)
{
	uint8_t bytes[16];
	struct acpi_buf b = {.bytes = bytes, .size = sizeof(bytes)};
	size_t s = aml_scope_begin(&b, "\\_SB");
	struct aml_resources r = aml_resources_begin(&b);
	aml_res_memory_fixed(&r, 0, 0);
	aml_resources_end(&r);
	aml_end(&b, s);
	assert_true(b.failed);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {T(root), T(madt), T(fadt_agrees_with_the_devices), T(mcfg), T(dump), T(too_small_a_buffer_fails)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
