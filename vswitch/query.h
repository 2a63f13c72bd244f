/* Membership queries of the switch's own (query.c). */
#ifndef VSWITCH_QUERY_H
#define VSWITCH_QUERY_H

#include "switch.h"

/* Asks a guest's port, in the VLAN of this domain, for all groups that it has joined, of IPv4 and IPv6. Returns how many frames it got. */
unsigned vsw_query_port(struct vsw_port *p, uint16_t domain);

#endif
