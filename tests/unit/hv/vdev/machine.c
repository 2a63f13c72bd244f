#include "test.h"

#include "machine.h"
#include "vdev/lapic.h"
#include "virt/gmem_impl.h"
#include "virt/iobus_impl.h"
#include "virt/vcpu.h"
#include <hv/core.h>
#include <stdlib.h>

struct machine m;
static unsigned as;

/* ---- the vCPU core, remembered only ---- */
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
	return v->core;
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
	return m.vcpus[v->index].apic_page;
}
void vcpu_apic_mode_changed(struct vcpu *v)
{
	v->apic_modes++;
}
void vcpu_kick(struct vcpu *v)
{
	v->kicks++;
}
void vcpu_requested(struct vcpu *v, struct lapic_requests *requests)
{
	if (!atomic_exchange(&requests->outstanding, 1))
		v->kicks++;
}
void vcpu_recheck(struct vcpu *v)
{
	v->rechecks++;
}
void vcpu_nmi(struct vcpu *v)
{
	v->nmis++;
}
void vcpu_init_signal(struct vcpu *v)
{
	v->inits++;
}
void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
	v->sipis++;
	v->sipi_vector = vector;
}
/* The guest's TSC: 2 ticks a nanosecond. */
uint64_t vm_tsc_hz(const struct vm *vm)
{
	return 2 * SEC;
}
uint64_t vcpu_tsc(const struct vcpu *v)
{
	return hv_now_ns() * 2;
}
uint64_t vcpu_tsc_to_ns(const struct vcpu *v, uint64_t tsc)
{
	return (tsc + 1) / 2;
}
uint64_t vcpu_ns_to_tsc(const struct vcpu *v, uint64_t now_ns)
{
	return now_ns * 2;
}
void vm_ended(struct vm *vm, enum vm_end how, unsigned value, const char *reason)
{
	if (m.ended)
		return;
	m.ended = true;
	vm->end_how = how;
	vm->end_value = value;
}
void vm_reset(struct vm *vm)
{
	vm_ended(vm, VM_END_RESET, 0, NULL);
}

static void console(void *arg, const char *bytes, size_t len)
{
	assert_int_equal(hv_core_self(), 0); /* config.io_core */
	assert_true(m.console_len + len < sizeof(m.console));
	memcpy(m.console + m.console_len, bytes, len);
	m.console_len += len;
}

void machine_start_bare(unsigned cpus, uint64_t memory_bytes)
{
	native_start(2);
	native_time_set(100 * SEC);
	memset(&m, 0, sizeof(m));
	memcpy(m.vm.name, "t1", 3);
	m.vm.config =
		(struct vm_config){.name = m.vm.name, .cpus = cpus, .memory_bytes = memory_bytes, .debug_exit = true, .console = console};
	m.vm.cpu_count = cpus;
	for (unsigned i = 0; i < cpus; i++) {
		m.vcpus[i] = (struct vcpu){.index = i, .core = 1, .vm = &m.vm};
		m.vm.vcpus[i] = &m.vcpus[i];
	}
	m.vm.iobus = iobus_create();
	assert_non_null(m.vm.iobus);
	assert_int_equal(gmem_create(memory_bytes, &m.vm.gmem), 0);
	machine_as(0);
}

void machine_start(unsigned cpus, uint64_t memory_bytes)
{
	machine_start_bare(cpus, memory_bytes);
	native_core_select(0);
	assert_int_equal(platform_create(&m.vm), 0);
	native_run(100);
	machine_as(0);
	for (unsigned i = 0; i < cpus; i++)
		m.vcpus[i].kicks = 0;
}

static void destroy(void *arg)
{
	platform_destroy(&m.vm);
	*(bool *)arg = true;
}

void machine_stop(void)
{
	bool done = false;
	native_core_select(0);
	assert_int_equal(hv_fiber_spawn("destroy", destroy, &done, 0), 0);
	native_run(100);
	assert_true(done);
	assert_null(m.vm.platform);
	gmem_destroy(m.vm.gmem);
	iobus_destroy(m.vm.iobus);
}

void machine_as(unsigned vcpu)
{
	as = vcpu;
	native_core_select(m.vcpus[vcpu].core);
}

static uint64_t bus(enum io_space space, uint64_t addr, unsigned size, bool write, uint64_t value)
{
	native_core_select(m.vcpus[as].core);
	struct io_access a = {.vcpu = &m.vcpus[as], .addr = addr, .size = (uint8_t)size, .write = write, .value = value};
	assert_true(iobus_dispatch(&m.vm, space, &a));
	return a.value;
}

void out8(uint16_t port, uint8_t x)
{
	bus(IO_PORT, port, 1, true, x);
}
void out16(uint16_t port, uint16_t x)
{
	bus(IO_PORT, port, 2, true, x);
}
void out32(uint16_t port, uint32_t x)
{
	bus(IO_PORT, port, 4, true, x);
}
uint8_t in8(uint16_t port)
{
	return (uint8_t)bus(IO_PORT, port, 1, false, 0);
}
uint16_t in16(uint16_t port)
{
	return (uint16_t)bus(IO_PORT, port, 2, false, 0);
}
uint32_t in32(uint16_t port)
{
	return (uint32_t)bus(IO_PORT, port, 4, false, 0);
}
void mmio_write32(uint64_t gpa, uint32_t x)
{
	bus(IO_MMIO, gpa, 4, true, x);
}
uint32_t mmio_read32(uint64_t gpa)
{
	return (uint32_t)bus(IO_MMIO, gpa, 4, false, 0);
}

bool wr_faults(uint32_t msr, uint64_t x)
{
	native_core_select(m.vcpus[as].core);
	return lapic_msr_write(m.vcpus[as].lapic, msr, x) != 0;
}
void wr(uint32_t msr, uint64_t x)
{
	assert_false(wr_faults(msr, x));
}
bool rd_faults(uint32_t msr)
{
	uint64_t x;
	native_core_select(m.vcpus[as].core);
	return lapic_msr_read(m.vcpus[as].lapic, msr, &x) != 0;
}
uint64_t rd(uint32_t msr)
{
	uint64_t x = 0;
	native_core_select(m.vcpus[as].core);
	assert_int_equal(lapic_msr_read(m.vcpus[as].lapic, msr, &x), 0);
	return x;
}

int take(unsigned vcpu)
{
	uint8_t vector;
	native_core_select(m.vcpus[vcpu].core);
	if (!lapic_has_interrupt(m.vcpus[vcpu].lapic, &vector))
		return -1;
	lapic_ack(m.vcpus[vcpu].lapic, vector);
	return vector;
}

static void settle(void)
{
	for (unsigned round = 0; round < 20; round++) {
		bool busy = false;
		for (unsigned core = 0; core < 2; core++) {
			native_core_select(core);
			busy |= native_core_step();
		}
		if (!busy)
			return;
	}
}

void pass(uint64_t ns)
{
	settle();
	while (ns) {
		uint64_t step = HV_MIN(ns, (uint64_t)50000);
		native_time_advance(step);
		settle();
		ns -= step;
	}
	native_core_select(m.vcpus[as].core);
}
