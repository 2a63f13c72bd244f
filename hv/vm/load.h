/*
 * Loaders: put a kernel into guest memory and say where the boot vCPU starts. The kernel file's bytes are hostile: every size and address
 * in them is checked before it is used. Fiber on io_core; the log says what is wrong with a refused file and what to do.
 */
#ifndef HV_VM_LOAD_H
#define HV_VM_LOAD_H

#include "virt/vcpu.h"

/*
 * Guest-physical map below 1 MiB that loaders and devices agree on:
 *	0x01000 descriptor table   0x02000 boot parameters (zero page or multiboot information)   0x10000 command line, strings
 *	0x20000-0x25fff page tables (Linux)   0xa0000-0xdffff nothing   0xe0000-0xeffff ACPI tables   0xf0000-0xfffff nothing
 */
#define LOAD_GDT_GPA 0x1000u
#define LOAD_PARAMS_GPA 0x2000u
#define LOAD_STRINGS_GPA 0x10000u
#define LOAD_STRINGS_BYTES 0x10000u
#define LOAD_TABLES_GPA 0x20000u
#define LOAD_LOW_END 0x9fc00u /* end of usable memory below the ISA hole */
#define LOAD_HIGH_START 0x100000u

/* vm->config.kernel/initrd/cmdline -> guest memory, *start. 0, -EINVAL (the file is wrong), -ENOSPC (does not fit in guest memory). */
int load_linux(struct vm *vm, struct vcpu_start *start) HV_MUST_CHECK;
/* vm->config.kernel/modules/cmdline -> guest memory, *start. Errors as above. */
int load_multiboot(struct vm *vm, struct vcpu_start *start) HV_MUST_CHECK;

#endif
