/* Random bytes from the machine's entropy (RDSEED/RDRAND mixed with timing), ChaCha20-expanded. Any core, loop or exit context. */
#ifndef HV_RAND_H
#define HV_RAND_H
#include <hv/types.h>
void hv_random(void *buf, size_t len);
#endif
