/* Inside of an uplink: its state, and its two directions. */
#ifndef VSWITCH_UPLINK_H
#define VSWITCH_UPLINK_H

#include "forward.h"

#include <hv/core.h>
#include <vswitch/uplinks.h>

#define VSW_BACKLOG 1024u /* power of two */

struct vsw_uplink;

struct vsw_uplink_queue {
	struct vsw_uplink *uplink;
	struct hv_poller poller;
	uint64_t frames; /* received */
	uint16_t index;
};

struct vsw_uplink {
	struct vsw_port port;
	struct vsw_uplink_queue queues[VSW_UPLINK_QUEUES];
	unsigned queue_count;
	unsigned pool; /* index in vsw.rx_pools: what it receives into */
	struct vsw_uplink_dev dev;
	uint32_t features; /* enum netport_feature that the device does for us */
	bool ip_checksum, chains;
	uint16_t device_mtu; /* the device takes frames up to this */
	uint16_t mtu_before; /* while a change is prepared that raised it; else 0 */
	bool scatter;        /* it may receive into several buffers */
	bool restricted;     /* carries only `vlans` */
	struct vsw_vlan_set vlans;
	uint16_t *domain_of_tci; /* a tag's TCI as it lies in memory -> domain, VSW_DOMAIN_NONE where the uplink carries none */
	uint32_t head, tail;     /* backlog: head - tail frames wait */
	struct rte_mbuf *backlog[VSW_BACKLOG];
};

/* Fills in the receive queues. */
void vsw_uplink_queues(const struct vsw_uplink *u, struct vsw_uplink_info *info);

/* ---- uplink_tx.c ---- */
/* vsw_port.deliver of an uplink. */
void vsw_uplink_deliver(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes);
/* vsw_port.refuses of an uplink. */
enum vsw_drop vsw_uplink_refuses(const struct vsw_port *p, const struct rte_mbuf *m);
/* Sends of the backlog what the device takes; returns how many. */
unsigned vsw_uplink_push(struct vsw_uplink *u);

static inline bool vsw_uplink_backlogged(const struct vsw_uplink *u)
{
	return u->tail != u->head;
}

/* ---- uplink_rx.c ---- */
/* vsw_port.check of an uplink. */
enum vsw_drop vsw_uplink_check(struct vsw_port *p, struct rte_mbuf *m);
/* Takes what the queue has received, a few bursts at most, and forwards it to its end. Returns how many frames. */
unsigned vsw_uplink_receive(struct vsw_uplink_queue *q);

#endif
