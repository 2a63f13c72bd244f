/*
 * Stack switch between the loop and a fiber, both in loop context: only what the System V ABI makes callee-saved is kept (3.2.1: rbx, rbp,
 * r12-r15, the MXCSR control bits, the x87 control word).
 *
 * Saved frame, from the stack pointer up: MXCSR (4), x87 control word (4), r15, r14, r13, r12, rbx, rbp, return address.
 */
	.text
	.globl arch_context_switch
	.type arch_context_switch, @function
	.balign 16
arch_context_switch:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	mov	%rsp, (%rdi)
	mov	%rsi, %rsp
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.size arch_context_switch, . - arch_context_switch

	/* Reached by the `ret` above with rsp 16-byte aligned; rbp is 0, which ends a backtrace. */
	.globl arch_context_start
	.type arch_context_start, @function
	.balign 16
arch_context_start:
	call	hv_fiber_enter
	ud2
	.size arch_context_start, . - arch_context_start
	.section .note.GNU-stack,"",@progbits
