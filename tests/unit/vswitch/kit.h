/*
 * A switch on a test bench: guests that remember what they got, uplinks whose wire is a pair of rings, frames made from a few words.
 * Uplinks up0, up1, up2 in explicit failover order without failback and notification, port groups web (VLAN 20), db (VLAN 30), plain
 * (untagged), open (VLAN 20, all policies allowed), trunk (VLANs 20 to 29 and 40, untagged: native VLAN 30), strict (VLANs 20 and 30
 * without a native one), small (VLAN 20, MTU 1400); of the private VLAN 100: promiscuous, isolated (101), the communities blue (110) and
 * green (120), nested (promiscuous, all policies allowed).
 */
#ifndef VSWITCH_KIT_H
#define VSWITCH_KIT_H

#include "test.h"

#include "switch.h"

#include <hv/netport.h>

#define FRAME_MAX 70000
#define INBOX 256
#define KIT_UPLINKS 3

enum { PG_WEB, PG_DB, PG_PLAIN, PG_OPEN, PG_TRUNK, PG_TRUNK_STRICT, PG_SMALL, PG_PROMISCUOUS, PG_ISOLATED, PG_BLUE, PG_GREEN, PG_NESTED };

struct received {
	uint8_t *bytes;
	uint32_t len;
	struct netport_offload off;
};

struct guest {
	struct netport *np;
	struct netport_client client;
	unsigned room; /* frames it takes in all */
	unsigned count, flushes;
	unsigned direct; /* of those: without an mbuf */
	struct received in[INBOX];
};

extern struct vsw *kit_vsw;

int kit_setup(void **state);
/* Destroys everything; fails when an mbuf is missing. */
int kit_teardown(void **state);
/* After the last test of the program: ends DPDK's environment. */
int kit_end(void **state);

struct guest *kit_guest(unsigned portgroup, const uint8_t mac[6], uint32_t features);
void kit_guest_forget(struct guest *g);
/* Joins uplink `i` to a ring device. */
void kit_uplink(unsigned i);
void kit_link(unsigned i, bool up);
/* The same, unnoticed as yet. */
void kit_link_set(unsigned i, bool up);

/* Another teaming for vSwitch0, on the running switch. */
void kit_teaming(const struct vsw_teaming_config *t);

/* Builds an Ethernet frame: addresses, ethertype, payload bytes of a pattern; returns its length. */
uint32_t kit_eth(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6], uint16_t type, uint32_t payload);
uint32_t kit_tag(uint8_t *frame, uint32_t len, uint16_t vlan);
/* IPv4 or IPv6 + TCP with payload; the checksum field holds the pseudo-header sum only when partial, else it is complete. */
uint32_t kit_tcp(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6], bool ipv6, uint32_t payload, bool partial);
/* Checks IPv4 header and L4 checksums of a frame. */
bool kit_checksums_good(const uint8_t *frame, uint32_t len);

/* Sends one frame from the guest in segments of seg_len bytes and flushes. */
void kit_send(struct guest *g, const uint8_t *frame, uint32_t len, uint32_t seg_len, const struct netport_offload *off);
/* Puts a frame on the wire of an uplink and steps the core. */
void kit_wire_in(unsigned uplink, const uint8_t *frame, uint32_t len, uint64_t rx_flags);
/* The same without a step: several arrive in one burst. */
void kit_wire_put(unsigned uplink, const uint8_t *frame, uint32_t len, uint64_t rx_flags);
/* Takes a frame off the wire; 0 = none. */
uint32_t kit_wire_out(unsigned uplink, uint8_t *frame);

uint64_t kit_drops(const struct guest *g, enum vsw_drop reason);
uint64_t kit_uplink_drops(unsigned i, enum vsw_drop reason);
struct vsw_port *kit_port(const struct guest *g);

extern const uint8_t mac_a[6], mac_b[6], mac_c[6], mac_x[6], mac_y[6], mac_broadcast[6];

#endif
