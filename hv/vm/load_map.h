/* What both loaders need: the guest's RAM below 4 GiB, placing bytes in it, descriptors, memory maps (load_map.c). */
#ifndef HV_VM_LOAD_MAP_H
#define HV_VM_LOAD_MAP_H

#include "vm/load.h"
#include <hv/vm.h>

struct vm;

enum load_mem { LOAD_MEM_RAM = 1, LOAD_MEM_RESERVED = 2 }; /* the same numbers in E820 and Multiboot maps */

struct load_map_entry {
	uint64_t start, bytes;
	enum load_mem type;
};
#define LOAD_MAP_MAX 8

/* The memory map a guest is told, in ascending order. Returns the number of entries. */
unsigned load_memory_map(struct vm *vm, struct load_map_entry out[LOAD_MAP_MAX]);
/* First address behind RAM below 4 GiB. */
uint64_t load_low_ram_end(struct vm *vm);
/* Whether [start, start+bytes) is RAM above 1 MiB and below 4 GiB. Any values, also hostile ones. */
bool load_fits(struct vm *vm, uint64_t start, uint64_t bytes);
/* Copies to guest memory; -ENOSPC when it is not RAM (checked before by load_fits: cannot fail then). */
int load_put(struct vm *vm, uint64_t gpa, const void *p, uint64_t bytes) HV_MUST_CHECK;
int load_zero(struct vm *vm, uint64_t gpa, uint64_t bytes) HV_MUST_CHECK;

#define LOAD_CS32 0x08
#define LOAD_CS64 0x10
#define LOAD_DS 0x18
/* Writes the descriptor table at LOAD_GDT_GPA (null, 32-bit code, 64-bit code, data; all flat) and sets it in start. */
int load_gdt(struct vm *vm, struct vcpu_start *start) HV_MUST_CHECK;

#endif
