/* Inside of live change (change.c, change_commit.c): what is known of the configuration to come. */
#ifndef VSWITCH_CHANGE_H
#define VSWITCH_CHANGE_H

#include "switch.h"

/* What becomes of a port of a guest or vmk. */
struct vsw_port_plan {
	uint16_t portgroup; /* index in the new configuration */
	struct vsw_port_config own;
	uint64_t mac;      /* its own again where the new port group does not let it have another */
	bool moves;        /* other VLANs or another vSwitch: it leaves its domains and joins others */
	uint64_t reserved; /* prepare has put its n-th static entry (vsw_static_entry) into the MAC table */
};

struct vsw_change {
	struct vsw *v;
	struct vsw_config config;
	/* By the new indexes: objects that are kept (same name), and new ones. NULL: an uplink without a device. */
	struct vsw_switch *switches[VSW_MAX_SWITCHES];
	struct vsw_portgroup *portgroups[VSW_MAX_PORTGROUPS];
	struct vsw_uplink *uplinks[VSW_MAX_UPLINKS];
	struct vsw_mirror *mirrors[VSW_MAX_MIRRORS];
	/* The port groups as they will be: derived from `config`, no port uses them. */
	struct vsw_portgroup next[VSW_MAX_PORTGROUPS];
	struct vsw_port_plan ports[VSW_MAX_PORTS];
};

/* Is the object one that runs now? Else this change made it. */
bool vsw_change_kept_switch(const struct vsw_change *c, const struct vsw_switch *sw);
bool vsw_change_kept_portgroup(const struct vsw_change *c, const struct vsw_portgroup *pg);
/* Takes the port's reserved static entries out again. */
void vsw_change_unreserve(struct vsw_change *c, unsigned port);

#endif
