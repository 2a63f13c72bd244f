/*
 * The world switch: void svm_world_switch(uint64_t *regs, uint64_t vmcb_pa, uint64_t host_pa)
 *
 * regs is struct vcpu's register array in encoding order (rax rcx rdx rbx rsp rbp rsi rdi r8..r15); RAX and RSP travel in the VMCB.
 * VMLOAD/VMSAVE switch FS, GS, TR, LDTR, KernelGSBase and the SYSCALL and SYSENTER MSRs; the host's are loaded again right after the exit,
 * because GS is the host's per-core base. GIF is 0 on entry and on return (APM vol. 2, 15.17): no host interrupt between the two.
 */
	.text
	.globl svm_world_switch
	.type svm_world_switch, @function
svm_world_switch:
	pushq %rbp
	movq %rsp, %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdx
	pushq %rdi
	movq %rsi, %rax
	vmload %rax
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
	vmrun %rax
	/* RAX, RSP and RIP are the host's again. */
	vmsave %rax
	movq 8(%rsp), %rax
	vmload %rax
	popq %rax
	movq %rcx, 8(%rax)
	movq %rdx, 16(%rax)
	movq %rbx, 24(%rax)
	movq %rbp, 40(%rax)
	movq %rsi, 48(%rax)
	movq %rdi, 56(%rax)
	movq %r8, 64(%rax)
	movq %r9, 72(%rax)
	movq %r10, 80(%rax)
	movq %r11, 88(%rax)
	movq %r12, 96(%rax)
	movq %r13, 104(%rax)
	movq %r14, 112(%rax)
	movq %r15, 120(%rax)
	popq %rdx
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size svm_world_switch, . - svm_world_switch
	.section .note.GNU-stack, "", @progbits
