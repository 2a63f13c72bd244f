/*
 * Random bytes: a ChaCha20 key stream whose key is replaced by its own first half-block after every request (so that a later leak tells nothing about
 * earlier output), with fresh RDSEED/RDRAND words and time stamps mixed in at each request. Serialised; short.
 */
#include "arch/cpu.h"
#include "kern/chacha.h"
#include "kern/lock.h"
#include <hv/rand.h>

#define CPUID1_ECX_RDRAND (1u << 30)
#define CPUID7_EBX_RDSEED (1u << 18)
#define TRIES 16u

static struct hv_lock lock;
static uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
static bool seeded, has_rdrand, has_rdseed;

static uint64_t hardware_word(void)
{
	uint64_t v = 0;
	unsigned char ok = 0;

	for (unsigned i = 0; has_rdseed && !ok && i < TRIES; i++)
		__asm__ volatile("rdseed %0; setc %1" : "=r"(v), "=qm"(ok) : : "cc");
	for (unsigned i = 0; has_rdrand && !ok && i < TRIES; i++)
		__asm__ volatile("rdrand %0; setc %1" : "=r"(v), "=qm"(ok) : : "cc");
	return ok ? v : 0;
}

static void mix(uint64_t word, unsigned at)
{
	state[4 + at % 8] ^= (uint32_t)word;
	state[4 + (at + 1) % 8] ^= (uint32_t)(word >> 32);
}

/* Key erasure: the key becomes key stream that is never given out. */
static void next_key(void)
{
	uint8_t block[64];

	chacha20_block(state, block);
	__builtin_memcpy(&state[4], block, 32);
	__builtin_memset(block, 0, sizeof(block));
	__asm__ volatile("" : : "r"(block) : "memory");
	state[12]++;
}

/* Time between memory and port accesses differs from run to run: the only source where there is no instruction for it. */
static void seed(void)
{
	has_rdrand = cpu_cpuid(1, 0).ecx & CPUID1_ECX_RDRAND;
	has_rdseed = cpu_cpuid(0, 0).eax >= 7 && cpu_cpuid(7, 0).ebx & CPUID7_EBX_RDSEED;
	for (unsigned i = 0; i < 256; i++) {
		mix(cpu_tsc(), i);
		if (i < 8)
			mix(hardware_word(), i * 2);
		cpu_outb(0x80, 0);
		next_key();
	}
	seeded = true;
}

void hv_random(void *buf, size_t len)
{
	unsigned long irq = hv_lock_irq(&lock);
	uint8_t block[64], *out = buf;

	if (!seeded)
		seed();
	mix(hardware_word(), 0);
	mix(cpu_tsc(), 2);
	next_key();
	while (len) {
		size_t n = HV_MIN(len, sizeof(block));

		state[12]++;
		chacha20_block(state, block);
		__builtin_memcpy(out, block, n);
		out += n;
		len -= n;
	}
	next_key();
	__builtin_memset(block, 0, sizeof(block));
	__asm__ volatile("" : : "r"(block) : "memory");
	hv_unlock_irq(&lock, irq);
}
