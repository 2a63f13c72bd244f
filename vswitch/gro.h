/* Generic receive offload: TCP segments from a wire are put together again for a guest that takes large frames. */
#ifndef VSWITCH_GRO_H
#define VSWITCH_GRO_H

#include "switch.h"

/* -ENOMEM. Control path. */
int vsw_gro_create(struct vsw *v) HV_MUST_CHECK;
void vsw_gro_destroy(struct vsw *v);
/* Turns it on or off for a guest port by what its driver accepts (enum netport_feature). */
void vsw_gro_set(struct vsw_port *p, uint32_t features);
/* The filter: consecutive segments of one flow become one frame with a segmentation request (offload.h). Order within a flow stays. */
unsigned vsw_gro_filter(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);

#endif
