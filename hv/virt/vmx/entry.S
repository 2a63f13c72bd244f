/*
 * The world switch: bool vmx_world_switch(uint64_t *regs, bool launched)
 *
 * regs is struct vcpu's register array; RSP, RIP and RFLAGS travel in the VMCS.
 * An exit goes on at vmx_world_exit with the stack pointer of here and interrupts off (SDM vol. 3, 28.5); FS, GS, TR and the descriptor tables
 * are the host's again by the VMCS's host-state area. VMLAUNCH and VMRESUME fall through when they fail early.
 */
#include "virt/registers.inc"
	.text
	.globl vmx_world_switch
	.type vmx_world_switch, @function
vmx_world_switch:
	HOST_SAVE
	pushq %rdi
	movl $0x6c14, %eax		/* host RSP */
	vmwrite %rsp, %rax
	testb %sil, %sil
	movq (%rdi), %rax
	GUEST_LOAD
	jnz 1f
	vmlaunch
	jmp 2f
1:	vmresume
2:	popq %rdi
	xorl %eax, %eax
	jmp 3f
	.globl vmx_world_exit
vmx_world_exit:
	pushq %rdi
	movq 8(%rsp), %rdi
	movq %rax, (%rdi)
	GUEST_STORE %rdi
	popq %rax
	movq %rax, 56(%rdi)
	popq %rax
	movl $1, %eax
3:	HOST_RESTORE
	ret
	.size vmx_world_switch, . - vmx_world_switch
	.section .note.GNU-stack, "", @progbits
