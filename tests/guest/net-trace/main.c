/*
 * A trace says what becomes of a frame: the guest sends frames of all kinds and prints where each arrived; then the runner asks the host to trace
 * the same frames ("@seen FROM HEX [TO...]") and compares.
 */
#include "nic/nic.h"

enum { WEB, WEB_TOO, DEV, TRUNK, COUNT };

static void markers(void)
{
	struct frame f;

	for (unsigned i = WEB; i <= DEV; i++) {
		f = frame_make(nic_mac(i), nic_mac(TRUNK), i == DEV ? 30 : 20, NIC_MARKER_TYPE, 0);
		nic_send(TRUNK, &f);
	}
	f = frame_make(nic_mac(TRUNK), nic_mac(WEB), 0, NIC_MARKER_TYPE, 0);
	nic_send(WEB, &f);
}

static void print_nic(unsigned nic)
{
	const char name[] = {' ', 'g', 'u', 'e', 's', 't', '.', 'n', 'i', 'c', (char)('0' + nic), 0};

	guest_print(name);
}

static void try(unsigned nic, struct frame f)
{
	static const char digits[] = "0123456789abcdef";
	struct frame got;

	guest_print("@seen");
	print_nic(nic);
	guest_print(" ");
	for (uint32_t i = 0; i < f.len; i++)
		guest_print((const char[]){digits[f.bytes[i] >> 4], digits[f.bytes[i] & 15], 0});
	nic_send(nic, &f);
	markers();
	for (unsigned i = 0; i < COUNT; i++) {
		if (nic_until_marker(i, &got))
			print_nic(i);
	}
	guest_print("\n");
}

int main(void)
{
	static const uint8_t nobody[6] = {0x52, 0x54, 0, 0xaa, 0, 0x99}, control[6] = {0x01, 0x80, 0xc2, 0, 0, 0x0e};
	const uint8_t *web, *web_too, *dev, *trunk;
	struct frame f;

	nic_start_all(COUNT);
	web = nic_mac(WEB), web_too = nic_mac(WEB_TOO), dev = nic_mac(DEV), trunk = nic_mac(TRUNK);
	try(WEB, frame_make(NIC_BROADCAST, web, 0, NIC_TEST_TYPE, 1));
	try(WEB, frame_make(web_too, web, 0, NIC_TEST_TYPE, 2));
	try(WEB, frame_make(trunk, web, 0, NIC_TEST_TYPE, 3));
	try(WEB, frame_make(dev, web, 0, NIC_TEST_TYPE, 4));
	try(WEB, frame_make(nobody, web, 0, NIC_TEST_TYPE, 5));
	try(WEB, frame_make(web_too, nobody, 0, NIC_TEST_TYPE, 6));  /* forged source */
	try(WEB, frame_make(web_too, web_too, 0, NIC_TEST_TYPE, 7)); /* another's */
	try(WEB, frame_make(NIC_BROADCAST, web, 20, NIC_TEST_TYPE, 8));
	try(WEB, frame_make(control, web, 0, NIC_TEST_TYPE, 9));
	try(WEB, frame_make(web, web, 0, NIC_TEST_TYPE, 10)); /* to itself */
	try(TRUNK, frame_make(NIC_BROADCAST, trunk, 20, NIC_TEST_TYPE, 11));
	try(TRUNK, frame_make(NIC_BROADCAST, trunk, 30, NIC_TEST_TYPE, 12));
	try(TRUNK, frame_make(NIC_BROADCAST, trunk, 50, NIC_TEST_TYPE, 13));
	try(TRUNK, frame_make(NIC_BROADCAST, trunk, 0, NIC_TEST_TYPE, 14));
	f = frame_make(NIC_BROADCAST, trunk, 30, NIC_TEST_TYPE, 15);
	try(TRUNK, frame_tagged(&f, 20));
	guest_print("@trace\n"); /* all of them, now */
	while (!(inb(0x3fd) & 1))
		__asm__ volatile("pause");
	return 0;
}
