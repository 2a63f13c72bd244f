/*
 * A VM for tests of its devices: real guest memory, I/O bus and platform; vCPUs that only remember what was done to them. Two logical cores:
 * 0 is the io_core, 1 runs the vCPUs. Accesses are made as vCPU 0 on core 1 unless machine_as(i) says otherwise.
 */
#ifndef TEST_VDEV_MACHINE_H
#define TEST_VDEV_MACHINE_H

#include "vdev/platform.h"
#include "vm/vm_impl.h"

#define MS 1000000ull
#define SEC 1000000000ull

struct vcpu {
	unsigned index, core;
	struct vm *vm;
	struct lapic *lapic;
	unsigned kicks, rechecks, nmis, inits, sipis;
	uint8_t sipi_vector;
	unsigned apic_modes; /* calls of vcpu_apic_mode_changed */
	uint32_t apic_page[1024];
};

struct machine {
	struct vm vm;
	struct vcpu vcpus[4];
	char console[8192];
	size_t console_len;
	bool ended;
};

extern struct machine m;

/* 4 MiB of memory unless set before; cpus 1..4. */
void machine_start(unsigned cpus, uint64_t memory_bytes);
/* Without the platform (loaders). */
void machine_start_bare(unsigned cpus, uint64_t memory_bytes);
void machine_stop(void);
/* Destroys and makes the platform again, power-on. */
void machine_as(unsigned vcpu);

void out8(uint16_t port, uint8_t x);
void out16(uint16_t port, uint16_t x);
void out32(uint16_t port, uint32_t x);
uint8_t in8(uint16_t port);
uint16_t in16(uint16_t port);
uint32_t in32(uint16_t port);
void mmio_write32(uint64_t gpa, uint32_t x);
uint32_t mmio_read32(uint64_t gpa);
/* As the guest on the vCPU of machine_as; fail the test on #GP. */
void wr(uint32_t msr, uint64_t x);
uint64_t rd(uint32_t msr);
bool wr_faults(uint32_t msr, uint64_t x);
bool rd_faults(uint32_t msr);

/* Takes the pending interrupt of a vCPU as the vCPU core would: -1 when there is none. */
int take(unsigned vcpu);
/* Moves time in small steps and runs all cores' loops. */
void pass(uint64_t ns);

#endif
