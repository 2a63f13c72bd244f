/* Loaders: what lands where for good files, and that hostile ones are refused without touching anything outside guest memory. */
#include "test.h"

#include "../vdev/machine.h"
#include "virt/gmem.h"
#include "vm/load.h"
#include <errno.h>
#include <stdlib.h>

#define MEM (32ull << 20)

static int setup(void **state)
{
	machine_start_bare(2, MEM);
	native_core_select(0);
	return 0;
}
static int teardown(void **state)
{
	machine_stop();
	return 0;
}

static void put(uint8_t *p, unsigned at, uint64_t x, unsigned bytes)
{
	memcpy(p + at, &x, bytes);
}

static uint64_t guest(uint64_t gpa, unsigned bytes)
{
	uint64_t x = 0;
	assert_int_equal(gmem_read(m.vm.gmem, GPA(gpa), &x, bytes), 0);
	return x;
}

/* ---- Linux ---- */

#define BZ_SETUP (5 * 512)
#define BZ_BYTES (BZ_SETUP + 8192)
static uint8_t bz[BZ_BYTES];

static void good_bzimage(void)
{
	memset(bz, 0, sizeof(bz));
	put(bz, 0x1f1, 4, 1);
	put(bz, 0x1f4, 8192 / 16, 4);
	put(bz, 0x1fe, 0xaa55, 2);
	put(bz, 0x200, 0x6aeb, 2);
	memcpy(bz + 0x202, "HdrS", 4);
	put(bz, 0x206, 0x020f, 2);
	put(bz, 0x211, 1, 1);
	put(bz, 0x22c, 0x7fffffff, 4);
	put(bz, 0x230, 0x200000, 4);
	put(bz, 0x234, 1, 1);
	put(bz, 0x236, 1, 2);
	put(bz, 0x238, 255, 4);
	put(bz, 0x258, 0x1000000, 8);
	put(bz, 0x260, 0x100000, 4);
	memset(bz + BZ_SETUP, 0x90, 8192);
	m.vm.config.kernel = (struct vm_blob){.data = bz, .bytes = sizeof(bz)};
	m.vm.config.initrd = (struct vm_blob){0};
	m.vm.config.cmdline = "console=ttyS0";
}

static void linux_good(void **state)
{
	struct vcpu_start s;
	static char initrd[10000];
	good_bzimage();
	memset(initrd, 'i', sizeof(initrd));
	m.vm.config.initrd = (struct vm_blob){.data = initrd, .bytes = sizeof(initrd)};
	assert_int_equal(load_linux(&m.vm, &s), 0);
	assert_int_equal(s.mode, VCPU_START_LONG64);
	assert_int_equal(s.rip, 0x1000200);
	assert_int_equal(guest(0x1000000, 8), 0x9090909090909090);
	assert_int_equal(guest(0x1000000 + 8191, 2), 0x90);
	uint64_t zp = s.rsi;
	assert_int_equal(guest(zp + 0x202, 4), 0x53726448);
	assert_int_equal(guest(zp + 0x210, 1), 0xff);
	uint64_t ird = guest(zp + 0x218, 4);
	assert_int_equal(guest(zp + 0x21c, 4), sizeof(initrd));
	assert_int_equal(ird % 4096, 0);
	assert_true(ird + sizeof(initrd) <= MEM && ird >= MEM - 3 * 4096);
	assert_int_equal(guest(ird + sizeof(initrd) - 1, 1), 'i');
	char cmd[14];
	assert_int_equal(gmem_read(m.vm.gmem, GPA(guest(zp + 0x228, 4)), cmd, 14), 0);
	assert_string_equal(cmd, "console=ttyS0");
	assert_int_equal(guest(zp + 0x70, 8), 0xe0000);
	/* e820: RAM, hole with the tables reserved, RAM to the end, ECAM reserved */
	assert_int_equal(guest(zp + 0x1e8, 1), 4);
	assert_int_equal(guest(zp + 0x2d0 + 20, 8), 0x9fc00);
	assert_int_equal(guest(zp + 0x2d0 + 36, 4), 2);
	assert_int_equal(guest(zp + 0x2d0 + 40, 8), 0x100000);
	assert_int_equal(guest(zp + 0x2d0 + 48, 8), MEM - 0x100000);
	assert_int_equal(guest(zp + 0x2d0 + 60, 8), 0xe0000000);
	/* page tables map one to one */
	uint64_t pdpt = guest(s.cr3, 8) & ~0xfffull, pd3 = guest(pdpt + 24, 8) & ~0xfffull;
	assert_int_equal(guest(pd3 + 8, 8), 0xc0200083);
	/* descriptors the selectors name */
	assert_true(s.cs_selector + 7u <= s.gdt_limit && s.ds_selector + 7u <= s.gdt_limit);
	assert_int_equal(guest(s.gdt_base + s.cs_selector, 8) >> 53 & 1, 1); /* L */
}

