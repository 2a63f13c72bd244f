/*
 * A hostile guest on the fixed devices: a sequence of {what, where, value} from three vCPUs, with time passing, interrupts taken, and the state
 * saved, damaged and loaded. Nothing may crash, hang or reach outside.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c hv/kern/sched.c
 * fuzz: hv/kern/slab.c hv/kern/timer.c hv/virt/gmem.c hv/virt/iobus.c hv/vm/state.c tests/native/native.c tests/fuzz/vcpus.c
 * fuzz: hv/vdev/acpi.c hv/vdev/aml.c hv/vdev/apic_bus.c hv/vdev/debug_exit.c hv/vdev/host_timer.c hv/vdev/i8042.c hv/vdev/ioapic.c
 * fuzz: hv/vdev/lapic.c hv/vdev/lapic_state.c hv/vdev/lapic_timer.c hv/vdev/pic.c hv/vdev/pit.c hv/vdev/platform.c hv/vdev/pmtimer.c
 * fuzz: hv/vdev/rtc.c hv/vdev/uart.c
 */
#include "vcpus.h"
#include "native.h"
#include "vdev/irq.h"
#include "vdev/lapic.h"
#include "vdev/platform.h"
#include "virt/iobus.h"
#include "vm/state.h"
#include <stdlib.h>
#include <string.h>

static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0x71, 0x71, 0x60, 0x64, 0x92,
	0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x600, 0x602, 0x604, 0x608, 0xf4, 0x80};

struct step {
	uint8_t what, where;
	uint32_t value;
} __attribute__((packed));

static uint8_t saved[32768];

static void settle(void)
{
	for (unsigned i = 0; i < 8; i++) {
		native_core_select(i & 1);
		native_core_step();
	}
}

static void bus(enum io_space space, uint64_t addr, unsigned size, bool write, uint32_t value, struct vcpu *v)
{
	struct io_access a = {.vcpu = v, .addr = addr, .size = (uint8_t)size, .write = write, .value = value};
	iobus_dispatch(&fuzz_vm, space, &a);
}

static void take(struct vcpu *v)
{
	uint8_t vector;
	lapic_tpr_blocks(v->lapic);
	if (lapic_has_interrupt(v->lapic, &vector))
		lapic_ack(v->lapic, vector);
}

static void save_and_load(uint32_t damage)
{
	struct state_writer w;
	struct state_reader r;
	native_core_select(0);
	state_writer_init(&w, saved, sizeof(saved));
	platform_save(&fuzz_vm, &w);
	int64_t len = state_writer_finish(&w);
	if (len <= 0)
		abort();
	if (damage)
		saved[damage % (uint32_t)len] ^= (uint8_t)(damage >> 24);
	state_reader_init(&r, saved, (size_t)len);
	int err = platform_load(&fuzz_vm, &r);
	if (err && !(damage >> 24))
		abort(); /* what we wrote, we take */
}

static void run_step(const struct step *s)
{
	static const uint32_t msrs[] = {0x1b, 0x6e0, MSR_KVM_PV_EOI};
	struct vcpu *v = &fuzz_vcpus[s->what % FUZZ_CPUS];
	uint64_t x;
	bool write = s->what & 0x80;
	native_core_select(1);
	switch (s->what >> 2 & 7) {
	case 0:
		bus(IO_PORT, ports[s->where % HV_ARRAY_LEN(ports)], 1u << (s->where >> 5) % 3, write, s->value, v);
		break;
	case 1:
		bus(IO_MMIO, 0xfee00000u + s->where * 4u % 0x400, 4, write, s->value, v);
		break;
	case 2:
		bus(IO_MMIO, 0xfec00000u + (s->where & 1 ? 0x10 : s->where & 2 ? 0x40 : 0), 4, write, s->value, v);
		break;
	case 3:
		if (write ? lapic_msr_write(v->lapic, 0x800 + s->where, s->value) : lapic_msr_read(v->lapic, 0x800 + s->where, &x))
			return;
		break;
	case 4:
		if (write ? lapic_msr_write(v->lapic, msrs[s->where % 3], s->value) : lapic_msr_read(v->lapic, msrs[s->where % 3], &x))
			return;
		break;
	case 5:
		take(v);
		break;
	case 6:
		native_time_advance(s->value);
		settle();
		break;
	default:
		if (s->where == 0)
			save_and_load(s->value);
		else if (write)
			vm_msi_send(&fuzz_vm, 0xfee00000u | (s->value & 0xff00c), s->value >> 8);
		else
			vm_irq_set(&fuzz_vm, s->where, s->value & 1);
		break;
	}
}

static void destroy(void *arg)
{
	platform_destroy(&fuzz_vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_vm_start(2 << 20);
	native_core_select(0);
	if (platform_create(&fuzz_vm))
		abort();
	for (; size >= sizeof(struct step); data += sizeof(struct step), size -= sizeof(struct step)) {
		struct step s;
		memcpy(&s, data, sizeof(s));
		run_step(&s);
	}
	native_core_select(0);
	if (hv_fiber_spawn("destroy", destroy, NULL, 0))
		abort();
	native_run(1000);
	if (fuzz_vm.platform)
		abort();
	return 0;
}
