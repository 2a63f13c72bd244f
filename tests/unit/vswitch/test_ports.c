/* Uplinks and vmk ports at their limits, and the books: every frame that went in came out or was dropped for a reason. */
#include "kit.h"

#include <errno.h>

#include <stdio.h>
#include <stdlib.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

struct vmk {
	struct vsw_vmk_port *port;
	struct rte_mbuf *in[2048];
	unsigned count, room;
	bool link;
};

static unsigned vmk_rx(void *arg, struct rte_mbuf **frames, unsigned n)
{
	struct vmk *k = arg;
	unsigned taken = HV_MIN(n, k->room);

	for (unsigned i = 0; i < taken; i++)
		k->in[k->count++] = frames[i];
	k->room -= taken;
	return taken;
}

static void vmk_link(void *arg, bool up)
{
	((struct vmk *)arg)->link = up;
}

static void vmk_make(struct vmk *k, unsigned portgroup, const uint8_t mac[6])
{
	struct vsw_vmk_client client = {vmk_rx, vmk_link, k};

	*k = (struct vmk){.room = 2048};
	assert_int_equal(vsw_vmk_port_create(kit_vsw, portgroup, "vmk0", mac, &client, &k->port), 0);
}

static void vmk_end(struct vmk *k)
{
	for (unsigned i = 0; i < k->count; i++)
		rte_pktmbuf_free(k->in[i]);
	vsw_vmk_port_destroy(k->port);
}

static void vmk_send(struct vmk *k, const uint8_t *bytes, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(vsw_vmk_pool(k->port));

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	vsw_vmk_tx(k->port, &m, 1);
}

static void a_vmk_gets_private_frames_with_finished_checksums(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, NETPORT_F_CSUM | NETPORT_F_TSO4), *b = kit_guest(PG_WEB, mac_b, 0);
	struct netport_offload off = {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = NETPORT_GSO_TCPV4, .gso_size = 1000};
	struct vmk k;
	uint32_t len = kit_tcp(frame, mac_c, mac_a, false, 5000, true);

	vmk_make(&k, PG_WEB, mac_c);
	kit_send(a, frame, len, len, &off);
	assert_int_equal(k.count, 0); /* never from inside the sender's call */
	native_core_step();
	assert_int_equal(k.count, 5);
	for (unsigned i = 0; i < k.count; i++) {
		assert_true(kit_checksums_good(rte_pktmbuf_mtod(k.in[i], uint8_t *), k.in[i]->pkt_len));
		assert_int_equal(k.in[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	}
	len = kit_eth(frame, mac_broadcast, mac_a, 0x0806, 60);
	kit_send(a, frame, len, len, NULL);
	native_core_step();
	assert_int_equal(k.count, 6);
	assert_int_equal(rte_mbuf_refcnt_read(k.in[5]), 1);
	memset(rte_pktmbuf_mtod(k.in[5], uint8_t *), 0, len); /* its own copy */
	assert_memory_equal(b->in[b->count - 1].bytes, frame, len);
	vmk_end(&k);
}

static void a_vmk_that_is_full_drops_with_a_reason(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);
	struct vmk k;
	uint32_t len = kit_eth(frame, mac_c, mac_a, 0x0800, 60);

	vmk_make(&k, PG_WEB, mac_c);
	k.room = 3;
	for (unsigned i = 0; i < 1100; i++)
		kit_send(a, frame, len, len, NULL);
	for (unsigned i = 0; i < 40; i++)
		native_core_step();
	assert_int_equal(k.count, 3);
	for (unsigned i = 0; i < kit_vsw->port_count; i++) {
		const struct vsw_port *p = kit_vsw->ports[i];

		if (p->kind == VSW_PORT_VMK)
			assert_int_equal(p->count.drop[VSW_DROP_RX_FULL], 1097);
	}
	vmk_end(&k);
}

