/*
 * The world switch: bool vmx_world_switch(uint64_t *regs, bool launched)
 *
 * regs is struct vcpu's register array in encoding order (rax rcx rdx rbx rsp rbp rsi rdi r8..r15); RSP, RIP and RFLAGS travel in the VMCS.
 * An exit goes on at vmx_world_exit with the stack pointer of here and interrupts off (SDM vol. 3, 28.5); FS, GS, TR and the descriptor tables
 * are the host's again by the VMCS's host-state area. VMLAUNCH and VMRESUME fall through when they fail early.
 */
	.text
	.globl vmx_world_switch
	.type vmx_world_switch, @function
vmx_world_switch:
	pushq %rbp
	movq %rsp, %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi
	movl $0x6c14, %eax		/* host RSP */
	vmwrite %rsp, %rax
	testb %sil, %sil
	movq (%rdi), %rax
	movq 8(%rdi), %rcx
	movq 16(%rdi), %rdx
	movq 24(%rdi), %rbx
	movq 40(%rdi), %rbp
	movq 48(%rdi), %rsi
	movq 64(%rdi), %r8
	movq 72(%rdi), %r9
	movq 80(%rdi), %r10
	movq 88(%rdi), %r11
	movq 96(%rdi), %r12
	movq 104(%rdi), %r13
	movq 112(%rdi), %r14
	movq 120(%rdi), %r15
	movq 56(%rdi), %rdi
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
	movq %rcx, 8(%rdi)
	movq %rdx, 16(%rdi)
	movq %rbx, 24(%rdi)
	movq %rbp, 40(%rdi)
	movq %rsi, 48(%rdi)
	popq %rax
	movq %rax, 56(%rdi)
	popq %rax
	movq %r8, 64(%rdi)
	movq %r9, 72(%rdi)
	movq %r10, 80(%rdi)
	movq %r11, 88(%rdi)
	movq %r12, 96(%rdi)
	movq %r13, 104(%rdi)
	movq %r14, 112(%rdi)
	movq %r15, 120(%rdi)
	movl $1, %eax
3:	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size vmx_world_switch, . - vmx_world_switch
	.section .note.GNU-stack, "", @progbits
