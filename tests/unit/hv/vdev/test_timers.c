/* PIT, RTC and ACPI fixed hardware as a guest programs them. */
#include "test.h"

#include "machine.h"

static int setup(void **state)
{
	machine_start(2, 4 << 20);
	/* PIC as Linux sets it up: vectors 0x30 and 0x38, LINT0 is ExtINT at power-on. */
	out8(0x20, 0x11);
	out8(0x21, 0x30);
	out8(0x21, 0x04);
	out8(0x21, 0x01);
	out8(0xa0, 0x11);
	out8(0xa1, 0x38);
	out8(0xa1, 0x02);
	out8(0xa1, 0x01);
	return 0;
}
static int teardown(void **state)
{
	machine_stop();
	return 0;
}

static void eoi_pic(unsigned irq)
{
	if (irq >= 8)
		out8(0xa0, 0x20);
	out8(0x20, 0x20);
}

static void pit_periodic_interrupt(void **state)
{
	out8(0x21, 0xfe);
	out8(0xa1, 0xff);
	out8(0x43, 0x34); /* channel 0, low/high, mode 2 */
	out8(0x40, 11932 & 0xff);
	out8(0x40, 11932 >> 8); /* 10 ms */
	unsigned ticks = 0;
	for (unsigned i = 0; i < 100; i++) {
		pass(MS);
		if (take(0) == 0x30) {
			ticks++;
			eoi_pic(0);
		}
	}
	assert_in_range(ticks, 9, 10);
}

static void pit_one_shot(void **state)
{
	out8(0x21, 0xfe);
	out8(0x43, 0x30); /* mode 0 */
	out8(0x40, 0xa9);
	out8(0x40, 0x04); /* 1193: 1 ms */
	pass(MS / 2);
	assert_int_equal(take(0), -1);
	pass(MS);
	assert_int_equal(take(0), 0x30);
	eoi_pic(0);
	pass(100 * MS);
	assert_int_equal(take(0), -1);
}

static void pit_rate_is_bounded(void **state)
{
	out8(0x43, 0x34);
	out8(0x40, 2);
	out8(0x40, 0); /* 600 kHz asked */
	uint64_t before = m.vcpus[0].kicks;
	out8(0x21, 0xfe);
	unsigned ticks = 0;
	for (unsigned i = 0; i < 200; i++) {
		pass(50000);
		if (take(0) == 0x30) {
			ticks++;
			eoi_pic(0);
		}
	}
	assert_in_range(ticks, 10, 101); /* 10 ms at most every 100 us */
	(void)before;
}

/* As Linux calibrates its TSC: channel 2 gated by port 0x61, output polled there. */
static void pit_channel_2_calibration(void **state)
{
	out8(0x61, (in8(0x61) & ~0x02) | 0x01);
	out8(0x43, 0xb0); /* channel 2, mode 0 */
	out8(0x42, 0x9b);
	out8(0x42, 0x2e); /* 11931 ticks: 10 ms */
	assert_int_equal(in8(0x61) & 0x20, 0);
	pass(9900000);
	assert_int_equal(in8(0x61) & 0x20, 0);
	pass(200000);
	assert_int_equal(in8(0x61) & 0x20, 0x20);

	out8(0x43, 0xb0); /* quick calibration: the count falls and its high byte can be read */
	out8(0x42, 0xff);
	out8(0x42, 0xff);
	uint8_t lo = in8(0x42), hi = in8(0x42);
	assert_int_equal(hi << 8 | lo, 0xffff);
	pass(10 * MS);
	lo = in8(0x42);
	hi = in8(0x42);
	assert_in_range(0xffff - (hi << 8 | lo), 11925, 11940);
}

