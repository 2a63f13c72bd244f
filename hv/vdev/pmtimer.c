/*
 * ACPI fixed hardware (ACPI 6.4, 4.8.3): PM1a status, enable and control registers, and the 32-bit power management timer. There is no SMI:
 * the machine is always in ACPI mode (SCI_EN reads 1). SLP_EN with the S5 type powers the VM off.
 */
#include "vdev/pmtimer.h"
#include "vdev/irq.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('A', 'P', 'M', '1')

#define STS_TIMER (1u << 0) /* the timer's top bit changed */
#define STS_GLOBAL (1u << 5)
#define STS_POWER_BUTTON (1u << 8)
#define STS_RTC (1u << 10) /* never set: it wakes from sleep states, of which there are none */
#define STS_WAKE (1u << 15)
#define STS_CLEARABLE (STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_RTC | STS_WAKE)
#define EN_ALLOWED (STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_RTC)
#define CNT_SCI_EN (1u << 0)
#define CNT_SLP_TYP_SHIFT 10
#define CNT_SLP_EN (1u << 13)
#define CNT_KEPT (7u << CNT_SLP_TYP_SHIFT | 1u << 1)

static uint64_t ticks_at(const struct pm *p, uint64_t now_ns)
{
	return vdev_ns_to_ticks(now_ns - p->s.start_ns, PM_TIMER_HZ);
}

/* Brings status up to now. Returns the SCI's level. */
static bool look(struct pm *p, uint64_t now_ns)
{
	if (ticks_at(p, now_ns) >> 31 != ticks_at(p, p->s.seen_ns) >> 31)
		p->s.status |= STS_TIMER;
	p->s.seen_ns = now_ns;
	return p->s.status & p->s.enable & EN_ALLOWED;
}

static uint64_t timer_next(struct vdev_timer *t, uint64_t now_ns)
{
	struct pm *p = hv_container_of(t, struct pm, timer);
	vdev_lock(&p->lock);
	bool level = look(p, now_ns);
	uint64_t next = VDEV_TIMER_NEVER;
	if ((p->s.enable & STS_TIMER) && !(p->s.status & STS_TIMER))
		next = p->s.start_ns + vdev_ticks_to_ns((ticks_at(p, now_ns) >> 31 << 31) + (1ull << 31), PM_TIMER_HZ);
	vdev_unlock(&p->lock);
	vm_irq_set(p->vm, PM_SCI_GSI, level);
	return next;
}

/* The registers as bytes, so that any width and offset works. */
static uint8_t read_byte(const struct pm *p, unsigned offset, uint32_t timer)
{
	const uint16_t words[] = {p->s.status, p->s.enable, (uint16_t)(p->s.control | CNT_SCI_EN), 0};
	if (offset < sizeof(words))
		return (uint8_t)(words[offset / 2] >> 8 * (offset & 1));
	return (uint8_t)(timer >> 8 * (offset & 3));
}

/* Returns true when the guest asks for S5. */
static bool write_byte(struct pm *p, unsigned offset, uint8_t value)
{
	uint16_t bits = (uint16_t)(value << 8 * (offset & 1)), mask = (uint16_t)(0xff << 8 * (offset & 1));
	switch (offset / 2) {
	case 0:
		p->s.status &= (uint16_t) ~(bits & STS_CLEARABLE);
		return false;
	case 1:
		p->s.enable = (uint16_t)(((p->s.enable & ~mask) | bits) & EN_ALLOWED);
		return false;
	case 2:
		p->s.control = (uint16_t)(((p->s.control & ~mask) | bits) & CNT_KEPT);
		return (bits & CNT_SLP_EN) && (p->s.control >> CNT_SLP_TYP_SHIFT & 7) == PM_SLP_TYP_S5;
	default: /* the timer is read-only */
		return false;
	}
}

static void access(struct io_region *r, struct io_access *a)
{
	struct pm *p = r->arg;
	uint64_t now = hv_now_ns();
	bool power_off = false;

	vdev_lock(&p->lock);
	bool before = look(p, now);
	uint32_t timer = (uint32_t)ticks_at(p, now);
	if (!a->write)
		a->value = 0;
	for (unsigned i = 0; i < a->size && a->offset + i < r->bytes; i++) {
		unsigned offset = (unsigned)a->offset + i;
		if (a->write)
			power_off |= write_byte(p, offset, (uint8_t)(a->value >> 8 * i));
		else
			a->value |= (uint64_t)read_byte(p, offset, timer) << 8 * i;
	}
	bool after = look(p, now);
	vdev_unlock(&p->lock);

	if (a->write || after != before)
		vm_irq_set(p->vm, PM_SCI_GSI, after);
	if (a->write && a->offset < PM1_EVENT_BYTES)
		vdev_timer_changed(&p->timer);
	if (power_off)
		vm_ended(p->vm, VM_END_POWER_OFF, 0, NULL);
}

void pm_press_power_button(struct pm *p)
{
	vdev_lock(&p->lock);
	p->s.status |= STS_POWER_BUTTON;
	bool level = look(p, hv_now_ns());
	vdev_unlock(&p->lock);
	vm_irq_set(p->vm, PM_SCI_GSI, level);
}

void pm_reset(struct pm *p)
{
	uint64_t now = hv_now_ns();
	vdev_lock(&p->lock);
	p->s = (struct pm_state){.start_ns = now, .seen_ns = now};
	vdev_unlock(&p->lock);
	vdev_timer_changed(&p->timer);
}

int pm_init(struct pm *p, struct vm *vm)
{
	p->vm = vm;
	vdev_timer_init(&p->timer, vm, timer_next);
	p->region = (struct io_region){.start = PM_PORT_BASE, .bytes = 12, .access = access, .name = "acpi-pm", .arg = p};
	pm_reset(p);
	return iobus_attach(vm, IO_PORT, &p->region);
}

void pm_fini(struct pm *p)
{
	if (p->region.attached)
		iobus_detach(p->vm, IO_PORT, &p->region);
	vdev_timer_fini(&p->timer);
}

void pm_save(struct pm *p, struct state_writer *w)
{
	uint64_t now = hv_now_ns();
	state_begin(w, TAG, 1, 0);
	state_put_u16(w, p->s.status);
	state_put_u16(w, p->s.enable);
	state_put_u16(w, p->s.control);
	state_put_u64(w, now - p->s.start_ns);
	state_put_u64(w, now - p->s.seen_ns);
	state_end(w);
}

int pm_decode(struct pm_state *s, struct state_reader *r)
{
	int version = state_open(r, TAG, 1, 0);
	if (version < 0)
		return version;
	uint64_t now = hv_now_ns();
	s->status = state_get_u16(r);
	s->enable = state_get_u16(r);
	s->control = state_get_u16(r);
	s->start_ns = now - state_get_u64(r); /* may be "before boot": differences still come out right */
	s->seen_ns = now - state_get_u64(r);
	bool ok = !(s->status & ~STS_CLEARABLE) && !(s->enable & ~EN_ALLOWED) && !(s->control & ~CNT_KEPT);
	return state_close(r) && ok ? 0 : -EINVAL;
}

void pm_apply(struct pm *p, const struct pm_state *s)
{
	vdev_lock(&p->lock);
	p->s = *s;
	vdev_unlock(&p->lock);
	vdev_timer_changed(&p->timer);
}
