/* ChaCha20's block function (RFC 8439, 2.3). */
#ifndef HV_KERN_CHACHA_H
#define HV_KERN_CHACHA_H

#include <hv/types.h>

/* One 64-byte block of key stream for a 16-word state. */
void chacha20_block(const uint32_t state[16], uint8_t out[64]);

#endif
