/*
 * Beacon probing: finds an uplink whose link is up but whose network is not, which link status does not show. Each uplink of a vSwitch
 * sends a small multicast frame every interval, on one VLAN; the others hear it when the physical network carries it. Two uplinks are
 * connected when each has heard the other within interval times loss. The largest group of connected uplinks is good, the others are cut
 * off.
 *
 * With equal groups, as with two uplinks, beacons alone cannot tell. Then the only group that still receives frames of others is good: a
 * dead network brings nothing. If that does not decide either, nobody is cut off: all stay in use as they are. (VMware sends every frame by
 * both uplinks then; a network that is only half broken would get everything twice.)
 *
 * An uplink: GOOD -- cut off --> LOST -- connected all the time for interval times loss, or undecided --> GOOD
 * A link that went down comes back as LOST, so a physical port that is still blocked by spanning tree gets no traffic; the first one, when
 * the host starts, as GOOD. Teams that do not ask for beacons do not look at it.
 *
 * Hostile frames: a beacon counts only with the vSwitch's secret id and a number that was sent lately; forging one needs to see it, and
 * gains no more than a failure not noticed.
 *
 * Owner: the switch's core. Stepped every VSW_WATCH_NS.
 */
#include "beacon.h"

#include "control.h"
#include "vlan.h"

#include <hv/rand.h>
#include <string.h>

#define FRAME_LEN 60u
#define INTERVAL_DEFAULT_MS 1000u
#define LOSS_DEFAULT 3u
#define MAGIC "berth-beacon"

/* Behind the Ethernet type. */
struct payload {
	char magic[12];
	uint8_t uplink, pad[3];
	uint64_t id;
	uint32_t sequence;
} __attribute__((packed));

static uint64_t interval_ns(const struct vsw_switch *sw)
{
	return (sw->config->beacon.interval_ms ? sw->config->beacon.interval_ms : INTERVAL_DEFAULT_MS) * 1000000ull;
}

static uint32_t loss(const struct vsw_switch *sw)
{
	return sw->config->beacon.loss ? sw->config->beacon.loss : LOSS_DEFAULT;
}

static uint64_t window_ns(const struct vsw_switch *sw)
{
	return interval_ns(sw) * loss(sw);
}

/* The n-th uplink of the vSwitch, if it has a NIC. */
static struct vsw_port *nth(const struct vsw_switch *sw, unsigned n)
{
	struct vsw_uplink *u = sw->v->uplinks[sw->config->uplinks[n]];

	return u ? vsw_uplink_port(u) : NULL;
}

static unsigned number(const struct vsw_port *p)
{
	return (unsigned)__builtin_ctz(p->bit);
}

/* ---- frames ---- */

static void send(const struct vsw_switch *sw, struct vsw_port *p)
{
	const struct vsw_beacon *b = &sw->beacon;
	struct payload payload = {.uplink = (uint8_t)number(p), .id = b->id, .sequence = b->sequence};
	uint8_t frame[FRAME_LEN + VLAN_TAG_LEN] = {0};
	uint32_t at = 12;

	vsw_store_mac(frame, VSW_BEACON_MAC);
	memcpy(frame + 6, p->uplink_mac, 6);
	if (b->vlan) {
		memcpy(frame + at, (uint8_t[]){0x81, 0, (uint8_t)(b->vlan >> 8), (uint8_t)b->vlan}, VLAN_TAG_LEN);
		at += VLAN_TAG_LEN;
	}
	memcpy(frame + at, (uint8_t[]){VSW_BEACON_TYPE >> 8, VSW_BEACON_TYPE & 0xff}, 2);
	memcpy(payload.magic, MAGIC, sizeof(payload.magic));
	memcpy(frame + at + 2, &payload, sizeof(payload));
	(void)vsw_uplink_send(p, frame, at + FRAME_LEN - 12); /* one that is not sent is one that is lost */
}

bool vsw_beacon_input(struct vsw_port *uplink, const uint8_t *frame, uint32_t len)
{
	struct vsw_beacon *b = &uplink->sw->beacon;
	struct payload payload;

	if (!b->on || len < ETH_HEADER_LEN + sizeof(payload))
		return false;
	memcpy(&payload, frame + ETH_HEADER_LEN, sizeof(payload));
	if (memcmp(payload.magic, MAGIC, sizeof(payload.magic)) != 0 || payload.id != b->id || payload.uplink >= VSW_MAX_UPLINKS ||
		payload.uplink == number(uplink) || b->sequence - payload.sequence > loss(uplink->sw))
		return false; /* of another host, or old */
	b->heard[number(uplink)][payload.uplink] = hv_now_ns();
	return true;
}

/* ---- who is cut off ---- */

static bool connected(const struct vsw_switch *sw, unsigned i, unsigned k)
{
	const struct vsw_beacon *b = &sw->beacon;
	uint64_t now = hv_now_ns(), window = window_ns(sw);

	return b->heard[i][k] && b->heard[k][i] && now - b->heard[i][k] <= window && now - b->heard[k][i] <= window;
}

/* The uplinks connected to `first`, directly or by others, as bits; of those in `up`. */
static uint16_t group_of(const struct vsw_switch *sw, unsigned first, uint16_t up)
{
	uint16_t group = (uint16_t)(1u << first), before = 0;

	while (group != before) {
		before = group;
		for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++) {
			for (unsigned k = 0; k < VSW_MAX_UPLINKS; k++) {
				if (group >> i & 1 && up >> k & 1 && connected(sw, i, k))
					group |= (uint16_t)(1u << k);
			}
		}
	}
	return group;
}

