/*
 * Fuzzes the readers of LLDP and CDP with frames of any bytes. The first byte chooses the protocol and whether what is behind it is put
 * behind correct headers (and, for CDP, under a correct checksum), so that the fuzzer reaches the TLVs at once.
 *
 * Checked: texts end inside their arrays and are printable, VLANs are VLANs.
 *
 * fuzz: vswitch/lldp.c vswitch/cdp.c hv/kern/format.c
 * fuzz-flags: -Ivswitch -Ivswitch/include -I/usr/include/dpdk -I/usr/include/x86_64-linux-gnu/dpdk -include rte_config.h
 */
#include "discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond) ((cond) ? (void)0 : failed(#cond, __LINE__))

static _Noreturn void failed(const char *what, int line)
{
	fprintf(stderr, "neighbors fuzz, line %d: not so: %s\n", line, what);
	abort();
}

static void check_text(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	CHECK(len < size);
	for (size_t i = 0; i < len; i++)
		CHECK(text[i] >= 0x20 && text[i] < 0x7f);
}

static void check_neighbor(const struct vsw_neighbor *n)
{
	check_text(n->chassis, sizeof(n->chassis));
	check_text(n->port, sizeof(n->port));
	check_text(n->port_description, sizeof(n->port_description));
	check_text(n->system_name, sizeof(n->system_name));
	check_text(n->platform, sizeof(n->platform));
	check_text(n->address, sizeof(n->address));
	CHECK(n->vlan_count <= VSW_NEIGHBOR_VLANS);
	for (unsigned i = 0; i < n->vlan_count; i++)
		CHECK(n->vlans[i] && n->vlans[i] <= VSW_VLAN_MAX);
	CHECK(!n->has_vlan || (n->vlan && n->vlan <= VSW_VLAN_MAX));
}

/* RFC 1071 over an even number of bytes, or one more zero. */
static void seal_cdp(uint8_t *frame, uint32_t len)
{
	uint32_t sum = 0;

	frame[12] = (uint8_t)((len - 14) >> 8);
	frame[13] = (uint8_t)(len - 14);
	frame[24] = frame[25] = 0;
	for (uint32_t i = 22; i < len; i++)
		sum += i & 1 ? frame[i] : (uint32_t)frame[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	frame[24] = (uint8_t)(~sum >> 8);
	frame[25] = (uint8_t)~sum;
}

static uint32_t build(uint8_t *frame, uint8_t how, const uint8_t *data, uint32_t size)
{
	static const uint8_t cdp[26] = {
		0x01, 0, 0x0c, 0xcc, 0xcc, 0xcc, 2, 2, 2, 2, 2, 2, 0, 0, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2, 180};
	static const uint8_t lldp[26] = {
		0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 2, 2, 2, 2, 2, 0x88, 0xcc, 0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9};
	uint32_t head = how & 2 ? 26 : 14;

	memcpy(frame, how & 1 ? cdp : lldp, 26);
	memcpy(frame + head, data, size);
	if ((how & 3) == 3)
		seal_cdp(frame, head + size);
	return head + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vsw_neighbor n;
	uint8_t *frame;
	uint32_t len;
	bool other, good;

	if (size < 1 || size > 9000)
		return 0;
	frame = malloc(26 + size);
	len = build(frame, data[0], data + 1, (uint32_t)size - 1);
	frame = realloc(frame, len); /* so that a read behind the end is found */
	good = data[0] & 1 ? vsw_cdp_read(frame, len, &n, &other) : vsw_lldp_read(frame, len, &n);
	if (good)
		check_neighbor(&n);
	free(frame);
	return 0;
}
