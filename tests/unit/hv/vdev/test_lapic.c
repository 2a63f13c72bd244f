/* The LAPIC as Linux programs it: modes, priorities, EOI, IPIs, timer. SDM vol. 3 ch. 11. */
#include "test.h"

#include "machine.h"
#include "vdev/irq.h"
#include "vdev/lapic.h"
#include "virt/gmem.h"
#include "vm/state.h"
#include <errno.h>

#define PAGE 0xfee00000ull
#define X2 0x800u
enum {
	ID = 2,
	VERSION = 3,
	TPR = 8,
	PPR = 0xa,
	EOI = 0xb,
	LDR = 0xd,
	SVR = 0xf,
	ISR = 0x10,
	TMR = 0x18,
	IRR = 0x20,
	ESR = 0x28,
	ICR = 0x30,
	LVT_T = 0x32,
	LINT0 = 0x35,
	LVT_E = 0x37,
	INIT = 0x38,
	CUR = 0x39,
	DIV = 0x3e,
	SELF = 0x3f
};

static void x2_on(unsigned vcpu)
{
	machine_as(vcpu);
	wr(0x1b, rd(0x1b) | 1 << 10);
	wr(X2 + SVR, 0x1ff);
}

static int setup(void **state)
{
	machine_start(4, 4 << 20);
	for (unsigned i = 0; i < 4; i++)
		x2_on(i);
	machine_as(0);
	return 0;
}
static int setup_xapic(void **state)
{
	machine_start(4, 4 << 20);
	return 0;
}
static int teardown(void **state)
{
	machine_stop();
	return 0;
}

static void modes_and_their_faults(void **state)
{
	assert_int_equal(rd(0x1b), 0xfee00900);
	assert_true(rd_faults(X2 + ID)); /* not in x2APIC mode */
	assert_int_equal(mmio_read32(PAGE + 0x30) & 0xff, 0x14);
	assert_true(wr_faults(0x1b, 0xfee00500)); /* EXTD without EN */
	assert_true(wr_faults(0x1b, 0xfed00900)); /* page moved */
	wr(0x1b, 0xfee00d00);
	assert_int_equal(mmio_read32(PAGE + 0x30), 0xffffffff);
	assert_int_equal(rd(X2 + VERSION) & 0xff, 0x14);
	assert_true(wr_faults(0x1b, 0xfee00900)); /* x2APIC -> xAPIC */
	wr(0x1b, 0xfee00100);
	assert_false(lapic_is_enabled(m.vcpus[0].lapic));
	assert_true(wr_faults(0x1b, 0xfee00d00)); /* off -> x2APIC */
	wr(0x1b, 0xfee00900);
	machine_as(3);
	assert_int_equal(rd(0x1b), 0xfee00800);
	assert_int_equal(mmio_read32(PAGE + 0x20), 3u << 24);
}

static void x2apic_register_faults(void **state)
{
	machine_as(2);
	assert_int_equal(rd(X2 + ID), 2);
	assert_int_equal(rd(X2 + LDR), 4);
	assert_true(wr_faults(X2 + ID, 1));
	assert_true(wr_faults(X2 + EOI, 1));
	assert_true(wr_faults(X2 + TPR, 0x100));
	assert_true(wr_faults(X2 + SVR, 1ull << 32));
	assert_true(rd_faults(X2 + EOI));
	assert_true(rd_faults(X2 + SELF));
	assert_true(rd_faults(X2 + 0x31)); /* ICR is one 64-bit register */
	assert_true(rd_faults(X2 + 0x0e)); /* no DFR */
	assert_true(rd_faults(0x8ff));
}

