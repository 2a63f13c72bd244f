/*
 * The executor's way into a program's mode and out of it again.
 *
 *   run_program --enter_16/32/64--> program --exception, interrupt--> stub --> trap() in flat 32-bit code --> program, or run_program's caller
 *
 * trap() (main.c) always runs in flat 32-bit code on the executor's stack: real mode switches to protected mode for it, long mode goes to
 * compatibility mode. FS and GS are not touched on the way, because their hidden parts are the programs'.
 */
#include "layout.h"

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002
	.long 3
	.long -(0x1badb002 + 3)

	.text
	.globl guest_start
guest_start:
	movl $stack_end, %esp
	pushl $0
	popfl
	pushl %ebx
	lgdt gdt_pointer
	ljmp $CODE32, $1f
1:	movl $DATA32, %ecx
	movl %ecx, %ds
	movl %ecx, %es
	movl %ecx, %ss
	call executor
1:	cli
	hlt
	jmp 1b

/* void run_program(void): as `program` says; returns when trap() said so. Flat 32-bit code, paging off. */
	.globl run_program
run_program:
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl %esp, caller_esp
	lgdt gdt_pointer
	lldt zero
	movl $TSS, %eax
	ltr %ax
	movl $WINDOW_SEG, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl program_mode, %eax
	cmpl $MODE_REAL, %eax
	je enter_real
	lidt idt32_pointer
	cmpl $MODE_PROT16, %eax
	je enter_16
	cmpl $MODE_PROT32, %eax
	je enter_32
	cmpl $MODE_LONG64, %eax
	jae enter_long
	/* 32-bit paging, with or without PAE. */
	movl program_cr4, %ecx
	movl %ecx, %cr4
	movl program_cr3, %ecx
	movl %ecx, %cr3
	movl $0x80010011, %ecx
	movl %ecx, %cr0
	cmpl $MODE_USER32, %eax
	je enter_user_32
enter_32:
	movl $STACK_TOP, %esp
	pushl program_flags
	pushl $CODE32
	pushl $CODE
	jmp load_32
enter_user_32:
	movl $USER_DATA32, %eax
	movl %eax, %ds
	movl %eax, %es
	pushl $USER_DATA32
	pushl $STACK_TOP
	pushl program_flags
	pushl $USER_CODE32
	pushl $CODE
load_32:
	movl %cs:program_regs + 8, %ecx
	movl %cs:program_regs + 16, %edx
	movl %cs:program_regs + 24, %ebx
	movl %cs:program_regs + 40, %ebp
	movl %cs:program_regs + 48, %esi
	movl %cs:program_regs + 56, %edi
	movl %cs:program_regs, %eax
	iretl
enter_16:
	movl $STACK16, %eax
	movl %eax, %ss
	movl $STACK_TOP - STACK, %esp
	movl $DATA16, %eax
	movl %eax, %ds
	movl %eax, %es
	pushl %cs:program_flags
	pushl $CODE16
	pushl $0
	jmp load_32

/* Long mode: first compatibility mode, then 64-bit code for the upper registers, then the program. */
enter_long:
	movl program_cr4, %ecx
	movl %ecx, %cr4
	movl program_cr3, %ecx
	movl %ecx, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x901, %eax
	wrmsr
	movl $0x80010011, %ecx
	movl %ecx, %cr0
	lidt idt64_pointer
	ljmp $CODE64, $1f
	.code64
1:	movl program_mode(%rip), %eax
	cmpl $MODE_COMPAT32, %eax
	je 3f
	cmpl $MODE_USER64, %eax
	je 2f
	pushq $DATA32
	pushq $STACK_TOP
	movl program_flags(%rip), %eax
	pushq %rax
	pushq $CODE64
	jmp 4f
2:	movl $USER_DATA32, %eax
	movl %eax, %ds
	movl %eax, %es
	pushq $USER_DATA32
	pushq $STACK_TOP
	movl program_flags(%rip), %eax
	pushq %rax
	pushq $USER_CODE64
	jmp 4f
3:	pushq $DATA32
	pushq $STACK_TOP
	movl program_flags(%rip), %eax
	pushq %rax
	pushq $CODE32
4:	pushq $CODE
	movq program_regs(%rip), %rax
	movq program_regs + 8(%rip), %rcx
	movq program_regs + 16(%rip), %rdx
	movq program_regs + 24(%rip), %rbx
	movq program_regs + 40(%rip), %rbp
	movq program_regs + 48(%rip), %rsi
	movq program_regs + 56(%rip), %rdi
	movq program_regs + 64(%rip), %r8
	movq program_regs + 72(%rip), %r9
	movq program_regs + 80(%rip), %r10
	movq program_regs + 88(%rip), %r11
	movq program_regs + 96(%rip), %r12
	movq program_regs + 104(%rip), %r13
	movq program_regs + 112(%rip), %r14
	movq program_regs + 120(%rip), %r15
	iretq
	.code32

