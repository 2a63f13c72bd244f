/* ChaCha20, see chacha.h. */
#include "kern/chacha.h"

static uint32_t rotate(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b;
	*d = rotate(*d ^ *a, 16);
	*c += *d;
	*b = rotate(*b ^ *c, 12);
	*a += *b;
	*d = rotate(*d ^ *a, 8);
	*c += *d;
	*b = rotate(*b ^ *c, 7);
}

void chacha20_block(const uint32_t state[16], uint8_t out[64])
{
	uint32_t x[16];

	for (unsigned i = 0; i < 16; i++)
		x[i] = state[i];
	for (unsigned i = 0; i < 10; i++) {
		quarter_round(&x[0], &x[4], &x[8], &x[12]);
		quarter_round(&x[1], &x[5], &x[9], &x[13]);
		quarter_round(&x[2], &x[6], &x[10], &x[14]);
		quarter_round(&x[3], &x[7], &x[11], &x[15]);
		quarter_round(&x[0], &x[5], &x[10], &x[15]);
		quarter_round(&x[1], &x[6], &x[11], &x[12]);
		quarter_round(&x[2], &x[7], &x[8], &x[13]);
		quarter_round(&x[3], &x[4], &x[9], &x[14]);
	}
	for (unsigned i = 0; i < 16; i++) {
		x[i] += state[i];
		for (unsigned k = 0; k < 4; k++)
			out[i * 4 + k] = (uint8_t)(x[i] >> (8 * k));
	}
}