static void priorities(void **state)
{
	wr(X2 + SELF, 0x51);
	wr(X2 + SELF, 0x35);
	wr(X2 + SELF, 0x3a);
	assert_int_equal(rd(X2 + IRR + 1), 1u << (0x35 - 32) | 1u << (0x3a - 32));
	assert_int_equal(take(0), 0x51);
	assert_int_equal(rd(X2 + PPR), 0x50);
	assert_int_equal(take(0), -1); /* lower classes wait */
	wr(X2 + SELF, 0x5f);
	assert_int_equal(take(0), -1); /* the same class waits */
	wr(X2 + SELF, 0x60);
	assert_int_equal(take(0), 0x60);
	wr(X2 + EOI, 0);
	wr(X2 + EOI, 0);
	assert_int_equal(take(0), 0x5f);
	wr(X2 + EOI, 0);
	wr(X2 + TPR, 0x30);
	assert_int_equal(take(0), -1);
	assert_true(lapic_tpr_blocks(m.vcpus[0].lapic));
	lapic_set_cr8(m.vcpus[0].lapic, 2);
	assert_int_equal(rd(X2 + TPR), 0x20);
	assert_int_equal(take(0), 0x3a);
	assert_int_equal(rd(X2 + ISR + 1), 1u << (0x3a - 32));
	wr(X2 + EOI, 0);
	assert_int_equal(take(0), 0x35);
	wr(X2 + EOI, 0);
	wr(X2 + EOI, 0); /* nothing in service: ignored */
	assert_int_equal(rd(X2 + PPR), 0x20);
}

static void ipi_destinations(void **state)
{
	wr(X2 + ICR, 2ull << 32 | 0x40);
	assert_int_equal(m.vcpus[2].kicks, 1);
	assert_int_equal(take(2), 0x40);
	machine_as(2);
	wr(X2 + EOI, 0);
	machine_as(0);
	wr(X2 + ICR, 0x000c0041); /* all but self */
	assert_int_equal(take(0), -1);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(take(i), 0x41);
	wr(X2 + ICR, 0x00080042); /* all and self */
	assert_int_equal(take(0), 0x42);
	wr(X2 + ICR, 0xffffffffull << 32 | 0x53); /* broadcast by destination */
	assert_int_equal(take(0), 0x53);
	assert_int_equal(take(3), 0x53);
	wr(X2 + ICR, 0x000aull << 32 | 0x864); /* logical: 1 and 3 of cluster 0 */
	assert_int_equal(take(1), 0x64);
	assert_int_equal(take(3), 0x64);
	assert_int_equal(take(0), -1);
	assert_int_equal(take(2), 0x53); /* the earlier one; not 0x64 */
	wr(X2 + ICR, 9ull << 32 | 0x70); /* nobody */
	wr(X2 + ICR, 1ull << 32 | 0x400);
	assert_int_equal(m.vcpus[1].nmis, 1);
}

static void start_up_sequence(void **state)
{
	wr(X2 + ICR, 1ull << 32 | 0xc500); /* INIT, level assert: as Linux */
	wr(X2 + ICR, 1ull << 32 | 0x8500); /* de-assert: nothing */
	assert_int_equal(m.vcpus[1].inits, 1);
	wr(X2 + ICR, 1ull << 32 | 0x69a);
	assert_int_equal(m.vcpus[1].sipis, 1);
	assert_int_equal(m.vcpus[1].sipi_vector, 0x9a);
	machine_as(1);
	lapic_reset(m.vcpus[1].lapic);
	assert_int_equal(rd(X2 + SVR), 0xff);
	assert_int_equal(rd(X2 + LDR), 2); /* x2APIC mode survives INIT */
}

static void illegal_vectors_are_errors(void **state)
{
	wr(X2 + LVT_E, 0xfe);
	wr(X2 + ICR, 1ull << 32 | 0x05);
	assert_int_equal(take(1), -1);
	assert_int_equal(rd(X2 + ESR), 0); /* latched by a write */
	wr(X2 + ESR, 0);
	assert_int_equal(rd(X2 + ESR), 0x20);
	assert_int_equal(take(0), 0xfe);
	wr(X2 + EOI, 0);
	vm_msi_send(&m.vm, 0xfee00000, 0x0f);
	wr(X2 + ESR, 0);
	assert_int_equal(rd(X2 + ESR), 0x40);
	wr(X2 + LVT_E, 0x0e); /* an error entry that is itself illegal must not recurse */
	vm_msi_send(&m.vm, 0xfee00000, 0x03);
}

