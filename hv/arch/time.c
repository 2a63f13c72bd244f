/*
 * Time is the TSC, which on every processor with SVM or VMX this host wants counts at one rate on all cores (invariant TSC; a warning says if not).
 * Its rate comes from CPUID where given, else it is measured against the ACPI PM timer, else the PIT.
 */
#include "arch/time.h"
#include "arch/cpu.h"
#include <hv/core.h>
#include <hv/log.h>

#define PM_TIMER_HZ 3579545ull /* ACPI 6.4, 4.8.3.3 */
#define PIT_HZ 1193182ull
#define NS_PER_S 1000000000ull
#define FAR_NS (100ull * 365 * 86400 * NS_PER_S) /* beyond any deadline; keeps products in range */
#define MEASURE_MS 20u
#define PATIENCE 50000000u

static uint64_t tsc_hz, tsc_start, wall_start_ns;
static uint64_t ns_per_tsc; /* 32.32 fixed point */

static uint64_t scale(uint64_t v, uint64_t fraction)
{
	return (uint64_t)((unsigned __int128)v * fraction >> 32);
}

uint64_t hv_now_ns(void)
{
	return ns_per_tsc ? scale(cpu_tsc() - tsc_start, ns_per_tsc) : 0;
}

uint64_t hv_wall_ns(void)
{
	return wall_start_ns + hv_now_ns();
}

uint64_t hv_tsc_hz(void)
{
	return tsc_hz;
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
	return tsc_start + cpu_mul_div(HV_MIN(ns, FAR_NS), tsc_hz, NS_PER_S);
}

void time_delay_us(uint64_t us)
{
	uint64_t end = cpu_tsc() + us * (tsc_hz / 1000000);

	while ((int64_t)(cpu_tsc() - end) < 0)
		cpu_pause();
}

/* ---- rate ---- */
static uint64_t rate_from_cpuid(void)
{
	uint32_t max = cpu_cpuid(0, 0).eax;
	struct cpuid c;

	if (max >= 0x15) { /* SDM vol. 2: EBX/EAX times the crystal's ECX Hz */
		c = cpu_cpuid(0x15, 0);
		if (c.eax && c.ebx && c.ecx)
			return (uint64_t)c.ecx * c.ebx / c.eax;
	}
	if (cpu_cpuid(1, 0).ecx & 1u << 31) { /* a hypervisor's timing leaf: kHz in EAX */
		max = cpu_cpuid(0x40000000, 0).eax;
		c = cpu_cpuid(0x40000010, 0);
		if (max >= 0x40000010 && max < 0x40010000 && c.eax)
			return c.eax * 1000ull;
	}
	return 0;
}

static uint64_t rate_from_pm_timer(uint16_t port)
{
	uint32_t start = cpu_inl(port) & 0xffffff, ticks = 0;
	uint64_t tsc = cpu_tsc();
	const uint32_t wanted = (uint32_t)(PM_TIMER_HZ * MEASURE_MS / 1000);

	for (unsigned i = 0; ticks < wanted; i++) {
		ticks = ((cpu_inl(port) & 0xffffff) - start) & 0xffffff;
		if (i == PATIENCE)
			return 0;
	}
	tsc = cpu_tsc() - tsc;
	return cpu_mul_div(tsc, PM_TIMER_HZ, ticks);
}

/* PIT channel 2, mode 0: its output rises when the count ends (Intel 8254 data sheet). */
static uint64_t rate_from_pit(void)
{
	const uint16_t count = (uint16_t)(PIT_HZ * MEASURE_MS / 1000);
	uint64_t tsc;

	cpu_outb(0x61, (uint8_t)((cpu_inb(0x61) & ~0x02u) | 0x01u));
	cpu_outb(0x43, 0xb0);
	cpu_outb(0x42, (uint8_t)count);
	cpu_outb(0x42, (uint8_t)(count >> 8));
	tsc = cpu_tsc();
	for (unsigned i = 0; !(cpu_inb(0x61) & 0x20); i++)
		if (i == PATIENCE)
			return 0;
	tsc = cpu_tsc() - tsc;
	return tsc * PIT_HZ / count;
}

/* ---- wall clock: CMOS RTC (Motorola MC146818 data sheet) ---- */
static uint8_t rtc_read(uint8_t reg)
{
	cpu_outb(0x70, reg);
	return cpu_inb(0x71);
}

static unsigned decimal(uint8_t v, bool binary)
{
	return binary ? v : (v >> 4) * 10u + (v & 15u);
}

/* Days from 1970-01-01, proleptic Gregorian calendar. */
static uint64_t days_of(unsigned year, unsigned month, unsigned day)
{
	static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	unsigned y = year - 1;
	uint64_t days = y * 365ull + y / 4 - y / 100 + y / 400 - 719162;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days + before[(month - 1) % 12] + (month > 2 && leap) + day - 1;
}

static uint64_t rtc_seconds(void)
{
	uint8_t r[6], again[6], status;
	static const uint8_t regs[6] = {0, 2, 4, 7, 8, 9};
	unsigned hour, tries = 0;
	bool binary, same;

	do { /* twice the same outside of an update: consistent */
		for (unsigned i = 0; rtc_read(0x0a) & 0x80 && i < 100000; i++)
			cpu_pause();
		for (unsigned i = 0; i < 6; i++)
			r[i] = rtc_read(regs[i]);
		for (unsigned i = 0; i < 6; i++)
			again[i] = rtc_read(regs[i]);
		same = !__builtin_memcmp(r, again, sizeof(r));
	} while (!same && tries++ < 10);
	status = rtc_read(0x0b);
	binary = status & 4;
	hour = decimal(r[2] & 0x7f, binary);
	if (!(status & 2)) /* 12 hours, bit 7 = afternoon */
		hour = hour % 12 + (r[2] & 0x80 ? 12 : 0);
	return days_of(2000 + decimal(r[5], binary), decimal(r[4], binary), decimal(r[3], binary)) * 86400 + hour * 3600 +
		decimal(r[1], binary) * 60 + decimal(r[0], binary);
}

void time_init(uint16_t pm_timer_port)
{
	const char *source = "CPUID";

	tsc_hz = rate_from_cpuid();
	if (!tsc_hz && pm_timer_port) {
		tsc_hz = rate_from_pm_timer(pm_timer_port);
		source = "PM timer";
	}
	if (!tsc_hz) {
		tsc_hz = rate_from_pit();
		source = "PIT";
	}
	if (!tsc_hz)
		hv_panic("no clock to measure the TSC with");
	tsc_start = cpu_tsc();
	wall_start_ns = rtc_seconds() * NS_PER_S;
	__atomic_store_n(&ns_per_tsc, cpu_mul_div(NS_PER_S, 1ull << 32, tsc_hz), __ATOMIC_RELEASE);
	log_info("time.ready", "TSC %lu kHz (%s), wall clock %lu", (unsigned long)(tsc_hz / 1000), source, (unsigned long)(wall_start_ns / NS_PER_S));
	if (!(cpu_cpuid(1, 0).ecx & 1u << 31) && (cpu_cpuid(0x80000000, 0).eax < 0x80000007 || !(cpu_cpuid(0x80000007, 0).edx & 1u << 8)))
		log_warn("time.tsc", "the processor does not promise an invariant TSC");
}
