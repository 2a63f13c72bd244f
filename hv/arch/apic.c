/*
 * Local APIC: interrupts between cores, end of interrupt, one-shot timer (TSC-deadline where the processor has it).
 *
 * The one-shot counter has 32 bits: a far deadline comes early, apic_timer_fired sets the rest. percpu.timer_deadline_ns is what was asked
 * for.
 */
#include "arch/apic.h"
#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/percpu.h"
#include "arch/time.h"
#include "arch/trap.h"
#include "kern/loop.h"
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>

enum {
	APIC_ID = 0x02,
	APIC_TPR = 0x08,
	APIC_EOI = 0x0b,
	APIC_SPURIOUS = 0x0f,
	APIC_ICR = 0x30,
	APIC_ICR_HIGH = 0x31,
	APIC_LVT_TIMER = 0x32,
	APIC_LVT_LINT0 = 0x35,
	APIC_LVT_LINT1 = 0x36,
	APIC_LVT_ERROR = 0x37,
	APIC_TIMER_INITIAL = 0x38,
	APIC_TIMER_CURRENT = 0x39,
	APIC_TIMER_DIVIDE = 0x3e,
};
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)
#define LVT_MASKED (1u << 16)
#define LVT_TSC_DEADLINE (2u << 17)
#define ICR_ASSERT (1u << 14)
#define ICR_PENDING (1u << 12)
#define ICR_INIT (5u << 8)
#define ICR_SIPI (6u << 8)
#define ICR_NMI (4u << 8)
#define ICR_ALL_OTHERS (3u << 18)
#define CPUID1_ECX_X2APIC (1u << 21)
#define CPUID1_ECX_TSC_DEADLINE (1u << 24)
#define MEASURE_US 10000u

static volatile uint32_t *xapic; /* NULL in x2APIC mode */
static bool ready, x2apic, tsc_deadline;
static uint64_t ticks_per_ns; /* 32.32 fixed point */

static uint32_t reg_read(unsigned reg)
{
	return x2apic ? (uint32_t)cpu_rdmsr(MSR_X2APIC_BASE + reg) : xapic[reg * 4];
}

static void reg_write(unsigned reg, uint32_t v)
{
	if (x2apic)
		cpu_wrmsr(MSR_X2APIC_BASE + reg, v);
	else
		xapic[reg * 4] = v;
}

static void send(uint32_t to, uint32_t command)
{
	unsigned long irq;

	if (x2apic) {
		/* Unlike a store, WRMSR to the x2APIC does not wait for earlier stores (SDM vol. 3, 10.12.3). */
		__asm__ volatile("mfence; lfence" : : : "memory");
		cpu_wrmsr(MSR_X2APIC_BASE + APIC_ICR, (uint64_t)to << 32 | command);
		return;
	}
	irq = arch_irq_save();
	while (xapic[APIC_ICR * 4] & ICR_PENDING)
		cpu_pause();
	xapic[APIC_ICR_HIGH * 4] = to << 24;
	xapic[APIC_ICR * 4] = command;
	arch_irq_restore(irq);
}

void arch_core_kick(unsigned core)
{
	send(percpu_get(core)->apic_id, ICR_ASSERT | VECTOR_KICK);
}

void hv_core_notify(unsigned core)
{
	send(percpu_get(core)->apic_id, ICR_ASSERT | VECTOR_NOTIFY);
}

void apic_send_init(uint32_t to)
{
	send(to, ICR_ASSERT | ICR_INIT);
}

void apic_send_sipi(uint32_t to, uint8_t page)
{
	send(to, ICR_ASSERT | ICR_SIPI | page);
}

void apic_stop_others(void)
{
	if (ready)
		send(0, ICR_ASSERT | ICR_NMI | ICR_ALL_OTHERS);
}

void apic_eoi(void)
{
	reg_write(APIC_EOI, 0);
}