static void pit_latch_and_read_back(void **state)
{
	out8(0x43, 0x34);
	out8(0x40, 0x00);
	out8(0x40, 0x00); /* 65536 */
	pass(10 * MS);
	out8(0x43, 0x00); /* latch channel 0 */
	pass(10 * MS);
	uint8_t lo = in8(0x40), hi = in8(0x40);
	assert_in_range(65536 - (hi << 8 | lo), 11925, 11940); /* the latched one */
	out8(0x43, 0xe2); /* read back status of channel 0 */
	assert_int_equal(in8(0x40) & 0x3f, 0x34);
}

static uint8_t cmos(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}
static void cmos_set(uint8_t reg, uint8_t x)
{
	out8(0x70, reg);
	out8(0x71, x);
}

static void set_date(unsigned century, unsigned year, unsigned month, unsigned day, unsigned h, unsigned min, unsigned s)
{
	cmos_set(0x0b, 0x82);
	cmos_set(0, (uint8_t)s);
	cmos_set(2, (uint8_t)min);
	cmos_set(4, (uint8_t)h);
	cmos_set(7, (uint8_t)day);
	cmos_set(8, (uint8_t)month);
	cmos_set(9, (uint8_t)year);
	cmos_set(0x32, (uint8_t)century);
	cmos_set(0x0b, 0x02);
}

static void rtc_keeps_time(void **state)
{
	set_date(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58); /* BCD */
	pass(2 * SEC + SEC / 2);
	assert_int_equal(cmos(7), 0x29); /* a leap year */
	assert_int_equal(cmos(8), 0x02);
	assert_int_equal(cmos(6), 5); /* 29 February 2024 was a Thursday */
	assert_int_equal(cmos(4), 0x00);
	cmos_set(0x0b, 0x06); /* binary */
	set_date(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58);
	cmos_set(0x0b, 0x00); /* 12 hours */
	cmos_set(4, 0x92); /* 12 pm */
	cmos_set(0x0b, 0x02);
	assert_int_equal(cmos(4), 0x12);
	cmos_set(0x0b, 0x06);
	assert_int_equal(cmos(4), 12);
	assert_int_equal(cmos(9), 24);
	assert_int_equal(cmos(0x0d), 0x80);
	cmos_set(0x40, 0x5a);
	assert_int_equal(cmos(0x40), 0x5a);
}

