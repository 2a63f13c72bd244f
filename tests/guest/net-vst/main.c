/*
 * VLANs of port groups (VST): what a NIC in VLAN 20 sends untagged reaches NICs of VLAN 20 untagged and a trunk tagged, and no NIC of VLAN 30;
 * a tag of the guest's own is no way there.
 */
#include "nic/nic.h"

enum { WEB, WEB_TOO, DEV, TRUNK, COUNT };

/* To each NIC, the same way as all before. */
static void markers(void)
{
	for (unsigned i = WEB; i <= DEV; i++) {
		struct frame f = frame_make(nic_mac(i), nic_mac(TRUNK), i == DEV ? 30 : 20, NIC_MARKER_TYPE, 0);
		nic_send(TRUNK, &f);
	}
	struct frame f = frame_make(nic_mac(TRUNK), nic_mac(WEB), 0, NIC_MARKER_TYPE, 0);
	nic_send(WEB, &f);
}

static void send(unsigned nic, const struct frame *f, const struct frame *const want[COUNT])
{
	nic_send(nic, f);
	markers();
	nic_arrived(COUNT, want);
}

int main(void)
{
	struct frame f, tagged;

	nic_start_all(COUNT);
	f = frame_make(NIC_BROADCAST, nic_mac(WEB), 0, NIC_TEST_TYPE, 1);
	tagged = frame_tagged(&f, 20);
	send(WEB, &f, (const struct frame *[]){[WEB_TOO] = &f, [TRUNK] = &tagged, [COUNT] = 0});
	f = frame_make(nic_mac(WEB_TOO), nic_mac(WEB), 0, NIC_TEST_TYPE, 2);
	send(WEB, &f, (const struct frame *[]){[WEB_TOO] = &f, [COUNT] = 0});
	f = frame_make(nic_mac(DEV), nic_mac(WEB), 0, NIC_TEST_TYPE, 3); /* its address is in another VLAN */
	send(WEB, &f, (const struct frame *[]){[COUNT] = 0});
	f = frame_make(NIC_BROADCAST, nic_mac(WEB), 30, NIC_TEST_TYPE, 4); /* tags itself */
	send(WEB, &f, (const struct frame *[]){[COUNT] = 0});
	f = frame_make(NIC_BROADCAST, nic_mac(DEV), 0, NIC_TEST_TYPE, 5);
	tagged = frame_tagged(&f, 30);
	send(DEV, &f, (const struct frame *[]){[TRUNK] = &tagged, [COUNT] = 0});
	guest_print("VLANs are apart\n");
	return 0;
}
