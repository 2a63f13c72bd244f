/*
 * The IOAPIC (Intel 82093AA data sheet; version 0x20 with the EOI register of the ICH family). A level-triggered input is sent once, then
 * its Remote IRR waits for the EOI; if the line is still high then, it is sent again. An edge on a masked input is lost (82093AA, 3.2.4).
 *
 * vm_irq_set lives here: it is where ISA interrupts part ways to PIC and IOAPIC (ISA 0, the PIT, is IOAPIC input 2: the MADT says so).
 */
#include "vdev/ioapic.h"
#include "vdev/apic_bus.h"
#include "vdev/irq.h"
#include "vdev/platform_impl.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('I', 'O', 'A', 'P')
#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

enum { OFFSET_SELECT = 0x00, OFFSET_WINDOW = 0x10, OFFSET_EOI = 0x40 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_REDIRECT = 0x10 };

#define RTE_LOGICAL (1ull << 11)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)
#define RTE_WRITABLE 0xff0000000001afffull

static void send(struct ioapic *io, unsigned pin)
{
	uint64_t rte = io->s.redirect[pin];
	struct apic_msg m = {
		.dest = apic_dest8((uint8_t)(rte >> 56)),
		.vector = (uint8_t)rte,
		.mode = rte >> 8 & 7,
		.logical = rte & RTE_LOGICAL,
		.level = rte & RTE_LEVEL,
	};
	io->n_sent++;
	if (apic_send(io->vm, &m) > 0 && (rte & RTE_LEVEL))
		io->s.redirect[pin] |= RTE_REMOTE_IRR; /* a LAPIC accepted it; its EOI waits for our lock */
}

static void resample(struct ioapic *io, unsigned pin)
{
	uint64_t rte = io->s.redirect[pin];
	if ((rte & RTE_LEVEL) && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)) && (io->s.lines >> pin & 1))
		send(io, pin);
}

void ioapic_set_line(struct ioapic *io, unsigned pin, bool level)
{
	uint32_t bit = 1u << pin;

	vdev_lock(&io->lock);
	bool rising = level && !(io->s.lines & bit);
	io->s.lines = level ? io->s.lines | bit : io->s.lines & ~bit;
	if (rising && !(io->s.redirect[pin] & (RTE_LEVEL | RTE_MASKED)))
		send(io, pin);
	else
		resample(io, pin);
	vdev_unlock(&io->lock);
}

static void eoi_locked(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t rte = io->s.redirect[pin];
		if (!(rte & RTE_REMOTE_IRR) || (uint8_t)rte != vector)
			continue;
		io->s.redirect[pin] &= ~RTE_REMOTE_IRR;
		resample(io, pin);
	}
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	vdev_lock(&io->lock);
	eoi_locked(io, vector);
	vdev_unlock(&io->lock);
}

/* ---- registers ---- */

static uint32_t read_register(const struct ioapic *io)
{
	unsigned reg = io->s.select;
	if (reg >= REG_REDIRECT && reg < REG_REDIRECT + 2 * IOAPIC_PINS)
		return (uint32_t)(io->s.redirect[(reg - REG_REDIRECT) / 2] >> 32 * (reg & 1));
	if (reg == REG_ID || reg == REG_ARBITRATION)
		return (uint32_t)io->s.id << 24;
	return reg == REG_VERSION ? VERSION : 0;
}