static void xapic_logical_flat_and_msi(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		machine_as(i);
		mmio_write32(PAGE + 0xf0, 0x1ff);
		mmio_write32(PAGE + 0xe0, 0xffffffff);
		mmio_write32(PAGE + 0xd0, 1u << (24 + i));
	}
	machine_as(0);
	mmio_write32(PAGE + 0x310, 0x06u << 24);
	mmio_write32(PAGE + 0x300, 0x871);
	assert_int_equal(take(0), -1);
	assert_int_equal(take(1), 0x71);
	assert_int_equal(take(2), 0x71);
	vm_msi_send(&m.vm, 0xfee00000 | 3 << 12, 0x4081);
	assert_int_equal(take(3), 0x81);
	vm_msi_send(&m.vm, 0xfee0000c | 0x0f << 12, 0x191); /* logical, lowest priority: exactly one of the four */
	unsigned hits = 0;
	for (unsigned i = 0; i < 4; i++)
		hits += take(i) == 0x91;
	assert_int_equal(hits, 1);
	vm_msi_send(&m.vm, 0xd0000000, 0x95); /* not an MSI address */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(take(i), -1);
}

static uint32_t pv_flag(void)
{
	uint32_t x;
	assert_int_equal(gmem_read(m.vm.gmem, GPA(0x5000), &x, 4), 0);
	return x;
}
static void pv_clear(void)
{
	uint32_t x = 0;
	assert_int_equal(gmem_write(m.vm.gmem, GPA(0x5000), &x, 4), 0);
}

/* Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_EOI_EN. */
static void eoi_without_an_exit(void **state)
{
	assert_true(wr_faults(MSR_KVM_PV_EOI, 0x5003));
	assert_true(wr_faults(MSR_KVM_PV_EOI, 0x40000001)); /* not RAM */
	wr(MSR_KVM_PV_EOI, 0x5001);
	assert_int_equal(rd(MSR_KVM_PV_EOI), 0x5001);
	wr(X2 + SELF, 0x41);
	assert_int_equal(take(0), 0x41);
	assert_int_equal(pv_flag(), 1);
	assert_int_equal(rd(X2 + ISR + 2), 2); /* still in service */
	pv_clear();
	assert_int_equal(rd(X2 + ISR + 2), 0);
	/* One that waits behind another is not offered; a late one takes the offer back. */
	wr(X2 + SELF, 0x41);
	assert_int_equal(take(0), 0x41);
	assert_int_equal(pv_flag(), 1);
	wr(X2 + SELF, 0x42);
	assert_int_equal(take(0), -1);
	assert_int_equal(pv_flag(), 0); /* so the guest writes EOI, and that shows the next */
	wr(X2 + EOI, 0);
	assert_int_equal(take(0), 0x42);
	assert_int_equal(pv_flag(), 1);
	/* A nested one, ended by flag; the outer by MSR. */
	wr(X2 + SELF, 0x81);
	assert_int_equal(take(0), 0x81);
	assert_int_equal(pv_flag(), 1);
	pv_clear();
	wr(X2 + EOI, 0);
	assert_int_equal(rd(X2 + PPR), 0);
	/* Two wait: the first taken is not offered. */
	wr(X2 + SELF, 0x51);
	wr(X2 + SELF, 0x61);
	assert_int_equal(take(0), 0x61);
	assert_int_equal(pv_flag(), 0);
	wr(X2 + EOI, 0);
	assert_int_equal(take(0), 0x51);
	assert_int_equal(pv_flag(), 1);
	wr(X2 + EOI, 0); /* EOI by MSR although offered: taken back, not counted twice */
	assert_int_equal(pv_flag(), 0);
	wr(X2 + SELF, 0x51);
	wr(X2 + SELF, 0x31);
	assert_int_equal(take(0), 0x51);
	assert_int_equal(take(0), -1);
	wr(MSR_KVM_PV_EOI, 0);
	wr(X2 + EOI, 0);
	assert_int_equal(take(0), 0x31);
	assert_int_equal(pv_flag(), 0);
}

