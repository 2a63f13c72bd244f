/* Fills what hv_module_* (hv/host.h) answer. */
#ifndef HV_KERN_MODULES_H
#define HV_KERN_MODULES_H

#include <hv/types.h>

/* Reads a cpio archive that stays mapped; returns the number of files. A malformed archive is refused whole (logged): -EINVAL, -E2BIG. */
int modules_read(const void *archive, size_t bytes) HV_MUST_CHECK;
/* Adds one file; name and data stay mapped. -EEXIST, -E2BIG. */
int modules_add(const char *name, const void *data, size_t bytes) HV_MUST_CHECK;

#endif