static uint32_t numbered(const uint8_t dst[6], const uint8_t src[6], uint32_t number, uint32_t payload)
{
	uint32_t len = kit_eth(frame, dst, src, 0x0800, payload);

	memcpy(frame + 14, &number, sizeof(number));
	return len;
}

static uint32_t number_of(const struct rte_mbuf *m)
{
	uint32_t number;

	memcpy(&number, rte_pktmbuf_mtod_offset(m, const uint8_t *, 14), sizeof(number));
	return number;
}

static const struct vsw_counters *vmk_counters(void)
{
	for (unsigned i = 0; i < kit_vsw->port_count; i++) {
		if (kit_vsw->ports[i]->kind == VSW_PORT_VMK)
			return &kit_vsw->ports[i]->count;
	}
	return NULL;
}

/*
 * Polls of one frame up to more than one poll of the uplink takes: what waits does so in the stage, in the ring, or in both. Every
 * `careful`th frame is not plain; 0: none is.
 */
static void order_is_kept(unsigned careful)
{
	static const unsigned polls[] = {1, 31, 32, 33, 64, 65, 200, 511, 513, 600, 2};
	uint32_t sent = 0;
	uint64_t bytes = 0;
	struct vmk k;

	kit_uplink(0);
	vmk_make(&k, PG_PLAIN, mac_c);
	for (unsigned i = 0; i < HV_ARRAY_LEN(polls); i++) {
		if (k.count + polls[i] > HV_ARRAY_LEN(k.in))
			break;
		for (unsigned n = 0; n < polls[i]; n++, sent++) {
			uint32_t len = numbered(mac_c, mac_x, sent, 46 + sent % 1000);

			kit_wire_put(0, frame, len, careful && sent % careful == 0 ? RTE_MBUF_F_RX_L4_CKSUM_BAD : 0);
			bytes += len;
		}
		for (unsigned turns = 0; turns < 1 + polls[i] / 50; turns++)
			native_core_step();
		assert_int_equal(k.count, sent);
		assert_int_equal(vmk_counters()->out_frames, sent);
		assert_int_equal(vmk_counters()->out_bytes, bytes);
	}
	assert_true(sent > 1024); /* more than the ring has places */
	for (uint32_t i = 0; i < k.count; i++)
		assert_int_equal(number_of(k.in[i]), i);
	vmk_end(&k);
}

static void a_vmk_gets_frames_in_their_order(void **state)
{
	order_is_kept(0);
}

static void a_vmk_gets_careful_frames_in_their_place(void **state)
{
	order_is_kept(7);
}

/* Two answers by another vmk to each frame before it looks at the next. */
static struct vmk answerer;

static unsigned answering_rx(void *arg, struct rte_mbuf **frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t number = number_of(frames[i]);

		vmk_rx(arg, &frames[i], 1);
		for (uint32_t k = 0; number < 1000 && k < 2; k++)
			vmk_send(&answerer, frame, numbered(mac_c, mac_b, 1000 + 2 * number + k, 46));
	}
	return n;
}

/* What comes for a port while its client looks at a burst does not change that burst. */
static void a_vmk_that_is_answered_while_it_receives(void **state)
{
	static const unsigned bursts[] = {1, 20, 80}; /* the first teaches the source's address; in the stage; beyond it */
	uint32_t sent = 0;
	struct vmk k = {.room = 2048};
	struct vsw_vmk_client client = {answering_rx, vmk_link, &k};

	kit_uplink(0);
	assert_int_equal(vsw_vmk_port_create(kit_vsw, PG_PLAIN, "vmk0", mac_c, &client, &k.port), 0);
	vmk_make(&answerer, PG_PLAIN, mac_b);
	for (unsigned b = 0; b < HV_ARRAY_LEN(bursts); b++) {
		for (uint32_t i = 0; i < bursts[b]; i++, sent++)
			kit_wire_put(0, frame, numbered(mac_c, mac_x, sent, 46), 0);
		for (unsigned i = 0; i < 8; i++)
			native_core_step();
		assert_int_equal(k.count, 3 * sent);
	}
	for (uint32_t i = 0, wire = 0, answers = 1000; i < k.count; i++)
		assert_int_equal(number_of(k.in[i]), number_of(k.in[i]) < 1000 ? wire++ : answers++);
	vmk_end(&answerer);
	vmk_end(&k);
}

