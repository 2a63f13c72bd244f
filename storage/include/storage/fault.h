/*
 * A disk that misbehaves on purpose: stacked on any disk, it delays, fails, tears or swallows requests. For tests and benches: every user
 * of a disk is tried over it.
 */
#ifndef STORAGE_FAULT_H
#define STORAGE_FAULT_H

#include <hv/blk.h>

struct fault_config {
	uint32_t delay_us;    /* each request ends this much later; 0 = none */
	uint32_t error_every; /* every n-th request ends with error_status, untouched below; 0 = none */
	int error_status;     /* 0 = -EIO */
	uint32_t torn_every;  /* every n-th write of more than one block writes only its first half, then -EIO; 0 = none */
	uint32_t hang_every;  /* every n-th request is held until fault_lun_release, its deadline or cancel; 0 = none */
	uint32_t again_every; /* every n-th submit is refused with -EAGAIN; 0 = none */
};

struct fault_lun;

/* Stacks on `below`, which it owns from now on: close closes both. name must outlive it. -ENOMEM. Loop context on the core of `below`. */
int fault_lun_create(const char *name, struct blk_dev *below, const struct fault_config *config, struct blk_dev **out) HV_MUST_CHECK;
/* Changes what goes wrong from the next request on. */
void fault_lun_set(struct blk_dev *dev, const struct fault_config *config);
/* Hands all held requests on. */
void fault_lun_release(struct blk_dev *dev);

#endif