static void software_disabled(void **state)
{
	wr(X2 + LVT_T, 0x40);
	wr(X2 + SVR, 0xff);
	assert_int_equal(rd(X2 + LVT_T), 0x10040);
	wr(X2 + LVT_T, 0x40);
	assert_int_equal(rd(X2 + LVT_T), 0x10040);
	vm_msi_send(&m.vm, 0xfee00000, 0x55);
	assert_int_equal(take(0), -1);
	wr(X2 + SVR, 0x1ff);
	assert_int_equal(take(0), -1); /* it was not kept */
}

static void timer_one_shot_and_periodic(void **state)
{
	wr(X2 + DIV, 0xb); /* by 1: 1 ns a tick */
	wr(X2 + LVT_T, 0xec);
	wr(X2 + INIT, 2000000);
	pass(MS);
	assert_int_equal(take(0), -1);
	assert_int_equal(rd(X2 + CUR), 1000000);
	pass(MS);
	assert_int_equal(take(0), 0xec);
	wr(X2 + EOI, 0);
	assert_int_equal(rd(X2 + CUR), 0);
	pass(10 * MS);
	assert_int_equal(take(0), -1);

	wr(X2 + DIV, 0x3); /* by 16 */
	wr(X2 + LVT_T, 0x200ec);
	wr(X2 + INIT, 62500); /* 1 ms */
	unsigned ticks = 0;
	for (unsigned i = 0; i < 40; i++) {
		pass(MS / 4);
		if (take(0) == 0xec) {
			ticks++;
			wr(X2 + EOI, 0);
		}
	}
	assert_in_range(ticks, 9, 11);
	wr(X2 + INIT, 0);
	pass(5 * MS);
	assert_int_equal(take(0), -1);
}

static void timer_period_is_bounded(void **state)
{
	wr(X2 + DIV, 0xb);
	wr(X2 + LVT_T, 0x200ec);
	wr(X2 + INIT, 1); /* 1 ns */
	pass(MS);
	assert_in_range(m.vcpus[0].kicks, 1, 1); /* one pending bit */
	assert_int_equal(take(0), 0xec);
	wr(X2 + INIT, 0);
}

static void timer_tsc_deadline(void **state)
{
	wr(0x6e0, 12345);
	assert_int_equal(rd(0x6e0), 0); /* not in that mode */
	wr(X2 + LVT_T, 0x400ec);
	uint64_t at = 2 * (100 * SEC) + 2 * MS * 2;
	wr(0x6e0, at);
	assert_int_equal(rd(0x6e0), at);
	pass(MS);
	assert_int_equal(take(0), -1);
	pass(2 * MS);
	assert_int_equal(take(0), 0xec);
	assert_int_equal(rd(0x6e0), 0);
	wr(X2 + EOI, 0);
	wr(0x6e0, 1); /* past: at once, without a host timer */
	assert_int_equal(take(0), 0xec);
	wr(X2 + EOI, 0);
	wr(0x6e0, at + 100 * MS);
	wr(0x6e0, 0);
	pass(200 * MS);
	assert_int_equal(take(0), -1);
}

static uint32_t *page_register(unsigned reg)
{
	return &m.vcpus[0].apic_page[reg * 4];
}

/* What a processor that delivers by itself finds in the page, and what it leaves there. */
static void page_of_a_machine_that_delivers(void **state)
{
	struct lapic *l = m.vcpus[0].lapic;
	struct lapic_page_state s;
	assert_int_equal(lapic_get_mode(l), LAPIC_X2APIC);
	wr(MSR_KVM_PV_EOI, 0x5001);
	lapic_set_assisted(l, true);
	wr(X2 + SELF, 0x51);
	vm_msi_send(&m.vm, 0xfee00000, 0xc062); /* level */
	lapic_collect(l, &s);
	assert_int_equal(s.requested, 0x62);
	assert_int_equal(s.in_service, 0);
	assert_true(s.level[1] == 1ull << (0x62 - 64) && !(s.level[0] | s.level[2] | s.level[3]));
	assert_int_equal(*page_register(IRR + 2), 1u << (0x51 - 64));
	assert_int_equal(*page_register(IRR + 3), 1u << (0x62 - 96));
	*page_register(IRR + 3) = 0; /* the processor delivers 0x62 */
	*page_register(ISR + 3) = 1u << (0x62 - 96);
	lapic_collect(l, &s);
	assert_int_equal(s.requested, 0x51);
	assert_int_equal(s.in_service, 0x62);
	assert_int_equal(take(0), -1); /* it waits behind 0x62 */
	*page_register(ISR + 3) = 0;   /* EOI */
	lapic_ended(l, 0x62);
	assert_int_equal(take(0), 0x51);
	assert_int_equal(pv_flag(), 0);       /* no EOI by memory: this one costs no exit */
	vm_msi_send(&m.vm, 0xfee00000, 0x62); /* the same vector, by edge */
	lapic_collect(l, &s);
	assert_int_equal(s.level[1], 0);
	lapic_reset(l);
	lapic_collect(l, &s);
	assert_int_equal(s.requested | s.in_service, 0);
}

