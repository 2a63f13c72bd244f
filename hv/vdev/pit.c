/*
 * The 8254 interval timer (Intel 8254 data sheet) and the system control port 0x61. Counters are not stepped: a channel's value and output
 * follow from the time since it was loaded. Channel 0's output is ISA IRQ 0; a host timer on io_core is armed for its next rising edge
 * only.
 *
 * Channel: control word -> not loaded (count 0) -> count written -> counting from start_ns. Modes 1 and 5 wait for a gate edge
 * (`triggered`).
 */
#include "vdev/pit.h"
#include "vdev/irq.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('P', 'I', 'T', 'S')
#define IRQ 0

enum { ONE_SHOT = 0, GATE_ONE_SHOT = 1, RATE = 2, SQUARE = 3, STROBE = 4, GATE_STROBE = 5 };

static uint64_t elapsed_ticks(const struct pit_channel *c, uint64_t now_ns)
{
	int64_t since = (int64_t)(now_ns - c->start_ns); /* start_ns may be "before boot" after a load */
	return since > 0 ? vdev_ns_to_ticks((uint64_t)since, PIT_HZ) : 0;
}

static bool counting(const struct pit_channel *c)
{
	return c->count != 0 && (c->mode == GATE_ONE_SHOT || c->mode == GATE_STROBE ? c->triggered : c->gate);
}