static void linux_relocates_into_small_memory(void **state)
{
	struct vcpu_start s;
	good_bzimage();
	put(bz, 0x258, 0x10000000, 8); /* 256 MiB: not there */
	assert_int_equal(load_linux(&m.vm, &s), 0);
	assert_int_equal(s.rip, 0x200200);
	put(bz, 0x234, 0, 1);
	assert_int_equal(load_linux(&m.vm, &s), -ENOSPC);
	assert_non_null(strstr(native_log_text(), "vm.load.memory"));
}

static void linux_initrd_limits(void **state)
{
	struct vcpu_start s;
	static char initrd[10000];
	good_bzimage();
	m.vm.config.initrd = (struct vm_blob){.data = initrd, .bytes = sizeof(initrd)};
	put(bz, 0x22c, 0x17fffff, 4); /* initrd_addr_max */
	assert_int_equal(load_linux(&m.vm, &s), 0);
	assert_true(guest(s.rsi + 0x218, 4) + sizeof(initrd) <= 0x1800000);
	put(bz, 0x22c, 0x1000fff, 4); /* only where the kernel is */
	assert_int_equal(load_linux(&m.vm, &s), -ENOSPC);
	put(bz, 0x22c, 0x10, 4);
	assert_int_equal(load_linux(&m.vm, &s), -ENOSPC);
}

static void linux_cmdline_too_long(void **state)
{
	struct vcpu_start s;
	static char line[300];
	good_bzimage();
	memset(line, 'x', 299);
	m.vm.config.cmdline = line;
	assert_int_equal(load_linux(&m.vm, &s), -EINVAL);
	line[255] = 0;
	assert_int_equal(load_linux(&m.vm, &s), 0);
}

static void linux_hostile_headers(void **state)
{
	static const struct {
		unsigned at;
		uint64_t x;
		unsigned bytes;
		int err;
	} t[] = {
		{0x1fe, 0, 2, -EINVAL}, {0x202, 0, 4, -EINVAL}, {0x206, 0x20b, 2, -EINVAL}, {0x211, 0, 1, -EINVAL}, {0x236, 0, 2, -EINVAL},
		{0x201, 0, 1, -EINVAL}, {0x1f1, 0xff, 1, -EINVAL}, {0x1f4, 0, 4, -EINVAL}, {0x1f4, 0xffffffff, 4, -EINVAL},
		{0x230, 0, 4, -EINVAL}, {0x230, 3, 4, -EINVAL}, {0x230, 0x80000000, 4, -EINVAL + 0}, {0x260, 0xffffffff, 4, -ENOSPC},
	};
	struct vcpu_start s;
	for (unsigned i = 0; i < HV_ARRAY_LEN(t); i++) {
		good_bzimage();
		put(bz, t[i].at, t[i].x, t[i].bytes);
		int err = load_linux(&m.vm, &s);
		if (t[i].at == 0x230 && t[i].x == 0x80000000)
			assert_int_equal(err, -ENOSPC);
		else
			assert_int_equal(err, t[i].err);
	}
	for (size_t len = 0; len < sizeof(bz); len += 61) { /* every truncation, in memory of exactly that size */
		good_bzimage();
		uint8_t *cut = malloc(len ? len : 1);
		memcpy(cut, bz, len);
		m.vm.config.kernel = (struct vm_blob){.data = cut, .bytes = len};
		assert_true(load_linux(&m.vm, &s) < 0);
		free(cut);
	}
	put(bz, 0x258, ~0ull, 8); /* preferred address at the end of the world */
	m.vm.config.kernel = (struct vm_blob){.data = bz, .bytes = sizeof(bz)};
	put(bz, 0x234, 0, 1);
	assert_int_equal(load_linux(&m.vm, &s), -ENOSPC);
}

