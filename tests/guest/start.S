/*
 * Start of a guest test: Multiboot 1 header, stack, own GDT and IDT, then main; its return value goes to the debug-exit port. Also the
 * exception stubs and guest_try (guest.h).
 */
	.section .multiboot, "a"
	.align 4
	.long 0x1badb002
	.long 3
	.long -(0x1badb002 + 3)

	.text
	.globl guest_start
guest_start:
	movl $stack_end, %esp
	lgdt gdt_pointer
	ljmp $8, $1f
1:	movw $16, %cx
	movw %cx, %ds
	movw %cx, %es
	movw %cx, %ss
	pushl %ebx
	pushl %eax
	call guest_init
	call main
	outl %eax, $0xf4
2:	cli
	hlt
	jmp 2b

/* A stub per vector: error code (or 0), vector, then guest_exception(frame). */
	.altmacro
	.macro stub n
	.align 16
	.if (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17)
	nop
	.else
	pushl $0
	.endif
	pushl $\n
	jmp exception
	.endm
	.align 16
	.globl guest_stubs
guest_stubs:
	.set i, 0
	.rept 256
	stub %i
	.set i, i + 1
	.endr

exception:
	pushal
	pushl %esp
	call guest_exception
	addl $4, %esp
	popal
	addl $8, %esp
	iret

/* bool guest_try(void (*fn)(void *), void *arg): true when fn was ended by an exception (guest_fault says which). */
	.globl guest_try
guest_try:
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	pushl try_esp
	movl %esp, try_esp
	pushl 28(%esp)
	call *28(%esp)
	addl $4, %esp
	xorl %eax, %eax
try_out:
	popl try_esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret
	.globl guest_try_abort
guest_try_abort:
	movl try_esp, %esp
	movl $1, %eax
	jmp try_out

	.data
	.align 8
gdt:	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.globl guest_gdt_pointer
guest_gdt_pointer:
gdt_pointer:
	.word . - gdt - 1
	.long gdt
	.globl guest_try_esp
guest_try_esp:
try_esp: .long 0
	.bss
	.align 16
	.skip 32768
stack_end:
	.section .note.GNU-stack, "", @progbits
