/*
 * FPU state of guests and of the host (SDM vol. 1 ch. 13). The host itself uses x87 and SSE only; AVX and beyond are guest state that the world
 * switch keeps. The area is XSAVE's standard format (not compacted), or FXSAVE's where there is no XSAVE.
 *
 * General registers only: these instructions move the FPU's state as a block, so hv/ may use them in an exit.
 */
#ifndef HV_ARCH_FPU_H
#define HV_ARCH_FPU_H

#include <hv/types.h>

struct fpu_features {
	bool xsave, xsaveopt;
	uint64_t host_xcr0; /* what XCR0 is while the host runs: x87 and SSE, and all else the host lets guests use */
	uint32_t area_bytes; /* room for every component in host_xcr0, at least 512; allocate aligned to 64 */
};

/* Valid after boot, the same on every core. */
const struct fpu_features *fpu_features(void);
/* Turns the FPU on for this core: CR0, CR4, XCR0. Each core's start. */
void fpu_init_core(void);
/* The state after reset (SDM vol. 1, 13.2 and 10.5): x87 as FNINIT, MXCSR 0x1f80, all else zero. `area` has area_bytes, aligned to 64. */
void fpu_area_init(void *area);

/*
 * Saves all components of XCR0 to `area` / loads them from it. @pre area aligned to 64, area_bytes long, not writable by a guest (a bad header
 * or MXCSR would fault; fpu_area_check first when its bytes come from outside).
 */
static inline void fpu_save(const struct fpu_features *f, void *area)
{
	if (f->xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(0xffffffffu), "d"(0xffffffffu) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void fpu_restore(const struct fpu_features *f, const void *area)
{
	if (f->xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(0xffffffffu), "d"(0xffffffffu) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* What the host expects before it uses SSE again after a guest ran: default control words, registers' contents do not matter. */
static inline void fpu_host_defaults(void)
{
	static const uint32_t mxcsr = 0x1f80;

	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
}

#endif
