/* VMX instructions (SDM vol. 3 ch. 31) and what else takes an instruction of its own. */
#ifndef HV_VIRT_VMX_INSN_H
#define HV_VIRT_VMX_INSN_H

#include "virt/vmx/vmcs.h"

static inline uint64_t vmread(enum vmcs_field f)
{
	uint64_t x;
	__asm__ volatile("vmread %1, %0" : "=r"(x) : "r"((uint64_t)f) : "cc");
	return x;
}

static inline void vmwrite(enum vmcs_field f, uint64_t x)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)f), "r"(x) : "cc", "memory");
}

static inline void vmptrld(uint64_t pa)
{
	__asm__ volatile("vmptrld %0" : : "m"(pa) : "cc", "memory");
}

static inline void vmclear(uint64_t pa)
{
	__asm__ volatile("vmclear %0" : : "m"(pa) : "cc", "memory");
}

static inline void invept(uint64_t type, uint64_t eptp)
{
	struct {
		uint64_t eptp, zero;
	} d = {eptp, 0};
	__asm__ volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint16_t vpid)
{
	struct {
		uint64_t vpid, linear;
	} d = {vpid, 0};
	__asm__ volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline uint64_t vmx_host_cr(unsigned n)
{
	uint64_t x;
	if (n == 0)
		__asm__ volatile("mov %%cr0, %0" : "=r"(x));
	else if (n == 2)
		__asm__ volatile("mov %%cr2, %0" : "=r"(x));
	else if (n == 3)
		__asm__ volatile("mov %%cr3, %0" : "=r"(x));
	else
		__asm__ volatile("mov %%cr4, %0" : "=r"(x));
	return x;
}
#endif
