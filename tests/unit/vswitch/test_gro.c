/* Receive offload: segments of a wire arrive as one stream, in order and complete, in fewer frames; what must stay apart does. */
#include "kit.h"

#include <stdlib.h>

#define ALL (NETPORT_F_CSUM | NETPORT_F_TSO4 | NETPORT_F_TSO6 | NETPORT_F_ECN)
#define HEADERS 54u
#define FLOWS 3u
#define GOOD RTE_MBUF_F_RX_L4_CKSUM_GOOD
#define ACK 0x10
#define PSH 0x08

static uint8_t frame[FRAME_MAX];

struct segment {
	unsigned flow;
	uint32_t at, len; /* of the flow's stream */
	uint8_t flags, tos;
	uint64_t rx_flags;
	bool bad_ip_checksum;
};

/* The byte of a flow's stream at a position. */
static uint8_t byte_at(unsigned flow, uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) * 13 + flow * 101);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void finish_ip_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~((sum & 0xffff) + (sum >> 16)));
}

static void put(const struct segment *s)
{
	uint32_t len = kit_tcp(frame, mac_a, mac_x, false, s->len, false);
	uint8_t *ip = frame + 14, *tcp = ip + 20;
	uint32_t seq = 1000 + s->at;

	ip[1] = s->tos;
	finish_ip_checksum(ip);
	if (s->bad_ip_checksum)
		ip[10] ^= 0x55;
	put16(tcp, 5000 + s->flow);
	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq);
	tcp[13] = s->flags;
	for (uint32_t i = 0; i < s->len; i++)
		frame[HEADERS + i] = byte_at(s->flow, s->at + i);
	kit_wire_put(0, frame, len, s->rx_flags);
}

/* Follows one flow through what the guest got. Returns its frames. */
static unsigned follow(const struct guest *g, unsigned flow, uint32_t *total)
{
	unsigned frames = 0;

	*total = 0;
	for (unsigned i = 0; i < g->count; i++) {
		const struct received *r = &g->in[i];
		const uint8_t *ip = r->bytes + 14, *tcp = ip + 20;

		if ((uint32_t)(tcp[0] << 8 | tcp[1]) != 5000 + flow)
			continue;
		frames++;
		assert_int_equal(ip[2] << 8 | ip[3], r->len - 14);
		assert_int_equal(get32(tcp + 4), 1000 + *total);
		for (uint32_t k = HEADERS; k < r->len; k++)
			assert_int_equal(r->bytes[k], byte_at(flow, *total + k - HEADERS));
		*total += r->len - HEADERS;
	}
	return frames;
}

/* A merged frame as a guest's kernel judges it: the IP checksum is right, the other field holds the sum of the pseudo-header. */
static void check_merged(const struct received *r)
{
	const uint8_t *ip = r->bytes + 14;
	uint32_t sum = 0, pseudo = 6 + r->len - 34;

	assert_int_equal(r->off.gso, NETPORT_GSO_TCPV4);
	assert_true(r->off.needs_csum);
	assert_int_equal(r->off.csum_start, 34);
	assert_int_equal(r->off.csum_offset, 16);
	assert_int_equal(r->off.hdr_len, HEADERS);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	for (unsigned i = 12; i < 20; i += 2)
		pseudo += (uint32_t)ip[i] << 8 | ip[i + 1];
	pseudo = (pseudo & 0xffff) + (pseudo >> 16);
	assert_int_equal(ip[36] << 8 | ip[37], (pseudo & 0xffff) + (pseudo >> 16));
}

static void a_stream_becomes_one_frame(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, ALL);
	uint32_t total;

	kit_uplink(0);
	for (unsigned i = 0; i < 20; i++)
		put(&(struct segment){.at = i * 1448, .len = 1448, .flags = ACK, .rx_flags = GOOD});
	native_core_step();
	assert_int_equal(a->count, 1);
	assert_int_equal(a->in[0].off.gso_size, 1448);
	check_merged(&a->in[0]);
	assert_int_equal(follow(a, 0, &total), 1);
	assert_int_equal(total, 20 * 1448);
	assert_int_equal(kit_port(a)->count.out_coalesced, 19);
	assert_int_equal(kit_port(a)->count.out_frames, 1);
}

static void a_guest_without_large_frames_gets_segments(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, NETPORT_F_CSUM);

	kit_uplink(0);
	for (unsigned i = 0; i < 20; i++)
		put(&(struct segment){.at = i * 1448, .len = 1448, .flags = ACK, .rx_flags = GOOD});
	native_core_step();
	assert_int_equal(a->count, 20);
	assert_int_equal(kit_port(a)->count.out_coalesced, 0);
}

static void stays_apart(struct guest *a, struct segment first, struct segment second)
{
	kit_guest_forget(a);
	put(&first);
	put(&second);
	native_core_step();
	assert_int_equal(a->count, 2);
	assert_int_equal(a->in[0].off.gso, NETPORT_GSO_NONE);
}

static void what_differs_stays_apart(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, ALL);
	struct segment one = {.len = 1000, .flags = ACK, .rx_flags = GOOD}, two = {.at = 1000, .len = 1000, .flags = ACK, .rx_flags = GOOD},
		       x;

	kit_uplink(0);
	stays_apart(a, one, (x = two, x.tos = 3, x)); /* congestion experienced */
	stays_apart(a, one, (x = two, x.flags = ACK | PSH, x));
	stays_apart(a, one, (x = two, x.flags = ACK | 0x40, x)); /* ECE */
	stays_apart(a, one, (x = two, x.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD, x));
	stays_apart(a, one, (x = two, x.rx_flags = 0, x));
	stays_apart(a, one, (x = two, x.bad_ip_checksum = true, x));
	stays_apart(a, one, (x = two, x.at = 1001, x));
	stays_apart(a, one, (x = two, x.flow = 1, x));
	kit_guest_forget(a);
	put(&one);
	put(&two);
	native_core_step();
	assert_int_equal(a->count, 1); /* so the tests above saw the difference */
}

static struct segment random_segment(uint32_t at[FLOWS])
{
	unsigned flow = (unsigned)rand() % FLOWS;
	struct segment s = {.flow = flow, .at = at[flow], .len = 1 + (uint32_t)rand() % 1448, .flags = ACK, .rx_flags = GOOD};

	if (rand() % 8 == 0)
		s.flags |= PSH;
	if (rand() % 16 == 0)
		s.tos = 3;
	if (rand() % 16 == 0)
		s.rx_flags = 0;
	at[flow] += s.len;
	return s;
}

static void random_streams_arrive_whole_and_in_order(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, ALL);

	kit_uplink(0);
	srand(1);
	for (unsigned round = 0; round < 300; round++) {
		uint32_t at[FLOWS] = {0}, total;
		unsigned n = 1 + (unsigned)rand() % 60;

		kit_guest_forget(a);
		for (unsigned i = 0; i < n; i++) {
			struct segment s = random_segment(at);

			put(&s);
		}
		for (unsigned i = 0; i < 4; i++)
			native_core_step();
		for (unsigned flow = 0; flow < FLOWS; flow++) {
			follow(a, flow, &total);
			assert_int_equal(total, at[flow]);
		}
		for (unsigned i = 0; i < a->count; i++) {
			if (a->in[i].off.gso)
				check_merged(&a->in[i]);
		}
	}
	assert_true(kit_port(a)->count.out_coalesced > 2000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_becomes_one_frame),
		TEST(a_guest_without_large_frames_gets_segments),
		TEST(what_differs_stays_apart),
		TEST(random_streams_arrive_whole_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
