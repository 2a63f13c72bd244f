/*
 * LACP: two instances on wires that lose nothing or everything, and PDUs made by hand: of Linux' bonding, broken ones, of somebody else.
 * Time is stepped by 100 ms, as the switch does.
 */
#include "test.h"

#include "lacp.h"

#define MS 1000000ull
#define WIRES 3

static struct side {
	struct lacp lacp;
	unsigned sent;
	uint8_t last[LACP_FRAME_LEN];
} a, b;

static uint64_t now;
static bool cut[WIRES];                  /* nothing passes, both links stay */
static int peer_port[WIRES] = {0, 1, 2}; /* which port of b is at the other end of a's */
static unsigned pdus;

static struct queued {
	struct side *to;
	unsigned port;
	uint8_t frame[LACP_FRAME_LEN];
} queue[64];
static unsigned queued;

static void carry(void *arg, unsigned port, const uint8_t *frame, uint32_t len)
{
	struct side *from = arg;
	unsigned to = port;

	assert_int_equal(len, LACP_FRAME_LEN);
	from->sent++;
	pdus++;
	memcpy(from->last, frame, len);
	if (port >= WIRES)
		return;
	for (unsigned i = 0; i < WIRES && from == &b; i++) {
		if (peer_port[i] == (int)port)
			to = i;
	}
	if (from == &a)
		to = (unsigned)peer_port[port];
	if (cut[from == &a ? port : to])
		return;
	assert_true(queued < HV_ARRAY_LEN(queue));
	queue[queued] = (struct queued){.to = from == &a ? &b : &a, .port = to};
	memcpy(queue[queued++].frame, frame, len);
}

static void step(unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 100) {
		now += 100 * MS;
		lacp_run(&a.lacp, now);
		lacp_run(&b.lacp, now);
		for (unsigned i = 0; i < queued; i++)
			lacp_input(&queue[i].to->lacp, queue[i].port, queue[i].frame, LACP_FRAME_LEN, now);
		queued = 0;
	}
}

static void side_init(struct side *s, uint8_t id, bool active, bool fast)
{
	struct lacp_settings settings = {.active = active,
		.fast = fast,
		.system_priority = 0x8000,
		.port_priority = 0x80,
		.key = 1,
		.system = {0x52, 0x54, 0, 0, 0, id}};

	memset(s, 0, sizeof(*s));
	s->lacp.send = carry;
	s->lacp.arg = s;
	lacp_init(&s->lacp, &settings);
}

static void both(bool a_active, bool b_active, bool fast)
{
	static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};

	now = 1000 * MS;
	queued = 0;
	memset(cut, 0, sizeof(cut));
	memcpy(peer_port, (int[]){0, 1, 2}, sizeof(peer_port));
	side_init(&a, 1, a_active, fast);
	side_init(&b, 2, b_active, fast);
	for (unsigned i = 0; i < WIRES; i++) {
		lacp_port_enable(&a.lacp, i, mac_a);
		lacp_port_enable(&b.lacp, i, mac_b);
	}
}

static unsigned up(const struct side *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LACP_PORTS; i++)
		n += lacp_distributes(&s->lacp, i);
	return n;
}

static void all_links_to_one_partner_form_one_aggregate(void **state)
{
	both(true, true, true);
	step(1000);
	assert_int_equal(up(&a), 0); /* the aggregate wait time */
	step(3000);
	assert_int_equal(up(&a), WIRES);
	assert_int_equal(up(&b), WIRES);
	for (unsigned i = 0; i < WIRES; i++) {
		assert_int_equal(a.lacp.ports[i].aggregator, a.lacp.chosen);
		assert_int_equal(a.lacp.ports[i].partner.state, 0x3f); /* active, short, aggregatable, in sync, collecting, distributing */
		assert_int_equal(a.lacp.ports[i].partner.port, i + 1);
	}
}

static void one_active_side_is_enough_and_two_passive_ones_stay_silent(void **state)
{
	both(true, false, true);
	step(5000);
	assert_int_equal(up(&a), WIRES);
	both(false, false, true);
	pdus = 0;
	step(10000);
	assert_int_equal(pdus, 0);
}

static void timers_short_and_long(void **state)
{
	both(true, true, true);
	step(6000);
	a.sent = 0;
	step(30000);
	assert_in_range(a.sent, 3 * 29, 3 * 31);
	cut[1] = true;
	step(1900); /* the last one came at most a second before */
	assert_true(lacp_distributes(&a.lacp, 1));
	step(1200); /* three seconds: short timeout */
	assert_false(lacp_distributes(&a.lacp, 1));
	assert_int_equal(a.lacp.ports[1].receive, LACP_RX_EXPIRED);
	assert_int_equal(up(&a), WIRES - 1);
	step(3200);
	assert_int_equal(a.lacp.ports[1].receive, LACP_RX_DEFAULTED);
	assert_false(lacp_distributes(&a.lacp, 1)); /* it is alone, and the others are in use */
	cut[1] = false;
	step(6000);
	assert_int_equal(up(&a), WIRES);

	both(true, true, false);
	step(6000);
	assert_int_equal(up(&a), WIRES);
	a.sent = 0;
	step(300000);
	assert_in_range(a.sent, 3 * 9, 3 * 11);
	cut[0] = true;
	step(59000);
	assert_true(lacp_distributes(&a.lacp, 0));
	step(32000);
	assert_false(lacp_distributes(&a.lacp, 0));
}