static uint32_t modulus(const struct pit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

/* The counting element's value, binary. */
static uint32_t value(const struct pit_channel *c, uint64_t now_ns)
{
	if (!counting(c))
		return c->count;
	uint64_t t = elapsed_ticks(c, now_ns);
	switch (c->mode) {
	case RATE:
		return c->count - (uint32_t)(t % c->count);
	case SQUARE: { /* steps by two, twice a period */
		uint32_t half = (c->count + 1) / 2;
		uint32_t in_half = (uint32_t)(t % c->count) % half;
		return (c->count - 2 * in_half) & ~1u;
	}
	default:
		return (uint32_t)((c->count + modulus(c) - t % modulus(c)) % modulus(c));
	}
}

static bool output(const struct pit_channel *c, uint64_t now_ns)
{
	uint64_t t = elapsed_ticks(c, now_ns);
	switch (c->mode) {
	case ONE_SHOT:
		return counting(c) && t >= c->count;
	case GATE_ONE_SHOT:
		return !c->triggered || t >= c->count;
	case RATE:
		return !counting(c) || t % c->count != c->count - 1;
	case SQUARE:
		return !counting(c) || t % c->count < (c->count + 1) / 2;
	default: /* strobes: low for one clock at the end */
		return !counting(c) || t != c->count;
	}
}

/* The first rising edge of OUT after `after_ns`; VDEV_TIMER_NEVER when there is none. */
static uint64_t next_edge(const struct pit_channel *c, uint64_t after_ns)
{
	if (!counting(c))
		return VDEV_TIMER_NEVER;
	uint64_t ticks = c->count; /* one edge, at the end of the count */
	if (c->mode == RATE || c->mode == SQUARE)
		ticks = (elapsed_ticks(c, after_ns) / c->count + 1) * c->count;
	else if (c->mode == STROBE || c->mode == GATE_STROBE)
		ticks++;
	uint64_t at = c->start_ns + vdev_ticks_to_ns(ticks, PIT_HZ);
	return at > after_ns ? at : VDEV_TIMER_NEVER;
}

/* io_core: raises what has become due since the last look. Several edges missed are one interrupt. */
static uint64_t timer_next(struct vdev_timer *t, uint64_t now_ns)
{
	struct pit *p = hv_container_of(t, struct pit, timer);
	struct pit_channel *c = &p->s.channel[0];

	vdev_lock(&p->lock);
	bool due = next_edge(c, p->edge_ns) <= now_ns;
	if (due) {
		p->edge_ns = now_ns;
		p->n_ticks++;
	}
	uint64_t next = next_edge(c, now_ns);
	bool level = output(c, now_ns);
	vdev_unlock(&p->lock);

	if (due) {
		vm_irq_set(p->vm, IRQ, false);
		vm_irq_set(p->vm, IRQ, true);
	}
	if (!level)
		vm_irq_set(p->vm, IRQ, false);
	return next;
}

static uint32_t to_bcd(uint32_t x)
{
	return x % 10 | x / 10 % 10 << 4 | x / 100 % 10 << 8 | x / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint32_t x)
{
	return (x & 15) + (x >> 4 & 15) * 10 + (x >> 8 & 15) * 100 + (x >> 12 & 15) * 1000;
}

static uint16_t coded(const struct pit_channel *c, uint64_t now_ns)
{
	uint32_t v = value(c, now_ns);
	return (uint16_t)(c->bcd ? to_bcd(v % 10000) : v);
}

static void latch_count(struct pit_channel *c, uint64_t now_ns)
{
	if (c->latch_bytes != 0)
		return; /* an unread latch stays */
	c->latch = coded(c, now_ns);
	c->latch_bytes = c->access == 3 ? 2 : 1;
	if (c->access == 2)
		c->latch >>= 8;
}

static void latch_status(struct pit_channel *c, uint64_t now_ns)
{
	if (c->status_latched)
		return;
	c->status_latched = true;
	c->latched_status = (uint8_t)(output(c, now_ns) << 7 | (c->count == 0) << 6 | c->access << 4 | c->mode << 1 | c->bcd);
}

static void write_control(struct pit *p, uint8_t word, uint64_t now_ns)
{
	unsigned which = word >> 6;
	if (which == 3) { /* read-back: bits select channels; 0 in bit 5 latches counts, 0 in bit 4 status */
		for (unsigned i = 0; i < 3; i++) {
			if (!(word >> (i + 1) & 1))
				continue;
			if (!(word & 0x20))
				latch_count(&p->s.channel[i], now_ns);
			if (!(word & 0x10))
				latch_status(&p->s.channel[i], now_ns);
		}
		return;
	}
	struct pit_channel *c = &p->s.channel[which];
	unsigned access = word >> 4 & 3;
	if (access == 0) {
		latch_count(c, now_ns);
		return;
	}
	unsigned mode = word >> 1 & 7;
	bool gate = c->gate;
	*c = (struct pit_channel){.access = (uint8_t)access, .mode = (uint8_t)(mode > 5 ? mode - 4 : mode), .bcd = word & 1, .gate = gate};
}

static void load(struct pit_channel *c, uint16_t raw, uint64_t now_ns)
{
	uint32_t count = c->bcd ? from_bcd(raw) : raw;
	c->count = count ? count : modulus(c);
	c->start_ns = now_ns;
	c->triggered = false;
}

static void write_count(struct pit_channel *c, uint8_t byte, uint64_t now_ns)
{
	if (c->access == 1) {
		load(c, byte, now_ns);
	} else if (c->access == 2) {
		load(c, (uint16_t)(byte << 8), now_ns);
	} else if (!c->write_high) {
		c->write_low = byte;
		c->write_high = true;
	} else {
		c->write_high = false;
		load(c, (uint16_t)(byte << 8 | c->write_low), now_ns);
	}
}

static uint8_t read_count(struct pit_channel *c, uint64_t now_ns)
{
	if (c->status_latched) {
		c->status_latched = false;
		return c->latched_status;
	}
	if (c->latch_bytes != 0) {
		uint8_t byte = (uint8_t)c->latch;
		c->latch >>= 8;
		c->latch_bytes--;
		return byte;
	}
	uint16_t v = coded(c, now_ns);
	bool high = c->access == 2 || (c->access == 3 && c->read_high);
	if (c->access == 3)
		c->read_high = !c->read_high;
	return (uint8_t)(high ? v >> 8 : v);
}

static void access_pit(struct io_region *r, struct io_access *a)
{
	struct pit *p = r->arg;
	unsigned which = a->offset & 3;
	uint64_t now = hv_now_ns();

	vdev_lock(&p->lock);
	if (!a->write)
		a->value = which == 3 ? 0xff : read_count(&p->s.channel[which], now);
	else if (which == 3)
		write_control(p, (uint8_t)a->value, now);
	else
		write_count(&p->s.channel[which], (uint8_t)a->value, now);
	bool changed = a->write && (which == 0 || (which == 3 && (a->value & 0xc0) == 0 && (a->value & 0x30)));
	if (changed)
		p->edge_ns = now;
	vdev_unlock(&p->lock);
	if (changed)
		vdev_timer_changed(&p->timer);
}

/* Port 0x61: bit 0 gate of channel 2, 1 speaker, 4 refresh clock, 5 output of channel 2. */
static void access_port61(struct io_region *r, struct io_access *a)
{
	struct pit *p = r->arg;
	struct pit_channel *c = &p->s.channel[2];
	uint64_t now = hv_now_ns();

	vdev_lock(&p->lock);
	if (a->write) {
		bool gate = a->value & 1;
		if (gate && !c->gate && c->mode != ONE_SHOT && c->mode != STROBE) { /* a gate edge restarts or triggers */
			c->start_ns = now;
			c->triggered = true;
		} else if (gate && !c->gate) {
			c->start_ns = now;
		}
		c->gate = gate;
		p->s.speaker = a->value >> 1 & 1;
	} else {
		bool refresh = now / 15085 & 1; /* toggles each 15.085 us, as the refresh request did */
		a->value = (uint64_t)c->gate | (uint64_t)p->s.speaker << 1 | (uint64_t)refresh << 4 | (uint64_t)output(c, now) << 5;
	}
	vdev_unlock(&p->lock);
}

void pit_reset(struct pit *p)
{
	vdev_lock(&p->lock);
	memset(&p->s, 0, sizeof(p->s));
	for (unsigned i = 0; i < 3; i++)
		p->s.channel[i] = (struct pit_channel){.access = 3, .gate = i != 2};
	p->edge_ns = hv_now_ns();
	vdev_unlock(&p->lock);
	vdev_timer_changed(&p->timer);
}

int pit_init(struct pit *p, struct vm *vm)
{
	p->vm = vm;
	vdev_timer_init(&p->timer, vm, timer_next);
	p->regions[0] = (struct io_region){.start = 0x40, .bytes = 4, .access = access_pit, .name = "pit", .arg = p};
	p->regions[1] = (struct io_region){.start = 0x61, .bytes = 1, .access = access_port61, .name = "port61", .arg = p};
	pit_reset(p);
	int err = iobus_attach(vm, IO_PORT, &p->regions[0]);
	return err ? err : iobus_attach(vm, IO_PORT, &p->regions[1]);
}

void pit_fini(struct pit *p)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(p->regions); i++)
		if (p->regions[i].attached)
			iobus_detach(p->vm, IO_PORT, &p->regions[i]);
	vdev_timer_fini(&p->timer);
}

