/*
 * Power-off as an operating system does it (ACPI 6.4, 7.4.2): RSDP, XSDT, FADT found and summed up, the S5 sleep type taken from the DSDT's
 * \_S5 package, SLP_TYP and SLP_EN written to PM1a control. SLP_TYP without SLP_EN does nothing.
 * Expect: power-off
 */
#include "guest.h"

#define SLP_EN (1u << 13)
#define FADT_DSDT 40
#define FADT_PM1A_CNT 64

static inline void outw(uint16_t port, uint16_t x)
{
	__asm__ volatile("outw %0, %1" : : "a"(x), "Nd"(port));
}

static uint32_t u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is(const uint8_t *p, const char *text)
{
	while (*text)
		if (*p++ != (uint8_t)*text++)
			return false;
	return true;
}

static uint8_t sum(const uint8_t *p, uint32_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static const uint8_t *rsdp(void)
{
	for (const uint8_t *p = (const uint8_t *)0xe0000; p < (const uint8_t *)0x100000; p += 16)
		if (is(p, "RSD PTR ") && !sum(p, 20) && !sum(p, 36))
			return p;
	return (const uint8_t *)0;
}

static const uint8_t *table(const uint8_t *xsdt, const char *name)
{
	for (uint32_t at = 36; at + 8 <= u32(xsdt + 4); at += 8) {
		const uint8_t *t = (const uint8_t *)u32(xsdt + at);

		if (is(t, name)) {
			CHECK(!sum(t, u32(t + 4)));
			return t;
		}
	}
	return (const uint8_t *)0;
}

/* First element of Name(_S5, Package(){...}): NameOp "_S5_" PackageOp length count element. */
static uint8_t sleep_type(const uint8_t *dsdt)
{
	for (uint32_t i = 36; i + 16 < u32(dsdt + 4); i++) {
		const uint8_t *p = dsdt + i;

		if (!is(p, "_S5_"))
			continue;
		p += 4;
		CHECK(*p++ == 0x12);
		p += 1 + (*p >> 6); /* PkgLength */
		CHECK(*p++ >= 1);
		return *p == 0x0a ? p[1] : *p; /* BytePrefix, or ZeroOp and OneOp */
	}
	guest_fail("no _S5 in the DSDT", __FILE__, __LINE__);
}

int main(void)
{
	const uint8_t *root = rsdp(), *xsdt, *fadt, *dsdt;
	uint16_t control, type;

	CHECK(root);
	xsdt = (const uint8_t *)u32(root + 24);
	CHECK(is(xsdt, "XSDT") && !sum(xsdt, u32(xsdt + 4)));
	fadt = table(xsdt, "FACP");
	CHECK(fadt);
	CHECK(table(xsdt, "APIC") && table(xsdt, "MCFG"));
	dsdt = (const uint8_t *)u32(fadt + FADT_DSDT);
	CHECK(is(dsdt, "DSDT") && !sum(dsdt, u32(dsdt + 4)));
	control = (uint16_t)u32(fadt + FADT_PM1A_CNT);
	type = (uint16_t)(sleep_type(dsdt) << 10);
	outw(control, type);
	guest_print("awake\n");
	outw(control, (uint16_t)(type | SLP_EN));
	for (volatile int i = 0; i < 10000000; i++)
		;
	return 1;
}
