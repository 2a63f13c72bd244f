/* A small AML writer (acpi.h): just the terms our DSDT needs. Encodings: ACPI 6.4, chapter 20; resource descriptors: 6.4. */
#include "vdev/acpi.h"
#include <string.h>

enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXT = 0x5b,
	AML_EXT_DEVICE = 0x82,
};

#define PKG_LENGTH_BYTES 3 /* the three-byte form of PkgLength for all: 20 bits */

void acpi_put(struct acpi_buf *b, const void *p, size_t len)
{
	if (b->failed || len > b->size - b->used) {
		b->failed = true;
		return;
	}
	memcpy(b->bytes + b->used, p, len);
	b->used += len;
}

void acpi_put8(struct acpi_buf *b, uint8_t x)
{
	acpi_put(b, &x, sizeof(x));
}

void acpi_put16(struct acpi_buf *b, uint16_t x)
{
	acpi_put(b, &x, sizeof(x));
}

void acpi_put32(struct acpi_buf *b, uint32_t x)
{
	acpi_put(b, &x, sizeof(x));
}

void acpi_put64(struct acpi_buf *b, uint64_t x)
{
	acpi_put(b, &x, sizeof(x));
}

/* Reserves PkgLength; aml_end fills it in. */
static size_t length_begin(struct acpi_buf *b)
{
	size_t at = b->used;
	acpi_put(b, "\0\0\0", PKG_LENGTH_BYTES);
	return at;
}

void aml_end(struct acpi_buf *b, size_t begun)
{
	if (b->failed)
		return;
	size_t len = b->used - begun; /* includes the length itself, 20.2.4 */
	if (len >> 20) {
		b->failed = true;
		return;
	}
	b->bytes[begun] = (uint8_t)((PKG_LENGTH_BYTES - 1) << 6 | (len & 15));
	b->bytes[begun + 1] = (uint8_t)(len >> 4);
	b->bytes[begun + 2] = (uint8_t)(len >> 12);
}

/* Four characters, padded with underscores. */
static void segment4(struct acpi_buf *b, const char *segment)
{
	char four[4] = {'_', '_', '_', '_'};
	for (unsigned i = 0; i < 4 && segment[i]; i++)
		four[i] = segment[i];
	acpi_put(b, four, sizeof(four));
}

size_t aml_scope_begin(struct acpi_buf *b, const char *path)
{
	acpi_put8(b, AML_SCOPE);
	size_t at = length_begin(b);
	if (*path == '\\') {
		acpi_put8(b, '\\');
		path++;
	}
	segment4(b, path);
	return at;
}

size_t aml_device_begin(struct acpi_buf *b, const char *segment)
{
	acpi_put8(b, AML_EXT);
	acpi_put8(b, AML_EXT_DEVICE);
	size_t at = length_begin(b);
	segment4(b, segment);
	return at;
}

size_t aml_package_begin(struct acpi_buf *b, uint8_t elements)
{
	acpi_put8(b, AML_PACKAGE);
	size_t at = length_begin(b);
	acpi_put8(b, elements);
	return at;
}

void aml_name(struct acpi_buf *b, const char *segment)
{
	acpi_put8(b, AML_NAME);
	segment4(b, segment);
}

void aml_integer(struct acpi_buf *b, uint32_t x)
{
	if (x <= 1) {
		acpi_put8(b, x ? AML_ONE : AML_ZERO);
	} else if (x <= 0xff) {
		acpi_put8(b, AML_BYTE);
		acpi_put8(b, (uint8_t)x);
	} else if (x <= 0xffff) {
		acpi_put8(b, AML_WORD);
		acpi_put16(b, (uint16_t)x);
	} else {
		acpi_put8(b, AML_DWORD);
		acpi_put32(b, x);
	}
}

static unsigned hex(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

void aml_eisa_id(struct acpi_buf *b, const char *id)
{
	uint32_t x = (uint32_t)(id[0] & 31) << 26 | (uint32_t)(id[1] & 31) << 21 | (uint32_t)(id[2] & 31) << 16 | hex(id[3]) << 12 |
		     hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
	aml_integer(b, __builtin_bswap32(x));
}

/* ---- resource templates ---- */

struct aml_resources aml_resources_begin(struct acpi_buf *b)
{
	struct aml_resources r = {.b = b};
	acpi_put8(b, AML_BUFFER);
	r.package = length_begin(b);
	acpi_put8(b, AML_WORD); /* BufferSize, filled in at the end */
	r.length_at = b->used;
	acpi_put16(b, 0);
	r.start = b->used;
	return r;
}

void aml_resources_end(struct aml_resources *r)
{
	acpi_put16(r->b, 0x0079); /* end tag, checksum 0: not used */
	if (r->b->failed)
		return;
	uint16_t len = (uint16_t)(r->b->used - r->start);
	memcpy(r->b->bytes + r->length_at, &len, sizeof(len));
	aml_end(r->b, r->package);
}

#define RANGE_FIXED 0x0c /* minimum and maximum are fixed; the device produces the range for its children */
enum { RANGE_MEMORY = 0, RANGE_IO = 1, RANGE_BUS = 2 };

static void range16(struct acpi_buf *b, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
	acpi_put8(b, 0x88); /* word address space descriptor, 6.4.3.5.3 */
	acpi_put16(b, 13);
	acpi_put8(b, type);
	acpi_put8(b, RANGE_FIXED);
	acpi_put8(b, flags);
	acpi_put16(b, 0);
	acpi_put16(b, first);
	acpi_put16(b, last);
	acpi_put16(b, 0);
	acpi_put16(b, (uint16_t)(last - first + 1));
}

void aml_res_bus(struct aml_resources *r, uint16_t first, uint16_t last)
{
	range16(r->b, RANGE_BUS, 0, first, last);
}

void aml_res_io_window(struct aml_resources *r, uint16_t first, uint16_t last)
{
	range16(r->b, RANGE_IO, 3 /* ISA and non-ISA ranges */, first, last);
}

void aml_res_memory_window(struct aml_resources *r, uint32_t first, uint32_t last)
{
	struct acpi_buf *b = r->b;
	acpi_put8(b, 0x87); /* dword address space descriptor, 6.4.3.5.2 */
	acpi_put16(b, 23);
	acpi_put8(b, RANGE_MEMORY);
	acpi_put8(b, RANGE_FIXED);
	acpi_put8(b, 1); /* read-write, not cacheable */
	acpi_put32(b, 0);
	acpi_put32(b, first);
	acpi_put32(b, last);
	acpi_put32(b, 0);
	acpi_put32(b, last - first + 1);
}

void aml_res_memory_fixed(struct aml_resources *r, uint32_t start, uint32_t bytes)
{
	acpi_put8(r->b, 0x86); /* 6.4.3.4 */
	acpi_put16(r->b, 9);
	acpi_put8(r->b, 1);
	acpi_put32(r->b, start);
	acpi_put32(r->b, bytes);
}

void aml_res_io(struct aml_resources *r, uint16_t port, uint8_t bytes)
{
	acpi_put8(r->b, 0x47); /* 6.4.2.5 */
	acpi_put8(r->b, 1);    /* decodes 16 bits */
	acpi_put16(r->b, port);
	acpi_put16(r->b, port);
	acpi_put8(r->b, 1);
	acpi_put8(r->b, bytes);
}

void aml_res_irq(struct aml_resources *r, unsigned irq)
{
	acpi_put8(r->b, 0x22); /* edge, active high, exclusive; 6.4.2.1 */
	acpi_put16(r->b, (uint16_t)(1u << irq));
}
