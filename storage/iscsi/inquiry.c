/* See inquiry.h. Offsets are the standards'. */
#include "inquiry.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

/* ASCII field of fixed width -> trimmed text; anything unprintable becomes '?'. out has room for width + 1. */
static void text_field(char *out, const uint8_t *p, size_t width)
{
	size_t start = 0;

	while (start < width && p[start] == ' ')
		start++;
	while (width > start && (p[width - 1] == ' ' || p[width - 1] == 0))
		width--;
	for (size_t i = start; i < width; i++)
		out[i - start] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
	out[width > start ? width - start : 0] = 0;
}

int inquiry_standard(const uint8_t *data, size_t bytes, struct lun_identity *id, uint8_t *type)
{
	if (bytes < 36)
		return trace_error(-EPROTO);
	*type = data[0];
	if (data[0] != 0) /* peripheral qualifier 0 (connected), device type 0 (direct access) */
		return trace_error(-ENODEV);
	text_field(id->vendor, data + 8, 8);
	text_field(id->product, data + 16, 16);
	text_field(id->revision, data + 32, 4);
	return 0;
}

/* The body of a VPD page: its length as far as it arrived, or 0 when this is not the page. */
static size_t vpd_body(const uint8_t *data, size_t bytes, uint8_t page)
{
	if (bytes < 4 || data[1] != page)
		return 0;
	return HV_MIN((size_t)be16(data + 2), bytes - 4);
}

bool inquiry_has_page(const uint8_t *data, size_t bytes, uint8_t page)
{
	size_t n = vpd_body(data, bytes, 0x00);

	return n && memchr(data + 4, page, n) != NULL;
}

bool inquiry_serial(const uint8_t *data, size_t bytes, struct lun_identity *id)
{
	size_t n = vpd_body(data, bytes, 0x80);

	if (!n)
		return false;
	text_field(id->serial, data + 4, HV_MIN(n, sizeof(id->serial) - 1));
	return true;
}

bool inquiry_designators(const uint8_t *data, size_t bytes, struct lun_identity *id)
{
	size_t end = 4 + vpd_body(data, bytes, 0x83), at = 4;
	unsigned best = 0; /* NAA before EUI-64 */

	while (at + 4 <= end && at + 4 + data[at + 3] <= end) {
		const uint8_t *d = data + at;
		uint8_t association = d[1] >> 4 & 3, type = d[1] & 0xf, length = d[3];
		unsigned rank = type == 3 ? 2 : type == 2 ? 1 : 0;

		if (association == 0 && (d[0] & 0xf) == 1 && rank > best && length && length <= LUN_NAA_MAX) {
			memcpy(id->naa, d + 4, length);
			id->naa_bytes = length;
			best = rank;
		}
		at += 4u + length;
	}
	return best > 0;
}

void inquiry_block_limits(const uint8_t *data, size_t bytes, struct inquiry_limits *limits)
{
	size_t end = 4 + vpd_body(data, bytes, 0xb0);

	if (end >= 16) {
		limits->max_transfer_blocks = be32(data + 8);
		limits->optimal_blocks = be32(data + 12);
	}
	if (end >= 28)
		limits->max_unmap_blocks = be32(data + 24) ? be32(data + 20) : 0;
	if (end >= 44)
		limits->max_write_same_blocks = be64(data + 36);
}

void inquiry_provisioning(const uint8_t *data, size_t bytes, struct inquiry_limits *limits)
{
	if (vpd_body(data, bytes, 0xb2) < 4)
		return;
	limits->unmap = data[5] & 0x80;
	limits->write_same = data[5] & 0x40;
	limits->thin = (data[6] & 7) == 2;
}

int inquiry_capacity(const uint8_t *data, size_t bytes, struct inquiry_capacity *capacity)
{
	if (bytes < 16)
		return trace_error(-EPROTO);
	uint64_t last = be64(data);
	uint32_t block = be32(data + 8);

	if ((block != 512 && block != 4096) || last >= (UINT64_MAX >> 1) / block - 1)
		return trace_error(-EPROTO);
	capacity->blocks = last + 1;
	capacity->block_bytes = block;
	unsigned exponent = data[13] & 0xf;

	capacity->physical_bytes = exponent <= 7 ? block << exponent : block;
	capacity->provisioned = data[14] & 0x80;
	capacity->unmapped_reads_zero = data[14] & 0x40;
	return 0;
}
