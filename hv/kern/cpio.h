/* The boot archive: cpio "newc" (cpio(5), SVR4 without checksum). Portable; the bytes come from outside. */
#ifndef HV_KERN_CPIO_H
#define HV_KERN_CPIO_H

#include <hv/host.h>

/*
 * Reads entry after entry into `out`, which points into the archive (nothing is copied). Only regular files are taken. Returns how many, or
 * -EINVAL when a header, size or name is malformed or leaves the archive, -E2BIG beyond `max`. *error then says what, *offset where.
 */
int cpio_read(const void *archive, size_t bytes, struct hv_module *out, unsigned max, const char **error, size_t *offset) HV_MUST_CHECK;

#endif
