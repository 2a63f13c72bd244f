/*
 * The guest's FPU state. It is in the machine from fpu_enter to fpu_leave, across all exits of a time slice, because hv/ uses general
 * registers only. The host's own state needs no XSAVE: fpu_enter is a function call, across which the ABI keeps only MXCSR and the x87 control
 * word (System V x86-64 ABI 3.2.1).
 *
 * XCR0: the guest's own value is loaded while it runs; saving and restoring is done under the mask of everything a guest can have used. It is
 * read back when the guest is left, because not every machine exits on XSETBV (QEMU's TCG does not).
 */
#include "virt/vcpu_impl.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/mem.h>
#include <string.h>

#define LEGACY_BYTES 512
#define MXCSR_OFFSET 24
#define MXCSR_RESET 0x1f80u
#define XSTATE_BV_OFFSET 512
#define FCW_RESET 0x37f

struct host_words {
	uint64_t xcr0;
	uint32_t mxcsr;
	uint16_t fcw;
	uint64_t tsc_aux; /* what is in the machine */
} HV_CACHE_ALIGNED;
static struct host_words host[HV_MAX_CORES];

int fpu_create(struct vcpu *v)
{
	v->fpu = hv_contig_alloc(virt_xsave_bytes(), HV_PAGE_SIZE);
	return v->fpu ? 0 : -ENOMEM;
}

void fpu_free(struct vcpu *v)
{
	if (v->fpu)
		hv_contig_free(v->fpu, virt_xsave_bytes());
	v->fpu = NULL;
}

void fpu_reset(struct vcpu *v)
{
	uint32_t mxcsr = MXCSR_RESET;
	uint16_t fcw = FCW_RESET;
	memset(v->fpu, 0, virt_xsave_bytes());
	memcpy(v->fpu, &fcw, sizeof(fcw));
	memcpy((char *)v->fpu + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
	if (virt_xcr0_mask())
		*((uint8_t *)v->fpu + XSTATE_BV_OFFSET) = 3; /* x87 and SSE are in the area; the rest is in its initial state */
	v->xcr0 = 1;
}

/* Not FPU state, but switched at the same points: the host does not use it. */
static void load_tsc_aux(struct vcpu *v)
{
	struct host_words *h = &host[v->core];
	if (h->tsc_aux != v->tsc_aux) {
		x86_wrmsr(MSR_TSC_AUX, v->tsc_aux);
		h->tsc_aux = v->tsc_aux;
	}
}

void fpu_set_tsc_aux(struct vcpu *v, uint64_t value)
{
	v->tsc_aux = value;
	if (v->in_run)
		load_tsc_aux(v);
}

void fpu_enter(struct vcpu *v)
{
	struct host_words *h = &host[v->core];
	uint64_t mask = virt_xcr0_mask();
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(h->mxcsr), "=m"(h->fcw));
	if (mask) {
		h->xcr0 = x86_xgetbv(0);
		if (h->xcr0 != mask)
			x86_xsetbv(0, mask);
		__asm__ volatile("xrstor64 (%0)" : : "r"(v->fpu), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
		if (v->xcr0 != mask)
			x86_xsetbv(0, v->xcr0);
	} else {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(v->fpu) : "memory");
	}
	load_tsc_aux(v);
}

void fpu_leave(struct vcpu *v)
{
	struct host_words *h = &host[v->core];
	uint64_t mask = virt_xcr0_mask();
	if (mask) {
		v->xcr0 = x86_xgetbv(0) & mask;
		x86_xsetbv(0, mask);
		__asm__ volatile("xsave64 (%0)" : : "r"(v->fpu), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
		if (h->xcr0 != mask)
			x86_xsetbv(0, h->xcr0);
	} else {
		__asm__ volatile("fxsave64 (%0)" : : "r"(v->fpu) : "memory");
	}
	__asm__ volatile("fninit\n\tldmxcsr %0\n\tfldcw %1" : : "m"(h->mxcsr), "m"(h->fcw));
}

void fpu_set_xcr0(struct vcpu *v, uint64_t xcr0)
{
	v->xcr0 = xcr0;
	if (v->in_run)
		x86_xsetbv(0, xcr0);
}
