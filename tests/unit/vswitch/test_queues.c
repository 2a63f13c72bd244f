/* Several receive queues of an uplink: how many it gets, each polled, counted and armed by itself; pools of uplinks that come and go. */
#include "kit.h"

#include "uplink.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#define QUEUES 4u

static struct rte_ring *rx[QUEUES], *tx;
static int port = -1;
static uint8_t frame[2000];
static unsigned armed[QUEUES], disarmed[QUEUES];

static void arm(void *arg, unsigned queue, bool on)
{
	assert_true(queue < QUEUES);
	(on ? armed : disarmed)[queue]++;
}

static struct rte_ring *ring(const char *what, unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "%s%u", what, i);
	return rte_ring_create(name, 256, SOCKET_ID_ANY, 0);
}

static int setup(void **state)
{
	kit_setup(state);
	if (port < 0) {
		for (unsigned i = 0; i < QUEUES; i++)
			rx[i] = ring("queue", i);
		tx = ring("queues-tx", 0);
		port = rte_eth_from_rings("queues", rx, QUEUES, &tx, 1, 0);
	}
	assert_true(port >= 0);
	memset(armed, 0, sizeof(armed));
	memset(disarmed, 0, sizeof(disarmed));
	return 0;
}

/* An uplink that asks for `wanted` queues of a device that may have `most`; how many it got. */
static unsigned attach(unsigned wanted, unsigned most)
{
	struct vsw_uplink_dev dev = {.ethdev_port = (uint16_t)port, .queues = most};

	kit_vsw->config.uplinks[0].queues = (uint8_t)wanted;
	assert_int_equal(vsw_uplink_attach(kit_vsw, 0, &dev), 0);
	return kit_vsw->uplinks[0]->queue_count;
}

static unsigned attach_and_detach(unsigned wanted, unsigned most)
{
	unsigned got = attach(wanted, most);

	vsw_uplink_detach(kit_vsw->uplinks[0]);
	return got;
}

static void put(unsigned queue, const uint8_t src[6])
{
	uint32_t len = kit_tag(frame, kit_eth(frame, mac_a, src, 0x0800, 60), 20);
	struct rte_mbuf *m = rte_pktmbuf_alloc(kit_vsw->rx_pools[kit_vsw->uplinks[0]->pool]);

	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	assert_int_equal(rte_ring_enqueue(rx[queue], m), 0);
}

static void as_many_as_asked_for_and_there(void **state)
{
	assert_int_equal(attach_and_detach(0, 0), 1);
	assert_int_equal(attach_and_detach(1, 4), 1);
	assert_int_equal(attach_and_detach(3, 4), 3);
	assert_int_equal(attach_and_detach(8, 8), QUEUES); /* the device's */
	assert_int_equal(attach_and_detach(4, 2), 2);      /* its interrupts' */
	assert_int_equal(attach_and_detach(4, 0), 1);
}

static unsigned info_count;
static uint64_t info_frames[VSW_UPLINK_QUEUES];

static void info(void *arg, const struct vsw_uplink_info *i)
{
	if (strcmp(i->name, "up0"))
		return;
	info_count = i->queue_count;
	memcpy(info_frames, i->queue_frames, sizeof(info_frames));
}

static void each_is_polled_and_counted(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);

	assert_int_equal(attach(4, 4), 4);
	for (unsigned q = 0; q < QUEUES; q++) {
		for (unsigned i = 0; i <= q; i++)
			put(q, mac_x);
	}
	native_core_step();
	assert_int_equal(a->count, 1 + 2 + 3 + 4);
	vsw_uplink_foreach(kit_vsw, info, NULL);
	assert_int_equal(info_count, 4);
	for (unsigned q = 0; q < QUEUES; q++)
		assert_int_equal(info_frames[q], q + 1);
	assert_int_equal(vsw_uplink_port(kit_vsw->uplinks[0])->count.in_frames, 10);
}

/* More than a queue may bring in one poll: the others get their turn all the same. */
static void a_flood_of_one_leaves_the_others_their_turn(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);
	bool seen = false;

	assert_int_equal(attach(2, 2), 2);
	for (unsigned i = 0; i < 250; i++)
		put(0, mac_x);
	put(1, mac_y);
	a->room = 1000;
	native_core_step();
	for (unsigned i = 0; i < a->count; i++)
		seen |= !memcmp(a->in[i].bytes + 6, mac_y, 6);
	assert_true(seen);
	native_core_step();
	assert_int_equal(vsw_uplink_port(kit_vsw->uplinks[0])->count.in_frames, 251);
}

static void each_has_its_interrupt(void **state)
{
	struct vsw_uplink_dev dev = {.ethdev_port = (uint16_t)port, .queues = QUEUES, .arm = arm};

	kit_guest(PG_WEB, mac_a, 0);
	kit_vsw->config.uplinks[0].queues = QUEUES;
	assert_int_equal(vsw_uplink_attach(kit_vsw, 0, &dev), 0);
	native_run(1000);
	for (unsigned q = 0; q < QUEUES; q++)
		assert_true(armed[q] > 0 && disarmed[q] <= armed[q]);
}

static void pools_are_apart_and_used_again(void **state)
{
	struct rte_mempool *first;
	struct vsw_uplink_dev dev = {.ethdev_port = (uint16_t)port};

	kit_uplink(1);
	first = kit_vsw->rx_pools[kit_vsw->uplinks[1]->pool];
	assert_int_equal(vsw_uplink_attach(kit_vsw, 0, &dev), 0);
	assert_ptr_not_equal(kit_vsw->rx_pools[kit_vsw->uplinks[0]->pool], first);
	vsw_uplink_detach(kit_vsw->uplinks[1]);
	kit_uplink(2);
	assert_ptr_equal(kit_vsw->rx_pools[kit_vsw->uplinks[2]->pool], first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(as_many_as_asked_for_and_there, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(each_is_polled_and_counted, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(a_flood_of_one_leaves_the_others_their_turn, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(each_has_its_interrupt, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(pools_are_apart_and_used_again, setup, kit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
