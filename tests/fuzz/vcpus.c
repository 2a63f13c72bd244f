#include "vcpus.h"
#include "native.h"
#include "virt/gmem_impl.h"
#include "virt/iobus_impl.h"
#include "virt/vcpu.h"
#include <stdlib.h>
#include <string.h>

struct vm fuzz_vm;
struct vcpu fuzz_vcpus[FUZZ_CPUS];

unsigned vcpu_index(const struct vcpu *v)
{
	return v->index;
}
struct vm *vcpu_vm(const struct vcpu *v)
{
	return v->vm;
}
unsigned vcpu_core(const struct vcpu *v)
{
	return 1;
}
struct lapic *vcpu_lapic(const struct vcpu *v)
{
	return v->lapic;
}
void vcpu_set_lapic(struct vcpu *v, struct lapic *lapic)
{
	v->lapic = lapic;
}
uint32_t *vcpu_apic_page(const struct vcpu *v)
{
	return fuzz_vcpus[v->index].apic_page;
}
void vcpu_apic_mode_changed(struct vcpu *v)
{
}
void vcpu_kick(struct vcpu *v)
{
}
void vcpu_requested(struct vcpu *v, struct lapic_requests *requests)
{
}
void vcpu_recheck(struct vcpu *v)
{
}
void vcpu_nmi(struct vcpu *v)
{
}
void vcpu_init_signal(struct vcpu *v)
{
}
void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
}
uint64_t vm_tsc_hz(const struct vm *vm)
{
	return 1000000000;
}
uint64_t vcpu_tsc(const struct vcpu *v)
{
	return hv_now_ns();
}
uint64_t vcpu_tsc_to_ns(const struct vcpu *v, uint64_t tsc)
{
	return tsc;
}
uint64_t vcpu_ns_to_tsc(const struct vcpu *v, uint64_t now_ns)
{
	return now_ns;
}
void vm_ended(struct vm *vm, enum vm_end how, unsigned value, const char *reason)
{
}
void vm_reset(struct vm *vm)
{
}

static void console(void *arg, const char *bytes, size_t len)
{
	volatile char last = bytes[len - 1]; /* the sanitizer looks whether it is there */
	(void)last;
}

void fuzz_vm_start(uint64_t memory_bytes)
{
	struct gmem *gmem = fuzz_vm.gmem;
	struct iobus *iobus = fuzz_vm.iobus;
	native_start(2);
	memset(&fuzz_vm, 0, sizeof(fuzz_vm));
	strcpy(fuzz_vm.name, "fuzz");
	fuzz_vm.config = (struct vm_config){.name = fuzz_vm.name, .memory_bytes = memory_bytes, .cpus = FUZZ_CPUS, .debug_exit = true,
		.console = console};
	fuzz_vm.cpu_count = FUZZ_CPUS;
	for (unsigned i = 0; i < FUZZ_CPUS; i++) {
		fuzz_vcpus[i] = (struct vcpu){.index = i, .vm = &fuzz_vm};
		fuzz_vm.vcpus[i] = &fuzz_vcpus[i];
	}
	fuzz_vm.gmem = gmem;
	fuzz_vm.iobus = iobus;
	if (!iobus && (!(fuzz_vm.iobus = iobus_create()) || gmem_create(memory_bytes, &fuzz_vm.gmem)))
		abort();
}
