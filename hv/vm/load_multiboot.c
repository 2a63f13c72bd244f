/*
 * Loads a Multiboot kernel (Multiboot Specification 0.6.96): ELF32, ELF64 or the header's own addresses (a.out kludge), modules, command
 * line, memory map. The machine state is 3.2's: flat 32-bit protected mode, eax = magic, ebx = information.
 *
 * The file is hostile: headers are copied before they are looked at, and no byte outside the file or outside guest RAM above 1 MiB is
 * touched.
 */
#include "vm/load_map.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

#define HEADER_MAGIC 0x1badb002u
#define BOOT_MAGIC 0x2badb002u
#define SEARCH_BYTES 8192u

#define FLAG_ALIGN (1u << 0)
#define FLAG_MEMORY (1u << 1)
#define FLAG_VIDEO (1u << 2)
#define FLAG_ADDRESSES (1u << 16)
#define FLAGS_KNOWN (FLAG_ALIGN | FLAG_MEMORY | FLAG_VIDEO)
#define FLAGS_REQUIRED_MASK 0xffffu

#define INFO_MEMORY (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODULES (1u << 3)
#define INFO_MAP (1u << 6)
#define INFO_LOADER (1u << 9)

#define PT_LOAD 1u
#define MAX_SEGMENTS 64u

struct mb_header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr, drives_length,
		drives_addr, config_table, boot_loader_name, apm_table;
};

struct mb_module {
	uint32_t start, end, cmdline, reserved;
};

struct mb_mmap {
	uint32_t size;
	uint64_t start, bytes;
	uint32_t type;
} __attribute__((packed));

struct elf_segment {
	uint32_t type;
	uint64_t offset, vaddr, paddr, file_bytes, memory_bytes;
};

struct mb_load {
	struct vm *vm;
	const uint8_t *file;
	uint64_t bytes;
	uint64_t entry, end; /* end: first address behind everything loaded so far */
	uint32_t strings;    /* next free byte of the string area */
};

static int refuse(struct mb_load *l, const char *what)
{
	log_error("vm.load.multiboot", "%s: kernel refused: %s", l->vm->name, what);
	return -EINVAL;
}

static bool read_at(const struct mb_load *l, uint64_t offset, void *to, uint64_t len)
{
	if (offset > l->bytes || len > l->bytes - offset)
		return false;
	memcpy(to, l->file + offset, len);
	return true;
}

/* 3.1.1: in the first 8192 bytes, on a 4-byte boundary. Returns its offset, or -1. The address fields stay 0 when the file ends before
 * them. */
static int64_t find_header(const struct mb_load *l, struct mb_header *h)
{
	for (uint64_t at = 0; at + 12 <= HV_MIN(l->bytes, (uint64_t)SEARCH_BYTES); at += 4) {
		memset(h, 0, sizeof(*h));
		if (!read_at(l, at, h, 12) || h->magic != HEADER_MAGIC || (uint32_t)(h->magic + h->flags + h->checksum) != 0)
			continue;
		if ((h->flags & FLAG_ADDRESSES) && !read_at(l, at, h, sizeof(*h)))
			continue;
		return (int64_t)at;
	}
	return -1;
}

/* File bytes and the zeroes behind them -> guest RAM. */
static int put_segment(struct mb_load *l, uint64_t gpa, uint64_t offset, uint64_t file_bytes, uint64_t memory_bytes)
{
	if (file_bytes > memory_bytes || offset > l->bytes || file_bytes > l->bytes - offset)
		return refuse(l, "a segment reaches beyond the file: the file is damaged");
	if (!load_fits(l->vm, gpa, memory_bytes)) {
		log_error("vm.load.memory", "%s: the kernel wants %#llx bytes at %#llx; guest memory it may use is %#x-%#llx", l->vm->name,
			(unsigned long long)memory_bytes, (unsigned long long)gpa, LOAD_HIGH_START,
			(unsigned long long)load_low_ram_end(l->vm));
		return -ENOSPC;
	}
	l->end = HV_MAX(l->end, gpa + memory_bytes);
	int err = load_put(l->vm, gpa, l->file + offset, file_bytes);
	return err ? err : load_zero(l->vm, gpa + file_bytes, memory_bytes - file_bytes);
}

