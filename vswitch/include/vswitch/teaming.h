/*
 * What a port group's teaming is in the end: the vSwitch's, overridden by its own. Pure; for config/check_teaming.c and the switch alike.
 *
 * Lists: a vSwitch without any uses all its uplinks, in their order. With some, `active` that is not given is what the others do not list;
 * an uplink in none of them is unused.
 */
#ifndef VSWITCH_TEAMING_H
#define VSWITCH_TEAMING_H

#include <string.h>
#include <vswitch/config.h>

static inline bool vsw_teaming_has_lists(const struct vsw_teaming_config *t)
{
	return t->active_count || t->standby_count || t->unused_count;
}

static inline bool vsw_teaming_in(const uint8_t *list, unsigned count, unsigned uplink)
{
	return count && memchr(list, (int)uplink, count) != NULL;
}

static inline void vsw_teaming_copy_lists(struct vsw_teaming_config *out, const struct vsw_teaming_config *from)
{
	memcpy(out->active, from->active, sizeof(out->active));
	memcpy(out->standby, from->standby, sizeof(out->standby));
	memcpy(out->unused, from->unused, sizeof(out->unused));
	out->active_count = from->active_count;
	out->standby_count = from->standby_count;
	out->unused_count = from->unused_count;
}

static inline void vsw_teaming_override(struct vsw_teaming_config *out, const struct vsw_teaming_config *by)
{
	if (vsw_teaming_has_lists(by))
		vsw_teaming_copy_lists(out, by);
	if (by->has_load_balancing)
		out->load_balancing = by->load_balancing;
	if (by->has_failure_detection)
		out->failure_detection = by->failure_detection;
	if (by->has_failback)
		out->failback = by->failback;
	if (by->has_failback_delay)
		out->failback_delay_s = by->failback_delay_s;
	if (by->has_notify_switches)
		out->notify_switches = by->notify_switches;
}

/* A vSwitch's teaming, overridden by `by`, which may be NULL. No byte of *out is left unset, so that two can be compared as bytes. */
static inline void vsw_teaming_resolve(
	const struct vsw_switch_config *sw, const struct vsw_teaming_config *by, struct vsw_teaming_config *out)
{
	memset(out, 0, sizeof(*out));
	out->load_balancing = sw->has_lacp ? VSW_BALANCE_IP_HASH : VSW_BALANCE_PORT;
	out->failback = true;
	out->notify_switches = true;
	vsw_teaming_override(out, &sw->teaming);
	if (by)
		vsw_teaming_override(out, by);
	if (out->active_count)
		return;
	for (unsigned i = 0; i < sw->uplink_count && i < VSW_MAX_UPLINKS; i++) {
		uint8_t uplink = sw->uplinks[i];

		if (!vsw_teaming_in(out->standby, out->standby_count, uplink) && !vsw_teaming_in(out->unused, out->unused_count, uplink))
			out->active[out->active_count++] = uplink;
	}
}

/* The teaming of a port group. @pre every index in c is in range */
static inline void vsw_teaming_of(const struct vsw_config *c, unsigned portgroup, struct vsw_teaming_config *out)
{
	vsw_teaming_resolve(&c->switches[c->portgroups[portgroup].vswitch], &c->portgroups[portgroup].teaming, out);
}

#endif
