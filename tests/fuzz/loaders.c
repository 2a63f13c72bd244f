/*
 * Kernel files: byte 0 chooses the loader and whether the rest is the file itself, or changes {offset u16, value u8} to a good one. Whatever the
 * file says, only guest memory is written, and a loader that says 0 names an entry point in guest memory.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c hv/kern/sched.c
 * fuzz: hv/kern/slab.c hv/kern/timer.c hv/virt/gmem.c hv/virt/iobus.c tests/native/native.c tests/fuzz/vcpus.c
 * fuzz: hv/vm/load_linux.c hv/vm/load_map.c hv/vm/load_multiboot.c
 */
#include "vcpus.h"
#include "native.h"
#include "vm/load.h"
#include <stdlib.h>
#include <string.h>

#define MEMORY (8ull << 20)
enum { MULTIBOOT = 1, PATCH = 2, FILE_BYTES = 9000 };

static void put(uint8_t *p, unsigned at, uint64_t x, unsigned bytes)
{
	memcpy(p + at, &x, bytes);
}

static void good_linux(uint8_t *p)
{
	put(p, 0x1f1, 4, 1);
	put(p, 0x1f4, (FILE_BYTES - 5 * 512) / 16, 4);
	put(p, 0x1fe, 0xaa55, 2);
	put(p, 0x200, 0x6aeb, 2);
	memcpy(p + 0x202, "HdrS", 4);
	put(p, 0x206, 0x020f, 2);
	put(p, 0x211, 1, 1);
	put(p, 0x22c, 0x7fffffff, 4);
	put(p, 0x230, 0x200000, 4);
	put(p, 0x234, 1, 1);
	put(p, 0x236, 1, 2);
	put(p, 0x238, 255, 4);
	put(p, 0x258, 0x200000, 8);
	put(p, 0x260, 0x10000, 4);
}

static void good_multiboot(uint8_t *p)
{
	memcpy(p, "\177ELF\2\1\1", 7);
	put(p, 18, 62, 2);
	put(p, 24, 0x100020, 8);
	put(p, 32, 64, 8);
	put(p, 54, 56, 2);
	put(p, 56, 2, 2);
	for (unsigned i = 0; i < 2; i++) {
		put(p, 64 + 56 * i, 1, 4);
		put(p, 72 + 56 * i, 0x1000, 8);
		put(p, 80 + 56 * i, 0x100000 + 0x4000 * i, 8);
		put(p, 88 + 56 * i, 0x100000 + 0x4000 * i, 8);
		put(p, 96 + 56 * i, 0x100, 8);
		put(p, 104 + 56 * i, 0x200, 8);
	}
	put(p, 0x800, 0x1badb002, 4);
	put(p, 0x808, (uint32_t)-0x1badb002, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	uint8_t kind = *data++;
	size_t bytes = kind & PATCH ? FILE_BYTES : --size;
	uint8_t *file = calloc(1, bytes ? bytes : 1); /* exactly as large as the file: one byte too far is seen */
	if (!(kind & PATCH)) {
		memcpy(file, data, bytes);
	} else {
		if (kind & MULTIBOOT)
			good_multiboot(file);
		else
			good_linux(file);
		for (size_t i = 0; i + 3 < size; i += 3)
			file[(data[i] | data[i + 1] << 8) % FILE_BYTES] = data[i + 2];
	}
	fuzz_vm_start(MEMORY);
	fuzz_vm.config.kernel = (struct vm_blob){.data = file, .bytes = bytes};
	fuzz_vm.config.initrd = fuzz_vm.config.modules[0] = (struct vm_blob){.data = "initrd", .bytes = 6, .name = "m"};
	fuzz_vm.config.module_count = 1;
	fuzz_vm.config.cmdline = "console=ttyS0";
	struct vcpu_start start;
	int err = kind & MULTIBOOT ? load_multiboot(&fuzz_vm, &start) : load_linux(&fuzz_vm, &start);
	if (err == 0 && (start.rip < 0x100000 || start.rip >= MEMORY))
		abort();
	free(file);
	return 0;
}