static void write_redirect(struct ioapic *io, unsigned pin, bool high, uint32_t value)
{
	uint64_t old = io->s.redirect[pin];
	uint64_t now = high ? (old & 0xffffffffull) | (uint64_t)value << 32 : (old & ~0xffffffffull) | value;
	now = (now & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
	if (!(now & RTE_LEVEL))
		now &= ~RTE_REMOTE_IRR; /* edge mode has none; software clears a stuck one by switching to edge and back */
	io->s.redirect[pin] = now;
	resample(io, pin);
}

static void write_register(struct ioapic *io, uint32_t value)
{
	unsigned reg = io->s.select;
	if (reg >= REG_REDIRECT && reg < REG_REDIRECT + 2 * IOAPIC_PINS)
		write_redirect(io, (reg - REG_REDIRECT) / 2, reg & 1, value);
	else if (reg == REG_ID)
		io->s.id = value >> 24 & 0xf;
}

static void access(struct io_region *r, struct io_access *a)
{
	struct ioapic *io = r->arg;

	vdev_lock(&io->lock);
	if (!a->write)
		a->value = a->offset == OFFSET_SELECT ? io->s.select : a->offset == OFFSET_WINDOW ? read_register(io) : 0;
	else if (a->offset == OFFSET_SELECT)
		io->s.select = (uint8_t)a->value;
	else if (a->offset == OFFSET_WINDOW && a->size >= 4)
		write_register(io, (uint32_t)a->value);
	else if (a->offset == OFFSET_EOI)
		eoi_locked(io, (uint8_t)a->value);
	vdev_unlock(&io->lock);
}

/* ---- interrupts from devices (irq.h) ---- */

#define ISA_LINES 16u
#define PIT_ISA 0u
#define PIT_GSI 2u

void vm_irq_set(struct vm *vm, unsigned gsi, bool level)
{
	struct platform *pl = vm->platform;
	if (gsi < ISA_LINES)
		pic_set_line(&pl->pic, gsi, level);
	if (gsi == PIT_ISA)
		gsi = PIT_GSI;
	else if (gsi == PIT_GSI)
		return; /* ISA 2 is the PICs' cascade; the IOAPIC's input 2 belongs to the PIT */
	if (gsi < IOAPIC_PINS)
		ioapic_set_line(&pl->ioapic, gsi, level);
}

void vm_irq_pulse(struct vm *vm, unsigned gsi)
{
	vm_irq_set(vm, gsi, true);
	vm_irq_set(vm, gsi, false);
}

/* ---- life ---- */

void ioapic_reset(struct ioapic *io)
{
	vdev_lock(&io->lock);
	memset(&io->s, 0, sizeof(io->s));
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		io->s.redirect[i] = RTE_MASKED;
	vdev_unlock(&io->lock);
}

int ioapic_init(struct ioapic *io, struct vm *vm)
{
	io->vm = vm;
	io->region = (struct io_region){.start = IOAPIC_MMIO_BASE, .bytes = 0x1000, .access = access, .name = "ioapic", .arg = io};
	ioapic_reset(io);
	return iobus_attach(vm, IO_MMIO, &io->region);
}

void ioapic_fini(struct ioapic *io)
{
	if (io->region.attached)
		iobus_detach(io->vm, IO_MMIO, &io->region);
}

void ioapic_save(struct ioapic *io, struct state_writer *w)
{
	state_begin(w, TAG, 1, 0);
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		state_put_u64(w, io->s.redirect[i]);
	state_put_u32(w, io->s.lines);
	state_put_u8(w, io->s.id);
	state_put_u8(w, io->s.select);
	state_end(w);
}

int ioapic_decode(struct ioapic_state *s, struct state_reader *r)
{
	int version = state_open(r, TAG, 1, 0);
	if (version < 0)
		return version;
	bool ok = true;
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		s->redirect[i] = state_get_u64(r);
		ok = ok && !(s->redirect[i] & ~(RTE_WRITABLE | RTE_REMOTE_IRR));
	}
	s->lines = state_get_u32(r);
	s->id = state_get_u8(r);
	s->select = state_get_u8(r);
	return state_close(r) && ok && !(s->lines >> IOAPIC_PINS) && s->id < 16 ? 0 : -EINVAL;
}

void ioapic_apply(struct ioapic *io, const struct ioapic_state *s)
{
	vdev_lock(&io->lock);
	io->s = *s;
	vdev_unlock(&io->lock);
}
