/*
 * Where another core starts after SIPI (SDM vol. 3, 8.4): real mode, cs = page >> 4, ip = 0. Copied to a page below 1 MiB; only the far jump's target
 * is absolute, and that is below 4 GiB.
 */
	.section .rodata
	.code16
	.globl trampoline_start, trampoline_end
	.balign 16
trampoline_start:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdtr - trampoline_start
	mov	%cr0, %eax
	and	$0x9fffffff, %eax /* caches on: CD and NW off (INIT leaves them set) */
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$0x18, $boot_ap32
	.balign 4
trampoline_gdtr:
	.word 31
	.long boot_gdt
trampoline_end:
	.code64
	.section .note.GNU-stack,"",@progbits
