/*
 * LACP: the machines of each port, IEEE 802.1AX-2014 6.4.12 to 6.4.17, names as there. After anything that happened, all machines run until
 * none moves (lacp_run).
 *
 * Receive (figure 6-18)                      PDU                     PDU
 *            link up            +---------------------------+    +--------+
 *   PORT_DISABLED -------> EXPIRED <--- timer --- CURRENT <-+----+
 *        ^                    |  timer (short)      ^
 *        | link down, any     +---> DEFAULTED ------+ PDU        timer: current_while, short 3 s or long 90 s
 *
 * Periodic (figure 6-19)
 *   NO_PERIODIC <-> FAST_PERIODIC (1 s, partner has a short timeout) <-> SLOW_PERIODIC (30 s); each expiry asks for a PDU. None while both
 *   sides are passive.
 *
 * Mux, coupled (figure 6-22)
 *   DETACHED -- selected or standby --> WAITING -- selected, 2 s over for all of the aggregator --> ATTACHED
 *       ^ unselected (or standby, once attached)                                                       |  ^ partner out of sync
 *       +--------------------------------------------------------------------------------- partner in sync |
 *                                                                                                      v  |
 *                                                                                      COLLECTING_DISTRIBUTING
 *
 * Churn (figures 6-23, 6-24), for either side: MONITOR -- in sync --> NO_CHURN; MONITOR -- 60 s --> CHURN; told in the log.
 *
 * Transmit (6.4.16): a PDU when one is asked for (NTT), at most three in a second.
 *
 * Owner: the switch's core, by lacp_switch.c; in tests whoever steps it.
 */
#include "lacp.h"

#include <string.h>

#define SECOND_NS 1000000000ull
#define FAST_PERIODIC_NS SECOND_NS
#define SLOW_PERIODIC_NS (30 * SECOND_NS)
#define SHORT_TIMEOUT_NS (3 * SECOND_NS)
#define LONG_TIMEOUT_NS (90 * SECOND_NS)
#define CHURN_NS (60 * SECOND_NS)
#define AGGREGATE_WAIT_NS (2 * SECOND_NS)
#define PDUS_PER_SECOND 3u
#define MARKERS_PER_SECOND 5u
#define NEVER UINT64_MAX
#define ROUNDS 16 /* machines settle in fewer */

static bool over(const struct lacp *l, uint64_t deadline)
{
	return deadline != NEVER && l->now >= deadline;
}

static void set_state(struct lacp_port *p, uint8_t bits, bool on)
{
	p->actor.state = (uint8_t)(on ? p->actor.state | bits : p->actor.state & ~bits);
}

/* ---- receive machine ---- */

static bool same_port(const struct lacp_info *a, const struct lacp_info *b)
{
	return a->port == b->port && a->port_priority == b->port_priority && a->system_priority == b->system_priority && a->key == b->key &&
	       !memcmp(a->system, b->system, 6) && !((a->state ^ b->state) & LACP_AGGREGATION);
}

/* Administrative values of the partner: nobody, individual; a short timeout, so that one that begins to speak is answered soon. */
static const struct lacp_info nobody = {.state = LACP_SYNCHRONIZATION | LACP_SHORT_TIMEOUT};

static void record_default(struct lacp_port *p)
{
	p->partner = nobody;
	set_state(p, LACP_DEFAULTED, true);
}

/* 6.4.9 recordPDU: what the partner says; in sync with us only if it knows us as we are, or is individual, and somebody keeps talking. */
static void record_pdu(struct lacp_port *p, const struct lacp_pdu *pdu)
{
	bool talks = pdu->actor.state & LACP_ACTIVITY || (p->actor.state & LACP_ACTIVITY && pdu->partner.state & LACP_ACTIVITY);
	bool knows_us = same_port(&pdu->partner, &p->actor) || !(pdu->actor.state & LACP_AGGREGATION);
	bool sync = talks && knows_us && pdu->actor.state & LACP_SYNCHRONIZATION;

	p->partner = pdu->actor;
	p->partner.state = (uint8_t)(sync ? p->partner.state | LACP_SYNCHRONIZATION : p->partner.state & ~LACP_SYNCHRONIZATION);
	set_state(p, LACP_DEFAULTED, false);
}

static void update_ntt(struct lacp_port *p, const struct lacp_pdu *pdu)
{
	const uint8_t compared = LACP_ACTIVITY | LACP_SHORT_TIMEOUT | LACP_SYNCHRONIZATION | LACP_AGGREGATION;

	if (!same_port(&pdu->partner, &p->actor) || (pdu->partner.state ^ p->actor.state) & compared)
		p->ntt = true;
}

static void receive_pdu(struct lacp *l, struct lacp_port *p, const struct lacp_pdu *pdu)
{
	if (!same_port(&pdu->actor, &p->partner))
		p->selected = LACP_UNSELECTED;
	update_ntt(p, pdu);
	record_pdu(p, pdu);
	p->receive = LACP_RX_CURRENT;
	p->current_while = l->now + (p->actor.state & LACP_SHORT_TIMEOUT ? SHORT_TIMEOUT_NS : LONG_TIMEOUT_NS);
	set_state(p, LACP_EXPIRED, false);
}

