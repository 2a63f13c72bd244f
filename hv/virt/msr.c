/*
 * MSR policy: one const table, sorted by number. A row reads by its function or gives a constant; writes by its function, or drops the value;
 * what is not in the table is #GP, counted, and logged once a vCPU. MSRs that the vendor switches without an exit are here too, for machines
 * and paths that do exit.
 */
#include "vdev/lapic.h"
#include "virt/vcpu_impl.h"
#include "vm/vm_impl.h"

#include <errno.h>
#include <hv/log.h>
#include <string.h>

#define MSR_KVM_WALL_CLOCK 0x4b564d00u
#define MSR_KVM_SYSTEM_TIME 0x4b564d01u
#define MTRRCAP 0x508u /* 8 variable ranges, fixed ranges, write-combining */
#define EFER_GUEST (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR)

typedef int (*msr_read_fn)(struct vcpu *v, uint32_t msr, uint64_t *value);
typedef int (*msr_write_fn)(struct vcpu *v, uint32_t msr, uint64_t value);

struct row {
	uint32_t first, last;
	msr_read_fn read;   /* NULL: `constant` */
	msr_write_fn write; /* NULL: #GP */
	uint64_t constant;
};

static int ignore(struct vcpu *v, uint32_t msr, uint64_t value)
{
	return 0;
}

static int read_lapic(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	return v->lapic ? lapic_msr_read(v->lapic, msr, value) : -EINVAL;
}

static int write_lapic(struct vcpu *v, uint32_t msr, uint64_t value)
{
	v->irq_check = true; /* EOI, TPR, self-IPI */
	return v->lapic ? lapic_msr_write(v->lapic, msr, value) : -EINVAL;
}

static int read_tsc(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	*value = vcpu_tsc(v);
	return 0;
}

static int read_vendor(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	return virt_ops->get_msr(v, msr, value) ? 0 : -EINVAL;
}

static bool canonical(uint64_t va)
{
	return (int64_t)(va << 16) >> 16 == (int64_t)va;
}

static int write_vendor(struct vcpu *v, uint32_t msr, uint64_t value)
{
	bool address = msr != MSR_STAR && msr != MSR_SFMASK && msr != MSR_SYSENTER_CS;
	if (address && !canonical(value))
		return -EINVAL;
	return virt_ops->set_msr(v, msr, value) ? 0 : -EINVAL;
}

static bool memory_type(uint8_t t)
{
	return t <= 7 && t != 2 && t != 3;
}

static int write_pat(struct vcpu *v, uint32_t msr, uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!memory_type((uint8_t)(value >> i)))
			return -EINVAL;
	return virt_ops->set_msr(v, msr, value) ? 0 : -EINVAL;
}

static int read_efer(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	*value = virt_ops->get_control(v, VCTL_EFER);
	return 0;
}

/* LMA is the machine's; LME may not change while paging is on (SDM vol. 3, 2.2.1). */
static int write_efer(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t old = virt_ops->get_control(v, VCTL_EFER);
	struct x86_cpuid features;
	vcpu_cpuid(v, 0x80000001, 0, &features);
	if (value & ~EFER_GUEST || (value & EFER_FFXSR && !(features.edx & 1u << 25)))
		return -EINVAL;
	if ((value ^ old) & EFER_LME && virt_ops->get_control(v, VCTL_CR0) & CR0_PG)
		return -EINVAL;
	virt_ops->set_control(v, VCTL_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
	return 0;
}

static int read_tsc_aux(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	*value = v->tsc_aux;
	return 0;
}

static int write_tsc_aux(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (value >> 32)
		return -EINVAL;
	fpu_set_tsc_aux(v, value);
	return 0;
}

/* Memory type ranges are kept and have no effect: nested paging decides types. Index: 0-15 variable, 16 default, 17.. fixed. */
static uint64_t *mtrr(struct vcpu *v, uint32_t msr)
{
	if (msr >= MSR_MTRR_PHYS_FIRST && msr <= MSR_MTRR_PHYS_LAST)
		return &v->mtrr[msr - MSR_MTRR_PHYS_FIRST];
	if (msr == MSR_MTRR_DEF_TYPE)
		return &v->mtrr[16];
	if (msr == MSR_MTRR_FIX64K)
		return &v->mtrr[17];
	if (msr <= MSR_MTRR_FIX16K_LAST)
		return &v->mtrr[18 + (msr - MSR_MTRR_FIX16K_FIRST)];
	return &v->mtrr[20 + (msr - MSR_MTRR_FIX4K_FIRST)];
}

static int read_mtrr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	*value = *mtrr(v, msr);
	return 0;
}

static int write_mtrr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	*mtrr(v, msr) = value;
	return 0;
}

static int read_misc_enable(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	*value = v->misc_enable;
	return 0;
}

static int write_misc_enable(struct vcpu *v, uint32_t msr, uint64_t value)
{
	v->misc_enable = value;
	return 0;
}

static int read_kvmclock(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	*value = msr == MSR_KVM_SYSTEM_TIME ? v->kvmclock_msr : 0;
	return 0;
}

