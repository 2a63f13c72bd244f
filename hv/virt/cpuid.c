/*
 * CPUID policy: which features of the machine a guest sees. One table of allowed bits a register of a leaf; everything else is zero. What the
 * machine does not have is not shown either, except features that Berth implements itself (forced bits). Answers are computed once from the
 * machine (`answers`); an exit copies one and adds what is the vCPU's own: APIC ID, topology, CR4 mirrors, XSAVE size for its XCR0.
 *
 * The hypervisor leaves carry KVM's signature, because Linux then uses x2APIC without interrupt remapping and takes time from kvmclock;
 * only features that are implemented are announced. Berth's own signature is at 4000_0100h.
 */
#include "vdev/lapic.h"
#include "virt/vcpu_impl.h"
#include "vm/vm_impl.h"

#include <string.h>

#define XCR0_ALLOWED (1ull << 0 | 1ull << 1 | 1ull << 2 | 1ull << 9) /* x87, SSE, AVX, PKRU */
#define BASIC_MAX 0xdu
#define EXTENDED_FIRST 0x80000000u
#define EXTENDED_MAX 0x80000008u
#define HYPERVISOR_FIRST 0x40000000u
#define HYPERVISOR_MAX 0x40000001u
#define BERTH_LEAF 0x40000100u
#define KVM_CLOCKSOURCE2 (1u << 3)
#define KVM_NOP_IO_DELAY (1u << 1)
#define KVM_PV_EOI (1u << 6)
#define KVM_CLOCK_STABLE (1u << 24)
#define B(n) (1u << (n))

struct policy {
	uint32_t leaf, subleaf;
	struct x86_cpuid allow, force;
};
#define ALL 0xffffffffu

static const struct policy policies[] = {
	{0, 0, {ALL, ALL, ALL, ALL}, {0}},
	/* ECX: SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND; x2APIC, TSC deadline, hypervisor are ours.
	 * EDX: FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2; APIC, MTRR are ours. No MCE: no bank to show. */
	{1, 0, {ALL, 0x0000ff00, B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) | B(26) | B(28) | B(29) | B(30),
		B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(8) | B(11) | B(13) | B(15) | B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26)},
		{0, 0, B(21) | B(24) | B(31), B(9) | B(12)}},
	{6, 0, {0}, {B(2), 0, 0, 0}}, /* ARAT: the APIC timer never stops */
	/* EBX: FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB SHA. ECX: UMIP PKU VAES VPCLMUL RDPID. EDX: FSRM */
	{7, 0, {0, B(0) | B(3) | B(5) | B(7) | B(8) | B(9) | B(10) | B(18) | B(19) | B(20) | B(23) | B(24) | B(29), B(2) | B(3) | B(9) | B(10) | B(22), B(4)}, {0}},
	{0xd, 1, {B(0) | B(1) | B(2), 0, 0, 0}, {0}}, /* XSAVEOPT XSAVEC XGETBV1; no XSAVES */
	{0xd, 2, {ALL, ALL, ALL, 0}, {0}},
	{0xd, 9, {ALL, ALL, ALL, 0}, {0}},
	{0x80000000, 0, {0, ALL, ALL, ALL}, {0}},
	/* ECX: LAHF CR8 ABM SSE4A MISALIGNSSE PREFETCHW. EDX: leaf 1's, SYSCALL NX MMXEXT FFXSR 1GB RDTSCP LM */
	{0x80000001, 0, {ALL, ALL, B(0) | B(4) | B(5) | B(6) | B(7) | B(8),
		B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(8) | B(11) | B(13) | B(15) | B(16) | B(17) | B(20) | B(22) | B(23) | B(24) | B(25) | B(26) | B(27) | B(29)},
		{0}},
	{0x80000002, 0, {ALL, ALL, ALL, ALL}, {0}},
	{0x80000003, 0, {ALL, ALL, ALL, ALL}, {0}},
	{0x80000004, 0, {ALL, ALL, ALL, ALL}, {0}},
	{0x80000005, 0, {ALL, ALL, ALL, ALL}, {0}},
	{0x80000006, 0, {ALL, ALL, ALL, ALL}, {0}},
	{0x80000007, 0, {0}, {0, 0, 0, B(8)}}, /* invariant TSC */
	{0x80000008, 0, {0x0000ffff, 0, 0, 0}, {0}},
};

struct answers {
	bool ready;
	struct x86_cpuid row[HV_ARRAY_LEN(policies)];
	uint8_t basic[BASIC_MAX + 1], extended[EXTENDED_MAX - EXTENDED_FIRST + 1]; /* row + 1 of sub-leaf 0; 0: none */
	uint64_t xcr0;
	uint32_t xsave_bytes;
};
static struct answers answers; /* the same for all guests; filled by virt_cpuid_init */