/* ---- Multiboot ---- */

static uint8_t mb[8192];

static void mb_header(unsigned at, uint32_t flags)
{
	put(mb, at, 0x1badb002, 4);
	put(mb, at + 4, flags, 4);
	put(mb, at + 8, (uint32_t)-(0x1badb002 + flags), 4);
}

static void good_elf32(void)
{
	memset(mb, 0, sizeof(mb));
	memcpy(mb, "\177ELF\1\1\1", 7);
	put(mb, 18, 3, 2);
	put(mb, 24, 0xc0100010, 4); /* entry: virtual */
	put(mb, 28, 52, 4);
	put(mb, 42, 32, 2);
	put(mb, 44, 1, 2);
	put(mb, 52, 1, 4); /* PT_LOAD */
	put(mb, 56, 0x1000, 4);
	put(mb, 60, 0xc0100000, 4);
	put(mb, 64, 0x100000, 4);
	put(mb, 68, 0x800, 4);
	put(mb, 72, 0x2000, 4);
	mb_header(0x1000, 3);
	put(mb, 0x1010, 0xf4, 1);
	m.vm.config.kernel = (struct vm_blob){.data = mb, .bytes = sizeof(mb)};
	m.vm.config.module_count = 0;
	m.vm.config.cmdline = "a b";
}

static void multiboot_elf32_and_modules(void **state)
{
	struct vcpu_start s;
	good_elf32();
	m.vm.config.modules[0] = (struct vm_blob){.data = "module zero", .bytes = 11, .name = "m0 arg"};
	m.vm.config.modules[1] = (struct vm_blob){.data = "one", .bytes = 3};
	m.vm.config.module_count = 2;
	uint64_t junk = ~0ull;
	assert_int_equal(gmem_write(m.vm.gmem, GPA(0x101000), &junk, 8), 0);
	assert_int_equal(load_multiboot(&m.vm, &s), 0);
	assert_int_equal(s.mode, VCPU_START_PROT32);
	assert_int_equal(s.rax, 0x2badb002);
	assert_int_equal(s.rip, 0x100010);
	assert_int_equal(guest(0x100010, 1), 0xf4);
	assert_int_equal(guest(0x101000, 8), 0); /* bss is zeroed */
	uint64_t i = s.rbx;
	assert_int_equal(guest(i, 4) & 0x4d, 0x4d);
	assert_int_equal(guest(i + 4, 4), 639);
	assert_int_equal(guest(i + 8, 4), (MEM >> 10) - 1024);
	assert_int_equal(guest(guest(i + 16, 4), 4), 0x622061); /* "a b" */
	assert_int_equal(guest(i + 20, 4), 2);
	uint64_t mods = guest(i + 24, 4), start = guest(mods, 4);
	assert_int_equal(start % 4096, 0);
	assert_true(start >= 0x102000);
	assert_int_equal(guest(mods + 4, 4) - start, 11);
	assert_int_equal(guest(start, 6), 0x656c75646f6d);
	assert_int_equal(guest(guest(mods + 8, 4), 2), 0x306d);
	assert_int_equal(guest(guest(mods + 16, 4), 4), 0x656e6f);
	assert_int_equal(guest(i + 44, 4), 4 * 24);
	assert_int_equal(guest(guest(i + 48, 4), 4), 20);
	assert_true(s.cs_selector + 7u <= s.gdt_limit);
	assert_int_equal(guest(s.gdt_base + s.cs_selector, 8) >> 54 & 1, 1); /* D */
}

static void multiboot_elf64(void **state)
{
	struct vcpu_start s;
	memset(mb, 0, sizeof(mb));
	memcpy(mb, "\177ELF\2\1\1", 7);
	put(mb, 18, 62, 2);
	put(mb, 24, 0x200020, 8);
	put(mb, 32, 64, 8);
	put(mb, 54, 56, 2);
	put(mb, 56, 1, 2);
	put(mb, 64, 1, 4);
	put(mb, 72, 0x1000, 8);
	put(mb, 80, 0x200000, 8);
	put(mb, 88, 0x200000, 8);
	put(mb, 96, 0x100, 8);
	put(mb, 104, 0x100, 8);
	mb_header(0x1000, 0);
	put(mb, 0x1020, 0x1234, 2);
	m.vm.config.kernel = (struct vm_blob){.data = mb, .bytes = sizeof(mb)};
	assert_int_equal(load_multiboot(&m.vm, &s), 0);
	assert_int_equal(s.rip, 0x200020);
	assert_int_equal(guest(0x200020, 2), 0x1234);
	put(mb, 88, 0xfffffffffffff000ull, 8);
	assert_int_equal(load_multiboot(&m.vm, &s), -ENOSPC);
}

