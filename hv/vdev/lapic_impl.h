/*
 * A LAPIC from the inside; used by lapic.c (registers), lapic_irq.c (interrupts), lapic_timer.c, apic_bus.c (senders) and platform.c.
 *
 * Who writes what: requests, held, level and esr_pending are atomics that any core sets; mode, svr, ldr and dfr are written by the vCPU's
 * own core and read by senders on others (a sender may act on the value of a moment ago, as on a real bus); all else belongs to the vCPU's
 * core.
 */
#ifndef HV_VDEV_LAPIC_IMPL_H
#define HV_VDEV_LAPIC_IMPL_H

#include "vdev/apic_bus.h"
#include "vdev/lapic.h"
#include <hv/core.h>
#include <stdatomic.h>

struct pic;
struct ioapic;
struct vcpu;
struct vm;
struct io_access;
struct state_writer;
struct state_reader;

#define LAPIC_MMIO_BASE 0xfee00000u
#define LAPIC_BUS_NS 1u /* one timer tick at divide-by-1: a bus clock of 1 GHz */
#define LAPIC_VECTORS 256u
#define LAPIC_WORDS (LAPIC_VECTORS / 64)
#define LAPIC_VERSION 0x14u /* integrated APIC */

enum lapic_register { /* SDM vol. 3, table 11-1: offset in the page / 16 */
	R_ID = 0x02,
	R_VERSION = 0x03,
	R_TPR = 0x08,
	R_APR = 0x09,
	R_PPR = 0x0a,
	R_EOI = 0x0b,
	R_LDR = 0x0d,
	R_DFR = 0x0e,
	R_SVR = 0x0f,
	R_ISR = 0x10,
	R_TMR = 0x18,
	R_IRR = 0x20,
	R_ESR = 0x28,
	R_ICR = 0x30,
	R_ICR_HIGH = 0x31,
	R_LVT = 0x32,
	R_INIT_COUNT = 0x38,
	R_CURRENT_COUNT = 0x39,
	R_DIVIDE = 0x3e,
	R_SELF_IPI = 0x3f,
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_MASKED (1u << 16)
#define LVT_MODE_SHIFT 8
#define LVT_TIMER_MODE(lvt) ((lvt) >> 17 & 3)
enum { TIMER_ONE_SHOT = 0, TIMER_PERIODIC = 1, TIMER_DEADLINE = 2 };

#define SVR_ENABLE (1u << 8)
#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECV_ILLEGAL (1u << 6)
#define ESR_BAD_REGISTER (1u << 7)

/* What is saved: plain data. Times are relative, so that they survive a move to another host. */
struct lapic_state {
	uint64_t irr[LAPIC_WORDS], isr[LAPIC_WORDS], tmr[LAPIC_WORDS];
	uint64_t tsc_deadline;
	uint64_t timer_elapsed_ns;
	uint64_t pv_eoi_gpa;
	uint32_t svr, ldr, dfr, tpr, esr, esr_pending, icr_low, icr_high, divide, init_count;
	uint32_t lvt[LVT_COUNT];
	uint8_t mode;
	bool timer_running;
};

struct lapic {
	struct lapic_requests requests;      /* that the vCPU's core has not taken into the page yet */
	_Atomic uint64_t held[LAPIC_WORDS];  /* the same, for the vCPU's core only: a processor does not know their trigger mode */
	_Atomic uint64_t level[LAPIC_WORDS]; /* the trigger mode of each vector's last request */
	_Atomic uint32_t esr_pending;
	_Atomic uint32_t svr, ldr, dfr;
	_Atomic uint8_t mode; /* enum lapic_mode */

	uint32_t *page HV_CACHE_ALIGNED; /* vcpu_apic_page(); who holds what there: lapic.c, lapic_irq.c */
	bool assisted;                   /* the processor delivers interrupts from the page (vcpu_apic_mode_changed decides) */
	uint32_t esr, icr_low;
	uint32_t lvt[LVT_COUNT];
	uint64_t pv_eoi_gpa; /* paravirtual EOI: the guest's flag byte, 0 off */
	bool pv_offered;     /* the flag was set for the highest in service: the guest may end it by clearing it */
	bool ext_offered;    /* lapic_has_interrupt named the PIC's vector */