/* A processor may take edge-triggered requests by itself; all others are for the vCPU's core. */
static void requests_that_a_processor_may_take(void **state)
{
	struct lapic *l = m.vcpus[0].lapic;
	struct lapic_requests *r = lapic_get_requests(l);
	struct lapic_page_state s;
	assert_int_equal((uintptr_t)r % 64, 0);
	assert_int_equal(sizeof(*r), 64);
	vm_msi_send(&m.vm, 0xfee00000, 0x51);
	assert_true(r->vectors[1] == 1ull << (0x51 - 64) && r->outstanding);
	assert_int_equal(m.vcpus[0].kicks, 1);
	vm_msi_send(&m.vm, 0xfee00000, 0x91); /* behind the first: no other notification */
	assert_true(r->vectors[2] == 1ull << (0x91 - 128));
	assert_int_equal(m.vcpus[0].kicks, 1);
	r->outstanding = 0; /* the processor takes them, */
	r->vectors[1] = r->vectors[2] = 0;
	*page_register(IRR + 2) |= 1u << (0x51 - 64);
	vm_msi_send(&m.vm, 0xfee00000, 0xc062); /* level: not for it */
	assert_true(!(r->vectors[0] | r->vectors[1] | r->vectors[2] | r->vectors[3]) && !r->outstanding);
	assert_int_equal(m.vcpus[0].kicks, 2);
	vm_msi_send(&m.vm, 0xfee00000, 0x62); /* its trigger mode changes: neither */
	assert_int_equal(r->vectors[1], 0);
	lapic_collect(l, &s);
	assert_int_equal(s.requested, 0x62);
	assert_int_equal(m.vcpus[0].rechecks, 0);
	vm_msi_send(&m.vm, 0xfee00000, 0x62);
	assert_true(r->vectors[1] == 1ull << (0x62 - 64) && r->outstanding);
	lapic_collect(l, &s);
	assert_true(!r->vectors[1] && !r->outstanding);
	assert_int_equal(m.vcpus[0].rechecks, 1); /* taken by somebody who may not tell the machine: the vCPU does, before it runs on */
	vm_msi_send(&m.vm, 0xfee00000, 0x63);
	lapic_reset(l);
	assert_true(!r->vectors[1] && !r->outstanding);
}

/* Registers that are kept elsewhere are shown in the page, and taken from there when the guest wrote them without us. */
static void registers_written_in_the_page(void **state)
{
	struct lapic *l = m.vcpus[0].lapic;
	mmio_write32(PAGE + 0xf0, 0x1ff);
	lapic_set_assisted(l, true);
	assert_int_equal(*page_register(VERSION) & 0xff, 0x14);
	assert_int_equal(*page_register(SVR), 0x1ff);
	*page_register(ID) = 0x77000000;
	lapic_page_written(l, ID << 4);
	assert_int_equal(*page_register(ID), 0);
	*page_register(LVT_T) = 0xffff00ec;
	lapic_page_written(l, LVT_T << 4);
	assert_int_equal(*page_register(LVT_T), 0x700ec); /* reserved bits do not stay */
	*page_register(LVT_T) = 0x200ec;
	lapic_page_written(l, LVT_T << 4);
	*page_register(DIV) = 0xb;
	lapic_page_written(l, DIV << 4);
	*page_register(INIT) = 1000000;
	lapic_page_written(l, INIT << 4);
	pass(MS);
	assert_int_equal(take(0), 0xec);
	*page_register(ICR + 1) = 0;
	*page_register(ICR) = 0x4041;
	lapic_page_written(l, ICR << 4);
	lapic_page_written(l, 0xb0); /* EOI of 0xec */
	assert_int_equal(*page_register(ISR + 7), 0);
	struct lapic_page_state s;
	lapic_collect(l, &s);
	assert_int_equal(s.requested, 0x41);
	*page_register(SVR) = 0xff;
	lapic_page_written(l, SVR << 4);
	assert_int_equal(*page_register(LVT_T), 0x300ec); /* masked with it */
	lapic_page_written(l, SELF << 4);                 /* a vector below 16 */
	mmio_write32(PAGE + 0x280, 0);
	assert_int_equal(mmio_read32(PAGE + 0x280), 0x20);
}

