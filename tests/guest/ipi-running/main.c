/*
 * Fixed IPIs to a vCPU that runs, and never halts: 300 of one vector, each seen before the next is sent, then 50 bursts of four vectors.
 * None is lost, none comes twice. tests/system/intel_interrupts.py looks at what they cost in exits.
 *
 * Cpus: 2
 *
 * Cores: 3
 */
#include "guest.h"

#define X2_EOI 0x80b
#define X2_SPURIOUS 0x80f
#define X2_ICR 0x830
#define AP_PAGE 0x8000u
#define ROUNDS 300u
#define BURSTS 50u

extern const uint8_t ap_trampoline[], ap_trampoline_end[];
static volatile uint32_t taken[4], turns, ap_ready;
uint32_t ap_stack_top;
static uint8_t ap_stack[8192];
void ap_main(void);

/* Real mode at AP_PAGE:0: our GDT by its absolute address, then flat 32-bit code in the program. */
__asm__(".globl ap_trampoline, ap_trampoline_end\n"
	"	.code16\n"
	"ap_trampoline:\n"
	"	cli\n"
	"	xorw %ax, %ax\n"
	"	movw %ax, %ds\n"
	"	lgdtl 0x8f00\n"
	"	movl %cr0, %eax\n"
	"	orb $1, %al\n"
	"	movl %eax, %cr0\n"
	"	ljmpl $8, $ap_protected\n"
	"ap_trampoline_end:\n"
	"	.code32\n"
	"ap_protected:\n"
	"	movw $16, %ax\n"
	"	movw %ax, %ds\n"
	"	movw %ax, %es\n"
	"	movw %ax, %ss\n"
	"	movl ap_stack_top, %esp\n"
	"	lidt ap_idt\n"
	"	call ap_main\n"
	"	.data\n"
	"	.globl ap_idt\n"
	"ap_idt: .word 2047\n"
	"	.long 0\n"
	"	.text\n");
extern struct {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed)) guest_gdt_pointer, ap_idt;

static void x2apic_on(void)
{
	wrmsr(0x1b, rdmsr(0x1b) | 1 << 10);
	wrmsr(X2_SPURIOUS, 0x1ff);
}

static void send(uint32_t to, uint32_t vector)
{
	wrmsr(X2_ICR, (uint64_t)to << 32 | vector);
}

static void on_ipi(unsigned i)
{
	taken[i]++;
	wrmsr(X2_EOI, 0);
}

static void on_first(void)
{
	on_ipi(0);
}

static void on_second(void)
{
	on_ipi(1);
}

static void on_third(void)
{
	on_ipi(2);
}

static void on_fourth(void)
{
	on_ipi(3);
}

void ap_main(void)
{
	x2apic_on();
	__asm__ volatile("sti");
	ap_ready = 1;
	for (;;)
		turns++;
}

int main(void)
{
	guest_handlers[0x60] = on_first;
	guest_handlers[0x61] = on_second;
	guest_handlers[0x62] = on_third;
	guest_handlers[0x63] = on_fourth;
	for (const uint8_t *p = ap_trampoline; p < ap_trampoline_end; p++)
		((volatile uint8_t *)AP_PAGE)[p - ap_trampoline] = *p;
	*(volatile uint16_t *)0x8f00 = guest_gdt_pointer.limit;
	*(volatile uint32_t *)0x8f02 = guest_gdt_pointer.base;
	__asm__ volatile("sidt %0" : "=m"(ap_idt));
	ap_stack_top = (uint32_t)ap_stack + sizeof(ap_stack);
	x2apic_on();
	send(1, 0x4500);
	send(1, 0x4600 | AP_PAGE >> 12);
	while (!ap_ready)
		__asm__ volatile("pause");
	__asm__ volatile("sti"); /* on one core, Bochs does not let the host's timer end the slice of a guest that was entered with IF=0 */
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		send(1, 0x60);
		for (uint32_t n; (n = taken[0]) != i;) {
			CHECK(n < i);
			__asm__ volatile("pause"); /* where both share a core, it is the other's turn */
		}
	}
	for (uint32_t i = 1; i <= BURSTS; i++) {
		for (uint32_t vector = 0x60; vector < 0x64; vector++)
			send(1, vector);
		while (taken[0] != ROUNDS + i || taken[1] != i || taken[2] != i || taken[3] != i) {
			__asm__ volatile("pause");
			CHECK(taken[0] <= ROUNDS + i && taken[1] <= i && taken[2] <= i && taken[3] <= i);
		}
	}
	uint32_t before = turns;
	while (turns == before)
		;
	CHECK(taken[0] == ROUNDS + BURSTS && taken[3] == BURSTS);
	guest_print("IPIs to a running vCPU\n");
	return 0;
}
