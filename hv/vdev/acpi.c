/*
 * The ACPI tables a guest finds (ACPI 6.4, 5.2): what there is, where, and how to turn it off. Built in private memory, then copied to
 * guest memory at 0xe0000, once: constant for a VM's life.
 */
#include "vdev/acpi.h"
#include "vdev/ioapic.h"
#include "vdev/lapic_impl.h"
#include "vdev/pci.h"
#include "vdev/pmtimer.h"
#include "vdev/rtc.h"
#include "vdev/uart.h"
#include "virt/gmem.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define RSDP_BYTES 36
#define FADT_BYTES 276
#define FACS_BYTES 64
#define BUILD_BYTES 4096

/* Fields of the FADT (table 5.9). */
enum {
	FADT_FIRMWARE_CTRL = 36,
	FADT_DSDT = 40,
	FADT_PROFILE = 45,
	FADT_SCI_INT = 46,
	FADT_PM1A_EVT = 56,
	FADT_PM1A_CNT = 64,
	FADT_PM_TMR = 76,
	FADT_PM1_EVT_LEN = 88,
	FADT_PM1_CNT_LEN = 89,
	FADT_PM_TMR_LEN = 91,
	FADT_C2_LATENCY = 96,
	FADT_C3_LATENCY = 98,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT = 148,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM_TMR = 208,
};

#define PROFILE_SERVER 4
#define NO_C2_LATENCY 101
#define NO_C3_LATENCY 1001
#define BOOT_LEGACY_DEVICES (1u << 0)
#define BOOT_NO_VGA (1u << 2)
#define BOOT_NO_ASPM (1u << 4)
#define FLAG_WBINVD (1u << 0)
#define FLAG_C1 (1u << 2)
#define FLAG_NO_SLEEP_BUTTON (1u << 5)
#define FLAG_NO_RTC_WAKE (1u << 6)
#define FLAG_TIMER_32BIT (1u << 8)
#define FLAG_RESET_REG (1u << 10)
#define RESET_PORT 0xcf9
#define RESET_VALUE 0x06

#define MADT_PCAT_COMPAT 1u
#define INTI_EDGE_HIGH 0x0005
#define INTI_LEVEL_HIGH 0x000d

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;
	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* Tables begin on 64-byte boundaries (the FACS must). */
static size_t table_begin(struct acpi_buf *b, const char *signature, uint8_t revision)
{
	while (b->used % 64 && !b->failed)
		acpi_put8(b, 0);
	size_t at = b->used;
	acpi_put(b, signature, 4);
	acpi_put32(b, 0); /* length and checksum: table_end */
	acpi_put8(b, revision);
	acpi_put8(b, 0);
	acpi_put(b, "BERTH ", 6);
	acpi_put(b, "BERTHVM ", 8);
	acpi_put32(b, 1);
	acpi_put(b, "BRTH", 4);
	acpi_put32(b, 1);
	return at;
}

static uint32_t table_end(struct acpi_buf *b, size_t at)
{
	if (b->failed)
		return 0;
	uint32_t len = (uint32_t)(b->used - at);
	memcpy(b->bytes + at + 4, &len, sizeof(len));
	b->bytes[at + 9] = (uint8_t)-sum(b->bytes + at, len);
	return ACPI_RSDP_GPA + (uint32_t)at;
}

/* ---- DSDT ---- */

static void isa_device(struct acpi_buf *b, const char *name, const char *id, uint8_t uid, uint16_t port, uint8_t bytes, unsigned irq)
{
	size_t device = aml_device_begin(b, name);
	aml_name(b, "_HID");
	aml_eisa_id(b, id);
	aml_name(b, "_UID");
	aml_integer(b, uid);
	aml_name(b, "_CRS");
	struct aml_resources r = aml_resources_begin(b);
	aml_res_io(&r, port, bytes);
	aml_res_irq(&r, irq);
	aml_resources_end(&r);
	aml_end(b, device);
}