static void a_flap_of_the_link_takes_out_one_port_and_brings_it_back(void **state)
{
	both(true, true, true);
	step(6000);
	lacp_port_disable(&a.lacp, 2);
	lacp_port_disable(&b.lacp, 2);
	step(100);
	assert_int_equal(up(&a), WIRES - 1);
	assert_int_equal(up(&b), WIRES - 1);
	lacp_port_enable(&a.lacp, 2, b.lacp.ports[0].mac);
	lacp_port_enable(&b.lacp, 2, b.lacp.ports[0].mac);
	step(5000);
	assert_int_equal(up(&a), WIRES);
	assert_int_equal(up(&b), WIRES);
}

static void nobody_answers_one_link_is_used(void **state)
{
	both(true, true, true);
	memset(cut, 1, sizeof(cut));
	step(10000);
	assert_int_equal(up(&a), 1);
	assert_true(lacp_distributes(&a.lacp, 0));
	memset(cut, 0, sizeof(cut)); /* the physical switch is configured at last */
	step(8000);
	assert_int_equal(up(&a), WIRES);
	assert_int_equal(up(&b), WIRES);
}

static void a_partner_that_does_not_hear_us_is_not_used(void **state)
{
	uint8_t frame[LACP_FRAME_LEN];
	struct lacp_pdu pdu;

	both(true, true, true);
	memset(cut, 1, sizeof(cut));
	for (unsigned i = 0; i < 10; i++) { /* it repeats: partner unknown */
		pdu = (struct lacp_pdu){.actor = b.lacp.ports[0].actor};
		pdu.actor.state = LACP_ACTIVITY | LACP_AGGREGATION | LACP_SYNCHRONIZATION | LACP_SHORT_TIMEOUT;
		lacp_pdu_build(frame, b.lacp.ports[0].mac, &pdu);
		step(1000);
		lacp_input(&a.lacp, 0, frame, sizeof(frame), now);
	}
	assert_int_equal(a.lacp.ports[0].mux, LACP_ATTACHED);
	assert_int_equal(a.lacp.ports[0].actor.state & LACP_DISTRIBUTING, 0);
}

static void links_to_two_switches_only_one_aggregate_is_used(void **state)
{
	both(true, true, true);
	for (unsigned i = 0; i < LACP_PORTS; i++)
		b.lacp.ports[i].actor.key = (uint16_t)(i == 0 ? 7 : 9); /* one cable in another channel */
	step(8000);
	assert_int_equal(up(&a), 2);
	assert_false(lacp_distributes(&a.lacp, 0));
	assert_false(lacp_distributes(&b.lacp, 0)); /* standby: the partner does not send there */
	lacp_port_disable(&a.lacp, 1);
	lacp_port_disable(&a.lacp, 2);
	lacp_port_disable(&b.lacp, 1);
	lacp_port_disable(&b.lacp, 2);
	step(6000);
	assert_true(lacp_distributes(&a.lacp, 0));
	lacp_port_enable(&a.lacp, 1, a.lacp.ports[0].mac);
	lacp_port_enable(&b.lacp, 1, a.lacp.ports[0].mac);
	step(6000);
	assert_true(lacp_distributes(&a.lacp, 0)); /* what works stays */
	assert_int_equal(up(&a), 1);
}

static void a_moved_cable_is_noticed(void **state)
{
	both(true, true, true);
	step(6000);
	peer_port[0] = 1;
	peer_port[1] = 0;
	step(6000);
	assert_int_equal(up(&a), WIRES);
	assert_int_equal(a.lacp.ports[0].partner.port, 2);
}

static void at_most_three_pdus_a_second(void **state)
{
	uint8_t frame[LACP_FRAME_LEN];
	struct lacp_pdu pdu;

	both(true, true, true);
	step(6000);
	memset(cut, 1, sizeof(cut));
	a.sent = 0;
	for (unsigned i = 0; i < 50; i++) { /* each wants an answer */
		pdu = (struct lacp_pdu){.actor = b.lacp.ports[0].actor, .partner = a.lacp.ports[0].actor};
		pdu.partner.state ^= LACP_SHORT_TIMEOUT;
		lacp_pdu_build(frame, b.lacp.ports[0].mac, &pdu);
		lacp_input(&a.lacp, 0, frame, sizeof(frame), now);
	}
	assert_in_range(a.sent, 1, 3);
}