static uint32_t pick(uint32_t machine, uint32_t allow, uint32_t force)
{
	return (machine & allow) | force;
}

static void fill_row(unsigned i)
{
	const struct policy *p = &policies[i];
	uint32_t max = x86_cpuid(p->leaf & 0x80000000, 0).eax;
	struct x86_cpuid m = p->leaf <= max ? x86_cpuid(p->leaf, p->subleaf) : (struct x86_cpuid){0};
	answers.row[i] = (struct x86_cpuid){pick(m.eax, p->allow.eax, p->force.eax), pick(m.ebx, p->allow.ebx, p->force.ebx),
		pick(m.ecx, p->allow.ecx, p->force.ecx), pick(m.edx, p->allow.edx, p->force.edx)};
	if (p->leaf <= BASIC_MAX && p->subleaf == 0)
		answers.basic[p->leaf] = (uint8_t)(i + 1);
	if (p->leaf >= EXTENDED_FIRST)
		answers.extended[p->leaf - EXTENDED_FIRST] = (uint8_t)(i + 1);
}

/* End of the standard-format XSAVE area for the components of xcr0 (SDM vol. 1, 13.4). */
static uint32_t xsave_end(uint64_t xcr0)
{
	uint32_t end = 576;
	for (unsigned i = 0; i < HV_ARRAY_LEN(policies); i++) {
		if (policies[i].leaf != 0xd || policies[i].subleaf < 2 || !(xcr0 >> policies[i].subleaf & 1))
			continue;
		end = HV_MAX(end, answers.row[i].ebx + answers.row[i].eax);
	}
	return end;
}

/* End of the compacted area (SDM vol. 1, 13.4.3): components in order, each aligned to 64 bytes if CPUID says so. */
static uint32_t compact_end(uint64_t xcr0)
{
	uint32_t end = 576;
	for (unsigned i = 0; i < HV_ARRAY_LEN(policies); i++) {
		if (policies[i].leaf != 0xd || policies[i].subleaf < 2 || !(xcr0 >> policies[i].subleaf & 1))
			continue;
		if (answers.row[i].ecx & 2)
			end = HV_ALIGN_UP(end, 64u);
		end += answers.row[i].eax;
	}
	return end;
}

/* The row of leaf 0xd, sub-leaf 1. */
static unsigned xsave_features(void)
{
	unsigned i = 0;
	while (policies[i].leaf != 0xd || policies[i].subleaf != 1)
		i++;
	return i;
}

static void fill(void)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(policies); i++)
		fill_row(i);
	bool osxsave = x86_cpuid(1, 0).ecx >> 27 & 1;
	if (osxsave) {
		struct x86_cpuid d = x86_cpuid(0xd, 0);
		answers.xcr0 = ((uint64_t)d.edx << 32 | d.eax) & XCR0_ALLOWED;
	}
	answers.xsave_bytes = xsave_end(answers.xcr0);
	struct x86_cpuid *one = &answers.row[answers.basic[1] - 1], *seven = &answers.row[answers.basic[7] - 1];
	if (!osxsave)
		one->ecx &= ~B(26);
	if (virt_without("xsavec"))
		answers.row[xsave_features()].eax &= ~B(1);
	if (!(answers.xcr0 & 4)) { /* AVX and what is coded in its registers */
		one->ecx &= ~(B(12) | B(28) | B(29));
		seven->ebx &= ~B(5);
		seven->ecx &= ~(B(9) | B(10));
	}
	if (!(answers.xcr0 >> 9 & 1))
		seven->ecx &= ~B(3);
	struct x86_cpuid *zero = &answers.row[answers.basic[0] - 1];
	zero->eax = HV_MIN(zero->eax, osxsave ? BASIC_MAX : 0xb);
	answers.row[answers.extended[0] - 1].eax = EXTENDED_MAX;
	answers.ready = true;
}

void virt_cpuid_init(void)
{
	if (!answers.ready)
		fill();
}

uint64_t virt_cr4_mask(void)
{
	const struct x86_cpuid *one = &answers.row[answers.basic[1] - 1], *seven = &answers.row[answers.basic[7] - 1];
	uint64_t mask = CR4_BASE;
	mask |= one->ecx & B(17) ? CR4_PCIDE : 0;
	mask |= one->ecx & B(26) ? CR4_OSXSAVE : 0;
	mask |= seven->ebx & B(0) ? CR4_FSGSBASE : 0;
	mask |= seven->ebx & B(7) ? CR4_SMEP : 0;
	mask |= seven->ebx & B(20) ? CR4_SMAP : 0;
	mask |= seven->ecx & B(2) ? CR4_UMIP : 0;
	mask |= seven->ecx & B(3) ? CR4_PKE : 0;
	return mask;
}