static void host_bridge(struct acpi_buf *b)
{
	size_t device = aml_device_begin(b, "PCI0");
	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0A08");
	aml_name(b, "_CID");
	aml_eisa_id(b, "PNP0A03");
	aml_name(b, "_UID");
	aml_integer(b, 0);
	aml_name(b, "_BBN");
	aml_integer(b, 0);
	aml_name(b, "_CRS");
	struct aml_resources r = aml_resources_begin(b);
	aml_res_bus(&r, 0, 0);
	aml_res_io(&r, 0xcf8, 8);
	aml_res_io_window(&r, 0x0000, 0x0cf7);
	aml_res_io_window(&r, VPCI_IO_BASE, VPCI_IO_BASE + VPCI_IO_BYTES - 1);
	aml_res_memory_window(&r, VPCI_MMIO_BASE, VPCI_MMIO_BASE + VPCI_MMIO_BYTES - 1);
	aml_resources_end(&r);
	aml_name(b, "_PRT"); /* no function has an interrupt pin: MSI-X only */
	aml_end(b, aml_package_begin(b, 0));
	isa_device(b, "COM1", "PNP0501", 1, UART_PORT, 8, UART_IRQ);
	isa_device(b, "RTC0", "PNP0B00", 0, 0x70, 2, 8);
	aml_end(b, device);
}

/* Addresses that no other device may be given: ECAM (PCI Firmware 3.2, 4.1.2 asks for it), the ACPI registers. */
static void reserved_resources(struct acpi_buf *b)
{
	size_t device = aml_device_begin(b, "RSRC");
	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0C02");
	aml_name(b, "_UID");
	aml_integer(b, 0);
	aml_name(b, "_CRS");
	struct aml_resources r = aml_resources_begin(b);
	aml_res_memory_fixed(&r, VPCI_ECAM_BASE, VPCI_ECAM_BYTES);
	aml_res_io(&r, PM_PORT_BASE, 12);
	aml_resources_end(&r);
	aml_end(b, device);
}

static uint32_t dsdt(struct acpi_buf *b)
{
	size_t at = table_begin(b, "DSDT", 2);
	aml_name(b, "_S5");
	size_t package = aml_package_begin(b, 4);
	aml_integer(b, PM_SLP_TYP_S5);
	aml_integer(b, PM_SLP_TYP_S5);
	aml_integer(b, 0);
	aml_integer(b, 0);
	aml_end(b, package);
	size_t scope = aml_scope_begin(b, "\\_SB");
	host_bridge(b);
	reserved_resources(b);
	aml_end(b, scope);
	return table_end(b, at);
}

/* ---- FADT, FACS ---- */

static uint32_t facs(struct acpi_buf *b)
{
	uint8_t table[FACS_BYTES] = "FACS";
	while (b->used % 64 && !b->failed)
		acpi_put8(b, 0);
	uint32_t gpa = ACPI_RSDP_GPA + (uint32_t)b->used;
	table[4] = FACS_BYTES;
	table[32] = 2; /* version */
	acpi_put(b, table, sizeof(table));
	return gpa;
}

static void set(uint8_t *table, unsigned offset, uint64_t value, unsigned bytes)
{
	memcpy(table + offset, &value, bytes);
}

/* Generic address structure of an I/O port (5.2.3.2). */
static void set_port(uint8_t *table, unsigned offset, uint16_t port, unsigned bytes)
{
	table[offset] = 1;
	table[offset + 1] = (uint8_t)(bytes * 8);
	table[offset + 3] = bytes == 1 ? 1 : bytes == 2 ? 2 : 3;
	set(table, offset + 4, port, 8);
}

static uint32_t fadt(struct acpi_buf *b, uint32_t facs_gpa, uint32_t dsdt_gpa)
{
	size_t at = table_begin(b, "FACP", 6);
	uint8_t t[FADT_BYTES] = {0};
	set(t, FADT_FIRMWARE_CTRL, facs_gpa, 4);
	set(t, FADT_DSDT, dsdt_gpa, 4);
	set(t, FADT_X_DSDT, dsdt_gpa, 8);
	t[FADT_PROFILE] = PROFILE_SERVER;
	set(t, FADT_SCI_INT, PM_SCI_GSI, 2);
	set(t, FADT_PM1A_EVT, PM1_EVENT_PORT, 4);
	set(t, FADT_PM1A_CNT, PM1_CONTROL_PORT, 4);
	set(t, FADT_PM_TMR, PM_TIMER_PORT, 4);
	t[FADT_PM1_EVT_LEN] = PM1_EVENT_BYTES;
	t[FADT_PM1_CNT_LEN] = PM1_CONTROL_BYTES;
	t[FADT_PM_TMR_LEN] = PM_TIMER_BYTES;
	set(t, FADT_C2_LATENCY, NO_C2_LATENCY, 2);
	set(t, FADT_C3_LATENCY, NO_C3_LATENCY, 2);
	t[FADT_CENTURY] = 0x32;
	set(t, FADT_BOOT_ARCH, BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM, 2);
	set(t, FADT_FLAGS, FLAG_WBINVD | FLAG_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_NO_RTC_WAKE | FLAG_TIMER_32BIT | FLAG_RESET_REG, 4);
	set_port(t, FADT_RESET_REG, RESET_PORT, 1);
	t[FADT_RESET_VALUE] = RESET_VALUE;
	set_port(t, FADT_X_PM1A_EVT, PM1_EVENT_PORT, PM1_EVENT_BYTES);
	set_port(t, FADT_X_PM1A_CNT, PM1_CONTROL_PORT, PM1_CONTROL_BYTES);
	set_port(t, FADT_X_PM_TMR, PM_TIMER_PORT, PM_TIMER_BYTES);
	acpi_put(b, t + FADT_FIRMWARE_CTRL, FADT_BYTES - FADT_FIRMWARE_CTRL);
	return table_end(b, at);
}