static void multiboot_by_addresses(void **state)
{
	struct vcpu_start s;
	memset(mb, 0, sizeof(mb));
	mb_header(0x40, 0x10000);
	put(mb, 0x4c, 0x100040, 4);
	put(mb, 0x50, 0x100000, 4);
	put(mb, 0x54, 0, 4);
	put(mb, 0x58, 0x103000, 4);
	put(mb, 0x5c, 0x100080, 4);
	put(mb, 0x80, 0xabcd, 2);
	m.vm.config.kernel = (struct vm_blob){.data = mb, .bytes = sizeof(mb)};
	assert_int_equal(load_multiboot(&m.vm, &s), 0);
	assert_int_equal(s.rip, 0x100080);
	assert_int_equal(guest(0x100080, 2), 0xabcd);
	put(mb, 0x4c, 0x100100, 4); /* more before the header than the file has */
	assert_int_equal(load_multiboot(&m.vm, &s), -EINVAL);
	put(mb, 0x4c, 0x100040, 4);
	put(mb, 0x54, 0x200000, 4); /* more than the file */
	assert_int_equal(load_multiboot(&m.vm, &s), -EINVAL);
	put(mb, 0x54, 0x90000, 4);
	assert_int_equal(load_multiboot(&m.vm, &s), -EINVAL);
	put(mb, 0x54, 0, 4);
	put(mb, 0x58, 0xffffffff, 4);
	assert_int_equal(load_multiboot(&m.vm, &s), -ENOSPC);
	put(mb, 0x58, 0x103000, 4);
	put(mb, 0x5c, 0x10, 4);
	assert_int_equal(load_multiboot(&m.vm, &s), -EINVAL);
}

static void multiboot_hostile(void **state)
{
	static const struct {
		unsigned at;
		uint64_t x;
		unsigned bytes;
	} t[] = {
		{0x1008, 0, 4}, {0x1000, 0, 4}, {4, 9, 1}, {5, 2, 1}, {18, 40, 2}, {28, 0xfffffff0, 4}, {42, 1, 2}, {44, 0, 2}, {44, 0xffff, 2},
		{52, 2, 4}, {56, 0xfffff000, 4}, {64, 0x1000, 4}, {64, 0xfffff000, 4}, {68, 0xffffffff, 4}, {68, 0x2001, 4}, {72, 0xffffffff, 4},
		{24, 0, 4},
	};
	struct vcpu_start s;
	for (unsigned i = 0; i < HV_ARRAY_LEN(t); i++) {
		good_elf32();
		put(mb, t[i].at, t[i].x, t[i].bytes);
		assert_true(load_multiboot(&m.vm, &s) < 0);
	}
	for (size_t len = 0; len < 0x1800; len += 37) {
		good_elf32();
		uint8_t *cut = malloc(len ? len : 1);
		memcpy(cut, mb, len);
		m.vm.config.kernel = (struct vm_blob){.data = cut, .bytes = len};
		assert_true(load_multiboot(&m.vm, &s) < 0);
		free(cut);
	}
	good_elf32();
	static char huge[70000];
	memset(huge, 'h', sizeof(huge) - 1);
	m.vm.config.cmdline = huge;
	assert_int_equal(load_multiboot(&m.vm, &s), -EINVAL);
	good_elf32();
	mb_header(0x1000, 0x8003); /* a required feature nobody knows */
	assert_int_equal(load_multiboot(&m.vm, &s), -EINVAL);
	good_elf32();
	m.vm.config.modules[0] = (struct vm_blob){.data = huge, .bytes = 64ull << 20};
	m.vm.config.module_count = 1;
	assert_int_equal(load_multiboot(&m.vm, &s), -ENOSPC);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(linux_good), T(linux_relocates_into_small_memory), T(linux_initrd_limits), T(linux_cmdline_too_long), T(linux_hostile_headers),
		T(multiboot_elf32_and_modules), T(multiboot_elf64), T(multiboot_by_addresses), T(multiboot_hostile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
