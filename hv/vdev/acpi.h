/* ACPI tables in guest memory, and the builder they are made with (acpi.c, aml.c). */
#ifndef HV_VDEV_ACPI_H
#define HV_VDEV_ACPI_H

#include <hv/types.h>

struct vm;

#define ACPI_RSDP_GPA 0xe0000u
#define ACPI_AREA_BYTES 0x10000u

/* Writes RSDP, XSDT, FADT, FACS, DSDT, MADT and MCFG at ACPI_RSDP_GPA. 0, -ENOSPC, -EFAULT (no guest memory there). Loop context. */
int acpi_write_tables(struct vm *vm) HV_MUST_CHECK;

/* ---- a growing byte buffer; too small a one sets `failed`, seen once at the end ---- */
struct acpi_buf {
	uint8_t *bytes;
	size_t size, used;
	bool failed;
};
void acpi_put(struct acpi_buf *b, const void *p, size_t len);
void acpi_put8(struct acpi_buf *b, uint8_t x);
void acpi_put16(struct acpi_buf *b, uint16_t x);
void acpi_put32(struct acpi_buf *b, uint32_t x);
void acpi_put64(struct acpi_buf *b, uint64_t x);

/* ---- AML (ACPI 6.4, chapter 20); the value of a begin goes to its end ---- */
size_t aml_scope_begin(struct acpi_buf *b, const char *path);
size_t aml_device_begin(struct acpi_buf *b, const char *segment);
size_t aml_package_begin(struct acpi_buf *b, uint8_t elements);
void aml_end(struct acpi_buf *b, size_t begun);
/* Name(segment, ...): the object follows. */
void aml_name(struct acpi_buf *b, const char *segment);
void aml_integer(struct acpi_buf *b, uint32_t x);
/* EISA identifier of seven characters, "PNP0A08". */
void aml_eisa_id(struct acpi_buf *b, const char *id);

/* Resource templates (6.4): a buffer of descriptors. */
struct aml_resources {
	struct acpi_buf *b;
	size_t package, length_at, start;
};
struct aml_resources aml_resources_begin(struct acpi_buf *b);
void aml_resources_end(struct aml_resources *r);
void aml_res_bus(struct aml_resources *r, uint16_t first, uint16_t last);
void aml_res_io(struct aml_resources *r, uint16_t port, uint8_t bytes);
void aml_res_irq(struct aml_resources *r, unsigned irq);
void aml_res_io_window(struct aml_resources *r, uint16_t first, uint16_t last);
void aml_res_memory_window(struct aml_resources *r, uint32_t first, uint32_t last);
void aml_res_memory_fixed(struct aml_resources *r, uint32_t start, uint32_t bytes);

#endif
