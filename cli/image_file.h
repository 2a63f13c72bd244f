/* The host's image, berth.elf, made ready for a loader. */
#ifndef CLI_IMAGE_FILE_H
#define CLI_IMAGE_FILE_H

/*
 * Copies what a loader needs of the ELF file `from` to `to`: headers and segments. Sections go: GRUB loads all they name into memory, debugging
 * information too. EXIT_OK, or EXIT_SYSTEM with a message printed: not readable, not a 64-bit x86 ELF file, no Multiboot2 header, not writable.
 */
int image_file_copy(const char *from, const char *to);

#endif