static void a_vmk_that_goes_while_frames_wait(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);
	uint32_t len = kit_eth(frame, mac_c, mac_a, 0x0800, 60);
	struct vmk k;

	vmk_make(&k, PG_WEB, mac_c);
	for (unsigned i = 0; i < 40; i++)
		kit_send(a, frame, len, len, NULL);
	vmk_end(&k); /* kit_teardown counts the mbufs */
	assert_int_equal(k.count, 0);
	native_core_step(); /* nothing waits for it any more */
	vmk_make(&k, PG_WEB, mac_c);
	kit_send(a, frame, len, len, NULL);
	native_core_step();
	assert_int_equal(k.count, 1);
	vmk_end(&k);
}

static void guests_cannot_fill_an_uplink_for_storage(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0);
	struct vmk k;
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 60), n = 0;
	bool seen = false;

	kit_uplink(0);
	vmk_make(&k, PG_PLAIN, mac_c);
	for (unsigned i = 0; i < 3000; i++)
		kit_send(a, frame, len, len, NULL);
	assert_true(kit_uplink_drops(0, VSW_DROP_TX_FULL) > 0);
	len = kit_eth(frame, mac_y, mac_c, 0x0800, 60);
	vmk_send(&k, frame, len);
	vsw_vmk_flush(k.port);
	for (unsigned i = 0; i < 4; i++) { /* the wire moves again */
		uint32_t got;

		while ((got = kit_wire_out(0, out))) {
			seen = seen || !memcmp(out, mac_y, 6);
			n++;
		}
		native_core_step();
	}
	assert_true(seen);
	assert_int_equal(n + kit_uplink_drops(0, VSW_DROP_TX_FULL), 3001);
	vmk_end(&k);
}

static void vmks_hear_of_the_link(void **state)
{
	struct vmk k;

	vmk_make(&k, PG_PLAIN, mac_c);
	assert_false(vsw_vmk_link_up(k.port));
	kit_uplink(0);
	assert_true(k.link);
	assert_true(vsw_vmk_link_up(k.port));
	kit_link(0, false);
	assert_false(k.link);
	vmk_end(&k);
}

static void short_frames_leave_padded_with_zeros(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0);
	uint8_t zeros[60] = {0};
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 10);

	kit_uplink(0);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(kit_wire_out(0, out), 60);
	assert_memory_equal(out, frame, len);
	assert_memory_equal(out + len, zeros, 60 - len);
}

static void bad_frames_from_the_wire_are_counted(void **state)
{
	uint32_t len = kit_eth(frame, mac_a, mac_x, 0x0800, 1600);
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0);

	kit_uplink(0);
	kit_wire_in(0, frame, len, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_OVERSIZE), 1);
	kit_wire_in(0, frame, 13, 0);
	kit_wire_in(0, frame, 17, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_RUNT), 2);
	kit_tag(frame, 100, 4095);
	kit_wire_in(0, frame, 104, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_VLAN_UNKNOWN), 1);
	kit_eth(frame, mac_a, mac_x, 0x0800, 100);
	kit_tag(frame, 114, 0); /* priority-tagged: untagged */
	kit_wire_in(0, frame, 118, 0);
	assert_int_equal(a->count, 1);
}

struct sums {
	uint64_t in, out, drops, reasons;
	unsigned ports;
};

static void add_up(void *arg, const struct vsw_port_info *info)
{
	struct sums *s = arg;

	s->ports++;
	s->in += info->counters->in_frames;
	s->out += info->counters->out_frames;
	s->drops += info->counters->drops;
	for (unsigned i = 0; i < VSW_DROP_COUNT; i++)
		s->reasons += info->counters->drop[i];
}

