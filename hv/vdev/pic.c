/*
 * A pair of 8259A interrupt controllers and the two ELCR registers of a PCI south bridge (Intel 8259A data sheet; 82371SB, 4.3.3). The
 * slave hangs on input 2 of the master. The master's INT pin goes to the boot vCPU's LINT0 (lapic.c looks at pic_output).
 *
 * An initialisation, by writes:   ICW1 (even port, bit 4) -> ICW2 -> ICW3 -> ICW4 if ICW1 bit 0 -> ready
 */
#include "vdev/pic.h"
#include "virt/vcpu.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('P', 'I', 'C', 'S')
#define CASCADE 2

static const uint8_t elcr_allowed[2] = {0xf8, 0xde}; /* inputs 0, 1, 2, 8 and 13 are always edge-triggered */

/* The input with the highest priority in `bits`, or -1. */
static int first(const struct pic_chip *c, uint8_t bits)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned irq = (c->lowest + i) & 7;
		if (bits >> irq & 1)
			return (int)irq;
	}
	return -1;
}

static unsigned rank(const struct pic_chip *c, int irq)
{
	return ((unsigned)irq - c->lowest - 1) & 7;
}

/* The input that would interrupt now, or -1: unmasked, requested, and of higher priority than what is in service. */
static int pending(const struct pic_chip *c)
{
	int irq = first(c, (uint8_t)(c->irr & ~c->imr));
	if (irq < 0)
		return -1;
	uint8_t blocking = c->special_mask ? (uint8_t)(c->isr & ~c->imr) : c->isr;
	if (c->special_nested)
		blocking &= (uint8_t) ~(1u << CASCADE); /* special fully nested: the slave may interrupt its own handler */
	int serving = first(c, blocking);
	return serving < 0 || rank(c, irq) < rank(c, serving) ? irq : -1;
}

static void chip_line(struct pic_chip *c, unsigned irq, bool level)
{
	uint8_t bit = (uint8_t)(1u << irq);
	if (c->elcr & bit)
		c->irr = level ? c->irr | bit : c->irr & (uint8_t)~bit;
	else if (level && !(c->lines & bit))
		c->irr |= bit;
	c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
}

/* Recomputes cascade and output. Returns true when the boot vCPU must look. */
static bool update(struct pic *p)
{
	chip_line(&p->s.chip[PIC_MASTER], CASCADE, pending(&p->s.chip[PIC_SLAVE]) >= 0);
	bool out = pending(&p->s.chip[PIC_MASTER]) >= 0;
	return !atomic_exchange(&p->output, out) && out;
}

static void unlock_and_kick(struct pic *p, bool kick)
{
	vdev_unlock(&p->lock);
	if (kick)
		vcpu_kick(p->vm->vcpus[0]);
}

void pic_set_line(struct pic *p, unsigned irq, bool level)
{
	if (irq == CASCADE || irq > 15)
		return;
	vdev_lock(&p->lock);
	chip_line(&p->s.chip[irq >> 3], irq & 7, level);
	unlock_and_kick(p, update(p));
}

/* INTA for one chip: request -> in service. Returns the input, 7 when there is none (spurious: nothing goes into service). */
static unsigned inta(struct pic_chip *c, bool commit)
{
	int irq = pending(c);
	if (irq < 0)
		return 7;
	uint8_t bit = (uint8_t)(1u << irq);
	if (!commit)
		return (unsigned)irq;
	if (!(c->elcr & bit))
		c->irr &= (uint8_t)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_auto)
		c->lowest = (uint8_t)irq;
	return (unsigned)irq;
}

static uint8_t cycle(struct pic *p, bool commit)
{
	struct pic_chip *m = &p->s.chip[PIC_MASTER], *s = &p->s.chip[PIC_SLAVE];
	unsigned irq = inta(m, commit);
	if (irq != CASCADE)
		return (uint8_t)(m->base + irq);
	return (uint8_t)(s->base + inta(s, commit));
}

uint8_t pic_peek(struct pic *p)
{
	vdev_lock(&p->lock);
	uint8_t vector = cycle(p, false);
	vdev_unlock(&p->lock);
	return vector;
}

void pic_ack(struct pic *p)
{
	vdev_lock(&p->lock);
	cycle(p, true);
	unlock_and_kick(p, update(p));
}

/* ---- ports ---- */

static void start_init(struct pic_chip *c, uint8_t icw1)
{
	uint8_t lines = c->lines, elcr = c->elcr, base = c->base;
	*c = (struct pic_chip){.lines = lines, .elcr = elcr, .base = base, .lowest = 7, .icw = 2, .icw4_needed = icw1 & 1};
	c->irr = lines & elcr;
}

/* OCW2: end of interrupt and priority rotation. */
static void ocw2(struct pic_chip *c, uint8_t value)
{
	unsigned command = value >> 5, irq = value & 7;
	int serving = first(c, c->isr);
	switch (command) {
	case 0:
	case 4:
		c->rotate_auto = command == 4;
		break;
	case 1: /* non-specific EOI, 5: and rotate */
	case 5:
		if (serving < 0)
			break;
		c->isr &= (uint8_t) ~(1u << serving);
		if (command == 5)
			c->lowest = (uint8_t)serving;
		break;
	case 3: /* specific EOI, 7: and rotate */
	case 7:
		c->isr &= (uint8_t) ~(1u << irq);
		if (command == 7)
			c->lowest = (uint8_t)irq;
		break;
	case 6:
		c->lowest = (uint8_t)irq;
		break;
	default: /* 2: no operation */
		break;
	}
}

