/* ACPI tables: a small good set, then hostile ones. Each mapping is an exact-size copy, so that ASan sees a byte too far. */
#include "test.h"
#include "arch/acpi.h"
#include <errno.h>
#include <stdlib.h>

#define MEMORY 4096
#define RSDP 0x10u
#define XSDT 0x100u
#define MADT 0x200u
#define MCFG 0x300u
#define FADT 0x400u
#define DSDT 0x600u

static uint8_t memory[MEMORY];
static void *mapped[64];
static unsigned mapped_count;

static const void *map(void *arg, uint64_t pa, uint64_t bytes)
{
	void *copy;

	if (pa >= MEMORY || bytes > MEMORY - pa || mapped_count == HV_ARRAY_LEN(mapped))
		return NULL;
	copy = malloc(bytes);
	memcpy(copy, memory + pa, bytes);
	mapped[mapped_count++] = copy;
	return copy;
}

static const struct acpi_source src = {map, NULL};

static void put(unsigned at, uint64_t v, unsigned bytes)
{
	memcpy(memory + at, &v, bytes);
}

static void seal(unsigned at, unsigned bytes, unsigned sum_at)
{
	uint8_t sum = 0;

	memory[at + sum_at] = 0;
	for (unsigned i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + memory[at + i]);
	memory[at + sum_at] = (uint8_t)-sum;
}

static void table(unsigned at, const char *signature, unsigned bytes)
{
	memcpy(memory + at, signature, 4);
	put(at + 4, bytes, 4);
	seal(at, bytes, 9);
}

static void make_madt(void)
{
	put(MADT + 36, 0xfee00000, 4);
	memcpy(memory + MADT + 44, "\x00\x08\x00\x00\x01\x00\x00\x00", 8);                                                 /* APIC 0 */
	memcpy(memory + MADT + 52, "\x00\x08\x01\x07\x01\x00\x00\x00", 8);                                                 /* APIC 7 */
	memcpy(memory + MADT + 60, "\x00\x08\x02\x09\x00\x00\x00\x00", 8);                                                 /* disabled */
	memcpy(memory + MADT + 68, "\x01\x0c\x00\x00\x00\x00\xc0\xfe\x00\x00\x00\x00", 12);                                /* IO-APIC */
	memcpy(memory + MADT + 80, "\x09\x10\x00\x00\x2c\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", 16);                /* x2APIC 300 */
	memcpy(memory + MADT + 96, "\x02\x0a\x00\x00\x02\x00\x00\x00\x00\x00", 10); /* ISA 0 -> input 2 */
	table(MADT, "APIC", 106);
}

static int setup(void **state)
{
	memset(memory, 0, sizeof(memory));
	memcpy(memory + RSDP, "RSD PTR ", 8);
	memory[RSDP + 15] = 2;
	put(RSDP + 20, 36, 4);
	put(RSDP + 24, XSDT, 8);
	seal(RSDP, 20, 8);
	put(XSDT + 36, MADT, 8);
	put(XSDT + 44, MCFG, 8);
	put(XSDT + 52, FADT, 8);
	table(XSDT, "XSDT", 60);
	make_madt();
	put(MCFG + 44, 0xb0000000, 8);
	memory[MCFG + 55] = 0xff;
	table(MCFG, "MCFG", 60);
	put(FADT + 40, DSDT, 4);
	put(FADT + 48, 0xb2, 4);
	memory[FADT + 52] = 2;
	put(FADT + 64, 0x604, 4);
	put(FADT + 76, 0x608, 4);
	put(FADT + 112, 1u << 10, 4);
	memory[FADT + 116] = 1;
	put(FADT + 120, 0xcf9, 8);
	memory[FADT + 128] = 0x0f;
	table(FADT, "FACP", 244);
	memcpy(memory + DSDT + 36, "\x08_S5_\x12\x06\x04\x0a\x05\x00\x00", 12);
	table(DSDT, "DSDT", 64);
	return 0;
}

static int teardown(void **state)
{
	while (mapped_count)
		free(mapped[--mapped_count]);
	return 0;
}