/* ---- MADT, MCFG ---- */

static void irq_override(struct acpi_buf *b, uint8_t isa, uint32_t gsi, uint16_t flags)
{
	acpi_put8(b, 2);
	acpi_put8(b, 10);
	acpi_put8(b, 0);
	acpi_put8(b, isa);
	acpi_put32(b, gsi);
	acpi_put16(b, flags);
}

static uint32_t madt(struct acpi_buf *b, unsigned cpus)
{
	size_t at = table_begin(b, "APIC", 4);
	acpi_put32(b, LAPIC_MMIO_BASE);
	acpi_put32(b, MADT_PCAT_COMPAT);
	for (unsigned i = 0; i < cpus; i++) { /* processor local APIC: APIC IDs are below 255, which is what this entry is for */
		acpi_put8(b, 0);
		acpi_put8(b, 8);
		acpi_put8(b, (uint8_t)i);
		acpi_put8(b, (uint8_t)i);
		acpi_put32(b, 1);
	}
	acpi_put8(b, 1); /* IOAPIC */
	acpi_put8(b, 12);
	acpi_put16(b, 0);
	acpi_put32(b, IOAPIC_MMIO_BASE);
	acpi_put32(b, 0);
	irq_override(b, 0, 2, INTI_EDGE_HIGH);
	irq_override(b, PM_SCI_GSI, PM_SCI_GSI, INTI_LEVEL_HIGH);
	acpi_put8(b, 4); /* local APIC NMI: LINT1 of all */
	acpi_put8(b, 6);
	acpi_put8(b, 0xff);
	acpi_put16(b, 0);
	acpi_put8(b, 1);
	return table_end(b, at);
}

static uint32_t mcfg(struct acpi_buf *b)
{
	size_t at = table_begin(b, "MCFG", 1);
	acpi_put64(b, 0);
	acpi_put64(b, VPCI_ECAM_BASE);
	acpi_put16(b, 0);
	acpi_put8(b, 0);
	acpi_put8(b, (uint8_t)(VPCI_ECAM_BYTES / 0x100000 - 1));
	acpi_put32(b, 0);
	return table_end(b, at);
}

static void rsdp(uint8_t *t, uint32_t xsdt_gpa)
{
	memcpy(t, "RSD PTR ", 8);
	memcpy(t + 9, "BERTH ", 6);
	t[15] = 2;
	set(t, 20, RSDP_BYTES, 4);
	set(t, 24, xsdt_gpa, 8);
	t[8] = (uint8_t)-sum(t, 20);
	t[32] = (uint8_t)-sum(t, RSDP_BYTES);
}

int acpi_write_tables(struct vm *vm)
{
	uint8_t bytes[BUILD_BYTES] = {0};
	struct acpi_buf b = {.bytes = bytes, .size = sizeof(bytes), .used = RSDP_BYTES};

	uint32_t dsdt_gpa = dsdt(&b);
	uint32_t tables[] = {fadt(&b, facs(&b), dsdt_gpa), madt(&b, vm->cpu_count), mcfg(&b)};
	size_t at = table_begin(&b, "XSDT", 1);
	for (unsigned i = 0; i < HV_ARRAY_LEN(tables); i++)
		acpi_put64(&b, tables[i]);
	rsdp(bytes, table_end(&b, at));
	if (b.failed)
		return -ENOSPC;
	return gmem_write(vm->gmem, GPA(ACPI_RSDP_GPA), bytes, b.used);
}
