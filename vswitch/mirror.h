/* Port mirroring: sessions, and the filters that feed them. */
#ifndef VSWITCH_MIRROR_H
#define VSWITCH_MIRROR_H

#include "switch.h"

#include <vswitch/mirrors.h>

struct vsw_mirror;

/* Filters (filter.h): copy what the sessions of the port want; all frames go on. */
unsigned vsw_mirror_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_mirror_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_mirror_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_mirror_out_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);

/* Has the port no other filter for its frames, and does no session want one of them here? vsw_mirror_in marks them only. */
bool vsw_mirror_only_marks(const struct vsw_port *p);

bool vsw_mirrors_in_range(const struct vsw_config *config);
/* The sessions that the configuration of a live change will have: kept ones of v by name, or new. -ENOMEM: *failed is the index of the one.
 */
int vsw_mirrors_prepare(
	struct vsw *v, const struct vsw_config *config, struct vsw_mirror *out[VSW_MAX_MIRRORS], unsigned *failed) HV_MUST_CHECK;
void vsw_mirrors_abort(struct vsw *v, struct vsw_mirror *prepared[VSW_MAX_MIRRORS]);
/* They become v's; v->config and the vSwitches are already the new ones. */
void vsw_mirrors_commit(struct vsw *v, struct vsw_mirror *prepared[VSW_MAX_MIRRORS]);
void vsw_mirrors_free(struct vsw *v);

/* A port appeared, goes, or is in another port group: which sessions it feeds and which it is the destination of. */
void vsw_mirrors_update(struct vsw *v);

#endif