void pit_save(struct pit *p, struct state_writer *w)
{
	uint64_t now = hv_now_ns();
	state_begin(w, TAG, 1, 0);
	for (unsigned i = 0; i < 3; i++) {
		const struct pit_channel *c = &p->s.channel[i];
		state_put_u32(w, c->count);
		state_put_u64(w, now - c->start_ns);
		state_put_u16(w, c->latch);
		const uint8_t b[] = {c->mode, c->access, c->latched_status, c->write_low, c->latch_bytes, c->bcd, c->gate,
			c->status_latched, c->read_high, c->write_high, c->triggered};
		state_put(w, b, sizeof(b));
	}
	state_put_u8(w, p->s.speaker);
	state_end(w);
}

int pit_decode(struct pit_state *s, struct state_reader *r)
{
	int version = state_open(r, TAG, 1, 0);
	if (version < 0)
		return version;
	bool ok = true;
	uint64_t now = hv_now_ns();
	for (unsigned i = 0; i < 3; i++) {
		struct pit_channel *c = &s->channel[i];
		uint8_t b[11];
		uint32_t count = state_get_u32(r);
		uint64_t age = state_get_u64(r);
		uint16_t latch = state_get_u16(r);
		state_get(r, b, sizeof(b));
		*c = (struct pit_channel){.count = count,
			.start_ns = now - age,
			.latch = latch,
			.mode = b[0],
			.access = b[1],
			.latched_status = b[2],
			.write_low = b[3],
			.latch_bytes = b[4],
			.bcd = b[5],
			.gate = b[6],
			.status_latched = b[7],
			.read_high = b[8],
			.write_high = b[9],
			.triggered = b[10]};
		ok = ok && c->mode <= 5 && c->access >= 1 && c->access <= 3 && c->latch_bytes <= 2 && c->count <= modulus(c);
	}
	s->speaker = state_get_u8(r) != 0;
	return state_close(r) && ok ? 0 : -EINVAL;
}

void pit_apply(struct pit *p, const struct pit_state *s)
{
	vdev_lock(&p->lock);
	p->s = *s;
	p->edge_ns = hv_now_ns();
	vdev_unlock(&p->lock);
	vdev_timer_changed(&p->timer);
}