/* ---- traps of 32-bit and 16-bit protected mode: on the program's stack, or the TSS's ---- */
	.altmacro
	.macro stub n
	.align 16
	.if (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17)
	nop
	.else
	pushl $0
	.endif
	pushl $\n
	jmp trap_32
	.endm
	.align 16
	.globl stubs_32
stubs_32:
	.set i, 0
	.rept 256
	stub %i
	.set i, i + 1
	.endr

trap_32:
	pushal
	pushl %ds
	pushl %es
	movl $DATA32, %eax
	movl %eax, %ds
	movl %eax, %es
	cld
	movl %esp, %ebp
	movl %esp, %esi
	movl $frame_32, %edi
	movl $17, %ecx
	rep movsl %ss:(%esi), %es:(%edi)
	movl %esp, trap_sp
	mov %ss, trap_ss
	movl $DATA32, %eax
	movl %eax, %ss
	movl $trap_stack_end, %esp
	movl %cr2, %eax
	movl %eax, trap_cr2
	pushl $32
	call trap
	testl %eax, %eax
	jnz finish
	mov trap_ss, %ss
	movl trap_sp, %esp
	movl frame_32 + 48, %eax
	movl %eax, %ss:48(%esp)
	movl frame_32 + 56, %eax
	movl %eax, %ss:56(%esp)
	popl %es
	popl %ds
	popal
	addl $8, %esp
	iretl

/* Back to run_program's caller, from flat 32-bit code with or without paging, PAE and long mode. */
finish:
	cli
	movl $0x00000011, %eax
	movl %eax, %cr0
	movl $0xc0000080, %ecx
	rdmsr
	movl $0, %eax
	wrmsr
	xorl %eax, %eax
	movl %eax, %cr3
	movl %eax, %cr4
	movl %eax, %dr7
	movl $0xffff0ff0, %eax
	movl %eax, %dr6
	lgdt gdt_pointer
	ljmp $CODE32, $1f
1:	movl $DATA32, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl caller_esp, %esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret

/* ---- traps of long mode: always on the stack of IST 1 ---- */
	.code64
	.macro stub64 n
	.align 16
	.if (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17)
	nop
	.else
	pushq $0
	.endif
	pushq $\n
	jmp trap_64
	.endm
	.align 16
	.globl stubs_64
stubs_64:
	.set i, 0
	.rept 256
	stub64 %i
	.set i, i + 1
	.endr

trap_64:
	movq %rax, frame_64(%rip)
	movq %rcx, frame_64 + 8(%rip)
	movq %rdx, frame_64 + 16(%rip)
	movq %rbx, frame_64 + 24(%rip)
	movq %rbp, frame_64 + 40(%rip)
	movq %rsi, frame_64 + 48(%rip)
	movq %rdi, frame_64 + 56(%rip)
	movq %r8, frame_64 + 64(%rip)
	movq %r9, frame_64 + 72(%rip)
	movq %r10, frame_64 + 80(%rip)
	movq %r11, frame_64 + 88(%rip)
	movq %r12, frame_64 + 96(%rip)
	movq %r13, frame_64 + 104(%rip)
	movq %r14, frame_64 + 112(%rip)
	movq %r15, frame_64 + 120(%rip)
	movl %ds, %eax
	movl %eax, frame_64_ds(%rip)
	movl %es, %eax
	movl %eax, frame_64_es(%rip)
	movl $DATA32, %eax
	movl %eax, %ds
	movl %eax, %es
	cld
	movq %rsp, %rsi
	leaq frame_64 + 128(%rip), %rdi
	movl $7, %ecx
	rep movsq
	movq %rsp, trap_sp(%rip)
	movq %cr2, %rax
	movq %rax, trap_cr2(%rip)
	movl $DATA32, %eax
	movl %eax, %ss
	leaq 1f(%rip), %rax
	pushq $CODE32
	pushq %rax
	lretq
	.code32
1:	movl $trap_stack_end, %esp
	pushl $64
	call trap
	testl %eax, %eax
	jnz finish
	ljmp $CODE64, $1f
	.code64