static void every_unicast_frame_is_accounted_for(void **state)
{
	struct guest *g[3] = {kit_guest(PG_PLAIN, mac_a, 0), kit_guest(PG_PLAIN, mac_b, 0), kit_guest(PG_WEB, mac_c, 0)};
	const uint8_t *macs[] = {mac_a, mac_b, mac_c, mac_x, mac_y};
	struct sums s = {0};

	kit_uplink(0);
	srand(3);
	for (unsigned i = 0; i < 5000; i++) {
		unsigned from = (unsigned)rand() % 4;
		uint32_t len = kit_eth(frame, macs[rand() % 5], macs[from < 3 && rand() % 4 ? from : (unsigned)rand() % 5], 0x0800,
			(uint32_t)rand() % 1600);

		if (rand() % 8 == 0)
			len = kit_tag(frame, len, (uint16_t)(rand() % 40));
		if (i % 100 == 0) {
			for (unsigned k = 0; k < 3; k++) {
				kit_guest_forget(g[k]);
				g[k]->room = (unsigned)rand() % 30;
			}
		}
		if (from < 3)
			kit_send(g[from], frame, HV_MIN(len, (uint32_t)(1 + rand() % 1600)), 300, NULL);
		else
			kit_wire_in(0, frame, len, 0);
		while (kit_wire_out(0, out))
			;
	}
	vsw_port_foreach(kit_vsw, add_up, &s);
	assert_int_equal(s.ports, 4);
	assert_int_equal(s.in, s.out + s.drops);
	assert_int_equal(s.drops, s.reasons);
	assert_int_equal(s.in, 5000);
}

static void reasons_have_names_and_texts(void **state)
{
	for (unsigned i = 0; i < VSW_DROP_COUNT; i++) {
		assert_true(strlen(vsw_drop_name(i)) > 3);
		assert_true(strlen(vsw_drop_text(i)) > 10);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(vsw_drop_name(i), vsw_drop_name(k));
	}
}

static void configuration_out_of_range_is_refused(void **state)
{
	struct vsw *v;
	static struct vsw_config c;

	c = kit_vsw->config;
	c.portgroups[0].vswitch = 1;
	assert_int_equal(vsw_create(&c, 0, &v), -EINVAL);
	c = kit_vsw->config;
	c.portgroups[0].vlan = 4095;
	assert_int_equal(vsw_create(&c, 0, &v), -EINVAL);
	c = kit_vsw->config;
	c.switches[0].uplinks[1] = KIT_UPLINKS;
	assert_int_equal(vsw_create(&c, 0, &v), -EINVAL);
	c = kit_vsw->config;
	c.switches[0].teaming.active_count = VSW_MAX_UPLINKS + 1;
	assert_int_equal(vsw_create(&c, 0, &v), -EINVAL);
	c = kit_vsw->config;
	c.portgroups[1].teaming.standby_count = 1;
	c.portgroups[1].teaming.standby[0] = KIT_UPLINKS;
	assert_int_equal(vsw_create(&c, 0, &v), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vmk_gets_private_frames_with_finished_checksums),
		TEST(a_vmk_that_is_full_drops_with_a_reason),
		TEST(a_vmk_gets_frames_in_their_order),
		TEST(a_vmk_gets_careful_frames_in_their_place),
		TEST(a_vmk_that_is_answered_while_it_receives),
		TEST(a_vmk_that_goes_while_frames_wait),
		TEST(guests_cannot_fill_an_uplink_for_storage),
		TEST(vmks_hear_of_the_link),
		TEST(short_frames_leave_padded_with_zeros),
		TEST(bad_frames_from_the_wire_are_counted),
		TEST(every_unicast_frame_is_accounted_for),
		TEST(reasons_have_names_and_texts),
		TEST(configuration_out_of_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
