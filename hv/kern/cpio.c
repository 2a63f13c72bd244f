/* Reads a cpio "newc" archive in place, see cpio.h. Every length is checked against what is left before it is used. */
#include "kern/cpio.h"
#include <errno.h>

#define HEADER_BYTES 110u /* "070701" and 13 fields of 8 hexadecimal digits */
#define NAME_MAX_BYTES 4096u
enum { FIELD_MODE = 1, FIELD_FILESIZE = 6, FIELD_NAMESIZE = 11 };
#define MODE_TYPE 0170000u
#define MODE_REGULAR 0100000u

static bool equal(const char *a, const char *b, size_t n)
{
	return !__builtin_memcmp(a, b, n);
}

static bool hex_field(const char *header, unsigned index, uint32_t *value)
{
	const char *p = header + 6 + index * 8;

	*value = 0;
	for (unsigned i = 0; i < 8; i++) {
		char c = p[i];
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			digit = (uint32_t)(c - 'A' + 10);
		else
			return false;
		*value = *value << 4 | digit;
	}
	return true;
}

static const char *find_fault(const char *header, size_t left, uint32_t *mode, uint32_t *size, uint32_t *namesize)
{
	size_t data;

	if (left < HEADER_BYTES)
		return "archive ends inside a header";
	if (!equal(header, "070701", 6))
		return "not a cpio newc header";
	if (!hex_field(header, FIELD_MODE, mode) || !hex_field(header, FIELD_FILESIZE, size) || !hex_field(header, FIELD_NAMESIZE, namesize))
		return "a number is not hexadecimal";
	if (*namesize < 2 || *namesize > NAME_MAX_BYTES || *namesize > left - HEADER_BYTES)
		return "bad length of a name";
	if (header[HEADER_BYTES + *namesize - 1] || __builtin_strlen(header + HEADER_BYTES) != *namesize - 1)
		return "a name has no end or two";
	data = HV_ALIGN_UP((size_t)HEADER_BYTES + *namesize, (size_t)4);
	if (*size && (data > left || *size > left - data))
		return "a file is longer than the archive";
	return NULL;
}

int cpio_read(const void *archive, size_t bytes, struct hv_module *out, unsigned max, const char **error, size_t *offset)
{
	size_t at = 0;
	unsigned n = 0;

	for (;;) {
		const char *header = (const char *)archive + at, *name = header + HEADER_BYTES;
		uint32_t mode, size, namesize;
		size_t data;

		*offset = at;
		*error = find_fault(header, bytes - at, &mode, &size, &namesize);
		if (*error)
			return -EINVAL;
		if (namesize == sizeof("TRAILER!!!") && equal(name, "TRAILER!!!", sizeof("TRAILER!!!")))
			return (int)n;
		data = HV_ALIGN_UP((size_t)HEADER_BYTES + namesize, (size_t)4);
		if ((mode & MODE_TYPE) == MODE_REGULAR) {
			if (n == max) {
				*error = "too many files";
				return -E2BIG;
			}
			out[n++] = (struct hv_module){name, header + data, size};
		}
		at += HV_ALIGN_UP(data + size, (size_t)4);
		if (at > bytes)
			at = bytes; /* the padding of the last file may be missing; without a trailer the next header is */
	}
}