static void receive_disable(struct lacp_port *p)
{
	p->receive = LACP_RX_DISABLED;
	p->current_while = NEVER;
	p->partner.state &= (uint8_t)~LACP_SYNCHRONIZATION;
}

static void receive_expire(struct lacp *l, struct lacp_port *p)
{
	p->receive = LACP_RX_EXPIRED;
	p->partner.state = (uint8_t)((p->partner.state & ~LACP_SYNCHRONIZATION) | LACP_SHORT_TIMEOUT);
	p->current_while = l->now + SHORT_TIMEOUT_NS;
	set_state(p, LACP_EXPIRED, true);
}

static void receive_default(struct lacp_port *p)
{
	p->receive = LACP_RX_DEFAULTED;
	p->current_while = NEVER;
	if (!same_port(&p->partner, &nobody))
		p->selected = LACP_UNSELECTED;
	record_default(p);
	set_state(p, LACP_EXPIRED, false);
}

static bool receive_step(struct lacp *l, struct lacp_port *p)
{
	enum lacp_receive before = p->receive;

	if (!p->enabled) {
		if (p->receive != LACP_RX_DISABLED)
			receive_disable(p);
	} else if (p->receive == LACP_RX_DISABLED || (p->receive == LACP_RX_CURRENT && over(l, p->current_while))) {
		receive_expire(l, p);
	} else if (p->receive == LACP_RX_EXPIRED && over(l, p->current_while)) {
		receive_default(p);
	}
	return p->receive != before;
}

/* ---- periodic machine ---- */

static bool periodic_step(struct lacp *l, struct lacp_port *p)
{
	enum lacp_periodic before = p->periodic;
	bool fast = p->partner.state & LACP_SHORT_TIMEOUT;

	if (!p->enabled || !((p->actor.state | p->partner.state) & LACP_ACTIVITY)) {
		p->periodic = LACP_NO_PERIODIC;
		p->periodic_at = NEVER;
		return p->periodic != before;
	}
	if (p->periodic == LACP_NO_PERIODIC) {
		p->periodic = LACP_FAST_PERIODIC;
		p->periodic_at = l->now + FAST_PERIODIC_NS;
	} else if (over(l, p->periodic_at) || (p->periodic == LACP_SLOW_PERIODIC && fast)) {
		p->ntt = true; /* PERIODIC_TX */
		p->periodic = fast ? LACP_FAST_PERIODIC : LACP_SLOW_PERIODIC;
		p->periodic_at = l->now + (fast ? FAST_PERIODIC_NS : SLOW_PERIODIC_NS);
	} else if (p->periodic == LACP_FAST_PERIODIC && !fast) {
		p->periodic = LACP_SLOW_PERIODIC;
		p->periodic_at = l->now + SLOW_PERIODIC_NS;
	}
	return p->periodic != before;
}

/* ---- mux machine ---- */

static void mux_enter(struct lacp *l, struct lacp_port *p, enum lacp_mux mux)
{
	p->mux = mux;
	p->ready = false;
	p->wait_while = mux == LACP_WAITING ? l->now + AGGREGATE_WAIT_NS : NEVER;
	set_state(p, LACP_SYNCHRONIZATION, mux >= LACP_ATTACHED);
	set_state(p, LACP_COLLECTING | LACP_DISTRIBUTING, mux == LACP_COLLECTING_DISTRIBUTING);
	if (mux == LACP_DETACHED && p->selected == LACP_UNSELECTED)
		p->aggregator = LACP_NONE;
	if (mux != LACP_WAITING)
		p->ntt = true;
}

static enum lacp_mux mux_next(const struct lacp *l, const struct lacp_port *p)
{
	bool partner_sync = p->partner.state & LACP_SYNCHRONIZATION;

	switch (p->mux) {
	case LACP_DETACHED:
		return p->selected != LACP_UNSELECTED ? LACP_WAITING : LACP_DETACHED;
	case LACP_WAITING:
		if (p->selected == LACP_UNSELECTED)
			return LACP_DETACHED;
		return p->selected == LACP_SELECTED && lacp_ready(l, p->aggregator) ? LACP_ATTACHED : LACP_WAITING;
	case LACP_ATTACHED:
		if (p->selected != LACP_SELECTED)
			return LACP_DETACHED;
		return partner_sync ? LACP_COLLECTING_DISTRIBUTING : LACP_ATTACHED;
	case LACP_COLLECTING_DISTRIBUTING:
		break;
	}
	return p->selected == LACP_SELECTED && partner_sync ? LACP_COLLECTING_DISTRIBUTING : LACP_ATTACHED;
}

static bool mux_step(struct lacp *l, struct lacp_port *p)
{
	enum lacp_mux next;

	if (p->mux == LACP_WAITING && over(l, p->wait_while)) {
		p->wait_while = NEVER;
		p->ready = true;
	}
	next = mux_next(l, p);
	if (next == p->mux)
		return false;
	mux_enter(l, p, next);
	return true;
}