uint32_t apic_id(void)
{
	return x2apic ? reg_read(APIC_ID) : reg_read(APIC_ID) >> 24;
}

/* ---- timer ---- */
static void program(uint64_t deadline_ns)
{
	uint64_t now_ns, ticks;

	if (tsc_deadline) {
		cpu_wrmsr(MSR_TSC_DEADLINE, deadline_ns == UINT64_MAX ? 0 : time_ns_to_tsc(deadline_ns));
		return;
	}
	if (deadline_ns == UINT64_MAX) {
		reg_write(APIC_TIMER_INITIAL, 0);
		return;
	}
	now_ns = hv_now_ns();
	ticks = deadline_ns > now_ns ? (uint64_t)((unsigned __int128)(deadline_ns - now_ns) * ticks_per_ns >> 32) : 0;
	reg_write(APIC_TIMER_INITIAL, (uint32_t)HV_MIN(HV_MAX(ticks, 1ull), (uint64_t)UINT32_MAX));
}

void arch_timer_set(uint64_t deadline_ns)
{
	struct percpu *p = percpu_self();
	unsigned long irq = arch_irq_save();

	if (p->timer_deadline_ns != deadline_ns) {
		p->timer_deadline_ns = deadline_ns;
		program(deadline_ns);
	}
	arch_irq_restore(irq);
}

void apic_timer_fired(void)
{
	struct percpu *p = percpu_self();

	if (p->timer_deadline_ns != UINT64_MAX && hv_now_ns() < p->timer_deadline_ns) {
		program(p->timer_deadline_ns);
		return;
	}
	p->timer_deadline_ns = UINT64_MAX;
	hv_loop_timer_fired();
}

static void measure_timer(void)
{
	uint32_t ticks;
	uint64_t start_ns;

	reg_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	reg_write(APIC_TIMER_INITIAL, UINT32_MAX);
	start_ns = hv_now_ns();
	time_delay_us(MEASURE_US);
	ticks = UINT32_MAX - reg_read(APIC_TIMER_CURRENT);
	ticks_per_ns = ((uint64_t)ticks << 32) / (hv_now_ns() - start_ns);
	reg_write(APIC_TIMER_INITIAL, 0);
	if (!ticks_per_ns)
		hv_panic("local APIC timer does not count");
}

void apic_init(uint64_t xapic_base)
{
	struct cpuid c = cpu_cpuid(1, 0);

	x2apic = c.ecx & CPUID1_ECX_X2APIC;
	tsc_deadline = c.ecx & CPUID1_ECX_TSC_DEADLINE;
	if (!x2apic) {
		xapic = hv_mmio_map(HPA(xapic_base), HV_PAGE_SIZE);
		if (!xapic)
			hv_panic("cannot map the local APIC");
	}
	apic_init_core();
	if (!tsc_deadline)
		measure_timer();
	reg_write(APIC_LVT_TIMER, VECTOR_TIMER | (tsc_deadline ? LVT_TSC_DEADLINE : 0));
	ready = true;
	log_info("apic.ready", "%s, timer %s", x2apic ? "x2APIC" : "xAPIC", tsc_deadline ? "TSC deadline" : "one-shot");
}

void apic_init_core(void)
{
	cpu_wrmsr(MSR_APIC_BASE, cpu_rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE);
	if (x2apic)
		cpu_wrmsr(MSR_APIC_BASE, cpu_rdmsr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	reg_write(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	reg_write(APIC_TPR, 0);
	reg_write(APIC_LVT_LINT0, LVT_MASKED);
	reg_write(APIC_LVT_ERROR, LVT_MASKED);
	reg_write(APIC_TIMER_DIVIDE, 0x0b); /* by 1 */
	reg_write(APIC_LVT_TIMER, VECTOR_TIMER | (tsc_deadline ? LVT_TSC_DEADLINE : 0));
	percpu_self()->timer_deadline_ns = UINT64_MAX;
}