static void good_tables(void **state)
{
	struct acpi_info i;

	assert_int_equal(acpi_read(&src, RSDP, &i), 0);
	assert_int_equal(i.cpu_count, 3);
	assert_int_equal(i.cpu_apic_ids[1], 7);
	assert_int_equal(i.cpu_apic_ids[2], 300);
	assert_int_equal(i.ioapic_count, 1);
	assert_true(i.ioapic_bases[0] == 0xfec00000);
	assert_int_equal(i.isa_gsi[0], 2);
	assert_int_equal(i.isa_gsi[3], 3);
	assert_int_equal(i.ecam_count, 1);
	assert_true(i.ecams[0].base == 0xb0000000);
	assert_int_equal(i.ecams[0].last_bus, 0xff);
	assert_int_equal(i.pm_timer_port, 0x608);
	assert_int_equal(i.pm1a_control_port, 0x604);
	assert_true(i.has_s5);
	assert_int_equal(i.s5_a, 5);
	assert_int_equal(i.s5_b, 0);
	assert_true(i.has_reset);
	assert_int_equal(i.reset_value, 0x0f);
}

static void rsdt_when_there_is_no_xsdt(void **state)
{
	struct acpi_info i;

	memory[RSDP + 15] = 0;
	put(RSDP + 16, XSDT, 4);
	seal(RSDP, 20, 8);
	put(XSDT + 36, MADT, 4);
	put(XSDT + 40, FADT, 4);
	table(XSDT, "RSDT", 44);
	assert_int_equal(acpi_read(&src, RSDP, &i), 0);
	assert_int_equal(i.cpu_count, 3);
	assert_true(i.has_s5);
}

static void finds_the_rsdp(void **state)
{
	assert_int_equal(acpi_find_rsdp(memory, MEMORY), RSDP);
	assert_int_equal(acpi_find_rsdp(memory + 8, MEMORY - 8), -ENOENT); /* not on 16 bytes */
	assert_int_equal(acpi_find_rsdp(memory, RSDP + 35), -ENOENT);
	memory[RSDP + 9]++;
	assert_int_equal(acpi_find_rsdp(memory, MEMORY), -ENOENT);
}

static void bad_checksum_leaves_a_table_out(void **state)
{
	struct acpi_info i;

	memory[MADT + 50]++;
	assert_int_equal(acpi_read(&src, RSDP, &i), 0);
	assert_int_equal(i.cpu_count, 0);
	assert_int_equal(i.ecam_count, 1);
}

static void no_root(void **state)
{
	struct acpi_info i;

	assert_int_equal(acpi_read(&src, 0, &i), -EINVAL);
	memory[XSDT + 9]++;
	assert_int_equal(acpi_read(&src, RSDP, &i), -EINVAL);
	assert_true(i.lapic_base == 0xfee00000);
}

/* Every byte of every table takes hostile values, with the checksum made right again: nothing is read out of bounds. */
static void every_changed_byte_stays_in_bounds(void **state)
{
	static const unsigned tables[] = {XSDT, MADT, MCFG, FADT, DSDT}, sizes[] = {60, 106, 60, 244, 64};
	static const uint8_t values[] = {0, 1, 2, 0x0a, 0x12, 0x7f, 0x80, 0xc0, 0xff};
	struct acpi_info info;

	for (unsigned t = 0; t < HV_ARRAY_LEN(tables); t++)
		for (unsigned i = 0; i < sizes[t]; i++)
			for (unsigned v = 0; v < HV_ARRAY_LEN(values); v++) {
				unsigned bytes;

				setup(NULL);
				memory[tables[t] + i] = values[v];
				memcpy(&bytes, memory + tables[t] + 4, 4);
				if (bytes >= 36 && bytes < MEMORY - tables[t])
					seal(tables[t], bytes, 9);
				if (!acpi_read(&src, RSDP, &info)) {
					assert_true(info.cpu_count <= ACPI_MAX_CPUS);
					assert_true(info.ecam_count <= ACPI_MAX_ECAMS);
				}
				teardown(NULL);
			}
}

static void more_processors_than_supported(void **state)
{
	struct acpi_info i;

	for (unsigned k = 0; k < 100; k++) {
		uint8_t e[8] = {0, 8, (uint8_t)k, (uint8_t)k, 1};

		memcpy(memory + 0x800 + 44 + k * 8, e, 8);
	}
	table(0x800, "APIC", 44 + 800);
	put(XSDT + 36, 0x800, 8);
	table(XSDT, "XSDT", 60);
	assert_int_equal(acpi_read(&src, RSDP, &i), 0);
	assert_int_equal(i.cpu_count, ACPI_MAX_CPUS);
	assert_int_equal(i.cpu_skipped, 100 - ACPI_MAX_CPUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(rsdt_when_there_is_no_xsdt, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_the_rsdp, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_checksum_leaves_a_table_out, setup, teardown),
		cmocka_unit_test_setup_teardown(no_root, setup, teardown),
		cmocka_unit_test_setup_teardown(every_changed_byte_stays_in_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(more_processors_than_supported, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