1:	movq trap_sp(%rip), %rsp
	movq frame_64 + 144(%rip), %rax
	movq %rax, 16(%rsp)
	movq frame_64 + 160(%rip), %rax
	movq %rax, 32(%rsp)
	movl frame_64_ds(%rip), %eax
	movl %eax, %ds
	movl frame_64_es(%rip), %eax
	movl %eax, %es
	movq frame_64(%rip), %rax
	movq frame_64 + 8(%rip), %rcx
	movq frame_64 + 16(%rip), %rdx
	movq frame_64 + 24(%rip), %rbx
	movq frame_64 + 40(%rip), %rbp
	movq frame_64 + 48(%rip), %rsi
	movq frame_64 + 56(%rip), %rdi
	movq frame_64 + 64(%rip), %r8
	movq frame_64 + 72(%rip), %r9
	movq frame_64 + 80(%rip), %r10
	movq frame_64 + 88(%rip), %r11
	movq frame_64 + 96(%rip), %r12
	movq frame_64 + 104(%rip), %r13
	movq frame_64 + 112(%rip), %r14
	movq frame_64 + 120(%rip), %r15
	addq $16, %rsp
	iretq
	.code32

/* ---- real mode: the code between real_start and real_end is copied to REAL_STUBS ---- */
#define REAL(x) (x - real_start + REAL_STUBS)
#define R_SP REAL_DATA
#define R_SS (REAL_DATA + 4)

enter_real:
	lidt idt_real_pointer
	movl $REAL_SEG, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	ljmp $REAL_CODE, $REAL(1f)
real_start:
	.code16
1:	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $0, $REAL(1f)
1:	movw $STACK >> 4, %ax
	movw %ax, %ss
	movl $STACK_TOP - STACK, %esp
	xorw %ax, %ax
	movw %ax, %ds
	pushw R_SP + 8 /* flags */
	pushw $CODE >> 4
	pushw $0
	movl R_SP + 12 + 4, %ecx
	movl R_SP + 12 + 8, %edx
	movl R_SP + 12 + 12, %ebx
	movl R_SP + 12 + 20, %ebp
	movl R_SP + 12 + 24, %esi
	movl R_SP + 12 + 28, %edi
	movl R_SP + 12, %eax
	pushw $DATA >> 4
	pushw $DATA >> 4
	popw %ds
	popw %es
	iretw
	.align 8
	.globl real_stubs
real_stubs:
	.macro stub16 n
	.align 8
	pushw $\n
	jmp real_trap
	.endm
	.set i, 0
	.rept 256
	stub16 %i
	.set i, i + 1
	.endr
real_trap:
	pushal
	pushw %ds
	pushw %es
	xorw %ax, %ax
	movw %ax, %ds
	movl %esp, R_SP
	movw %ss, R_SS
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmp $REAL_CODE, $REAL(1f)
1:	movw $DATA32, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	ljmpl $CODE32, $real_flat
real_back:
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $0, $REAL(1f)
1:	xorw %ax, %ax
	movw %ax, %ds
	movw R_SS, %ss
	movl R_SP, %esp
	popw %es
	popw %ds
	popal
	addw $2, %sp
	iretw
	.globl real_end
real_end:
	.code32
	.globl real_start
real_flat:
	movl $trap_stack_end, %esp
	cld
	pushl $16
	call trap
	testl %eax, %eax
	jnz finish
	movl $REAL_SEG, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	ljmp $REAL_CODE, $REAL(real_back)

	.data
	.align 8
	.globl gdt_pointer, gdt
gdt:	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
	.skip 8 * (GDT_SLOTS - 3)
gdt_pointer:
	.word 8 * GDT_SLOTS - 1
	.long gdt
	.word 0
zero:	.long 0
idt32_pointer:
	.word 0x7ff
	.long idt32
idt64_pointer:
	.word 0xfff
	.long idt64, 0
idt_real_pointer:
	.word 0x3ff
	.long 0
	.globl program_mode, program_flags, program_regs, program_cr3, program_cr4
program_mode: .long 0
program_flags: .long 0
program_cr3: .long 0
program_cr4: .long 0
	.align 8
program_regs: .skip 128

	.bss
	.align 16
	.globl frame_32, frame_64, frame_64_ds, frame_64_es, trap_sp, trap_ss, trap_cr2, stack_end, idt32, idt64, stack_tss
frame_32: .skip 17 * 4
	.align 8
frame_64: .skip 8 * (16 + 7)
frame_64_ds: .long 0
frame_64_es: .long 0
trap_sp: .quad 0
trap_ss: .long 0
	.align 8
trap_cr2: .quad 0
caller_esp: .long 0
	.align 16
idt32:	.skip 2048
idt64:	.skip 4096
	.skip 8192
stack_tss:
	.skip 8192
trap_stack_end:
	.skip 16384
stack_end:
	.section .note.GNU-stack, "", @progbits