/* 3.1.3: the header says where it and everything else goes. */
static int load_by_addresses(struct mb_load *l, const struct mb_header *h, uint64_t header_offset)
{
	if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > header_offset)
		return refuse(l, "the address fields contradict each other");
	uint64_t offset = header_offset - (h->header_addr - h->load_addr);
	uint64_t file_bytes = l->bytes - offset;
	if (h->load_end_addr != 0) {
		if (h->load_end_addr < h->load_addr)
			return refuse(l, "load_end_addr lies before load_addr");
		file_bytes = h->load_end_addr - h->load_addr;
	}
	uint64_t memory_bytes = file_bytes;
	if (h->bss_end_addr != 0) {
		if (h->bss_end_addr < h->load_addr + file_bytes)
			return refuse(l, "bss_end_addr lies inside the data");
		memory_bytes = h->bss_end_addr - h->load_addr;
	}
	l->entry = h->entry_addr;
	return put_segment(l, h->load_addr, offset, file_bytes, memory_bytes);
}

static uint64_t field(const uint8_t *p, unsigned offset, unsigned bytes)
{
	uint64_t x = 0;
	memcpy(&x, p + offset, bytes);
	return x;
}

static struct elf_segment segment_from(const uint8_t *p, bool wide)
{
	if (wide)
		return (struct elf_segment){.type = (uint32_t)field(p, 0, 4),
			.offset = field(p, 8, 8),
			.vaddr = field(p, 16, 8),
			.paddr = field(p, 24, 8),
			.file_bytes = field(p, 32, 8),
			.memory_bytes = field(p, 40, 8)};
	return (struct elf_segment){.type = (uint32_t)field(p, 0, 4),
		.offset = field(p, 4, 4),
		.vaddr = field(p, 8, 4),
		.paddr = field(p, 12, 4),
		.file_bytes = field(p, 16, 4),
		.memory_bytes = field(p, 20, 4)};
}

/* ELF (System V ABI, "Object files"): PT_LOAD segments at their physical addresses. The entry may be given as a virtual address. */
static int load_elf(struct mb_load *l)
{
	uint8_t h[64] = {0};
	if (!read_at(l, 0, h, 52) || memcmp(h, "\177ELF", 4) != 0)
		return refuse(l, "neither ELF nor a header with addresses");
	bool wide = h[4] == 2;
	if ((h[4] != 1 && !wide) || h[5] != 1 || (wide && !read_at(l, 0, h, 64)))
		return refuse(l, "not a little-endian ELF32 or ELF64 file");
	uint64_t machine = field(h, 18, 2);
	if (machine != (wide ? 62 : 3))
		return refuse(l, "not an ELF file for x86");
	uint64_t entry = wide ? field(h, 24, 8) : field(h, 24, 4), table = wide ? field(h, 32, 8) : field(h, 28, 4);
	uint64_t entry_bytes = field(h, wide ? 54 : 42, 2), count = field(h, wide ? 56 : 44, 2), need = wide ? 56 : 32;
	if (entry_bytes < need || count == 0 || count > MAX_SEGMENTS)
		return refuse(l, "no usable program headers");

	l->entry = entry;
	for (uint64_t i = 0; i < count; i++) {
		uint8_t raw[56];
		if (table > l->bytes || !read_at(l, table + i * entry_bytes, raw, need))
			return refuse(l, "a program header lies beyond the file: the file is damaged");
		struct elf_segment s = segment_from(raw, wide);
		if (s.type != PT_LOAD || s.memory_bytes == 0)
			continue;
		int err = put_segment(l, s.paddr, s.offset, s.file_bytes, s.memory_bytes);
		if (err)
			return err;
		if (entry >= s.vaddr && entry - s.vaddr < s.memory_bytes)
			l->entry = s.paddr + (entry - s.vaddr);
	}
	return l->end ? 0 : refuse(l, "nothing to load");
}

/* A string -> string area; *gpa is where. */
static int put_string(struct mb_load *l, const char *text, uint32_t *gpa)
{
	size_t len = strlen(text ? text : "") + 1;
	if (len > LOAD_STRINGS_GPA + LOAD_STRINGS_BYTES - l->strings) {
		log_error("vm.load.cmdline", "%s: command lines of kernel and modules exceed %u bytes: shorten them", l->vm->name,
			LOAD_STRINGS_BYTES);
		return -EINVAL;
	}
	*gpa = l->strings;
	l->strings += (uint32_t)len;
	return load_put(l->vm, *gpa, text ? text : "", len);
}

