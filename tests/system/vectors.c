/*
 * A program for a Linux guest: keeps its own values in all vector registers for two seconds while others do the same, and looks whether they
 * are still there. Switched between by the guest's kernel, and by the host. usage: vectors SEED
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REGISTERS 16
#define SECONDS 2

struct registers {
	uint8_t of[REGISTERS][32];
};

/* Holds `in` in the registers for a while. AVX: all of each; else the low half. */
static void hold(const struct registers *in, struct registers *out, int avx, uint64_t turns)
{
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD_YMM(n) "vmovdqu 32*" #n "(%1), %%ymm" #n "\n\t"
#define SAVE_YMM(n) "vmovdqu %%ymm" #n ", 32*" #n "(%2)\n\t"
#define LOAD_XMM(n) "movdqu 32*" #n "(%1), %%xmm" #n "\n\t"
#define SAVE_XMM(n) "movdqu %%xmm" #n ", 32*" #n "(%2)\n\t"
#define HOLD(load, save, end) \
	__asm__ volatile(EACH(load) "1: dec %0\n\tjnz 1b\n\t" EACH(save) end : "+r"(turns) : "r"(in), "r"(out) : "memory", "cc", \
		"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
	if (avx)
		HOLD(LOAD_YMM, SAVE_YMM, "vzeroupper");
	else
		HOLD(LOAD_XMM, SAVE_XMM, "");
}

int main(int argc, char **argv)
{
	struct registers in, out;
	uint64_t x = argc > 1 ? strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15 : 1;
	int avx = __builtin_cpu_supports("avx");
	time_t end = time(NULL) + SECONDS;
	unsigned rounds = 0;
	memset(&in, 0, sizeof(in));
	do {
		for (unsigned i = 0; i < REGISTERS; i++)
			for (unsigned k = 0; k < (avx ? 32u : 16u); k++, x = x * 6364136223846793005 + 1442695040888963407)
				in.of[i][k] = (uint8_t)(x >> 56);
		memset(&out, 0, sizeof(out));
		hold(&in, &out, avx, 200000);
		for (unsigned i = 0; i < REGISTERS; i++)
			if (memcmp(in.of[i], out.of[i], sizeof(in.of[i]))) {
				printf("@fail vector register %u changed in round %u\n", i, rounds);
				return 1;
			}
		rounds++;
	} while (time(NULL) < end);
	printf("vectors: %u rounds, %s\n", rounds, avx ? "AVX" : "SSE");
	return 0;
}
