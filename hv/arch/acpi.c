/*
 * ACPI tables, see acpi.h. Offsets are those of ACPI 6.4: RSDP 5.2.5.3, XSDT 5.2.8, FADT 5.2.9, MADT 5.2.12; MCFG: PCI Firmware 3.2, 4.1.2.
 * The soft-off type is the first package element of \_S5 in the DSDT; AML is not interpreted, only that object is looked for.
 */
#include "arch/acpi.h"
#include <errno.h>
#include <hv/log.h>

#define HEADER_BYTES 36u
#define TABLE_MAX_BYTES (16u << 20)

struct table {
	const uint8_t *data;
	uint32_t bytes;
};

/* ---- reading; unaligned, little-endian like the host ---- */
static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* 0 beyond the table's end: fields of later revisions are absent then. */
static uint64_t field(const struct table *t, uint32_t offset, unsigned bytes)
{
	return offset + bytes <= t->bytes ? get(t->data + offset, bytes) : 0;
}

static bool sums_to_zero(const uint8_t *p, size_t bytes)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum == 0;
}

static bool is(const uint8_t *p, const char *signature)
{
	return !__builtin_memcmp(p, signature, 4);
}

static bool open_table(const struct acpi_source *src, uint64_t pa, struct table *t)
{
	const uint8_t *header = pa ? src->map(src->arg, pa, HEADER_BYTES) : NULL;

	if (!header)
		return false;
	t->bytes = (uint32_t)get(header + 4, 4);
	if (t->bytes < HEADER_BYTES || t->bytes > TABLE_MAX_BYTES)
		return false;
	t->data = src->map(src->arg, pa, t->bytes);
	return t->data && sums_to_zero(t->data, t->bytes);
}

/* ---- MADT ---- */
static void add_cpu(struct acpi_info *info, uint32_t apic_id, uint32_t flags)
{
	if (!(flags & 1)) /* not enabled; online-capable ones are not there yet */
		return;
	for (unsigned i = 0; i < info->cpu_count; i++)
		if (info->cpu_apic_ids[i] == apic_id)
			return;
	if (info->cpu_count == ACPI_MAX_CPUS)
		info->cpu_skipped++;
	else
		info->cpu_apic_ids[info->cpu_count++] = apic_id;
}

static void madt_entry(const uint8_t *e, unsigned len, struct acpi_info *info)
{
	if (e[0] == 0 && len >= 8)
		add_cpu(info, e[3], (uint32_t)get(e + 4, 4));
	else if (e[0] == 9 && len >= 16)
		add_cpu(info, (uint32_t)get(e + 4, 4), (uint32_t)get(e + 8, 4));
	else if (e[0] == 1 && len >= 12 && info->ioapic_count < ACPI_MAX_IOAPICS) {
		info->ioapic_gsi_bases[info->ioapic_count] = (uint32_t)get(e + 8, 4);
		info->ioapic_bases[info->ioapic_count++] = get(e + 4, 4);
	} else if (e[0] == 2 && len >= 10 && e[2] == 0 && e[3] < 16)
		info->isa_gsi[e[3]] = (uint32_t)get(e + 4, 4);
	else if (e[0] == 5 && len >= 12)
		info->lapic_base = get(e + 4, 8);
}

static void read_madt(const struct table *t, struct acpi_info *info)
{
	uint32_t at = 44;

	info->lapic_base = field(t, 36, 4);
	while (at + 2 <= t->bytes) {
		unsigned len = t->data[at + 1];

		if (len < 2 || len > t->bytes - at) {
			log_warn("acpi.madt", "entry at %u has a bad length %u; the rest is ignored", at, len);
			return;
		}
		madt_entry(t->data + at, len, info);
		at += len;
	}
}

static void read_mcfg(const struct table *t, struct acpi_info *info)
{
	for (uint32_t at = 44; at + 16 <= t->bytes && info->ecam_count < ACPI_MAX_ECAMS; at += 16) {
		struct acpi_ecam e = {get(t->data + at, 8), (uint16_t)get(t->data + at + 8, 2), t->data[at + 10], t->data[at + 11]};

		if (!e.base || e.base & 0xfffff || e.first_bus > e.last_bus)
			log_warn("acpi.mcfg", "entry at %u is malformed", at);
		else
			info->ecams[info->ecam_count++] = e;
	}
}

/* ---- FADT and soft off ---- */
/* AML integer (ACPI 6.4, 20.2.3): ZeroOp, OneOp, BytePrefix. Returns bytes used, 0 = something else. */
static unsigned aml_byte(const uint8_t *p, uint32_t left, uint8_t *value)
{
	if (left >= 1 && p[0] <= 1) {
		*value = p[0];
		return 1;
	}
	if (left >= 2 && p[0] == 0x0a) {
		*value = p[1];
		return 2;
	}
	return 0;
}

