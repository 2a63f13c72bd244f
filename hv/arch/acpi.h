/*
 * ACPI tables (ACPI 6.4 ch. 5): what the host needs of them. Portable: tables are reached through a callback. Firmware's bytes are checked
 * (signature, length, checksum, bounds) before use; what is malformed is left out with a warning.
 */
#ifndef HV_ARCH_ACPI_H
#define HV_ARCH_ACPI_H

#include <hv/types.h>

#define ACPI_MAX_CPUS HV_MAX_CORES
#define ACPI_MAX_IOAPICS 16
#define ACPI_MAX_ECAMS 16

struct acpi_ecam {
	uint64_t base; /* of bus 0 of the segment, even when first_bus is not 0 (PCI Firmware 3.2, 4.1.2) */
	uint16_t segment;
	uint8_t first_bus, last_bus;
};

struct acpi_info {
	uint32_t cpu_apic_ids[ACPI_MAX_CPUS]; /* enabled processors, firmware's order */
	unsigned cpu_count, cpu_skipped;      /* skipped: more than the host supports */
	uint64_t lapic_base;
	uint64_t ioapic_bases[ACPI_MAX_IOAPICS];
	uint32_t ioapic_gsi_bases[ACPI_MAX_IOAPICS]; /* number of its first input */
	unsigned ioapic_count;
	uint32_t isa_gsi[16]; /* input of each ISA interrupt */
	struct acpi_ecam ecams[ACPI_MAX_ECAMS];
	unsigned ecam_count;
	uint16_t pm_timer_port, pm1a_control_port, pm1b_control_port, smi_port;
	uint8_t acpi_enable; /* written to smi_port turns ACPI mode on; 0 = always on */
	bool has_s5;
	uint8_t s5_a, s5_b; /* SLP_TYP of soft off */
	bool has_reset;
	uint8_t reset_space, reset_value; /* 0 memory, 1 I/O port */
	uint64_t reset_address;
};

struct acpi_source {
	/* `bytes` at physical address pa, readable from now on; NULL when it cannot be. */
	const void *(*map)(void *arg, uint64_t pa, uint64_t bytes);
	void *arg;
};

/* Reads everything from the RSDP at physical address rsdp. -EINVAL when the root is unusable; info has defaults then. */
int acpi_read(const struct acpi_source *src, uint64_t rsdp, struct acpi_info *info) HV_MUST_CHECK;
/* Offset of a valid RSDP in `area` on a 16-byte boundary, or -ENOENT. */
int acpi_find_rsdp(const void *area, size_t bytes);

#endif
