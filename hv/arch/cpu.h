/* Instructions that C has no name for (SDM vol. 2 and 4). Bare metal only. */
#ifndef HV_ARCH_CPU_H
#define HV_ARCH_CPU_H

#include <hv/types.h>

/* ---- CPUID ---- */
struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpu_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid c;

	__asm__ volatile("cpuid" : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx) : "a"(leaf), "c"(subleaf));
	return c;
}

/* ---- model-specific registers ---- */
#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_ADJUST 0x3bu
#define MSR_PAT 0x277u
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_BASE 0x800u
#define MSR_EFER 0xc0000080u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)
#define EFER_SVME (1ull << 12)

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* As above for an MSR that may not exist: false, and nothing changed, on #GP. */
bool cpu_rdmsr_safe(uint32_t msr, uint64_t *value) HV_MUST_CHECK;
bool cpu_wrmsr_safe(uint32_t msr, uint64_t value) HV_MUST_CHECK;

/* ---- control registers ---- */
#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)
#define CR4_DE (1ull << 3)
#define CR4_PAE (1ull << 5)
#define CR4_MCE (1ull << 6)
#define CR4_PGE (1ull << 7)
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP (1ull << 11)
#define CR4_OSXSAVE (1ull << 18)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)

#define CPU_CR(n) \
	static inline uint64_t cpu_cr##n(void) \
	{ \
		uint64_t v; \
\
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v) : : "memory"); \
		return v; \
	} \
	static inline void cpu_set_cr##n(uint64_t v) \
	{ \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory"); \
	}
CPU_CR(0)
CPU_CR(2)
CPU_CR(3)
CPU_CR(4)
CPU_CR(8)
#undef CPU_CR

static inline uint64_t cpu_xgetbv(uint32_t index)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpu_xsetbv(uint32_t index, uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* ---- I/O ports ---- */
#define CPU_PORT(suffix, type) \
	static inline type cpu_in##suffix(uint16_t port) \
	{ \
		type v; \
\
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(v) : "Nd"(port) : "memory"); \
		return v; \
	} \
	static inline void cpu_out##suffix(uint16_t port, type v) \
	{ \
		__asm__ volatile("out" #suffix " %0, %1" : : "a"(v), "Nd"(port) : "memory"); \
	}
CPU_PORT(b, uint8_t)
CPU_PORT(w, uint16_t)
CPU_PORT(l, uint32_t)
#undef CPU_PORT

/* ---- time, flags, halts ---- */
#define RFLAGS_IF (1ull << 9)

/* Ordered after all earlier instructions (LFENCE; SDM vol. 2, RDTSC). */
static inline uint64_t cpu_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* a * b / c with a 128-bit product. @pre the result fits in 64 bits */
static inline uint64_t cpu_mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t lo, hi;

	__asm__("mul %3\n\tdiv %4" : "=&a"(lo), "=&d"(hi) : "0"(a), "r"(b), "r"(c) : "cc");
	return lo;
}

static inline uint64_t cpu_flags(void)
{
	uint64_t f;

	__asm__ volatile("pushfq; pop %0" : "=r"(f) : : "memory");
	return f;
}

static inline void cpu_irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void cpu_irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause");
}

static inline void cpu_halt(void)
{
	__asm__ volatile("hlt" : : : "memory");
}

static inline void cpu_invlpg(const void *va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

#endif