static void state_survives(void **state)
{
	static uint8_t buf[16384];
	struct state_writer w;
	struct state_reader r;

	wr(X2 + SELF, 0x45);
	assert_int_equal(take(0), 0x45);
	wr(X2 + SELF, 0x99);
	wr(X2 + DIV, 0xb);
	wr(X2 + LVT_T, 0xec);
	wr(X2 + INIT, 5000000);
	pass(2 * MS);
	native_core_select(0);
	state_writer_init(&w, buf, sizeof(buf));
	platform_save(&m.vm, &w);
	assert_true(state_writer_finish(&w) > 0);
	machine_stop();

	machine_start(4, 4 << 20);
	native_core_select(0);
	state_reader_init(&r, buf, w.used);
	assert_int_equal(platform_load(&m.vm, &r), 0);
	pass(0);
	assert_int_equal(take(0), 0x99);
	wr(X2 + EOI, 0);
	assert_int_equal(rd(X2 + ISR + 2), 1u << (0x45 - 64));
	assert_int_equal(rd(X2 + CUR), 3000000);
	pass(3 * MS);
	assert_int_equal(take(0), 0xec);

	/* Cut anywhere, it is refused and nothing changes. */
	for (size_t len = 0; len < w.used; len += 7) {
		native_core_select(0);
		state_reader_init(&r, buf, len);
		assert_true(platform_load(&m.vm, &r) < 0);
	}
	machine_as(0);
	assert_int_equal(rd(X2 + SVR), 0x1ff);
}

static void impossible_state_is_refused(void **state)
{
	static uint8_t buf[16384];
	struct state_writer w;
	struct state_reader r;
	native_core_select(0);
	state_writer_init(&w, buf, sizeof(buf));
	platform_save(&m.vm, &w);
	unsigned refused = 0;
	for (size_t i = 0; i < w.used; i++) { /* any byte may be anything: never a crash */
		buf[i] ^= 0xff;
		native_core_select(0);
		state_reader_init(&r, buf, w.used);
		refused += platform_load(&m.vm, &r) < 0;
		buf[i] ^= 0xff;
		for (unsigned v = 0; v < 4; v++) {
			machine_as(v);
			if (!rd_faults(X2 + PPR))
				take(v);
		}
		pass(0);
	}
	assert_true(refused > w.used / 8);
	state_reader_init(&r, buf, w.used);
	native_core_select(0);
	assert_int_equal(platform_load(&m.vm, &r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(modes_and_their_faults, setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(x2apic_register_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(priorities, setup, teardown),
		cmocka_unit_test_setup_teardown(ipi_destinations, setup, teardown),
		cmocka_unit_test_setup_teardown(start_up_sequence, setup, teardown),
		cmocka_unit_test_setup_teardown(illegal_vectors_are_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(xapic_logical_flat_and_msi, setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(eoi_without_an_exit, setup, teardown),
		cmocka_unit_test_setup_teardown(software_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_one_shot_and_periodic, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_period_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_tsc_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(page_of_a_machine_that_delivers, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_that_a_processor_may_take, setup, teardown),
		cmocka_unit_test_setup_teardown(registers_written_in_the_page, setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(state_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(impossible_state_is_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
