/*
 * The MC146818A real-time clock (Motorola data sheet). The guest's clock is the host's wall clock (hv_wall_ns) plus an offset that the
 * guest changes by setting the time. Register C's flags are computed when somebody looks: the events (periodic, alarm, update) between the
 * last look and now. A host timer on io_core is armed only while one of the three interrupts is enabled, for the next event.
 */
#include "vdev/rtc.h"
#include "vdev/irq.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('R', 'T', 'C', 'S')
#define IRQ 8
#define SECOND 1000000000ll
#define DAY_SECONDS 86400ll
#define UIP_NS 244000 /* "update in progress" rises this long before the second changes */

enum { SECONDS = 0, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D };
#define CENTURY 0x32

#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_BINARY 0x04
#define B_24H 0x02
#define C_IRQ 0x80
#define A_UIP 0x80
#define A_DIVIDER 0x70
#define A_RUNNING 0x20 /* the 32.768 kHz divider chain runs */
#define D_VALID 0x80
#define ALARM_ANY 0xc0 /* both top bits set: don't care */

/* ---- calendar (proleptic Gregorian) ---- */

struct calendar {
	unsigned second, minute, hour, weekday /* 1 = Sunday */, day, month;
	int year;
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970-01-01; eras of 400 years that begin on 1 March. */
static int64_t days_from_date(int year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400), yoe = y - era * 400;
	int64_t doy = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static struct calendar calendar_at(int64_t seconds)
{
	int64_t days = floor_div(seconds, DAY_SECONDS), rest = seconds - days * DAY_SECONDS;
	int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	return (struct calendar){
		.second = (unsigned)(rest % 60),
		.minute = (unsigned)(rest / 60 % 60),
		.hour = (unsigned)(rest / 3600),
		.weekday = (unsigned)(days + 4 - floor_div(days + 4, 7) * 7) + 1,
		.day = (unsigned)(doy - (153 * mp + 2) / 5) + 1,
		.month = month,
		.year = (int)(yoe + era * 400 + (month <= 2)),
	};
}

/* ---- coding ---- */

static uint8_t encode(const struct rtc *r, unsigned x)
{
	return (uint8_t)(r->s.ram[REG_B] & B_BINARY ? x : x / 10 % 10 << 4 | x % 10);
}

static unsigned decode(const struct rtc *r, uint8_t x)
{
	return r->s.ram[REG_B] & B_BINARY ? x : (x >> 4) * 10u + (x & 15u);
}

static uint8_t encode_hour(const struct rtc *r, unsigned hour)
{
	if (r->s.ram[REG_B] & B_24H)
		return encode(r, hour);
	return (uint8_t)(encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct rtc *r, uint8_t x)
{
	if (r->s.ram[REG_B] & B_24H)
		return decode(r, x);
	return decode(r, x & 0x7f) % 12 + (x & 0x80 ? 12 : 0);
}

/* ---- time and events; all under the lock ---- */

static bool running(const struct rtc *r)
{
	return !(r->s.ram[REG_B] & B_SET) && (r->s.ram[REG_A] & A_DIVIDER) == A_RUNNING;
}

static const uint8_t time_registers[] = {SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY};

static uint8_t field(const struct rtc *r, unsigned reg, const struct calendar *c)
{
	switch (reg) {
	case SECONDS:
		return encode(r, c->second);
	case MINUTES:
		return encode(r, c->minute);
	case HOURS:
		return encode_hour(r, c->hour);
	case WEEKDAY:
		return encode(r, c->weekday);
	case DAY:
		return encode(r, c->day);
	case MONTH:
		return encode(r, c->month);
	case YEAR:
		return encode(r, (unsigned)c->year % 100);
	default:
		return encode(r, (unsigned)c->year / 100);
	}
}

static void store_fields(struct rtc *r, int64_t ns)
{
	struct calendar c = calendar_at(floor_div(ns, SECOND));
	for (unsigned i = 0; i < HV_ARRAY_LEN(time_registers); i++)
		r->s.ram[time_registers[i]] = field(r, time_registers[i], &c);
}

static unsigned clip(unsigned x, unsigned low, unsigned high)
{
	return HV_MIN(HV_MAX(x, low), high);
}

/* What the registers say. Impossible values are clipped (the real chip would count on from nonsense); the weekday follows from the date. */
static int64_t seconds_from_fields(const struct rtc *r)
{
	const uint8_t *ram = r->s.ram;
	unsigned year = clip(decode(r, ram[CENTURY]), 19, 21) * 100 + clip(decode(r, ram[YEAR]), 0, 99);
	int64_t days = days_from_date((int)year, clip(decode(r, ram[MONTH]), 1, 12), clip(decode(r, ram[DAY]), 1, 31));
	return days * DAY_SECONDS + clip(decode_hour(r, ram[HOURS]), 0, 23) * 3600 + clip(decode(r, ram[MINUTES]), 0, 59) * 60 +
	       clip(decode(r, ram[SECONDS]), 0, 59);
}

static int64_t clock_ns(const struct rtc *r)
{
	return running(r) ? (int64_t)hv_wall_ns() + r->s.offset_ns : seconds_from_fields(r) * SECOND;
}

static int64_t period_ns(const struct rtc *r)
{
	unsigned rate = r->s.ram[REG_A] & 15;
	if (rate == 0)
		return 0;
	if (rate <= 2)
		rate += 7; /* 256 and 128 Hz, as the data sheet has it for the 32 kHz crystal */
	return SECOND * (1ll << (rate - 1)) / 32768;
}

static bool alarm_field(uint8_t alarm, unsigned want, unsigned now)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || want == now;
}

/* The first second after `after` at which the alarm matches, or INT64_MAX for an alarm that names no time. */
static int64_t next_alarm(const struct rtc *r, int64_t after)
{
	const uint8_t *ram = r->s.ram;
	int64_t t = after + 1;
	unsigned hour = decode_hour(r, ram[HOURS_ALARM]), minute = decode(r, ram[MINUTES_ALARM]), second = decode(r, ram[SECONDS_ALARM]);
	for (unsigned i = 0; i <= 24 && !alarm_field(ram[HOURS_ALARM], hour, calendar_at(t).hour); i++)
		t = (floor_div(t, 3600) + 1) * 3600;
	for (unsigned i = 0; i <= 60 && !alarm_field(ram[MINUTES_ALARM], minute, calendar_at(t).minute); i++)
		t = (floor_div(t, 60) + 1) * 60;
	for (unsigned i = 0; i <= 60 && !alarm_field(ram[SECONDS_ALARM], second, calendar_at(t).second); i++)
		t++;
	struct calendar c = calendar_at(t);
	if (alarm_field(ram[HOURS_ALARM], hour, c.hour) && alarm_field(ram[MINUTES_ALARM], minute, c.minute) &&
		alarm_field(ram[SECONDS_ALARM], second, c.second))
		return t;
	return INT64_MAX;
}

/* As next_alarm; a step that ran past the wanted hour or minute starts over from there (at most twice: then the fields are all at 0). */
static int64_t next_alarm_wrapped(const struct rtc *r, int64_t after)
{
	int64_t t = after;
	for (unsigned i = 0; i < 3; i++) {
		int64_t at = next_alarm(r, t);
		if (at != INT64_MAX)
			return at;
		t = i == 0 ? (floor_div(after, 3600) + 1) * 3600 - 1 : (floor_div(after, DAY_SECONDS) + 1) * DAY_SECONDS - 1;
	}
	return INT64_MAX;
}

/* Brings register C up to now. Returns the interrupt line's level. */
static bool look(struct rtc *r)
{
	uint8_t *ram = r->s.ram;
	if (running(r)) {
		int64_t now = clock_ns(r), seen = r->s.seen_ns, period = period_ns(r);
		if (now < seen)
			seen = now;
		if (period && floor_div(now, period) != floor_div(seen, period))
			ram[REG_C] |= B_PIE;
		if (floor_div(now, SECOND) != floor_div(seen, SECOND)) {
			ram[REG_C] |= B_UIE;
			if (next_alarm_wrapped(r, floor_div(seen, SECOND)) <= floor_div(now, SECOND))
				ram[REG_C] |= B_AIE;
		}
		r->s.seen_ns = now;
	}
	bool level = ram[REG_C] & ram[REG_B] & (B_PIE | B_AIE | B_UIE);
	ram[REG_C] = level ? ram[REG_C] | C_IRQ : ram[REG_C] & (uint8_t)~C_IRQ;
	return level;
}

static uint64_t next_event(const struct rtc *r, uint64_t host_now)
{
	uint8_t enabled = r->s.ram[REG_B] & (B_PIE | B_AIE | B_UIE);
	if (!running(r) || !enabled || (r->s.ram[REG_C] & C_IRQ))
		return VDEV_TIMER_NEVER; /* while the line is high nothing new can be told */
	int64_t now = clock_ns(r), next = INT64_MAX, period = period_ns(r);
	if ((enabled & B_PIE) && period)
		next = (floor_div(now, period) + 1) * period;
	if (enabled & B_UIE)
		next = HV_MIN(next, (floor_div(now, SECOND) + 1) * SECOND);
	if (enabled & B_AIE) {
		int64_t alarm = next_alarm_wrapped(r, floor_div(now, SECOND));
		if (alarm != INT64_MAX)
			next = HV_MIN(next, alarm * SECOND);
	}
	return next == INT64_MAX ? VDEV_TIMER_NEVER : host_now + (uint64_t)(next - now);
}

static uint64_t timer_next(struct vdev_timer *t, uint64_t now_ns)
{
	struct rtc *r = hv_container_of(t, struct rtc, timer);
	vdev_lock(&r->lock);
	bool level = look(r);
	uint64_t next = next_event(r, now_ns);
	vdev_unlock(&r->lock);
	if (level)
		vm_irq_set(r->vm, IRQ, true);
	return next;
}

/* ---- registers ---- */

static uint8_t read_register(struct rtc *r, unsigned reg)
{
	int64_t now = clock_ns(r);
	struct calendar c = calendar_at(floor_div(now, SECOND));
	switch (reg) {
	case SECONDS:
	case MINUTES:
	case HOURS:
	case WEEKDAY:
	case DAY:
	case MONTH:
	case YEAR:
	case CENTURY:
		return running(r) ? field(r, reg, &c) : r->s.ram[reg];
	case REG_A: {
		bool uip = running(r) && now - floor_div(now, SECOND) * SECOND >= SECOND - UIP_NS;
		return (uint8_t)((r->s.ram[REG_A] & ~A_UIP) | (uip ? A_UIP : 0));
	}
	case REG_D:
		return D_VALID;
	default:
		return r->s.ram[reg];
	}
}

/*
 * A time field is written. While the clock is stopped the registers are plain memory; a running clock is stopped, changed and started, so
 * that both ways give the same time.
 */
static void write_time(struct rtc *r, unsigned reg, uint8_t raw)
{
	if (!running(r)) {
		r->s.ram[reg] = raw;
		return;
	}
	store_fields(r, clock_ns(r));
	r->s.ram[reg] = raw;
	r->s.offset_ns = seconds_from_fields(r) * SECOND - (int64_t)hv_wall_ns();
	r->s.seen_ns = clock_ns(r);
}

/* A or B: may stop or start the clock. */
static void write_control(struct rtc *r, unsigned reg, uint8_t value)
{
	bool before = running(r);
	if (before)
		store_fields(r, clock_ns(r));
	r->s.ram[reg] = value;
	if (!before && running(r)) {
		r->s.offset_ns = seconds_from_fields(r) * SECOND - (int64_t)hv_wall_ns();
		r->s.seen_ns = clock_ns(r);
	}
}

static void write_register(struct rtc *r, unsigned reg, uint8_t value)
{
	switch (reg) {
	case SECONDS:
	case MINUTES:
	case HOURS:
	case WEEKDAY:
	case DAY:
	case MONTH:
	case YEAR:
	case CENTURY:
		write_time(r, reg, value);
		break;
	case REG_A:
		write_control(r, reg, value & (uint8_t)~A_UIP);
		break;
	case REG_B:
		write_control(r, reg, value & B_SET ? value & (uint8_t)~B_UIE : value);
		break;
	case REG_C:
	case REG_D:
		break; /* read-only */
	default:
		r->s.ram[reg] = value;
		break;
	}
}

static void access(struct io_region *region, struct io_access *a)
{
	struct rtc *r = region->arg;

	vdev_lock(&r->lock);
	unsigned reg = r->s.index;
	bool alarm_changed = false;
	if (a->offset == 0) {
		if (a->write)
			r->s.index = (uint8_t)a->value & 0x7f; /* bit 7 masked NMI once; there is none to mask */
		else
			a->value = 0xff; /* write-only */
		vdev_unlock(&r->lock);
		return;
	}
	bool level = look(r);
	if (a->write) {
		write_register(r, reg, (uint8_t)a->value);
		level = look(r);
		alarm_changed = reg <= REG_B || reg == CENTURY;
	} else {
		a->value = read_register(r, reg);
		if (reg == REG_C) {
			r->s.ram[REG_C] = 0;
			level = false;
			alarm_changed = r->s.ram[REG_B] & (B_PIE | B_AIE | B_UIE);
		}
	}
	vdev_unlock(&r->lock);
	vm_irq_set(r->vm, IRQ, level);
	if (alarm_changed)
		vdev_timer_changed(&r->timer);
}

/* ---- life ---- */

void rtc_reset(struct rtc *r)
{
	vdev_lock(&r->lock);
	r->s.ram[REG_A] = A_RUNNING | 6; /* 1024 Hz, as firmware leaves it */
	r->s.ram[REG_B] = B_24H;
	r->s.ram[REG_C] = 0;
	r->s.index = 0;
	r->s.seen_ns = clock_ns(r);
	vdev_unlock(&r->lock);
	vdev_timer_changed(&r->timer);
}

int rtc_init(struct rtc *r, struct vm *vm)
{
	r->vm = vm;
	vdev_timer_init(&r->timer, vm, timer_next);
	r->region = (struct io_region){.start = 0x70, .bytes = 2, .access = access, .name = "rtc", .arg = r};
	rtc_reset(r);
	return iobus_attach(vm, IO_PORT, &r->region);
}

void rtc_fini(struct rtc *r)
{
	if (r->region.attached)
		iobus_detach(r->vm, IO_PORT, &r->region);
	vdev_timer_fini(&r->timer);
}

void rtc_save(struct rtc *r, struct state_writer *w)
{
	state_begin(w, TAG, 1, 0);
	state_put_u64(w, (uint64_t)r->s.offset_ns);
	state_put_u64(w, (uint64_t)r->s.seen_ns);
	state_put_u8(w, r->s.index);
	state_put(w, r->s.ram, RTC_BYTES);
	state_end(w);
}

/* Times beyond this are nonsense, and would overflow sums of nanoseconds. */
#define SANE_NS (200ll * 366 * DAY_SECONDS * SECOND)

static bool sane(int64_t ns)
{
	return ns > -SANE_NS && ns < SANE_NS;
}

int rtc_decode(struct rtc_state *s, struct state_reader *r)
{
	int version = state_open(r, TAG, 1, 0);
	if (version < 0)
		return version;
	s->offset_ns = (int64_t)state_get_u64(r);
	s->seen_ns = (int64_t)state_get_u64(r);
	s->index = state_get_u8(r);
	state_get(r, s->ram, RTC_BYTES);
	bool ok = s->index < RTC_BYTES && sane(s->offset_ns) && sane(s->seen_ns);
	return state_close(r) && ok ? 0 : -EINVAL;
}

void rtc_apply(struct rtc *r, const struct rtc_state *s)
{
	vdev_lock(&r->lock);
	r->s = *s;
	vdev_unlock(&r->lock);
	vdev_timer_changed(&r->timer);
}