uint64_t virt_xcr0_mask(void)
{
	return answers.xcr0;
}

uint32_t virt_xsave_bytes(void)
{
	return answers.xsave_bytes;
}

static void leaf_1(const struct vcpu *v, struct x86_cpuid *r)
{
	uint64_t cr4 = virt_ops->get_control(v, VCTL_CR4);
	r->ebx |= (uint32_t)v->index << 24 | v->vm->cpu_count << 16;
	if (v->vm->cpu_count > 1)
		r->edx |= B(28);
	if (cr4 & CR4_OSXSAVE)
		r->ecx |= B(27);
	if (v->lapic && !lapic_is_enabled(v->lapic))
		r->edx &= ~B(9);
}

/* Extended topology: all vCPUs are cores of one package (SDM vol. 2, CPUID leaf 0Bh). */
static void leaf_b(const struct vcpu *v, uint32_t subleaf, struct x86_cpuid *r)
{
	unsigned bits = 0;
	while (1u << bits < v->vm->cpu_count)
		bits++;
	*r = (struct x86_cpuid){.ecx = subleaf & 0xff, .edx = v->index};
	if (subleaf == 0) { /* threads */
		r->ebx = 1;
		r->ecx |= 1u << 8;
	} else if (subleaf == 1) { /* cores */
		r->eax = bits;
		r->ebx = v->vm->cpu_count;
		r->ecx |= 2u << 8;
	}
}

static void leaf_d(const struct vcpu *v, uint32_t subleaf, struct x86_cpuid *r)
{
	uint64_t xcr0 = v->xcr0;
	*r = (struct x86_cpuid){0};
	if (!answers.xcr0)
		return;
	if (v->in_run) /* not every machine exits on XSETBV */
		xcr0 = x86_xgetbv(0);
	if (subleaf == 0) {
		*r = (struct x86_cpuid){(uint32_t)answers.xcr0, xsave_end(xcr0), answers.xsave_bytes, (uint32_t)(answers.xcr0 >> 32)};
		return;
	}
	for (unsigned i = 0; i < HV_ARRAY_LEN(policies); i++)
		if (policies[i].leaf == 0xd && policies[i].subleaf == subleaf && (subleaf == 1 || answers.xcr0 >> subleaf & 1))
			*r = answers.row[i];
	if (subleaf == 1 && r->eax & B(1))
		r->ebx = compact_end(xcr0);
}

static void hypervisor_leaf(uint32_t leaf, struct x86_cpuid *r)
{
	*r = (struct x86_cpuid){0};
	if (leaf == HYPERVISOR_FIRST) {
		*r = (struct x86_cpuid){.eax = HYPERVISOR_MAX};
		memcpy(&r->ebx, "KVMK", 4);
		memcpy(&r->ecx, "VMKV", 4);
		memcpy(&r->edx, "M\0\0\0", 4);
	} else if (leaf == HYPERVISOR_FIRST + 1) {
		r->eax = KVM_NOP_IO_DELAY | KVM_CLOCKSOURCE2 | KVM_PV_EOI | KVM_CLOCK_STABLE;
	} else if (leaf == BERTH_LEAF) {
		r->eax = BERTH_LEAF;
		memcpy(&r->ebx, "Bert", 4);
		memcpy(&r->ecx, "hBer", 4);
		memcpy(&r->edx, "th\0\0", 4);
	}
}

void vcpu_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct x86_cpuid *r)
{
	const struct answers *a = &answers;
	unsigned row = 0;
	if (leaf <= BASIC_MAX)
		row = a->basic[leaf];
	else if (leaf - EXTENDED_FIRST <= EXTENDED_MAX - EXTENDED_FIRST)
		row = a->extended[leaf - EXTENDED_FIRST];
	*r = row ? a->row[row - 1] : (struct x86_cpuid){0};
	switch (leaf) {
	case 1:
		leaf_1(v, r);
		break;
	case 7:
		if (subleaf != 0)
			*r = (struct x86_cpuid){0};
		else if (virt_ops->get_control(v, VCTL_CR4) & CR4_PKE)
			r->ecx |= B(4); /* OSPKE */
		break;
	case 0xb:
		leaf_b(v, subleaf, r);
		break;
	case 0xd:
		leaf_d(v, subleaf, r);
		break;
	case 0x80000008:
		r->ecx = v->vm->cpu_count - 1;
		break;
	default:
		if (leaf >= HYPERVISOR_FIRST && leaf <= BERTH_LEAF)
			hypervisor_leaf(leaf, r);
		break;
	}
}
