/*
 * A trunk (VGT): the guest's tags choose the VLAN, untagged frames are of the native one, and the answers come with their tags; a VLAN that is not
 * on the list, and a second tag, lead nowhere.
 */
#include "nic/nic.h"

enum { TRUNK, WEB, DEV, NATIVE, OTHER, COUNT, OTHER_TOO = COUNT };

static void marker(unsigned from, unsigned to, uint16_t tag)
{
	struct frame f = frame_make(nic_mac(to), nic_mac(from), tag, NIC_MARKER_TYPE, 0);

	nic_send(from, &f);
}

static void send(unsigned nic, const struct frame *f, const struct frame *const want[COUNT])
{
	nic_send(nic, f);
	marker(WEB, TRUNK, 0);
	marker(TRUNK, WEB, 20);
	marker(TRUNK, DEV, 30);
	marker(TRUNK, NATIVE, 0);
	marker(OTHER_TOO, OTHER, 0);
	nic_arrived(COUNT, want);
}

int main(void)
{
	struct frame plain, f, want;

	nic_start_all(COUNT + 1);
	plain = frame_make(NIC_BROADCAST, nic_mac(TRUNK), 0, NIC_TEST_TYPE, 1);
	f = frame_tagged(&plain, 20);
	send(TRUNK, &f, (const struct frame *[]){[WEB] = &plain, [COUNT] = 0});
	f = frame_tagged(&plain, 0xa000 | 30); /* priority 5 */
	send(TRUNK, &f, (const struct frame *[]){[DEV] = &plain, [COUNT] = 0});
	send(TRUNK, &plain, (const struct frame *[]){[NATIVE] = &plain, [COUNT] = 0});
	f = frame_tagged(&plain, 50);
	send(TRUNK, &f, (const struct frame *[]){[COUNT] = 0});
	f = frame_tagged(&plain, 20);
	f = frame_tagged(&f, 30); /* two tags, both allowed */
	send(TRUNK, &f, (const struct frame *[]){[COUNT] = 0});
	for (unsigned from = WEB; from <= NATIVE; from++) { /* the way back */
		static const uint16_t tags[] = {[WEB] = 20, [DEV] = 30};

		f = frame_make(nic_mac(TRUNK), nic_mac(from), 0, NIC_TEST_TYPE, (uint8_t)(10 + from));
		want = from == NATIVE ? f : frame_tagged(&f, tags[from]);
		send(from, &f, (const struct frame *[]){[TRUNK] = &want, [COUNT] = 0});
	}
	guest_print("tags choose the VLAN\n");
	return 0;
}
