/* Copies the host's image for a loader, see image_file.h. The file is somebody's input: every offset is checked. */
#include "image_file.h"

#include "command.h"
#include "memory.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX_IMAGE_BYTES (256u << 20)
#define MULTIBOOT2_MAGIC 0xe85250d6u
#define MULTIBOOT2_SEARCH_BYTES 32768u /* Multiboot2 2.0, 3.1: where the header may lie */

static char *load(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	char *data = file ? must_realloc(NULL, MAX_IMAGE_BYTES) : NULL;
	if (!file)
		return NULL;
	*len = fread(data, 1, MAX_IMAGE_BYTES, file);
	if (ferror(file)) {
		free(data);
		data = NULL;
	}
	fclose(file);
	return data;
}

/* The end of the last segment, or 0 when this is not an image that GRUB can start; *error says why. */
static size_t loaded_bytes(const char *data, size_t len, const char **error)
{
	Elf64_Ehdr head;
	size_t end;
	*error = "it is not a 64-bit x86 ELF program";
	if (len < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_machine != EM_X86_64 ||
		head.e_type != ET_EXEC || head.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	*error = "it is cut short";
	if (head.e_phoff > len || (len - head.e_phoff) / sizeof(Elf64_Phdr) < head.e_phnum)
		return 0;
	end = head.e_phoff + head.e_phnum * sizeof(Elf64_Phdr);
	for (unsigned i = 0; i < head.e_phnum; i++) {
		Elf64_Phdr segment;
		memcpy(&segment, data + head.e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_offset > len || segment.p_filesz > len - segment.p_offset)
			return 0;
		if (segment.p_offset + segment.p_filesz > end)
			end = segment.p_offset + segment.p_filesz;
	}
	*error = "it has no Multiboot2 header";
	for (size_t at = 0; at + 4 <= len && at < MULTIBOOT2_SEARCH_BYTES; at += 8) {
		uint32_t word;
		memcpy(&word, data + at, sizeof(word));
		if (word == MULTIBOOT2_MAGIC)
			return end;
	}
	return 0;
}

static void drop_sections(char *data)
{
	Elf64_Ehdr head;
	memcpy(&head, data, sizeof(head));
	head.e_shoff = 0;
	head.e_shnum = head.e_shstrndx = 0;
	memcpy(data, &head, sizeof(head));
}

int image_file_copy(const char *from, const char *to)
{
	size_t len = 0, end;
	const char *error;
	char *data = load(from, &len);
	FILE *file;
	bool good;
	if (!data) {
		fprintf(stderr,
			"berth: the host's image %s cannot be read: %s\n  hint: build it (lab/build image) or name it with --image\n", from,
			strerror(errno));
		return EXIT_SYSTEM;
	}
	end = loaded_bytes(data, len, &error);
	if (!end) {
		fprintf(stderr, "berth: %s is not a Berth image: %s\n", from, error);
		free(data);
		return EXIT_SYSTEM;
	}
	drop_sections(data);
	file = fopen(to, "wb");
	good = file && fwrite(data, 1, end, file) == end;
	if (file && fclose(file))
		good = false;
	if (!good)
		fprintf(stderr, "berth: %s cannot be written: %s\n", to, strerror(errno));
	free(data);
	return good ? EXIT_OK : EXIT_SYSTEM;
}
