/*
 * LACP's selection logic, IEEE 802.1AX-2014 6.4.14: ports to the same system and key of a partner form an aggregate; a port whose partner
 * does not speak LACP, or cannot aggregate, is one by itself. An aggregator is named by its lowest port.
 *
 * A vSwitch uses one aggregator at a time, since its uplinks are one way out. Ports of the others are STANDBY, so their partner does not
 * send to them. Which one: one whose partner speaks LACP, then the one with the most ports, then the lowest. What is in use, one of its
 * ports attached, stays though another has more, unless its partner does not speak and another's does.
 *
 * Rule kept from the standard: a port that is to change its aggregator is UNSELECTED until its Mux machine is DETACHED.
 */
#include "lacp.h"

#include <string.h>

static bool individual(const struct lacp_port *p)
{
	return !(p->partner.state & LACP_AGGREGATION) ||
	       !memcmp(p->partner.system, p->actor.system, 6); /* the latter: a cable to ourselves */
}

static bool same_group(const struct lacp_port *a, const struct lacp_port *b)
{
	return !individual(a) && !individual(b) && a->partner.key == b->partner.key &&
	       a->partner.system_priority == b->partner.system_priority && !memcmp(a->partner.system, b->partner.system, 6);
}

static bool in_use(const struct lacp *l, uint8_t aggregator)
{
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		if (l->ports[i].aggregator == aggregator)
			return true;
	}
	return false;
}

/* The aggregator of ports with the same partner, or one of its own. */
static uint8_t aggregator_for(const struct lacp *l, unsigned port)
{
	uint8_t own = (uint8_t)port;

	for (unsigned i = 0; i < LACP_PORTS; i++) {
		if (i != port && l->ports[i].selected != LACP_UNSELECTED && l->ports[i].aggregator != LACP_NONE &&
			same_group(&l->ports[i], &l->ports[port]))
			return l->ports[i].aggregator;
	}
	for (uint8_t n = 0; n < LACP_PORTS && in_use(l, own); n++)
		own = n; /* a port that left its aggregator to others: there are as many as ports */
	return own;
}

static bool attached(const struct lacp *l, uint8_t aggregator)
{
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		if (l->ports[i].aggregator == aggregator && l->ports[i].mux >= LACP_ATTACHED)
			return true;
	}
	return false;
}

/* How good an aggregator is: a partner that speaks LACP, then ports. 0: it has none. */
static unsigned rank(const struct lacp *l, uint8_t aggregator)
{
	unsigned ports = 0, speaks = 0;

	for (unsigned i = 0; i < LACP_PORTS; i++) {
		const struct lacp_port *p = &l->ports[i];

		if (p->aggregator != aggregator || !p->enabled || p->selected == LACP_UNSELECTED)
			continue;
		ports++;
		speaks |= !(p->actor.state & LACP_DEFAULTED);
	}
	return ports ? ports + speaks * LACP_PORTS : 0;
}

static uint8_t choose(const struct lacp *l)
{
	uint8_t best = LACP_NONE;
	unsigned best_rank = 0;
	bool stays = l->chosen != LACP_NONE && attached(l, l->chosen) && rank(l, l->chosen);

	if (stays && rank(l, l->chosen) > LACP_PORTS)
		return l->chosen;
	for (uint8_t a = 0; a < LACP_PORTS; a++) {
		unsigned r = rank(l, a);

		if (r > best_rank) {
			best = a;
			best_rank = r;
		}
	}
	return stays && best_rank <= LACP_PORTS ? l->chosen : best;
}

void lacp_select(struct lacp *l)
{
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		struct lacp_port *p = &l->ports[i];

		if (!p->enabled)
			p->selected = LACP_UNSELECTED;
		if (p->selected != LACP_UNSELECTED || p->mux != LACP_DETACHED)
			continue;
		p->aggregator = LACP_NONE;
		if (!p->enabled)
			continue;
		p->aggregator = aggregator_for(l, i);
		p->selected = LACP_STANDBY;
	}
	l->chosen = choose(l);
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		struct lacp_port *p = &l->ports[i];

		if (p->selected != LACP_UNSELECTED)
			p->selected = p->aggregator == l->chosen ? LACP_SELECTED : LACP_STANDBY;
	}
}

bool lacp_ready(const struct lacp *l, uint8_t aggregator)
{
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		const struct lacp_port *p = &l->ports[i];

		if (p->aggregator == aggregator && p->mux == LACP_WAITING && !p->ready)
			return false;
	}
	return true;
}
