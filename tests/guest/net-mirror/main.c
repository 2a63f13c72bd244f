/*
 * A mirrored port: what it sends and what it gets arrives as before, and once more, with its VLAN's tag, at the session's destination; what passes by
 * it, and the destination's own frames, are not mirrored.
 */
#include "nic/nic.h"

enum { SOURCE, PEER, DESTINATION, THIRD, NEIGHBOUR, COUNT };

static struct frame send(unsigned from, unsigned to, uint8_t number)
{
	struct frame f = frame_make(nic_mac(to), nic_mac(from), 0, NIC_TEST_TYPE, number), got;

	nic_send(from, &f);
	nic_expect(to, &got);
	CHECK(frame_same(&got, &f));
	return f;
}

static void copied(const struct frame *f)
{
	struct frame want = frame_tagged(f, 20), got;

	nic_expect(DESTINATION, &got);
	CHECK(frame_same(&got, &want));
}

int main(void)
{
	struct frame f, got;

	nic_start_all(COUNT);
	f = frame_make(nic_mac(DESTINATION), nic_mac(NEIGHBOUR), 0, NIC_MARKER_TYPE, 0);
	nic_send(NEIGHBOUR, &f);
	nic_until_marker(DESTINATION, &got); /* what was sent to start the NICs may have been mirrored */
	f = send(SOURCE, PEER, 1);
	copied(&f);
	f = send(PEER, SOURCE, 2);
	copied(&f);
	f = frame_make(NIC_BROADCAST, nic_mac(SOURCE), 0, NIC_TEST_TYPE, 3);
	nic_send(SOURCE, &f);
	copied(&f); /* one copy, however many it goes to */
	nic_expect(PEER, &got);
	nic_expect(THIRD, &got);
	send(PEER, THIRD, 4);
	send(NEIGHBOUR, DESTINATION, 5); /* the next that it gets */
	f = send(SOURCE, THIRD, 6);
	copied(&f);
	for (unsigned i = 0; i < COUNT; i++)
		CHECK(!nic_receive(i, &got));
	guest_print("each frame was copied once\n");
	return 0;
}