/* After "_S5_": PackageOp, PkgLength, NumElements, elements (20.2.5.4). */
static bool read_s5(const uint8_t *p, uint32_t left, struct acpi_info *info)
{
	uint32_t at;
	unsigned n;

	if (left < 4 || p[0] != 0x12)
		return false;
	at = 2u + (p[1] >> 6) + 1; /* PkgLength has 1 to 4 bytes, then the count of elements */
	if (at >= left)
		return false;
	n = aml_byte(p + at, left - at, &info->s5_a);
	if (!n)
		return false;
	at += n;
	if (at >= left || !aml_byte(p + at, left - at, &info->s5_b))
		info->s5_b = info->s5_a;
	info->has_s5 = true;
	return true;
}

static void find_s5(const struct table *t, struct acpi_info *info)
{
	for (uint32_t i = HEADER_BYTES; !info->has_s5 && i + 5 <= t->bytes; i++) {
		/* NameOp before it, perhaps with the root prefix between. */
		bool named = t->data[i - 1] == 0x08 || (t->data[i - 1] == '\\' && t->data[i - 2] == 0x08);

		if (named && is(t->data + i, "_S5_") && read_s5(t->data + i + 4, t->bytes - i - 4, info))
			return;
	}
}

static void read_fadt(const struct acpi_source *src, const struct table *t, struct acpi_info *info)
{
	uint64_t dsdt = field(t, 140, 8) ? field(t, 140, 8) : field(t, 40, 4);
	struct table aml;

	info->smi_port = (uint16_t)field(t, 48, 4);
	info->acpi_enable = (uint8_t)field(t, 52, 1);
	info->pm1a_control_port = (uint16_t)field(t, 64, 4);
	info->pm1b_control_port = (uint16_t)field(t, 68, 4);
	info->pm_timer_port = (uint16_t)field(t, 76, 4);
	if (field(t, 112, 4) & 1u << 10) { /* RESET_REG_SUP */
		info->reset_space = (uint8_t)field(t, 116, 1);
		info->reset_address = field(t, 120, 8);
		info->reset_value = (uint8_t)field(t, 128, 1);
		info->has_reset = info->reset_address && info->reset_space <= 1;
	}
	if (open_table(src, dsdt, &aml) && is(aml.data, "DSDT"))
		find_s5(&aml, info);
	else
		log_warn("acpi.dsdt", "no usable DSDT at %lx", (unsigned long)dsdt);
}

/* ---- root ---- */
static void read_table(const struct acpi_source *src, uint64_t pa, struct acpi_info *info)
{
	struct table t;

	if (!open_table(src, pa, &t))
		log_warn("acpi.table", "table at %lx is malformed", (unsigned long)pa);
	else if (is(t.data, "APIC"))
		read_madt(&t, info);
	else if (is(t.data, "MCFG"))
		read_mcfg(&t, info);
	else if (is(t.data, "FACP"))
		read_fadt(src, &t, info);
}

static bool rsdp_valid(const uint8_t *p)
{
	return !__builtin_memcmp(p, "RSD PTR ", 8) && sums_to_zero(p, 20);
}

int acpi_find_rsdp(const void *area, size_t bytes)
{
	for (size_t i = 0; i + 36 <= bytes; i += 16)
		if (rsdp_valid((const uint8_t *)area + i))
			return (int)i;
	return -ENOENT;
}

int acpi_read(const struct acpi_source *src, uint64_t rsdp, struct acpi_info *info)
{
	const uint8_t *p = rsdp ? src->map(src->arg, rsdp, 36) : NULL;
	unsigned entry_bytes = 8;
	struct table root;

	*info = (struct acpi_info){.lapic_base = 0xfee00000u};
	for (unsigned i = 0; i < HV_ARRAY_LEN(info->isa_gsi); i++)
		info->isa_gsi[i] = i;
	if (!p || !rsdp_valid(p))
		return trace_error(-EINVAL);
	/* Revision 2 and later have the XSDT. */
	if (p[15] < 2 || !open_table(src, get(p + 24, 8), &root) || !is(root.data, "XSDT")) {
		entry_bytes = 4;
		if (!open_table(src, get(p + 16, 4), &root) || !is(root.data, "RSDT"))
			return trace_error(-EINVAL);
	}
	for (uint32_t at = HEADER_BYTES; at + entry_bytes <= root.bytes; at += entry_bytes)
		read_table(src, get(root.data + at, entry_bytes), info);
	return 0;
}
