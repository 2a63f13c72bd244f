/*
 * Two vCPUs on one core keep their SSE registers: both fill XMM0-7 with their own pattern, wait until the other one has had its turn, and
 * check. However fast the machine: as many switches of the core as rounds.
 * Cpus: 2
 * Cores: 1
 */
#include "guest.h"

#define AP_PAGE 0x8000u
#define ROUNDS 60

static volatile uint32_t ap_ready, ap_bad, turns[2], done[2];
uint8_t ap_stack[4096];
void ap_main(void);
extern const uint8_t ap_start[], ap_start_end[];
extern struct {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed)) guest_gdt_pointer;

__asm__(".pushsection .text\n"
	".globl ap_start, ap_start_end\n"
	".code16\n"
	"ap_start: cli; xorw %ax, %ax; movw %ax, %ds\n"
	"lgdtl 0x8ff0\n"
	"movl %cr0, %eax; orl $1, %eax; movl %eax, %cr0\n"
	"ljmpl $8, $ap_32\n"
	"ap_start_end:\n"
	".code32\n"
	"ap_32: movw $16, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss\n"
	"movl $ap_stack + 4096, %esp\n"
	"call ap_main\n"
	"1: cli; hlt; jmp 1b\n"
	".popsection\n");

static void sse_on(void)
{
	uint32_t x;
	__asm__ volatile("mov %%cr0, %0; and $~4, %0; or $2, %0; mov %0, %%cr0" : "=&r"(x));
	__asm__ volatile("mov %%cr4, %0; or $0x600, %0; mov %0, %%cr4; fninit" : "=&r"(x));
}

/* Fills all registers, exits, lets the other one fill its own, compares. */
static bool keeps(uint32_t me, uint32_t pattern)
{
	uint32_t in[4] = {pattern, ~pattern, pattern * 3, pattern ^ 0x5a5a5a5a}, out[8][4], r[4];
	__asm__ volatile("movups %0, %%xmm0; movups %0, %%xmm1; movups %0, %%xmm2; movups %0, %%xmm3\n"
			 "movups %0, %%xmm4; movups %0, %%xmm5; movups %0, %%xmm6; movups %0, %%xmm7" : : "m"(in));
	cpuid(0, 0, r);
	uint32_t seen = turns[!me];
	turns[me]++;
	while (turns[!me] == seen && !done[!me])
		__asm__ volatile("pause");
	__asm__ volatile("movups %%xmm0, (%0); movups %%xmm1, 16(%0); movups %%xmm2, 32(%0); movups %%xmm3, 48(%0)\n"
			 "movups %%xmm4, 64(%0); movups %%xmm5, 80(%0); movups %%xmm6, 96(%0); movups %%xmm7, 112(%0)" : : "r"(out) : "memory");
	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 4; k++)
			if (out[i][k] != in[k])
				return false;
	return true;
}

void ap_main(void)
{
	sse_on();
	ap_ready = 1;
	for (uint32_t i = 0; i < ROUNDS; i++)
		if (!keeps(1, 0xa0000000 + i))
			ap_bad++;
	done[1] = 1;
}

int main(void)
{
	volatile uint8_t *to = (volatile uint8_t *)AP_PAGE;
	for (uint32_t i = 0; i < (uint32_t)(ap_start_end - ap_start); i++)
		to[i] = ap_start[i];
	for (uint32_t i = 0; i < 6; i++)
		((volatile uint8_t *)0x8ff0)[i] = ((uint8_t *)&guest_gdt_pointer)[i];
	sse_on();
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	LAPIC[LAPIC_ICR_HIGH] = 1u << 24;
	LAPIC[LAPIC_ICR_LOW] = 0x4500;
	LAPIC[LAPIC_ICR_LOW] = 0x4600 | AP_PAGE >> 12;
	while (!ap_ready)
		__asm__ volatile("pause");
	for (uint32_t i = 0; i < ROUNDS; i++)
		CHECK(keeps(0, 0x10000000 + i));
	done[0] = 1;
	while (!done[1])
		__asm__ volatile("pause");
	CHECK(ap_bad == 0);
	return 0;
}
