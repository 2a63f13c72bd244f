/* Firmware's description of the machine, and how the machine ends: soft off, reset. */
#include "arch/platform.h"
#include "arch/console.h"
#include "arch/cpu.h"
#include "arch/layout.h"
#include "arch/paging.h"
#include "arch/time.h"
#include <hv/host.h>
#include <hv/log.h>
#include <hv/mem.h>

#define PM1_SCI_EN 0x0001u
#define PM1_SLP_EN 0x2000u

static struct acpi_info acpi;

const struct acpi_info *platform_acpi(void)
{
	return &acpi;
}

static const void *map_table(void *arg, uint64_t pa, uint64_t bytes)
{
	uint64_t va = HV_DIRECT_BASE + pa, at, end = va + bytes;

	/* In the direct map when it lies in RAM or in ranges that the memory map calls ACPI's. */
	if (pa >= HV_DIRECT_BYTES || bytes > HV_DIRECT_BYTES - pa)
		return NULL;
	for (at = HV_ALIGN_DOWN(va, HV_PAGE_SIZE); at < end; at += HV_PAGE_SIZE) {
		uint64_t found;

		if (!paging_lookup(at, &found))
			return paging_map_firmware(pa, bytes);
	}
	return (const void *)va;
}

static uint64_t find_rsdp(void)
{
	/* ACPI 6.4, 5.2.5.1: the first KiB of the EBDA, then 0xe0000 to 0xfffff. */
	const char *low = (const char *)HV_DIRECT_BASE;
	uint64_t ebda = (uint64_t)*(const uint16_t *)(low + 0x40e) << 4;
	int offset;

	if (ebda >= 0x400 && ebda <= 0xa0000 - 0x400) {
		offset = acpi_find_rsdp(low + ebda, 0x400);
		if (offset >= 0)
			return ebda + (uint64_t)offset;
	}
	offset = acpi_find_rsdp(low + 0xe0000, 0x20000);
	return offset >= 0 ? 0xe0000u + (uint64_t)offset : 0;
}

void platform_init(uint64_t rsdp)
{
	const struct acpi_source src = {map_table, NULL};

	if (acpi_read(&src, rsdp ? rsdp : find_rsdp(), &acpi))
		log_warn("acpi.root", "no usable ACPI tables: one core, no PCI Express configuration space, no power-off");
	log_info("acpi.ready", "%u processors, %u IO-APICs, %u ECAM regions, %s", acpi.cpu_count, acpi.ioapic_count, acpi.ecam_count,
		acpi.has_s5 ? "soft off" : "no soft off");
	if (acpi.cpu_skipped)
		log_warn("acpi.cpus", "%u processors beyond the %u supported stay unused", acpi.cpu_skipped, HV_MAX_CORES);
}

_Noreturn void hv_power_off(int status)
{
	log_info("host.power-off", "status %d", status);
	console_drain();
	if (acpi.has_s5 && acpi.pm1a_control_port) {
		uint16_t keep = cpu_inw(acpi.pm1a_control_port);

		if (!(keep & PM1_SCI_EN) && acpi.smi_port && acpi.acpi_enable) {
			cpu_outb(acpi.smi_port, acpi.acpi_enable);
			for (unsigned i = 0; i < 300 && !((keep = cpu_inw(acpi.pm1a_control_port)) & PM1_SCI_EN); i++)
				time_delay_us(10000);
		}
		keep &= 0xc3ff; /* all but SLP_TYP and SLP_EN (ACPI 6.4, 4.8.3.2.1) */
		keep &= (uint16_t)~PM1_SLP_EN;
		cpu_outw(acpi.pm1a_control_port, (uint16_t)(keep | acpi.s5_a << 10 | PM1_SLP_EN));
		if (acpi.pm1b_control_port)
			cpu_outw(acpi.pm1b_control_port, (uint16_t)(acpi.s5_b << 10 | PM1_SLP_EN));
		time_delay_us(2000000);
	}
	log_error("host.power-off", "the machine does not power off; halted");
	for (;;) {
		cpu_irq_off();
		cpu_halt();
	}
}

_Noreturn void hv_reboot(void)
{
	log_info("host.reboot", "restarting");
	console_drain();
	if (acpi.has_reset && acpi.reset_space == 1) {
		cpu_outb((uint16_t)acpi.reset_address, acpi.reset_value);
	} else if (acpi.has_reset) {
		volatile uint8_t *reg = hv_mmio_map(HPA(acpi.reset_address), 1);

		if (reg)
			*reg = acpi.reset_value;
	}
	time_delay_us(100000);
	cpu_outb(0xcf9, 0x06); /* chipset's reset control: full reset */
	time_delay_us(100000);
	cpu_outb(0x64, 0xfe); /* keyboard controller: pulse the reset line */
	for (;;) {
		cpu_irq_off();
		cpu_halt();
	}
}
