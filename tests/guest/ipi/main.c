/*
 * Fixed IPIs between two vCPUs in x2APIC mode, each halted when the other sends: 1000 round trips, none lost. Self-IPI and broadcast too.
 * Cpus: 2
 * Cores: 3
 */
#include "guest.h"

#define X2_EOI 0x80b
#define X2_SPURIOUS 0x80f
#define X2_ICR 0x830
#define X2_SELF 0x83f
#define AP_PAGE 0x8000u
#define ROUNDS 1000

extern const uint8_t ap_trampoline[], ap_trampoline_end[];
static volatile uint32_t pings, pongs, selfs, ap_ready;
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

static void on_ping(void) /* second vCPU */
{
	pings++;
	wrmsr(X2_EOI, 0);
	send(0, 0x61);
}

static void on_pong(void) /* boot vCPU */
{
	pongs++;
	wrmsr(X2_EOI, 0);
}

static void on_self(void)
{
	__sync_fetch_and_add(&selfs, 1);
	wrmsr(X2_EOI, 0);
}

void ap_main(void)
{
	x2apic_on();
	ap_ready = 1;
	for (;;)
		__asm__ volatile("sti; hlt");
}

int main(void)
{
	guest_handlers[0x60] = on_ping;
	guest_handlers[0x61] = on_pong;
	guest_handlers[0x62] = on_self;
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

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		send(1, 0x60);
		while (pongs < i)
			__asm__ volatile("sti; hlt; cli");
	}
	CHECK(pings == ROUNDS && pongs == ROUNDS);

	wrmsr(X2_SELF, 0x62);
	__asm__ volatile("sti; nop; nop; cli");
	CHECK(selfs == 1);
	wrmsr(X2_ICR, 0x80062); /* all, self included */
	__asm__ volatile("sti; nop; nop; cli");
	for (uint32_t i = 0; i < 10000000 && selfs < 3; i++)
		__asm__ volatile("pause");
	CHECK(selfs == 3);
	guest_print("IPIs\n");
	return 0;
}