/* ---- churn detection ---- */

static void churn_step(struct lacp *l, struct lacp_port *p, unsigned side)
{
	bool sync = (side ? p->partner.state : p->actor.state) & LACP_SYNCHRONIZATION;

	if (!p->enabled || (!sync && p->churn[side].state == LACP_NO_CHURN)) {
		p->churn[side].state = LACP_CHURN_MONITOR;
		p->churn[side].at = p->enabled ? l->now + CHURN_NS : NEVER;
	} else if (sync) {
		p->churn[side].state = LACP_NO_CHURN;
	} else if (p->churn[side].at == NEVER) { /* the link has just come up */
		p->churn[side].at = l->now + CHURN_NS;
	} else if (p->churn[side].state == LACP_CHURN_MONITOR && over(l, p->churn[side].at)) {
		p->churn[side].state = LACP_CHURN;
		p->churn[side].count++;
	}
}

/* ---- transmit ---- */

static bool allowed(uint64_t now, uint64_t *window, unsigned *count, unsigned limit)
{
	if (now >= *window) {
		*window = now + SECOND_NS;
		*count = 0;
	}
	return *count < limit;
}

static void transmit(struct lacp *l, unsigned port)
{
	struct lacp_port *p = &l->ports[port];
	struct lacp_pdu pdu = {.actor = p->actor, .partner = p->partner};
	uint8_t frame[LACP_FRAME_LEN];

	if (!p->enabled || p->periodic == LACP_NO_PERIODIC) {
		p->ntt = false;
		return;
	}
	if (!p->ntt || !allowed(l->now, &p->window, &p->sent_in_window, PDUS_PER_SECOND))
		return;
	lacp_pdu_build(frame, p->mac, &pdu);
	p->ntt = false;
	p->sent_in_window++;
	p->pdus_out++;
	l->send(l->arg, port, frame, sizeof(frame));
}

/* ---- entries ---- */

void lacp_init(struct lacp *l, const struct lacp_settings *s)
{
	l->active = s->active;
	l->fast = s->fast;
	l->chosen = LACP_NONE;
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		struct lacp_port *p = &l->ports[i];

		*p = (struct lacp_port){.aggregator = LACP_NONE, .current_while = NEVER, .periodic_at = NEVER, .wait_while = NEVER};
		p->actor = (struct lacp_info){.system_priority = s->system_priority,
			.key = s->key,
			.port_priority = s->port_priority,
			.port = (uint16_t)(i + 1),
			.state = LACP_AGGREGATION};
		memcpy(p->actor.system, s->system, 6);
		set_state(p, LACP_ACTIVITY, s->active);
		set_state(p, LACP_SHORT_TIMEOUT, s->fast);
		p->churn[0].at = p->churn[1].at = NEVER;
		record_default(p);
		receive_disable(p);
	}
}

void lacp_port_enable(struct lacp *l, unsigned port, const uint8_t mac[6])
{
	memcpy(l->ports[port].mac, mac, 6);
	l->ports[port].enabled = true;
}

void lacp_port_disable(struct lacp *l, unsigned port)
{
	l->ports[port].enabled = false;
}

void lacp_input(struct lacp *l, unsigned port, const uint8_t *frame, uint32_t len, uint64_t now_ns)
{
	struct lacp_port *p = &l->ports[port];
	uint8_t answer[LACP_FRAME_LEN];
	struct lacp_pdu pdu;

	l->now = now_ns;
	if (!p->enabled)
		return;
	if (lacp_pdu_parse(frame, len, &pdu)) {
		p->pdus_in++;
		receive_pdu(l, p, &pdu);
		lacp_run(l, now_ns);
	} else if (lacp_marker_answer(frame, len, p->mac, answer)) {
		if (!allowed(now_ns, &p->marker_window, &p->markers_in_window, MARKERS_PER_SECOND))
			return;
		p->markers_in_window++;
		p->markers++;
		l->send(l->arg, port, answer, sizeof(answer));
	} else {
		p->pdus_bad++;
	}
}

void lacp_run(struct lacp *l, uint64_t now_ns)
{
	bool moved = true;

	l->now = now_ns;
	for (unsigned round = 0; moved && round < ROUNDS; round++) {
		moved = false;
		for (unsigned i = 0; i < LACP_PORTS; i++)
			moved |= receive_step(l, &l->ports[i]) | periodic_step(l, &l->ports[i]);
		lacp_select(l);
		for (unsigned i = 0; i < LACP_PORTS; i++)
			moved |= mux_step(l, &l->ports[i]);
	}
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		churn_step(l, &l->ports[i], 0);
		churn_step(l, &l->ports[i], 1);
		transmit(l, i);
	}
}

const char *lacp_mux_name(enum lacp_mux mux)
{
	static const char *const names[] = {"detached", "waiting", "attached", "collecting-distributing"};

	return names[mux];
}

const char *lacp_receive_name(enum lacp_receive receive)
{
	static const char *const names[] = {"disabled", "expired", "defaulted", "current"};

	return names[receive];
}
