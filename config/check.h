/* The rules on a decoded configuration, by subject. Each reports through the same struct report; all are pure. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "report.h"

struct checker {
	const struct config *config;
	struct report report;
};

void check_network(struct checker *c);       /* check_network.c: uplinks, vSwitches, port groups, VMkernel NICs */
void check_vlans(struct checker *c);         /* check_vlan.c: VLANs and MTUs of uplinks and port groups */
void check_private_vlans(struct checker *c); /* check_private.c */
void check_teaming(struct checker *c);       /* check_teaming.c: uplinks of vSwitches and port groups */
void check_limits(struct checker *c);        /* check_limits.c: shaping, guards */
void check_mirrors(struct checker *c);       /* check_mirror.c: mirror sessions */
void check_storage(struct checker *c);       /* check_storage.c: datastores */
void check_vms(struct checker *c);           /* check_vm.c */

/* Reports elements of a section that have the same name. An element begins with its name and is `stride` bytes long. */
void check_unique_names(struct checker *c, const char *section, const char *what, const void *elements, size_t stride, unsigned count);

/* Is `vlan` in one of the ranges? */
bool check_vlan_in(const struct vsw_vlan_range *ranges, unsigned count, unsigned vlan);
/* Is it a VLAN of the port group: its own, on its trunk, native, or one of its private VLAN that it uses? */
bool check_group_has_vlan(const struct vsw_config *vsw, const struct vsw_portgroup_config *group, unsigned vlan);
/* Do frames of `vlan` come from or to ports of the private VLAN's VLAN `own`? Outside of a private VLAN: is it the same? */
bool check_private_uses(const struct vsw_switch_config *sw, unsigned own, unsigned vlan);

#define CHECK_IPV4_TEXT 16
/* "10.0.2.2" */
const char *check_ipv4_text(char out[CHECK_IPV4_TEXT], uint32_t address);
/* NULL, or why no host can have this address. */
const char *check_host_address(uint32_t address);
/* NULL, or what is wrong with an iSCSI name (RFC 7143 section 4.2.7, RFC 3722). */
const char *check_iscsi_name(const char *name);

#endif