/* Behind the kernel, each on a page of its own. */
static int put_modules(struct mb_load *l, uint64_t table_gpa)
{
	for (unsigned i = 0; i < l->vm->config.module_count; i++) {
		const struct vm_blob *b = &l->vm->config.modules[i];
		uint64_t at = HV_ALIGN_UP(l->end, HV_PAGE_SIZE);
		if (!load_fits(l->vm, at, b->bytes)) {
			log_error("vm.load.memory", "%s: no room for module %u of %zu KiB: give the VM more memory", l->vm->name, i,
				b->bytes >> 10);
			return -ENOSPC;
		}
		struct mb_module m = {.start = (uint32_t)at, .end = (uint32_t)(at + b->bytes)};
		l->end = at + b->bytes;
		int err = load_put(l->vm, at, b->data, b->bytes);
		if (!err)
			err = put_string(l, b->name, &m.cmdline);
		if (!err)
			err = load_put(l->vm, table_gpa + i * sizeof(m), &m, sizeof(m));
		if (err)
			return err;
	}
	return 0;
}

static int put_map(struct mb_load *l, uint64_t gpa, uint32_t *bytes)
{
	struct load_map_entry map[LOAD_MAP_MAX];
	unsigned n = load_memory_map(l->vm, map);
	struct mb_mmap out[LOAD_MAP_MAX];
	for (unsigned i = 0; i < n; i++)
		out[i] = (struct mb_mmap){.size = sizeof(out[i]) - 4, .start = map[i].start, .bytes = map[i].bytes, .type = map[i].type};
	*bytes = (uint32_t)(n * sizeof(out[0]));
	return load_put(l->vm, gpa, out, *bytes);
}

/* The information structure (3.3) and what it points to. */
static int put_info(struct mb_load *l)
{
	enum { MODULES = LOAD_PARAMS_GPA + 0x200, MAP = LOAD_PARAMS_GPA + 0x400 };
	struct mb_info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER,
		.mem_lower = LOAD_LOW_END >> 10,
		.mem_upper = (uint32_t)((load_low_ram_end(l->vm) - LOAD_HIGH_START) >> 10),
		.mods_count = l->vm->config.module_count,
		.mods_addr = MODULES,
		.mmap_addr = MAP,
	};
	int err = put_string(l, l->vm->config.cmdline, &info.cmdline);
	if (!err)
		err = put_string(l, "Berth", &info.boot_loader_name);
	if (!err)
		err = put_modules(l, MODULES);
	if (!err)
		err = put_map(l, MAP, &info.mmap_length);
	return err ? err : load_put(l->vm, LOAD_PARAMS_GPA, &info, sizeof(info));
}

int load_multiboot(struct vm *vm, struct vcpu_start *start)
{
	struct mb_load l = {.vm = vm, .file = vm->config.kernel.data, .bytes = vm->config.kernel.bytes, .strings = LOAD_STRINGS_GPA};
	struct mb_header h;
	if (!l.file || vm->config.module_count > VM_MAX_MODULES)
		return refuse(&l, "no file");
	int64_t at = find_header(&l, &h);
	if (at < 0)
		return refuse(&l, "no Multiboot header in its first 8192 bytes");
	if (h.flags & FLAGS_REQUIRED_MASK & ~FLAGS_KNOWN)
		return refuse(&l, "it requires features that Multiboot 0.6.96 does not define");
	int err = h.flags & FLAG_ADDRESSES ? load_by_addresses(&l, &h, (uint64_t)at) : load_elf(&l);
	if (!err && !load_fits(vm, l.entry, 1))
		err = refuse(&l, "its entry point is not in guest memory");
	if (!err)
		err = put_info(&l);
	*start = (struct vcpu_start){
		.mode = VCPU_START_PROT32,
		.rip = l.entry,
		.rax = BOOT_MAGIC,
		.rbx = LOAD_PARAMS_GPA,
		.rsp = LOAD_STRINGS_GPA, /* undefined by the specification; a page of stack for those that forget */
		.cs_selector = LOAD_CS32,
	};
	return err ? err : load_gdt(vm, start);
}
