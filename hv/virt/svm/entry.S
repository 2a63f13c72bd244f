/*
 * The world switch: void svm_world_switch(uint64_t *regs, uint64_t vmcb_pa, uint64_t host_pa)
 *
 * regs is struct vcpu's register array; RAX and RSP travel in the VMCB.
 * VMLOAD/VMSAVE switch FS, GS, TR, LDTR, KernelGSBase and the SYSCALL and SYSENTER MSRs; the host's are loaded again right after the exit,
 * because GS is the host's per-core base. GIF is 0 on entry and on return (APM vol. 2, 15.17): no host interrupt between the two.
 */
#include "virt/registers.inc"
	.text
	.globl svm_world_switch
	.type svm_world_switch, @function
svm_world_switch:
	HOST_SAVE
	pushq %rdx
	pushq %rdi
	movq %rsi, %rax
	vmload %rax
	GUEST_LOAD
	vmrun %rax
	/* RAX, RSP and RIP are the host's again. */
	vmsave %rax
	movq 8(%rsp), %rax
	vmload %rax
	popq %rax
	movq %rdi, 56(%rax)
	GUEST_STORE %rax
	popq %rdx
	HOST_RESTORE
	ret
	.size svm_world_switch, . - svm_world_switch
	.section .note.GNU-stack, "", @progbits
