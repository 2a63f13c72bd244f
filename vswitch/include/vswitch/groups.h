/* Multicast groups and their members, as snooping knows them, for the administrator. Called on the switch's core. */
#ifndef VSWITCH_GROUPS_H
#define VSWITCH_GROUPS_H

#include <hv/types.h>

struct vsw;

struct vsw_group_info {
	const char *vswitch;
	uint16_t vlan;
	bool router; /* the port leads to a multicast router, `address` says nothing */
	bool v6;
	uint8_t address[16]; /* IPv4: the last four bytes */
	const char *port;
	uint32_t expires_s;
};
typedef void (*vsw_group_fn)(void *arg, const struct vsw_group_info *info);
void vsw_group_foreach(const struct vsw *v, vsw_group_fn fn, void *arg);

/* A VLAN of a vSwitch with snooping; twice, for IPv4 and IPv6. */
struct vsw_querier_info {
	const char *vswitch;
	uint16_t vlan;
	bool v6;
	uint32_t querier_s; /* a querier is taken to be there for so long; 0: there is none, groups are flooded */
	bool filtering;     /* frames go to members only */
};
typedef void (*vsw_querier_fn)(void *arg, const struct vsw_querier_info *info);
void vsw_querier_foreach(const struct vsw *v, vsw_querier_fn fn, void *arg);

#endif
