/*
 * Trace, as the path of a frame and its filters see it. v->trace is set only while a frame is traced (trace.c), which is one turn of the
 * loop; a trace's steps are written by trace_steps.c.
 */
#ifndef VSWITCH_TRACE_H
#define VSWITCH_TRACE_H

#include "switch.h"

#include <vswitch/frame_trace.h>

/* The place of the running configuration that decides something: list[index].key, or key of the NIC that a port belongs to. */
struct vsw_trace_place {
	const char *list; /* NULL: a NIC's, or nowhere */
	unsigned index;
	const char *key; /* "": the whole object */
	const char *nic; /* the name of its port */
};

#define VSW_TRACE_NOWHERE ((struct vsw_trace_place){0})
struct vsw_trace_place vsw_trace_switch(const struct vsw_switch *sw, const char *key);
/* Of p's port group; of an uplink itself. */
struct vsw_trace_place vsw_trace_port(const struct vsw_port *p, const char *key);
/* The same, or, when `own`, of p's NIC, which has a setting of its own. */
struct vsw_trace_place vsw_trace_setting(const struct vsw_port *p, bool own, const char *key);

/* ---- trace_steps.c ---- */
void vsw_trace_note(struct vsw *v, const char *stage, struct vsw_trace_place place, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A filter on the way out drops the frame: in the place of vsw_drop. */
void vsw_trace_refuse(struct vsw_port *p, enum vsw_drop reason, struct rte_mbuf *m);

/* What the frame meets, in this order. */
void vsw_trace_steps_ingress(struct vsw_port *p, uint32_t len);
void vsw_trace_steps_vlan(struct vsw_port *p, const struct rte_mbuf *m, bool tagged);
void vsw_trace_steps_policy(struct vsw_port *p, uint64_t src, uint16_t domain);
void vsw_trace_steps_lookup(struct vsw_port *p, uint64_t dst, uint16_t domain);
void vsw_trace_steps_members(struct vsw_port *p, const struct rte_mbuf *m);
void vsw_trace_steps_delivery(struct vsw_port *in, struct vsw_port *out, struct rte_mbuf *m);
void vsw_trace_steps_result(struct vsw_port *p);

/* ---- trace.c ---- */
struct vsw_trace_saved {
	struct vsw_counters count;
	struct vsw_vlan_set used;
	void (*deliver)(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes);
	void (*flush)(struct vsw_port *p);
	uint16_t flags;
};

struct vsw_trace_run {
	struct vsw_trace *out;
	struct vsw_port *in;
	void *fdb; /* saved */
	struct vsw_trace_saved ports[VSW_MAX_PORTS];
};

#endif
