/*
 * Failover: three uplinks of two vSwitches are on one hub, so NIC 1 is a machine outside for NIC 0. The cable of the uplink that NIC 0 sends by is
 * cut ("@cut up0"): a RARP tells where NIC 0 is now, NIC 0 is asked for its multicast groups, and frames go on in both directions, once each.
 * Hub: all uplinks
 * Machines: amd (the Intel machine has one network card, and a cable that nobody can pull out)
 */
#include "nic/nic.h"

enum { INSIDE, OUTSIDE, COUNT };

#define TYPE_RARP 0x8035
#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd

static unsigned rarps, igmp_queries, mld_queries;

static bool is_from(const struct frame *f, unsigned nic)
{
	for (unsigned i = 0; i < 6; i++) {
		if (f->bytes[6 + i] != nic_mac(nic)[i])
			return false;
	}
	return true;
}

/* Is it a frame of the test? Counts what the host sends. */
static bool look(unsigned nic, const struct frame *f)
{
	uint16_t type = frame_type(f);

	rarps += nic == OUTSIDE && type == TYPE_RARP && is_from(f, INSIDE);
	igmp_queries += nic == INSIDE && type == TYPE_IPV4 && f->bytes[14 + 9] == 2 && f->bytes[14 + 24] == 0x11;
	mld_queries += nic == INSIDE && type == TYPE_IPV6 && f->bytes[14 + 48] == 130;
	return type == NIC_TEST_TYPE;
}

static void expect(unsigned nic, const struct frame *want)
{
	struct frame got;

	do
		nic_expect(nic, &got);
	while (!look(nic, &got));
	CHECK(frame_same(&got, want));
}

/* A frame that came twice would be taken for the next. Floods outside come in by the uplink that is used, and by no other. */
static void both_ways(uint8_t number)
{
	struct frame out = frame_make(nic_mac(OUTSIDE), nic_mac(INSIDE), 0, NIC_TEST_TYPE, number);
	struct frame in = frame_make(NIC_BROADCAST, nic_mac(OUTSIDE), 0, NIC_TEST_TYPE, (uint8_t)(number + 1));

	nic_send(INSIDE, &out);
	expect(OUTSIDE, &out);
	nic_send(OUTSIDE, &in);
	expect(INSIDE, &in);
}

/* The links come up after the VM has started. */
static void wait_for_links(void)
{
	struct frame out = frame_make(NIC_BROADCAST, nic_mac(INSIDE), 0, NIC_MARKER_TYPE, 0), in = frame_make(NIC_BROADCAST, nic_mac(OUTSIDE), 0, NIC_MARKER_TYPE, 0);
	bool outside = false, inside = false;
	struct frame got;

	while (!outside || !inside) {
		nic_send(INSIDE, &out);
		nic_send(OUTSIDE, &in);
		for (uint32_t i = 0; i < 100000; i++) {
			if (nic_receive(OUTSIDE, &got))
				outside = true;
			if (nic_receive(INSIDE, &got))
				inside = true;
		}
	}
}

int main(void)
{
	struct frame got;

	nic_start_all(COUNT);
	wait_for_links();
	both_ways(1);
	both_ways(3);
	rarps = igmp_queries = mld_queries = 0;
	guest_print("@cut up0\n");
	while (!rarps) {
		nic_expect(OUTSIDE, &got);
		CHECK(!look(OUTSIDE, &got));
	}
	both_ways(5);
	both_ways(7);
	while (!igmp_queries || !mld_queries) {
		nic_expect(INSIDE, &got);
		CHECK(!look(INSIDE, &got));
	}
	both_ways(9);
	CHECK(rarps == 1 && igmp_queries == 1 && mld_queries == 1);
	guest_print("it goes on by the other uplink\n");
	return 0;
}
