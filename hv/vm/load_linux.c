/*
 * Loads a Linux bzImage by the 64-bit boot protocol (Linux: Documentation/arch/x86/boot.rst, zero-page.rst): the kernel at its preferred
 * address, the initrd as high as it may be, zero page and command line below 1 MiB, identity page tables for 4 GiB.
 *
 * The file is hostile: the setup header is copied once into private memory and every number in it is checked before use.
 */
#include "vdev/acpi.h"
#include "vm/load_map.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

/* Offsets in the file, and the same in the zero page. */
enum {
	BP_ACPI_RSDP = 0x070,
	BP_EXT_INITRD_START = 0x0c0,
	BP_EXT_INITRD_BYTES = 0x0c4,
	BP_EXT_CMDLINE = 0x0c8,
	BP_E820_COUNT = 0x1e8,
	HDR_START = 0x1f1,
	HDR_SETUP_SECTS = 0x1f1,
	HDR_SYSSIZE = 0x1f4,
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP = 0x200,
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_LOADER = 0x210,
	HDR_LOADFLAGS = 0x211,
	HDR_INITRD_START = 0x218,
	HDR_INITRD_BYTES = 0x21c,
	HDR_CMDLINE = 0x228,
	HDR_INITRD_MAX = 0x22c,
	HDR_ALIGNMENT = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_XLOADFLAGS = 0x236,
	HDR_CMDLINE_BYTES = 0x238,
	HDR_PREFERRED = 0x258,
	HDR_INIT_BYTES = 0x260,
	HDR_END_2_12 = 0x268, /* version 2.12 reaches to here */
	BP_E820 = 0x2d0,
	BP_BYTES = 0x1000,
};

#define HDR_MAX_END 0x290u /* of it in the zero page; what a newer header has behind that is not copied */
#define MIN_VERSION 0x020c
#define LOADED_HIGH 0x01
#define XLF_KERNEL_64 0x01
#define LOADER_UNKNOWN 0xff
#define ENTRY_64 0x200
#define SECTOR 512u
#define E820_BYTES 20u
#define MIN_INIT_BYTES 0x1000u

struct linux_image {
	const uint8_t *kernel; /* protected-mode part in the file */
	uint64_t file_bytes;   /* of it */
	uint64_t preferred, init_bytes, alignment;
	uint64_t initrd_max;
	uint32_t cmdline_max;
	bool relocatable;
	uint64_t load, initrd_gpa;
	uint8_t header[HDR_MAX_END]; /* private copy of the file's start, from HDR_START on */
	unsigned header_end;
};

static uint64_t get(const uint8_t *p, unsigned offset, unsigned bytes)
{
	uint64_t x = 0;
	memcpy(&x, p + offset, bytes);
	return x;
}

static void set(uint8_t *p, unsigned offset, uint64_t x, unsigned bytes)
{
	memcpy(p + offset, &x, bytes);
}

static int refuse(struct vm *vm, const char *what)
{
	log_error("vm.load.linux", "%s: kernel refused: %s", vm->name, what);
	return -EINVAL;
}

