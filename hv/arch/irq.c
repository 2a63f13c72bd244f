/*
 * Host interrupts: a table of handlers per core; handlers note and wake. Device interrupts are messages (MSI-X) to one core's vector; the
 * legacy PIC is off and the IO-APIC masked.
 */
#include "arch/irq.h"
#include "arch/apic.h"
#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/percpu.h"
#include "arch/trap.h"
#include "kern/lock.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>

#define DYNAMIC_COUNT (VECTOR_TIMER - VECTOR_DYNAMIC)
#define MSI_ADDRESS 0xfee00000ull /* SDM vol. 3, 10.11.1: destination in bits 19..12, physical, no redirection */

struct irq_slot {
	void (*fn)(void *arg);
	void *arg;
	uint64_t count;
};

static struct irq_slot *slots[HV_MAX_CORES]; /* DYNAMIC_COUNT each, made when first needed */
static struct hv_lock lock;

int hv_irq_alloc(unsigned core, void (*fn)(void *arg), void *arg)
{
	struct percpu *p = percpu_get(core);
	int vector = -ENOSPC;
	unsigned long irq;

	/* Without interrupt remapping a message names 8 bits of APIC ID. */
	if (!p || p->apic_id > 0xff)
		return trace_error(-ENOSPC);
	irq = hv_lock_irq(&lock);
	if (!slots[core])
		slots[core] = hv_contig_alloc(DYNAMIC_COUNT * sizeof(struct irq_slot), HV_PAGE_SIZE);
	for (unsigned i = 0; slots[core] && i < DYNAMIC_COUNT; i++) {
		if (slots[core][i].fn)
			continue;
		slots[core][i].arg = arg;
		slots[core][i].count = 0;
		__atomic_store_n(&slots[core][i].fn, fn, __ATOMIC_RELEASE);
		vector = VECTOR_DYNAMIC + (int)i;
		break;
	}
	hv_unlock_irq(&lock, irq);
	return vector;
}

void hv_irq_free(unsigned core, int vector)
{
	unsigned i = (unsigned)vector - VECTOR_DYNAMIC;

	if (core < HV_MAX_CORES && slots[core] && i < DYNAMIC_COUNT)
		__atomic_store_n(&slots[core][i].fn, NULL, __ATOMIC_RELEASE);
}

void hv_msi_message(unsigned core, int vector, uint64_t *address, uint32_t *data)
{
	*address = MSI_ADDRESS | (uint64_t)(percpu_get(core)->apic_id & 0xff) << 12;
	*data = (uint32_t)vector;
}

static void device_interrupt(unsigned vector)
{
	struct irq_slot *s = slots[hv_core_self()];
	unsigned i = vector - VECTOR_DYNAMIC;
	void (*fn)(void *arg) = s && i < DYNAMIC_COUNT ? __atomic_load_n(&s[i].fn, __ATOMIC_ACQUIRE) : NULL;

	if (!fn)
		return; /* freed while it was on its way */
	s[i].count++;
	fn(s[i].arg);
}

void irq_handle(unsigned vector)
{
	if (vector == VECTOR_SPURIOUS || vector < VECTOR_DYNAMIC)
		return; /* no end of interrupt: nothing was in service (SDM vol. 3, 10.9) */
	if (vector == VECTOR_TIMER)
		apic_timer_fired();
	else if (vector != VECTOR_KICK && vector != VECTOR_NOTIFY)
		device_interrupt(vector);
	apic_eoi();
}

void hv_irq_acknowledged(unsigned vector)
{
	irq_handle(vector);
}

/* The 8259s: vectors moved out of the exceptions' way, all lines masked (Intel 8259A data sheet). */
void irq_disable_pic(void)
{
	static const struct {
		uint8_t port, value;
	} steps[] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, VECTOR_PIC}, {0xa1, VECTOR_PIC + 8}, {0x21, 4}, {0xa1, 2}, {0x21, 1}, {0xa1, 1},
		{0x21, 0xff}, {0xa1, 0xff}};

	for (unsigned i = 0; i < HV_ARRAY_LEN(steps); i++)
		cpu_outb(steps[i].port, steps[i].value);
}

/* ---- IO-APICs (82093AA data sheet: index register at 0, data at 0x10) ---- */
static struct ioapic {
	volatile uint32_t *regs;
	uint32_t first, inputs;
} ioapics[ACPI_MAX_IOAPICS];

static void ioapic_write(const struct ioapic *io, uint32_t index, uint32_t value)
{
	io->regs[0] = index;
	io->regs[4] = value;
}

void irq_init_ioapics(const struct acpi_info *acpi)
{
	for (unsigned i = 0; i < acpi->ioapic_count; i++) {
		struct ioapic *io = &ioapics[i];

		io->regs = hv_mmio_map(HPA(acpi->ioapic_bases[i]), HV_PAGE_SIZE);
		if (!io->regs) {
			log_warn("irq.ioapic", "cannot map the IO-APIC at %lx", (unsigned long)acpi->ioapic_bases[i]);
			continue;
		}
		io->first = acpi->ioapic_gsi_bases[i];
		io->regs[0] = 1;
		io->inputs = (io->regs[4] >> 16 & 0xff) + 1;
		for (unsigned k = 0; k < io->inputs; k++)
			ioapic_write(io, 0x10 + 2 * k, 1u << 16);
	}
}

int irq_route_isa(const struct acpi_info *acpi, unsigned isa, unsigned core, void (*fn)(void *arg), void *arg)
{
	uint32_t gsi = acpi->isa_gsi[isa];

	for (unsigned i = 0; i < acpi->ioapic_count; i++) {
		struct ioapic *io = &ioapics[i];
		int vector;

		if (!io->regs || gsi < io->first || gsi - io->first >= io->inputs)
			continue;
		vector = hv_irq_alloc(core, fn, arg);
		if (vector < 0)
			return vector;
		ioapic_write(io, 0x11 + 2 * (gsi - io->first), percpu_get(core)->apic_id << 24);
		ioapic_write(io, 0x10 + 2 * (gsi - io->first), (uint32_t)vector);
		return 0;
	}
	return trace_error(-ENODEV);
}

/* ---- arch.h ---- */
unsigned long arch_irq_save(void)
{
	unsigned long flags = cpu_flags();

	cpu_irq_off();
	return flags & RFLAGS_IF;
}

void arch_irq_restore(unsigned long state)
{
	if (state)
		cpu_irq_on();
}

void arch_irq_on(void)
{
	cpu_irq_on();
}

void arch_halt(void)
{
	/* STI holds interrupts off for one more instruction (SDM vol. 2, STI). */
	__asm__ volatile("sti; hlt" : : : "memory");
}

void arch_stack_leave(void **keep, const void *next_base, size_t next_size)
{
}

void arch_stack_entered(void *keep)
{
}
