/*
 * First instructions, for both boot protocols: 32-bit protected mode, flat segments, paging off, interrupts off. Other cores come through
 * trampoline.S to boot_ap32.
 *   PVH ("x86/HVM direct boot ABI", Xen): ebx = physical address of struct hvm_start_info.
 *   Multiboot2 (specification 2.0, 3.3): eax = magic, ebx = physical address of the boot information.
 *
 * The boot page tables map the first 4 GiB at 0, at HV_DIRECT_BASE, and its first 2 GiB at HV_IMAGE_BASE; hv/arch/paging.c replaces them.
 */
#include "boot/protocol.h"

#define PRESENT_RW 3
#define LARGE_RW 0x83
#define CR0_BITS 0x80010023 /* PG WP NE MP PE */
#define CR4_BITS 0x6a0      /* OSXMMEXCPT OSFXSR PGE PAE */
#define EFER_BITS 0x900     /* NXE LME */
#define MSR_EFER 0xc0000080

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long boot_start32

	/* Multiboot2, 3.1: within the first 32 KiB of the file, aligned to 8. Each tag: type, flags (1 = optional), bytes; padded to 8. */
	.section .multiboot2, "a", @progbits
	.balign 8
multiboot2_header:
	.long 0xe85250d6, 0, multiboot2_header_end - multiboot2_header
	.long -(0xe85250d6 + (multiboot2_header_end - multiboot2_header))
	.short 1, 0 /* information that is needed: the memory map */
	.long 12, 6
	.balign 8
	.short 1, 1 /* and what is welcome: command line, modules, the screen, either RSDP */
	.long 28, 1, 3, 8, 14, 15
	.balign 8
	.short 3, 0 /* entry address */
	.long 12, boot_multiboot2
	.balign 8
	.short 6, 0 /* modules start on pages */
	.long 8
	.short 0, 0
	.long 8
multiboot2_header_end:

	.section .boot.text, "ax"
	.code32
	.globl boot_start32, boot_multiboot2
boot_multiboot2:
	mov	$BOOT_MULTIBOOT2, %ebp
	cmp	$BOOT_MULTIBOOT2_MAGIC, %eax
	je	start
	mov	$BOOT_UNKNOWN, %ebp
	jmp	start
boot_start32:
	mov	$BOOT_PVH, %ebp
start:
	cli
	cld
	mov	$boot_stack_top, %esp
	mov	%ebx, boot_start_info
	mov	$0x80000001, %eax
	cpuid
	and	$0x20100000, %edx /* long mode, no-execute */
	cmp	$0x20100000, %edx
	jne	no_long_mode

	/* Page tables; the memory is zeroed by the loader (.boot.bss). */
	movl	$boot_pdpt_low + PRESENT_RW, boot_pml4
	movl	$boot_pdpt_low + PRESENT_RW, boot_pml4 + 256 * 8
	movl	$boot_pdpt_high + PRESENT_RW, boot_pml4 + 511 * 8
	mov	$boot_pd + PRESENT_RW, %eax
	mov	%eax, boot_pdpt_high + 510 * 8
	add	$0x1000, %eax
	mov	%eax, boot_pdpt_high + 511 * 8
	sub	$0x1000, %eax
	xor	%ecx, %ecx
1:	mov	%eax, boot_pdpt_low(,%ecx,8)
	add	$0x1000, %eax
	inc	%ecx
	cmp	$4, %ecx
	jne	1b
	xor	%ecx, %ecx
	mov	$LARGE_RW, %eax
2:	mov	%eax, boot_pd(,%ecx,8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$2048, %ecx
	jne	2b

	call	enter_long_mode
	ljmp	$0x08, $boot_bsp64

	/* Turns on paging: the code segment is still 32-bit until the far jump after it. */
enter_long_mode:
	mov	$CR4_BITS, %eax
	mov	%eax, %cr4
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_BITS, %eax
	wrmsr
	mov	$CR0_BITS, %eax
	mov	%eax, %cr0
	lgdt	boot_gdtr
	ret

no_long_mode:
	mov	$no_long_mode_text, %esi
	mov	$0x3f8, %edx
3:	lodsb
	test	%al, %al
	jz	4f
	outb	%al, %dx
	jmp	3b
4:	hlt
	jmp	4b

	/* Another core, from the trampoline: protected mode, flat segments. */
	.globl boot_ap32
boot_ap32:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$boot_stack_top, %esp /* one core at a time, and the first has left it */
	call	enter_long_mode
	ljmp	$0x08, $boot_ap64

	.code64
boot_bsp64:
	call	flat_segments
	mov	%ebp, %edi
	mov	boot_start_info, %esi
	movabs	$boot_high, %rax
	jmp	*%rax
boot_ap64:
	call	flat_segments
	movabs	$boot_ap_high, %rax
	jmp	*%rax
flat_segments:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	ret

	.section .boot.data, "aw"
	.balign 8
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff /* 0x10: data */
	.quad 0x00cf9b000000ffff /* 0x18: 32-bit code, for the trampoline */
boot_gdtr:
	.word 31
	.long boot_gdt
boot_start_info:
	.long 0
no_long_mode_text:
	.asciz "Berth needs a 64-bit processor with no-execute pages.\r\n"

	.section .boot.bss, "aw", @nobits
	.balign 4096
	.globl boot_pml4
boot_pml4:
	.skip 4096
boot_pdpt_low:
	.skip 4096
boot_pdpt_high:
	.skip 4096
boot_pd:
	.skip 4 * 4096
	.skip 1024
boot_stack_top:

	.text
boot_high:
	mov	$boot_stack_high_top, %rsp
	xor	%ebp, %ebp
	call	boot_main
	ud2

	/* boot_ap_slot: { page table root, stack top, argument }, taken by one core. A core that finds it taken stops. */
boot_ap_high:
	mov	boot_ap_slot, %rax
	mov	%rax, %cr3
	xor	%ecx, %ecx
	xchg	%rcx, boot_ap_slot + 8
	test	%rcx, %rcx
	jz	5f
	mov	%rcx, %rsp
	mov	boot_ap_slot + 16, %rdi
	xor	%ebp, %ebp
	call	boot_ap_main
5:	cli
	hlt
	jmp	5b

	/* void boot_switch_stack(void *top, void (*fn)(void)): goes on in fn on another stack, for good. */
	.globl boot_switch_stack
boot_switch_stack:
	mov	%rdi, %rsp
	xor	%ebp, %ebp
	call	*%rsi
	ud2

	.section .bss
	.balign 4096
	.globl boot_stack_high
boot_stack_high:
	.skip 32768
boot_stack_high_top:
	.section .note.GNU-stack,"",@progbits