static void churn_is_noticed(void **state)
{
	both(true, true, true);
	step(6000);
	for (unsigned i = 0; i < LACP_PORTS; i++)
		b.lacp.ports[i].actor.key = (uint16_t)(i == 0 ? 7 : 9);
	step(70000);
	assert_int_equal(a.lacp.ports[a.lacp.chosen == 0 ? 1 : 0].churn[0].state, LACP_CHURN);
	assert_int_equal(a.lacp.ports[a.lacp.chosen].churn[0].state, LACP_NO_CHURN);
}

/* What Linux 6.1 sends by a bond of mode 802.3ad, lacp_rate fast, to a partner that it does not know as yet. */
static const uint8_t linux_pdu[LACP_FRAME_LEN] = {0x01, 0x80, 0xc2, 0, 0, 2, 0x52, 0x54, 0, 0xbb, 0, 1, 0x88, 0x09, 1, 1, 1, 20, 0xff, 0xff,
	0x52, 0x54, 0, 0xbb, 0, 0, 0, 9, 0, 0xff, 0, 2, 0x4f, 0, 0, 0, 2, 20, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xff, 0, 1, 0x01, 0, 0,
	0, 3, 16};

static void pdus_are_read_and_written(void **state)
{
	uint8_t frame[LACP_FRAME_LEN];
	struct lacp_pdu pdu;

	assert_true(lacp_pdu_parse(linux_pdu, sizeof(linux_pdu), &pdu));
	assert_int_equal(pdu.actor.system_priority, 0xffff);
	assert_int_equal(pdu.actor.key, 9);
	assert_int_equal(pdu.actor.port_priority, 0xff);
	assert_int_equal(pdu.actor.port, 2);
	assert_int_equal(pdu.actor.state, LACP_ACTIVITY | LACP_SHORT_TIMEOUT | LACP_AGGREGATION | LACP_SYNCHRONIZATION | LACP_DEFAULTED);
	assert_int_equal(pdu.partner.state, LACP_ACTIVITY);
	lacp_pdu_build(frame, linux_pdu + 6, &pdu);
	assert_memory_equal(frame, linux_pdu, sizeof(frame));
}

static void malformed_pdus_are_counted_and_change_nothing(void **state)
{
	uint8_t frame[LACP_FRAME_LEN];
	struct lacp_port before;

	both(true, true, true);
	step(6000);
	before = a.lacp.ports[0];
	for (unsigned len = 0; len < 56; len++)
		lacp_input(&a.lacp, 0, linux_pdu, len, now);
	for (unsigned at = 14; at < 38; at += at == 14 ? 2 : at == 17 ? 19 : 1) { /* subtype, types and lengths */
		memcpy(frame, linux_pdu, sizeof(frame));
		frame[at] ^= 0x40;
		lacp_input(&a.lacp, 0, frame, sizeof(frame), now);
	}
	assert_int_equal(a.lacp.ports[0].pdus_bad, 56 + 5);
	before.pdus_bad = a.lacp.ports[0].pdus_bad;
	assert_memory_equal(&before, &a.lacp.ports[0], sizeof(before));
}

static void markers_are_answered(void **state)
{
	uint8_t marker[LACP_FRAME_LEN] = {
		0x01, 0x80, 0xc2, 0, 0, 2, 1, 2, 3, 4, 5, 6, 0x88, 0x09, 2, 1, 1, 22, 0, 7, 1, 2, 3, 4, 5, 6, 0xde, 0xad, 0xbe, 0xef};

	both(true, true, true);
	step(6000);
	memset(cut, 1, sizeof(cut));
	a.sent = 0;
	lacp_input(&a.lacp, 0, marker, sizeof(marker), now);
	assert_int_equal(a.sent, 1);
	assert_int_equal(a.last[16], 2);
	assert_memory_equal(a.last + 17, marker + 17, 21);
	assert_memory_equal(a.last + 6, a.lacp.ports[0].mac, 6);
	for (unsigned i = 0; i < 100; i++)
		lacp_input(&a.lacp, 0, marker, sizeof(marker), now);
	assert_in_range(a.sent, 2, 5);
	lacp_input(&a.lacp, 0, a.last, sizeof(a.last), now); /* a response is not answered */
	assert_in_range(a.sent, 2, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_links_to_one_partner_form_one_aggregate),
		cmocka_unit_test(one_active_side_is_enough_and_two_passive_ones_stay_silent),
		cmocka_unit_test(timers_short_and_long),
		cmocka_unit_test(a_flap_of_the_link_takes_out_one_port_and_brings_it_back),
		cmocka_unit_test(nobody_answers_one_link_is_used),
		cmocka_unit_test(a_partner_that_does_not_hear_us_is_not_used),
		cmocka_unit_test(links_to_two_switches_only_one_aggregate_is_used),
		cmocka_unit_test(a_moved_cable_is_noticed),
		cmocka_unit_test(at_most_three_pdus_a_second),
		cmocka_unit_test(churn_is_noticed),
		cmocka_unit_test(pdus_are_read_and_written),
		cmocka_unit_test(malformed_pdus_are_counted_and_change_nothing),
		cmocka_unit_test(markers_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