	/* Timer (lapic_timer.c). */
	struct hv_timer timer;
	struct hv_msg timer_msg; /* brings lapic_timer_sync to the vCPU's core */
	uint64_t tsc_deadline;   /* 0: not armed */
	uint64_t start_ns;       /* when the count was init_count */
	uint32_t init_count, divide;
	bool timer_running;   /* one-shot: not yet expired; periodic: init_count is not 0 */
	_Atomic bool retired; /* platform_destroy: never arm again */
	_Atomic bool timer_synced;

	/* Constant. */
	uint32_t id;
	bool boot;
	struct vcpu *vcpu;
	struct vm *vm;
	struct pic *pic; /* the boot vCPU's LINT0; NULL for the others */
	struct ioapic *ioapic;

	/* Counters, own core. */
	uint64_t n_ipi, n_timer, n_eoi, n_pv_eoi, n_ext;
};

/* Sets up a zeroed LAPIC in its power-on state. */
void lapic_init(struct lapic *l, struct vcpu *vcpu, struct pic *pic, struct ioapic *ioapic);
/* Power-on: like INIT, and IA32_APIC_BASE too; the boot vCPU's LINT0/LINT1 as firmware leaves them. @pre its vCPU does not run. Any core.
 */
void lapic_power_on(struct lapic *l);
/* Requests an interrupt. Any core, any context. */
void lapic_set_irr(struct lapic *l, uint8_t vector, bool level);
void lapic_raise_error(struct lapic *l, uint32_t esr_bit);
/* Fires a local vector table entry. Own core. */
void lapic_lvt_deliver(struct lapic *l, enum lapic_lvt entry);
/* Takes requests into the page's IRR and TMR. Own core, or its vCPU does not run; so the next six. */
void lapic_pull(struct lapic *l);
/* Processor priority (SDM vol. 3, 11.8.3.1). */
uint32_t lapic_ppr(const struct lapic *l);
/* The guest ended what is highest in service. */
void lapic_eoi(struct lapic *l);
/* Takes what the guest ended by its paravirtual flag into account; `withdraw` takes the flag back. */
void lapic_pv_settle(struct lapic *l, bool withdraw);
/* MSR_KVM_PV_EOI. 0, -EINVAL. */
int lapic_pv_write(struct lapic *l, uint64_t value) HV_MUST_CHECK;
/* Shows the registers that are kept elsewhere in the page. */
void lapic_show(struct lapic *l);
/* An access to the xAPIC page by its own vCPU. */
void lapic_mmio(struct lapic *l, struct io_access *a);

static inline uint32_t lapic_reg(const struct lapic *l, unsigned reg)
{
	return l->page[reg * 4];
}

static inline void lapic_reg_set(struct lapic *l, unsigned reg, uint32_t value)
{
	l->page[reg * 4] = value;
}

/* The i-th 64 of the 256 bits that begin at register `first`. */
static inline uint64_t lapic_word(const struct lapic *l, unsigned first, unsigned i)
{
	return lapic_reg(l, first + 2 * i) | (uint64_t)lapic_reg(l, first + 2 * i + 1) << 32;
}

static inline void lapic_word_set(struct lapic *l, unsigned first, unsigned i, uint64_t value)
{
	lapic_reg_set(l, first + 2 * i, (uint32_t)value);
	lapic_reg_set(l, first + 2 * i + 1, (uint32_t)(value >> 32));
}

static inline enum lapic_mode lapic_mode(const struct lapic *l)
{
	return atomic_load_explicit(&l->mode, memory_order_relaxed);
}

static inline bool lapic_svr_enabled(struct lapic *l)
{
	return atomic_load_explicit(&l->svr, memory_order_relaxed) & SVR_ENABLE;
}

/* ---- lapic_timer.c; own core unless said otherwise ---- */
void lapic_timer_init(struct lapic *l);
void lapic_timer_stop(struct lapic *l);
void lapic_timer_set_count(struct lapic *l, uint32_t count);
void lapic_timer_set_divide(struct lapic *l, uint32_t divide);
void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt);
uint32_t lapic_timer_current(struct lapic *l);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
/* Makes the host timer agree with the state, on the vCPU's core; posts a message when called on another. @pre its vCPU does not run there.
 */
void lapic_timer_sync(struct lapic *l);
uint64_t lapic_timer_elapsed_ns(struct lapic *l);

/* ---- lapic_state.c: save and load. @pre no vCPU runs; any core ---- */
void lapic_save(struct lapic *l, struct state_writer *w);
int lapic_decode(struct lapic_state *s, struct state_reader *r, unsigned index) HV_MUST_CHECK;
void lapic_apply(struct lapic *l, const struct lapic_state *s);

#endif
