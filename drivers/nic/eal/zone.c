/* See zone.h. A table that is walked: zones are made when a device or pool is set up, never on a data path. */
#include "eal/zone.h"

#include <errno.h>
#include <string.h>

int eal_zone_find(const struct eal_zones *z, const char *name)
{
	if (!name || !*name)
		return -ENOENT;
	for (unsigned i = 0; i < EAL_ZONES; i++) {
		if (!strncmp(z->name[i], name, EAL_ZONE_NAME))
			return (int)i;
	}
	return -ENOENT;
}

int eal_zone_claim(struct eal_zones *z, const char *name)
{
	if (!name || !*name)
		return -EINVAL;
	if (strnlen(name, EAL_ZONE_NAME) == EAL_ZONE_NAME)
		return -ENAMETOOLONG;
	if (eal_zone_find(z, name) >= 0)
		return -EEXIST;
	for (unsigned i = 0; i < EAL_ZONES; i++) {
		if (!z->name[i][0]) {
			strcpy(z->name[i], name);
			z->used++;
			return (int)i;
		}
	}
	return -ENOSPC;
}

int eal_zone_release(struct eal_zones *z, unsigned index)
{
	if (index >= EAL_ZONES || !z->name[index][0])
		return -EINVAL;
	z->name[index][0] = '\0';
	z->used--;
	return 0;
}