/* The setup header -> img. */
static int parse(struct vm *vm, struct linux_image *img)
{
	const struct vm_blob *k = &vm->config.kernel;
	if (!k->data || k->bytes < HDR_END_2_12)
		return refuse(vm, "the file is too short for a bzImage; give the kernel's vmlinuz (bzImage)");
	uint64_t copy = HV_MIN((uint64_t)k->bytes, (uint64_t)HDR_MAX_END);
	memcpy(img->header, k->data, copy);
	const uint8_t *h = img->header;

	if (get(h, HDR_BOOT_FLAG, 2) != 0xaa55 || memcmp(h + HDR_MAGIC, "HdrS", 4) != 0)
		return refuse(vm, "no bzImage header (HdrS); give the kernel's vmlinuz, not vmlinux or a compressed file");
	if (get(h, HDR_VERSION, 2) < MIN_VERSION)
		return refuse(vm, "boot protocol older than 2.12 (Linux 3.8)");
	if (!(get(h, HDR_LOADFLAGS, 1) & LOADED_HIGH))
		return refuse(vm, "not a bzImage (LOADED_HIGH is clear)");
	if (!(get(h, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return refuse(vm, "no 64-bit entry point; a 64-bit (x86-64) kernel is needed");

	img->header_end = HDR_MAGIC + (unsigned)h[HDR_JUMP + 1];
	if (img->header_end < HDR_END_2_12 || img->header_end > k->bytes)
		return refuse(vm, "the setup header's length is impossible: the file is damaged");
	img->header_end = HV_MIN(img->header_end, HDR_MAX_END);

	uint64_t setup = ((uint64_t)(h[HDR_SETUP_SECTS] ? h[HDR_SETUP_SECTS] : 4) + 1) * SECTOR;
	uint64_t payload = get(h, HDR_SYSSIZE, 4) * 16;
	if (setup >= k->bytes || payload == 0 || payload > HV_ALIGN_UP((uint64_t)k->bytes - setup, 16u))
		return refuse(vm, "the file is shorter than its header says: truncated download?");
	img->kernel = (const uint8_t *)k->data + setup;
	img->file_bytes = k->bytes - setup;
	img->preferred = get(h, HDR_PREFERRED, 8);
	img->init_bytes = HV_MAX(HV_MAX(get(h, HDR_INIT_BYTES, 4), img->file_bytes), (uint64_t)MIN_INIT_BYTES);
	img->relocatable = h[HDR_RELOCATABLE] != 0;
	img->alignment = get(h, HDR_ALIGNMENT, 4);
	img->initrd_max = get(h, HDR_INITRD_MAX, 4);
	img->cmdline_max = (uint32_t)HV_MIN(get(h, HDR_CMDLINE_BYTES, 4), (uint64_t)LOAD_STRINGS_BYTES - 1);
	if (img->alignment < HV_PAGE_SIZE || (img->alignment & (img->alignment - 1)))
		return refuse(vm, "kernel_alignment is not a power of two of at least 4096: the file is damaged");
	return 0;
}

/* Where the kernel goes: its preferred address, or the lowest aligned one if it can be relocated. */
static int place_kernel(struct vm *vm, struct linux_image *img)
{
	img->load = img->preferred;
	if (img->relocatable && (img->load % img->alignment != 0 || !load_fits(vm, img->load, img->init_bytes)))
		img->load = HV_ALIGN_UP((uint64_t)LOAD_HIGH_START, img->alignment);
	if (load_fits(vm, img->load, img->init_bytes))
		return 0;
	log_error("vm.load.memory",
		"%s: the kernel needs %llu KiB at %#llx, guest memory below 4 GiB ends at %#llx: give the VM more memory", vm->name,
		(unsigned long long)(img->init_bytes >> 10), (unsigned long long)img->load, (unsigned long long)load_low_ram_end(vm));
	return -ENOSPC;
}

static int place_initrd(struct vm *vm, struct linux_image *img)
{
	uint64_t bytes = vm->config.initrd.data ? vm->config.initrd.bytes : 0;
	if (bytes == 0)
		return 0;
	uint64_t top = HV_MIN(load_low_ram_end(vm), img->initrd_max + 1);
	uint64_t at = top >= bytes ? HV_ALIGN_DOWN(top - bytes, HV_PAGE_SIZE) : 0;
	if (at < img->load + img->init_bytes && img->load < at + bytes)
		at = 0; /* runs into the kernel; below it there is nothing worth trying */
	if (!load_fits(vm, at, bytes)) {
		log_error("vm.load.memory", "%s: no room for the initrd of %llu KiB beside the kernel: give the VM more memory", vm->name,
			(unsigned long long)(bytes >> 10));
		return -ENOSPC;
	}
	img->initrd_gpa = at;
	return load_put(vm, at, vm->config.initrd.data, bytes);
}

static int put_cmdline(struct vm *vm, const struct linux_image *img)
{
	const char *cmdline = vm->config.cmdline ? vm->config.cmdline : "";
	size_t len = strlen(cmdline);
	if (len > img->cmdline_max) {
		log_error("vm.load.cmdline", "%s: the command line has %zu characters, this kernel takes %u: shorten it", vm->name, len,
			img->cmdline_max);
		return -EINVAL;
	}
	return load_put(vm, LOAD_STRINGS_GPA, cmdline, len + 1);
}

static int put_zero_page(struct vm *vm, const struct linux_image *img)
{
	uint8_t page[BP_BYTES] = {0};
	struct load_map_entry map[LOAD_MAP_MAX];
	unsigned entries = load_memory_map(vm, map);
	uint64_t initrd_bytes = img->initrd_gpa ? vm->config.initrd.bytes : 0;

	memcpy(page + HDR_START, img->header + HDR_START, img->header_end - HDR_START);
	set(page, HDR_LOADER, LOADER_UNKNOWN, 1);
	set(page, HDR_INITRD_START, img->initrd_gpa, 4);
	set(page, HDR_INITRD_BYTES, initrd_bytes, 4);
	set(page, BP_EXT_INITRD_START, img->initrd_gpa >> 32, 4);
	set(page, BP_EXT_INITRD_BYTES, initrd_bytes >> 32, 4);
	set(page, HDR_CMDLINE, LOAD_STRINGS_GPA, 4);
	set(page, BP_ACPI_RSDP, ACPI_RSDP_GPA, 8);
	set(page, BP_E820_COUNT, entries, 1);
	for (unsigned i = 0; i < entries; i++) {
		set(page, BP_E820 + i * E820_BYTES, map[i].start, 8);
		set(page, BP_E820 + i * E820_BYTES + 8, map[i].bytes, 8);
		set(page, BP_E820 + i * E820_BYTES + 16, map[i].type, 4);
	}
	return load_put(vm, LOAD_PARAMS_GPA, page, sizeof(page));
}

/* PML4, PDPT, four page directories: 4 GiB one to one in 2 MiB pages. */
static int put_page_tables(struct vm *vm)
{
	uint64_t table[512];
	enum { PRESENT_WRITE = 0x3, LARGE = 0x80 };
	uint64_t pdpt = LOAD_TABLES_GPA + 0x1000, pd = LOAD_TABLES_GPA + 0x2000;

	memset(table, 0, sizeof(table));
	table[0] = pdpt | PRESENT_WRITE;
	int err = load_put(vm, LOAD_TABLES_GPA, table, sizeof(table));
	for (unsigned i = 0; i < 4; i++)
		table[i] = (pd + i * 0x1000) | PRESENT_WRITE;
	if (!err)
		err = load_put(vm, pdpt, table, sizeof(table));
	for (unsigned d = 0; d < 4 && !err; d++) {
		for (uint64_t i = 0; i < 512; i++)
			table[i] = (d * 512 + i) << 21 | PRESENT_WRITE | LARGE;
		err = load_put(vm, pd + d * 0x1000, table, sizeof(table));
	}
	return err;
}

int load_linux(struct vm *vm, struct vcpu_start *start)
{
	struct linux_image img = {0};
	int err = parse(vm, &img);
	if (!err)
		err = place_kernel(vm, &img);
	if (!err)
		err = load_put(vm, img.load, img.kernel, img.file_bytes);
	if (!err)
		err = place_initrd(vm, &img);
	if (!err)
		err = put_cmdline(vm, &img);
	if (!err)
		err = put_zero_page(vm, &img);
	if (!err)
		err = put_page_tables(vm);
	*start = (struct vcpu_start){
		.mode = VCPU_START_LONG64,
		.rip = img.load + ENTRY_64,
		.rsi = LOAD_PARAMS_GPA,
		.rsp = LOAD_STRINGS_GPA,
		.cr3 = LOAD_TABLES_GPA,
		.cs_selector = LOAD_CS64,
	};
	return err ? err : load_gdt(vm, start);
}
