/* Configuration of the virtual switch: plain data, filled by config/, checked by config/check.c, applied by vswitch/. */
#ifndef VSWITCH_CONFIG_H
#define VSWITCH_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define VSW_NAME_MAX 31
#define VSW_MAX_UPLINKS 8
#define VSW_MAX_SWITCHES 8
#define VSW_MAX_PORTGROUPS 128
#define VSW_VLAN_MAX 4094

struct vsw_uplink_config {
	char name[VSW_NAME_MAX + 1];
	bool has_mac; /* match by MAC address ... */
	uint8_t mac[6];
	bool has_pci; /* ... or by PCI address */
	uint16_t pci_segment;
	uint8_t pci_bus, pci_dev, pci_fn;
	uint16_t mtu; /* bytes of IP packet, 1280..9000 */
};

struct vsw_switch_config {
	char name[VSW_NAME_MAX + 1];
	unsigned uplink_count;
	uint8_t uplinks[VSW_MAX_UPLINKS]; /* indexes into the uplink list */
	uint32_t mac_ageing_s;
};

/* Security policy of a port group: what a guest may do; default all false. */
struct vsw_policy_config {
	bool promiscuous, mac_changes, forged_transmits;
};

struct vsw_portgroup_config {
	char name[VSW_NAME_MAX + 1];
	uint8_t vswitch;    /* index into the vswitch list */
	uint16_t vlan;      /* 0 = untagged (EST), 1..4094 = VST */
	struct vsw_policy_config policy;
};

struct vsw_config {
	struct vsw_uplink_config uplinks[VSW_MAX_UPLINKS];
	unsigned uplink_count;
	struct vsw_switch_config switches[VSW_MAX_SWITCHES];
	unsigned switch_count;
	struct vsw_portgroup_config portgroups[VSW_MAX_PORTGROUPS];
	unsigned portgroup_count;
};

#endif
