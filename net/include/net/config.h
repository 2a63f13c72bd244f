/* Configuration of the hypervisor's own TCP/IP: VMkernel NICs. */
#ifndef NET_CONFIG_H
#define NET_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define NET_NAME_MAX 15
#define NET_MAX_VMKNICS 8

struct net_vmknic_config {
	char name[NET_NAME_MAX + 1];
	uint8_t portgroup; /* index into vsw_config.portgroups */
	uint32_t address;  /* IPv4, host byte order */
	uint8_t prefix;    /* 1..32 */
	uint32_t gateway;  /* 0 = none */
	bool has_mac;      /* else one is derived from the host's name and the NIC's */
	uint8_t mac[6];
	uint16_t mtu;
};

struct net_config {
	struct net_vmknic_config vmknics[NET_MAX_VMKNICS];
	unsigned vmknic_count;
};

#endif
