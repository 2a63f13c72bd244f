/* The checks of VM entry, their own parts: check.c (27.2: controls, event, host state), check_guest.c (27.3: guest state). */
#ifndef HV_VIRT_VMX_CHECK_IMPL_H
#define HV_VIRT_VMX_CHECK_IMPL_H

#include "virt/vmx/check.h"
#include "virt/x86.h"

#define CR4_CET (1ull << 23)
#define EFER_VALID (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/* Bits 63:width-1 are alike. */
static inline bool vmx_canonical(uint64_t va, const struct vmx_limits *l)
{
	int64_t top = (int64_t)va >> (l->linear_bits - 1);
	return top == 0 || top == -1;
}

static inline bool vmx_pat_ok(uint64_t pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint8_t t = (uint8_t)(pat >> i);
		if (t > 7 || t == 2 || t == 3)
			return false;
	}
	return true;
}

/* The secondary controls that count. */
static inline uint64_t vmx_proc2(const struct vmcs_image *b)
{
	return b->proc_controls & PROC_SECONDARY ? b->proc2_controls : 0;
}

static inline bool vmx_unrestricted(const struct vmcs_image *b)
{
	return vmx_proc2(b) & PROC2_UNRESTRICTED;
}

static inline bool vmx_long_mode(const struct vmcs_image *b)
{
	return b->entry_controls & ENTRY_LONG_MODE;
}

/* The first rule of 27.3 that the VMCS breaks, as vmx_check. */
const char *vmx_check_guest(const struct vmcs_image *b, const struct vmx_limits *l);

#endif
