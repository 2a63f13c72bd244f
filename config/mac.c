/*
 * MAC addresses for NICs that were given none. A hash of names, so that a NIC keeps its address over boots and rebuilds, and hosts that
 * share a network do not agree on one (46 bits; within a host read.c resolves the rest by salt).
 */
#include <config/config.h>

#define FNV_OFFSET 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

static uint64_t hash_byte(uint64_t hash, uint8_t byte)
{
	return (hash ^ byte) * FNV_PRIME;
}

/* FNV-1a over the text and its NUL, so that ("ab", "c") and ("a", "bc") differ. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	do {
		hash = hash_byte(hash, (uint8_t)*text);
	} while (*text++);
	return hash;
}

void config_derive_mac(const char *host, const char *owner, unsigned nic, unsigned salt, uint8_t mac[6])
{
	uint64_t hash = hash_text(hash_text(FNV_OFFSET, host), owner);
	for (unsigned i = 0; i < 4; i++)
		hash = hash_byte(hash, (uint8_t)(nic >> (8 * i)));
	for (unsigned i = 0; i < 4; i++)
		hash = hash_byte(hash, (uint8_t)(salt >> (8 * i)));
	hash ^= hash >> 32; /* FNV's high bits mix best: fold them into what is used */
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(hash >> (8 * i));
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02); /* unicast, locally administered */
}
