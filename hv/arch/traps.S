/* One stub a vector: makes all frames alike (error code or 0, vector), saves the registers and calls trap_handle(struct trap_frame *). */
	.text
	.altmacro
	.macro STUB vector
	.balign 16
	.if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30
	.else
	push	$0
	.endif
	push	$\vector
	jmp	trap_entry
	.endm

	.globl trap_stubs
	.balign 16
trap_stubs:
	.set	i, 0
	.rept	256
	STUB	%i
	.set	i, i + 1
	.endr

trap_entry:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbx /* callee-saved: the frame, while the stack is aligned */
	and	$-16, %rsp
	call	trap_handle
	mov	%rbx, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	/* bool cpu_rdmsr_safe(uint32_t msr, uint64_t *value); false when the instruction faults */
	.globl cpu_rdmsr_safe
cpu_rdmsr_safe:
	mov	%edi, %ecx
	movq	$1f, %gs:PERCPU_RESUME
	rdmsr
	movq	$0, %gs:PERCPU_RESUME
	shl	$32, %rdx
	mov	%eax, %eax
	or	%rdx, %rax
	mov	%rax, (%rsi)
	mov	$1, %eax
	ret
	/* bool cpu_wrmsr_safe(uint32_t msr, uint64_t value) */
	.globl cpu_wrmsr_safe
cpu_wrmsr_safe:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	movq	$1f, %gs:PERCPU_RESUME
	wrmsr
	movq	$0, %gs:PERCPU_RESUME
	mov	$1, %eax
	ret
1:	xor	%eax, %eax
	ret
	.set	PERCPU_RESUME, 24 /* checked in percpu.c */
	.section .note.GNU-stack,"",@progbits