static void rtc_stops_while_set(void **state)
{
	set_date(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
	cmos_set(0x0b, 0x82);
	pass(5 * SEC);
	assert_int_equal(cmos(0), 0x59);
	cmos_set(0x0b, 0x02);
	pass(SEC + MS);
	assert_int_equal(cmos(0x32), 0x20);
	assert_int_equal(cmos(9), 0x00);
	cmos_set(8, 0xff); /* nonsense is clipped, never a crash */
	cmos_set(7, 0xff);
	assert_int_equal(cmos(8), 0x12);
}

static void rtc_update_in_progress(void **state)
{
	set_date(0x20, 0x26, 0x01, 0x01, 0, 0, 0);
	unsigned seen = 0;
	for (unsigned i = 0; i < 20000; i++) {
		native_time_advance(100000);
		seen += cmos(0x0a) >> 7;
	}
	assert_in_range(seen, 4, 6); /* 244 us in each of two seconds */
}

static void rtc_interrupts(void **state)
{
	out8(0x21, 0xfb);
	out8(0xa1, 0xfe);
	set_date(0x20, 0x26, 0x01, 0x01, 0x10, 0x59, 0x58);
	cmos(0x0c);
	cmos_set(1, 0x01); /* alarm 11:00:01 */
	cmos_set(3, 0x00);
	cmos_set(5, 0x11);
	cmos_set(0x0b, 0x22);
	pass(2 * SEC + SEC / 2);
	assert_int_equal(take(0), -1);
	pass(SEC);
	assert_int_equal(take(0), 0x38);
	eoi_pic(8);
	uint8_t c = cmos(0x0c);
	assert_int_equal(c & 0xa0, 0xa0);
	assert_int_equal(cmos(0x0c) & 0x80, 0);
	pass(3 * SEC);
	assert_int_equal(take(0), -1);

	cmos_set(1, 0xc0); /* every second of 11:00 .. 11:00:59 passed; any second, minute, hour */
	cmos_set(3, 0xc0);
	cmos_set(5, 0xc0);
	pass(SEC + MS);
	assert_int_equal(take(0), 0x38);
	eoi_pic(8);
	cmos_set(0x0b, 0x02);
	cmos(0x0c);

	cmos_set(0x0a, 0x26); /* 1024 Hz */
	cmos_set(0x0b, 0x42);
	unsigned ticks = 0;
	for (unsigned i = 0; i < 1000; i++) {
		pass(100000);
		if (take(0) == 0x38) {
			ticks++;
			cmos(0x0c);
			eoi_pic(8);
		}
	}
	assert_in_range(ticks, 95, 105);
}

static void rtc_impossible_alarm(void **state)
{
	cmos_set(1, 0x99);
	cmos_set(3, 0x99);
	cmos_set(5, 0x99);
	cmos_set(0x0b, 0x22);
	pass(3 * SEC);
	assert_int_equal(cmos(0x0c) & 0x20, 0);
}

static void pm_timer_counts(void **state)
{
	uint32_t a = in32(0x608);
	pass(100 * MS);
	assert_in_range(in32(0x608) - a, 357950, 357960);
	out32(0x608, 0);
	assert_in_range(in32(0x608) - a, 357950, 357960);
}

static void pm_power_off(void **state)
{
	assert_int_equal(in16(0x604) & 1, 1); /* ACPI mode */
	out16(0x604, 1 << 13 | 1 << 10);     /* S1: there is none */
	assert_false(m.ended);
	out16(0x604, 1 << 13 | 5 << 10);
	assert_true(m.ended);
	assert_int_equal(m.vm.end_how, VM_END_POWER_OFF);
}

static void pm_power_button(void **state)
{
	out8(0x21, 0xfb);
	out8(0xa1, 0xfd);
	out16(0x602, 1 << 8);
	platform_power_button(&m.vm);
	assert_int_equal(take(0), 0x39);
	assert_int_equal(in16(0x600), 1 << 8);
	out16(0x600, 1 << 8);
	assert_int_equal(in16(0x600), 0);
	eoi_pic(9);
	assert_int_equal(take(0), -1);
}

static void pm_carry_interrupt(void **state)
{
	out8(0x21, 0xfb);
	out8(0xa1, 0xfd);
	out16(0x602, 1);
	pass(0);
	native_time_advance(600 * SEC); /* 2^31 ticks are 599.9 s */
	pass(0);
	assert_int_equal(take(0), 0x39);
	assert_int_equal(in16(0x600) & 1, 1);
}

static void keyboard_controller(void **state)
{
	out8(0x64, 0xaa);
	assert_int_equal(in8(0x64) & 1, 1);
	assert_int_equal(in8(0x60), 0x55);
	assert_int_equal(in8(0x64) & 3, 0);
	out8(0x64, 0xd1);
	out8(0x60, 0xdf);
	assert_false(m.ended);
	out8(0x64, 0xfe);
	assert_true(m.ended);
	assert_int_equal(m.vm.end_how, VM_END_RESET);
}

static void debug_ports(void **state)
{
	out8(0x80, 0x12);
	assert_int_equal(in8(0x80), 0x12);
	out32(0xf4, 0x1234);
	assert_int_equal(m.vm.end_how, VM_END_DEBUG_EXIT);
	assert_int_equal(m.vm.end_value, 0x1234);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pit_periodic_interrupt), T(pit_one_shot), T(pit_rate_is_bounded), T(pit_channel_2_calibration), T(pit_latch_and_read_back),
		T(rtc_keeps_time), T(rtc_stops_while_set), T(rtc_update_in_progress), T(rtc_interrupts), T(rtc_impossible_alarm),
		T(pm_timer_counts), T(pm_power_off), T(pm_power_button), T(pm_carry_interrupt), T(keyboard_controller), T(debug_ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