static void ocw3(struct pic_chip *c, uint8_t value)
{
	if (value & 0x04)
		c->poll = true;
	if (value & 0x02)
		c->read_isr = value & 1;
	if (value & 0x40)
		c->special_mask = value & 0x20;
}

static void write_even(struct pic_chip *c, uint8_t value)
{
	if (value & 0x10)
		start_init(c, value);
	else if (value & 0x08)
		ocw3(c, value);
	else
		ocw2(c, value);
}

static void write_odd(struct pic_chip *c, uint8_t value)
{
	switch (c->icw) {
	case 0:
		c->imr = value;
		break;
	case 2:
		c->base = value & 0xf8;
		c->icw = 3;
		break;
	case 3: /* how the chips are wired is not the guest's to say */
		c->icw = c->icw4_needed ? 4 : 0;
		break;
	default:
		c->special_nested = value & 0x10;
		c->auto_eoi = value & 0x02;
		c->icw = 0;
		break;
	}
}

static uint8_t read_chip(struct pic_chip *c, unsigned odd)
{
	if (c->poll) { /* a poll read is an INTA cycle */
		c->poll = false;
		if (pending(c) < 0)
			return 0;
		return (uint8_t)(0x80 | inta(c, true));
	}
	if (odd)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static void access_chip(struct io_region *r, struct io_access *a)
{
	struct pic *p = r->arg;
	struct pic_chip *c = &p->s.chip[r == &p->regions[PIC_SLAVE] ? PIC_SLAVE : PIC_MASTER];

	vdev_lock(&p->lock);
	if (!a->write)
		a->value = read_chip(c, a->offset & 1);
	else if (a->offset & 1)
		write_odd(c, (uint8_t)a->value);
	else
		write_even(c, (uint8_t)a->value);
	unlock_and_kick(p, update(p));
}

static void access_elcr(struct io_region *r, struct io_access *a)
{
	struct pic *p = r->arg;
	struct pic_chip *c = &p->s.chip[a->offset & 1];

	vdev_lock(&p->lock);
	if (a->write) {
		c->elcr = (uint8_t)a->value & elcr_allowed[a->offset & 1];
		c->irr = (uint8_t)((c->irr & ~c->elcr) | (c->lines & c->elcr));
	} else {
		a->value = c->elcr;
	}
	unlock_and_kick(p, update(p));
}

/* ---- life ---- */

void pic_reset(struct pic *p)
{
	vdev_lock(&p->lock);
	memset(&p->s, 0, sizeof(p->s));
	for (unsigned i = 0; i < 2; i++) {
		p->s.chip[i].lowest = 7;
		p->s.chip[i].imr = 0xff; /* no firmware has initialised it: nothing may come from it */
	}
	atomic_store(&p->output, false);
	vdev_unlock(&p->lock);
}

int pic_init(struct pic *p, struct vm *vm)
{
	p->vm = vm;
	p->regions[PIC_MASTER] = (struct io_region){.start = 0x20, .bytes = 2, .access = access_chip, .name = "pic0", .arg = p};
	p->regions[PIC_SLAVE] = (struct io_region){.start = 0xa0, .bytes = 2, .access = access_chip, .name = "pic1", .arg = p};
	p->regions[2] = (struct io_region){.start = 0x4d0, .bytes = 2, .access = access_elcr, .name = "elcr", .arg = p};
	pic_reset(p);
	int err = 0;
	for (unsigned i = 0; i < HV_ARRAY_LEN(p->regions) && !err; i++)
		err = iobus_attach(vm, IO_PORT, &p->regions[i]);
	return err;
}

void pic_fini(struct pic *p)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(p->regions); i++)
		if (p->regions[i].attached)
			iobus_detach(p->vm, IO_PORT, &p->regions[i]);
}

void pic_save(struct pic *p, struct state_writer *w)
{
	state_begin(w, TAG, 1, 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct pic_chip *c = &p->s.chip[i];
		const uint8_t bytes[] = {c->irr, c->isr, c->imr, c->lines, c->elcr, c->base, c->lowest, c->icw, c->icw4_needed, c->auto_eoi,
			c->rotate_auto, c->special_mask, c->special_nested, c->read_isr, c->poll};
		state_put(w, bytes, sizeof(bytes));
	}
	state_end(w);
}

int pic_decode(struct pic_state *s, struct state_reader *r)
{
	int version = state_open(r, TAG, 1, 0);
	if (version < 0)
		return version;
	bool ok = true;
	for (unsigned i = 0; i < 2; i++) {
		struct pic_chip *c = &s->chip[i];
		uint8_t b[15];
		state_get(r, b, sizeof(b));
		*c = (struct pic_chip){.irr = b[0],
			.isr = b[1],
			.imr = b[2],
			.lines = b[3],
			.elcr = b[4],
			.base = b[5],
			.lowest = b[6],
			.icw = b[7],
			.icw4_needed = b[8],
			.auto_eoi = b[9],
			.rotate_auto = b[10],
			.special_mask = b[11],
			.special_nested = b[12],
			.read_isr = b[13],
			.poll = b[14]};
		ok = ok && c->lowest < 8 && c->icw <= 4 && c->icw != 1 && !(c->base & 7) && !(c->elcr & ~elcr_allowed[i]);
	}
	return state_close(r) && ok ? 0 : -EINVAL;
}

void pic_apply(struct pic *p, const struct pic_state *s)
{
	vdev_lock(&p->lock);
	p->s = *s;
	unlock_and_kick(p, update(p));
}
