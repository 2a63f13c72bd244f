/* A disk in host memory: no server, no delay, gone at power-off. For benches and tests, and the RAM datastore. */
#ifndef STORAGE_RAM_H
#define STORAGE_RAM_H

#include <hv/blk.h>

/*
 * Makes a zeroed RAM disk owned by the calling core. name must outlive it. size_bytes: a multiple of 512, > 0. Requests end inside
 * blk_submit. -EINVAL, -ENOMEM. blk_dev.ops->close releases it. Loop context.
 */
int ram_lun_create(const char *name, uint64_t size_bytes, struct blk_dev **out) HV_MUST_CHECK;

#endif
