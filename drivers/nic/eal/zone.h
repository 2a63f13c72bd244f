/* Names of memory zones: which are taken, by whom. Portable; memzone.c puts DPDK's interface over it. Not locked: the caller does. */
#ifndef NIC_EAL_ZONE_H
#define NIC_EAL_ZONE_H

#include <hv/types.h>

#define EAL_ZONES 1024u
#define EAL_ZONE_NAME 32u /* with the final NUL: RTE_MEMZONE_NAMESIZE */

struct eal_zones {
	char name[EAL_ZONES][EAL_ZONE_NAME]; /* "" = free */
	unsigned used;
};

/* Index of the zone, or -ENOENT. */
int eal_zone_find(const struct eal_zones *z, const char *name);
/* Takes a free place for name: its index, or -EINVAL (empty), -ENAMETOOLONG, -EEXIST, -ENOSPC. */
int eal_zone_claim(struct eal_zones *z, const char *name) HV_MUST_CHECK;
/* 0, or -EINVAL when index is not a taken place. */
int eal_zone_release(struct eal_zones *z, unsigned index);

#endif