static int write_kvmclock(struct vcpu *v, uint32_t msr, uint64_t value)
{
	return kvmclock_write(v, msr, value);
}

static const struct row rows[] = {
	{MSR_TSC, MSR_TSC, read_tsc, ignore, 0},
	{MSR_PLATFORM_ID, MSR_PLATFORM_ID, NULL, NULL, 0},
	{MSR_APIC_BASE, MSR_APIC_BASE, read_lapic, write_lapic, 0},
	{MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, NULL, ignore, 0x01000065},
	{MSR_MTRRCAP, MSR_MTRRCAP, NULL, NULL, MTRRCAP},
	{MSR_SYSENTER_CS, MSR_SYSENTER_EIP, read_vendor, write_vendor, 0},
	{MSR_MCG_CAP, MSR_MCG_CAP, NULL, NULL, 0},
	{MSR_MCG_STATUS, MSR_MCG_STATUS, NULL, ignore, 0},
	{MSR_MISC_ENABLE, MSR_MISC_ENABLE, read_misc_enable, write_misc_enable, 0},
	{MSR_DEBUGCTL, MSR_DEBUGCTL, NULL, ignore, 0},
	{MSR_MTRR_PHYS_FIRST, MSR_MTRR_PHYS_LAST, read_mtrr, write_mtrr, 0},
	{MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, read_mtrr, write_mtrr, 0},
	{MSR_MTRR_FIX16K_FIRST, MSR_MTRR_FIX16K_LAST, read_mtrr, write_mtrr, 0},
	{MSR_MTRR_FIX4K_FIRST, MSR_MTRR_FIX4K_LAST, read_mtrr, write_mtrr, 0},
	{MSR_PAT, MSR_PAT, read_vendor, write_pat, 0},
	{MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, read_mtrr, write_mtrr, 0},
	{MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, read_lapic, write_lapic, 0},
	{MSR_X2APIC_FIRST, MSR_X2APIC_LAST, read_lapic, write_lapic, 0},
	{MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, read_kvmclock, write_kvmclock, 0},
	{MSR_KVM_PV_EOI, MSR_KVM_PV_EOI, read_lapic, write_lapic, 0},
	{MSR_EFER, MSR_EFER, read_efer, write_efer, 0},
	{MSR_STAR, MSR_SFMASK, read_vendor, write_vendor, 0},
	{MSR_FS_BASE, MSR_KERNEL_GS_BASE, read_vendor, write_vendor, 0},
	{MSR_TSC_AUX, MSR_TSC_AUX, read_tsc_aux, write_tsc_aux, 0},
	{0xc0010010, 0xc0010010, NULL, ignore, 0},             /* SYSCFG */
	{0xc0010015, 0xc0010015, NULL, ignore, 1u << 24},      /* HWCR: TscFreqSel */
	{0xc001001f, 0xc001001f, NULL, ignore, 0},             /* NB_CFG */
	{0xc0010055, 0xc0010055, NULL, ignore, 0},             /* interrupt pending message */
	{MSR_VM_CR, MSR_VM_CR, NULL, NULL, 1u << 4 | 1u << 3}, /* SVM is disabled, and locked so */
	{0xc0010140, 0xc0010141, NULL, ignore, 0},             /* OS-visible workarounds */
	{0xc0011029, 0xc0011029, NULL, ignore, 1u << 1},       /* DE_CFG: LFENCE serializes */
};

static const struct row *find(uint32_t msr)
{
	unsigned lo = 0, hi = HV_ARRAY_LEN(rows);
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (rows[mid].last < msr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < HV_ARRAY_LEN(rows) && rows[lo].first <= msr ? &rows[lo] : NULL;
}

static int unknown(struct vcpu *v, uint32_t msr, bool write, uint64_t value)
{
	v->counters.msr_unknown++;
	for (unsigned i = 0; i < v->unknown_msr_count; i++)
		if (v->unknown_msrs[i] == msr)
			return -EINVAL;
	if (v->unknown_msr_count < UNKNOWN_MSRS) {
		v->unknown_msrs[v->unknown_msr_count++] = msr;
		log_debug("vcpu.msr", "vm %s vcpu %u: %s of unknown MSR %x (value %llx): #GP", v->vm->name, v->index, write ? "write" : "read", msr,
			(unsigned long long)value);
	}
	return -EINVAL;
}

int vcpu_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	const struct row *row = find(msr);
	if (!row)
		return unknown(v, msr, false, 0);
	if (row->read)
		return row->read(v, msr, value);
	*value = row->constant;
	return 0;
}

int vcpu_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	const struct row *row = find(msr);
	if (!row)
		return unknown(v, msr, true, value);
	return row->write ? row->write(v, msr, value) : -EINVAL;
}

void vcpu_msr_reset(struct vcpu *v)
{
	memset(v->mtrr, 0, sizeof(v->mtrr));
	*mtrr(v, MSR_MTRR_DEF_TYPE) = 0xc06; /* as firmware leaves it: enabled, write-back */
	v->misc_enable = 1;
	v->tsc_aux = 0;
	v->kvmclock_msr = 0;
	virt_ops->set_msr(v, MSR_PAT, PAT_RESET);
}