/* Does some uplink of the group receive more than control frames? */
static bool receives(const struct vsw_switch *sw, uint16_t group)
{
	for (unsigned n = 0; n < sw->config->uplink_count; n++) {
		const struct vsw_port *p = nth(sw, n);

		if (p && p->bit & group && p->beacon.received_ns && hv_now_ns() - p->beacon.received_ns <= window_ns(sw))
			return true;
	}
	return false;
}

/* The good uplinks of those whose link is up; all of them when it cannot be told. */
static uint16_t good(const struct vsw_switch *sw, uint16_t up)
{
	uint16_t best = 0, rest = up;
	bool tie = false;

	while (rest) {
		uint16_t group = group_of(sw, (unsigned)__builtin_ctz(rest), up);
		int size = __builtin_popcount(group) - __builtin_popcount(best);
		int alive = (int)receives(sw, group) - (int)receives(sw, best);

		rest &= (uint16_t)~group;
		if (size > 0 || (size == 0 && alive > 0)) {
			best = group;
			tie = false;
		} else if (size == 0 && alive == 0) {
			tie = true;
		}
	}
	return tie ? up : best;
}

/* ---- states ---- */

static bool judge(struct vsw_switch *sw, struct vsw_port *p, bool is_good, bool decided)
{
	uint64_t now = hv_now_ns();

	if (!is_good) {
		p->beacon.connected_ns = 0;
		if (p->beacon.lost)
			return false;
		p->beacon.lost = p->beacon.was_lost = true;
		log_warn("vswitch.beacon.lost", "uplink %s is cut off: the other uplinks of %s do not hear its beacons, or it not theirs",
			p->name, sw->config->name);
		return true;
	}
	if (!p->beacon.lost)
		return false;
	if (!p->beacon.connected_ns)
		p->beacon.connected_ns = now;
	if (decided && now - p->beacon.connected_ns < window_ns(sw))
		return false;
	p->beacon.lost = false;
	p->beacon.good_ns = now;
	log_info("vswitch.beacon.good", "uplink %s: beacons pass again", p->name);
	return true;
}

static uint16_t look_at_links(struct vsw_switch *sw)
{
	struct vsw_beacon *b = &sw->beacon;
	uint16_t up = 0;

	for (unsigned n = 0; n < sw->config->uplink_count; n++) {
		struct vsw_port *p = nth(sw, n);
		uint64_t frames;

		if (!p)
			continue;
		frames = p->count.in_frames - p->count.in_control - p->count.drop[VSW_DROP_LINK_CONTROL];
		if (frames != p->beacon.frames)
			p->beacon.received_ns = hv_now_ns();
		p->beacon.frames = frames;
		for (unsigned k = 0; k < VSW_MAX_UPLINKS && p->link_up != (b->up >> number(p) & 1); k++) {
			b->heard[number(p)][k] = p->link_up && !p->link_lost ? hv_now_ns() : 0;
			b->heard[k][number(p)] = b->heard[number(p)][k];
		}
		if (!p->link_up && b->up >> number(p) & 1)
			p->beacon.lost = p->beacon.was_lost = true;
		up |= p->link_up ? p->bit : 0;
	}
	b->up = up;
	return up;
}

bool vsw_beacon_step(struct vsw_switch *sw)
{
	struct vsw_beacon *b = &sw->beacon;
	bool changed = false;
	uint16_t up, ok;

	if (!b->on)
		return false;
	up = look_at_links(sw);
	ok = good(sw, up);
	for (unsigned n = 0; n < sw->config->uplink_count; n++) {
		struct vsw_port *p = nth(sw, n);

		if (p && p->link_up)
			changed |= judge(sw, p, ok & p->bit, ok != up || __builtin_popcount(group_of(sw, number(p), up)) > 1);
	}
	if (hv_now_ns() < b->next_ns)
		return changed;
	b->next_ns = hv_now_ns() + interval_ns(sw);
	b->sequence++;
	for (unsigned n = 0; n < sw->config->uplink_count; n++) {
		if (nth(sw, n) && nth(sw, n)->link_up)
			send(sw, nth(sw, n));
	}
	return changed;
}

/* ---- configuration ---- */

static bool wanted(const struct vsw_switch *sw, uint16_t *vlan)
{
	const struct vsw *v = sw->v;

	for (unsigned i = 0; i < v->config.portgroup_count; i++) {
		const struct vsw_portgroup *pg = v->portgroups[i];

		if (pg->sw != sw || pg->team->config.failure_detection != VSW_DETECT_BEACON)
			continue;
		*vlan = pg->domain ? pg->domain->vlan : pg->config->trunk[0].first;
		if (sw->config->beacon.has_vlan)
			*vlan = sw->config->beacon.vlan;
		return true;
	}
	return false;
}

void vsw_beacon_apply(struct vsw_switch *sw)
{
	struct vsw_beacon *b = &sw->beacon;
	uint16_t vlan = 0;
	bool on = wanted(sw, &vlan);
	bool same = b->on == on && b->vlan == vlan && b->uplink_count == sw->config->uplink_count &&
		    !memcmp(b->uplinks, sw->config->uplinks, sw->config->uplink_count);

	if (same)
		return;
	*b = (struct vsw_beacon){.on = on, .vlan = vlan, .uplink_count = sw->config->uplink_count};
	memcpy(b->uplinks, sw->config->uplinks, sizeof(b->uplinks));
	hv_random(&b->id, sizeof(b->id));
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++) {
		for (unsigned k = 0; k < VSW_MAX_UPLINKS; k++)
			b->heard[i][k] = hv_now_ns(); /* time to hear the first ones */
	}
	for (unsigned n = 0; n < sw->config->uplink_count; n++) {
		struct vsw_port *p = nth(sw, n);

		if (!p)
			continue;
		p->beacon.lost = false;
		b->up |= p->link_up ? p->bit : 0;
	}
}
