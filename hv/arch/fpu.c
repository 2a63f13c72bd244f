/* FPU start-up, see fpu.h. */
#include "arch/fpu.h"
#include "arch/cpu.h"
#include <hv/log.h>

#define CPUID1_ECX_XSAVE (1u << 26)
#define XCR0_X87_SSE 0x3ull
#define XCR0_USABLE 0xe7ull /* x87, SSE, AVX, AVX-512 (SDM vol. 1, 13.1) */
#define FXSAVE_BYTES 512u

static struct fpu_features features;

const struct fpu_features *fpu_features(void)
{
	return &features;
}

static uint64_t usable_xcr0(void)
{
	struct cpuid d = cpu_cpuid(0xd, 0);

	return (((uint64_t)d.edx << 32 | d.eax) & XCR0_USABLE) | XCR0_X87_SSE;
}

void fpu_init_core(void)
{
	bool xsave = cpu_cpuid(1, 0).ecx & CPUID1_ECX_XSAVE;

	cpu_set_cr0((cpu_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	cpu_set_cr4(cpu_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (xsave ? CR4_OSXSAVE : 0));
	if (xsave)
		cpu_xsetbv(0, usable_xcr0());
	if (!features.area_bytes) { /* core 0; the others are alike */
		features.xsave = xsave;
		features.xsaveopt = xsave && cpu_cpuid(0xd, 1).eax & 1;
		features.host_xcr0 = xsave ? cpu_xgetbv(0) : XCR0_X87_SSE;
		features.area_bytes = xsave ? HV_MAX(cpu_cpuid(0xd, 0).ebx, FXSAVE_BYTES + 64u) : FXSAVE_BYTES;
	}
	hv_assert(features.xsave == xsave);
	fpu_host_defaults();
}

void fpu_area_init(void *area)
{
	__builtin_memset(area, 0, features.area_bytes);
	*(uint16_t *)area = 0x037f;                   /* FCW */
	*(uint32_t *)((char *)area + 24) = 0x1f80;    /* MXCSR; XSTATE_BV 0 makes XRSTOR load initial values for the rest */
}
