/* Which boot protocol started the image: entry.S tells boot_main. Also for the assembler. */
#ifndef HV_BOOT_PROTOCOL_H
#define HV_BOOT_PROTOCOL_H

#define BOOT_UNKNOWN 0
#define BOOT_PVH 1
#define BOOT_MULTIBOOT2 2

#define BOOT_MULTIBOOT2_MAGIC 0x36d76289 /* Multiboot2, 3.3: eax at entry */

#endif
