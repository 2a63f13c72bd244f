/* vCPUs without a vCPU core, for fuzz targets of devices and loaders: they are only named, kicked and counted. */
#ifndef FUZZ_VCPUS_H
#define FUZZ_VCPUS_H

#include "vm/vm_impl.h"

#define FUZZ_CPUS 3
struct vcpu {
	unsigned index;
	struct vm *vm;
	struct lapic *lapic;
	uint32_t apic_page[1024];
};
extern struct vm fuzz_vm;
extern struct vcpu fuzz_vcpus[FUZZ_CPUS];
/* A VM with I/O bus and vCPUs; two logical cores: 0 is io_core, 1 runs the vCPUs. Memory is made once, for speed, and keeps its contents. */
void fuzz_vm_start(uint64_t memory_bytes);

#endif
