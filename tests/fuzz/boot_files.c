/*
 * What a boot loader hands to the host: byte 0 says whether it is a boot archive (cpio) or Multiboot2 information, and whether the rest is
 * the file itself or changes {offset u16, value u8} to a good one. A byte read too far is seen; what is taken from an archive lies in it.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c
 * fuzz: hv/kern/sched.c hv/kern/slab.c hv/kern/timer.c tests/native/native.c hv/kern/cpio.c hv/kern/ranges.c
 * fuzz: hv/boot/multiboot2.c hv/boot/memory_map.c
 */
#include "boot/boot.h"
#include "kern/cpio.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODULES = 16, MULTIBOOT2 = 1, PATCH = 2, FILE_MOST = 1024 };
#define PA 0x100000

static uint8_t good[FILE_MOST];
static uint32_t good_bytes;

/* ---- good files ---- */

static void cpio_entry(const char *name, unsigned mode, const char *data)
{
	char *p = (char *)good + good_bytes;
	size_t n = strlen(name) + 1, d = strlen(data);
	int h = sprintf(p, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0, 0, 1, 0, (unsigned)d, 0, 0, 0, 0,
		(unsigned)n, 0);
	memcpy(p + h, name, n);
	good_bytes += (uint32_t)HV_ALIGN_UP((size_t)h + n, 4);
	memcpy(good + good_bytes, data, d);
	good_bytes += (uint32_t)HV_ALIGN_UP(d, 4);
}

static void put(uint64_t v, unsigned bytes)
{
	memcpy(good + good_bytes, &v, bytes);
	good_bytes += bytes;
}

static void tag(uint32_t type, uint32_t bytes)
{
	good_bytes = HV_ALIGN_UP(good_bytes, 8u);
	put(type, 4);
	put(8 + bytes, 4);
}

static void map_entry(uint64_t start, uint64_t bytes, uint32_t type)
{
	put(start, 8);
	put(bytes, 8);
	put(type, 8);
}

static void text(const char *s)
{
	memcpy(good + good_bytes, s, strlen(s) + 1);
	good_bytes += (uint32_t)strlen(s) + 1;
}

static void good_multiboot2(void)
{
	good_bytes = 8;
	tag(1, 8);
	text("console");
	tag(6, 8 + 3 * 24);
	put(24, 8);
	map_entry(0, 0x9f000, 1);
	map_entry(0x100000, 255ull << 20, 1);
	map_entry(200ull << 20, 1 << 20, 3);
	tag(3, 8 + 6);
	put(0x1000000, 4);
	put(0x1002345, 4);
	text("guest");
	tag(8, 24);
	put(0xb8000, 8);
	put(160, 4);
	put(80, 4);
	put(25, 4);
	put(0x0210, 4);
	tag(14, 20);
	good_bytes += 20;
	tag(15, 36);
	good_bytes += 36;
	tag(0, 0);
	memcpy(good, &good_bytes, 4);
}

static void good_archive(void)
{
	cpio_entry("folder", 0040755, "");
	cpio_entry("host.json", 0100644, "{}\n");
	cpio_entry("folder/kernel", 0100644, "0123456789");
	cpio_entry("TRAILER!!!", 0, "");
}

/* ---- the readers ---- */

static void archive(const uint8_t *file, size_t bytes)
{
	struct hv_module out[MODULES];
	const char *error = NULL;
	size_t offset = 0;
	int n = cpio_read(file, bytes, out, MODULES, &error, &offset);
	if (n < 0) {
		if (!error || offset > bytes)
			abort();
		return;
	}
	for (int i = 0; i < n; i++) {
		const uint8_t *data = out[i].data;
		if (out[i].bytes > bytes || data < file || data + out[i].bytes > file + bytes || !out[i].name || !out[i].name[0] ||
			strlen(out[i].name) > bytes)
			abort();
	}
}

static void multiboot2(const uint8_t *mbi, size_t bytes)
{
	static struct boot_info info;
	const char *error = NULL;
	memset(&info, 0, sizeof(info));
	if (!multiboot2_read(mbi, bytes, PA, &info, &error) && !error)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	uint8_t kind = *data++;
	size--;
	if (kind & PATCH) {
		memset(good, 0, sizeof(good));
		good_bytes = 0;
		if (kind & MULTIBOOT2)
			good_multiboot2();
		else
			good_archive();
		for (size_t i = 0; i + 3 <= size; i += 3)
			good[(data[i] | data[i + 1] << 8) % good_bytes] = data[i + 2];
		data = good;
		size = good_bytes;
	}
	uint8_t *file = malloc(size ? size : 1); /* exactly as large; aligned as both need it */
	memcpy(file, data, size);
	if (kind & MULTIBOOT2)
		multiboot2(file, size);
	else
		archive(file, size);
	free(file);
	return 0;
}
