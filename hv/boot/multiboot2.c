/*
 * Multiboot2 boot information (specification 2.0, 3.6): a header { u32 total bytes, u32 reserved }, then tags { u32 type, u32 bytes, ... },
 * each starting on 8 bytes, until a tag of type 0. GRUB gives one memory map (type 6) on BIOS and UEFI alike, where it has ended boot
 * services.
 */
#include "boot/boot.h"

enum { TAG_END = 0, TAG_CMDLINE = 1, TAG_MODULE = 3, TAG_MEMORY_MAP = 6, TAG_FRAMEBUFFER = 8, TAG_RSDP_1 = 14, TAG_RSDP_2 = 15 };
#define TAG_HEADER_BYTES 8u
#define MAP_HEADER_BYTES 16u /* type, bytes, bytes of an entry, version */
#define MAP_ENTRY_BYTES 24u
#define MODULE_HEADER_BYTES 16u /* type, bytes, start, end */
#define FRAMEBUFFER_BYTES 32u   /* type, bytes, address, pitch, width, height, bits, kind, reserved */
#define FRAMEBUFFER_TEXT 2
#define RSDP_1_BYTES 20u /* ACPI 6.4, 5.2.5.3 */
#define RSDP_2_BYTES 36u

struct tag {
	const char *data; /* from its type on */
	uint32_t type, bytes;
};

static uint32_t get32(const char *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

/* The tag at *offset, which moves on to the next one; false when it leaves the information. */
static bool next_tag(const char *mbi, uint32_t total, uint32_t *offset, struct tag *tag)
{
	uint32_t left = total - *offset;

	if (*offset > total || left < TAG_HEADER_BYTES)
		return false;
	tag->data = mbi + *offset;
	tag->type = get32(tag->data);
	tag->bytes = get32(tag->data + 4);
	if (tag->bytes < TAG_HEADER_BYTES || tag->bytes > left)
		return false;
	*offset += HV_ALIGN_UP(tag->bytes, 8u); /* total is far below 4 GiB */
	return true;
}

/* The string that a tag has from `at` to its end; NULL when it has no end or is not there. */
static const char *tag_string(const struct tag *tag, uint32_t at)
{
	for (uint32_t i = at; i < tag->bytes; i++)
		if (!tag->data[i])
			return tag->data + at;
	return NULL;
}

static const char *read_map(const struct tag *tag, struct boot_info *info)
{
	uint32_t stride;

	if (tag->bytes < MAP_HEADER_BYTES)
		return "the memory map is too short";
	stride = get32(tag->data + 8);
	if (stride < MAP_ENTRY_BYTES || stride % 8)
		return "the memory map has entries of an impossible size";
	return boot_memory_map(tag->data + MAP_HEADER_BYTES, (tag->bytes - MAP_HEADER_BYTES) / stride, stride, info)
		       ? NULL
		       : "the memory map has too many ranges";
}

static const char *read_cmdline(const struct tag *tag, struct boot_info *info)
{
	const char *text = tag_string(tag, TAG_HEADER_BYTES);

	if (!text)
		return "the command line has no end";
	for (unsigned i = 0; i < BOOT_CMDLINE_BYTES - 1 && text[i]; i++)
		info->cmdline[i] = text[i];
	return NULL;
}

static const char *read_module(const struct tag *tag, struct boot_info *info)
{
	const char *name = tag_string(tag, MODULE_HEADER_BYTES);

	if (!name || !name[0])
		return "a module has no name";
	return boot_module_add(info, get32(tag->data + 8), get32(tag->data + 12), name)
		       ? NULL
		       : "a module is not in memory, or there are too many";
}

/* Only a text screen is of use; a picture would need letters to paint. What makes no sense is no screen. */
static void read_screen(const struct tag *tag, struct boot_info *info)
{
	struct boot_screen s;

	if (tag->bytes < FRAMEBUFFER_BYTES || tag->data[29] != FRAMEBUFFER_TEXT)
		return;
	s = (struct boot_screen){.address = get32(tag->data + 8) | (uint64_t)get32(tag->data + 12) << 32,
		.pitch = get32(tag->data + 16),
		.columns = get32(tag->data + 20),
		.rows = get32(tag->data + 24)};
	if (s.address < BOOT_MAP_END && s.columns && s.columns <= BOOT_SCREEN_COLUMNS_MAX && s.rows && s.rows <= BOOT_SCREEN_ROWS_MAX &&
		s.pitch >= 2 * s.columns && s.pitch <= HV_PAGE_SIZE)
		info->screen = s;
}

/* What the map of memory is needed for comes after it. */
static const char *read_tag(const struct tag *tag, uint64_t pa, struct boot_info *info)
{
	switch (tag->type) {
	case TAG_CMDLINE:
		return read_cmdline(tag, info);
	case TAG_MODULE:
		return read_module(tag, info);
	case TAG_FRAMEBUFFER:
		read_screen(tag, info);
		return NULL;
	case TAG_RSDP_1: /* a copy of it; version 2's goes before */
		if (tag->bytes < TAG_HEADER_BYTES + RSDP_1_BYTES)
			return "the RSDP is too short";
		if (!info->rsdp)
			info->rsdp = pa + TAG_HEADER_BYTES;
		return NULL;
	case TAG_RSDP_2:
		if (tag->bytes < TAG_HEADER_BYTES + RSDP_2_BYTES)
			return "the RSDP is too short";
		info->rsdp = pa + TAG_HEADER_BYTES;
		return NULL;
	default:
		return NULL;
	}
}

/* One pass over all tags: the memory map alone, or everything else. NULL or what is wrong. */
static const char *read_pass(const char *mbi, uint32_t total, uint64_t pa, bool maps, struct boot_info *info)
{
	uint32_t offset = TAG_HEADER_BYTES;
	const char *error = NULL;
	struct tag tag;

	while (!error) {
		uint32_t at = offset;

		if (!next_tag(mbi, total, &offset, &tag))
			return "a tag leaves the information";
		if (tag.type == TAG_END)
			return NULL;
		if ((tag.type == TAG_MEMORY_MAP) == maps)
			error = maps ? read_map(&tag, info) : read_tag(&tag, pa + at, info);
	}
	return error;
}

bool multiboot2_read(const void *mbi, size_t bytes, uint64_t pa, struct boot_info *info, const char **error)
{
	uint32_t total;

	*error = "it is too short";
	if (bytes < TAG_HEADER_BYTES)
		return false;
	total = get32(mbi);
	if (total < TAG_HEADER_BYTES || total > bytes)
		return false;
	*error = read_pass(mbi, total, pa, true, info);
	if (!*error && !info->ram.count)
		*error = "it has no memory map";
	if (!*error && !ranges_add(&info->keep, HV_ALIGN_DOWN(pa, HV_PAGE_SIZE), HV_ALIGN_UP(pa + total, HV_PAGE_SIZE)))
		*error = "too many ranges";
	if (!*error)
		*error = read_pass(mbi, total, pa, false, info);
	return !*error;
}
