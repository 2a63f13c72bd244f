/*
 * Contract: a switch port. hv knows frames as segments of guest memory with offload notes; it knows no mbuf and no switch.
 * A virtual NIC (frontend) holds a struct netport (the switch's side) and offers struct netport_client (its own side).
 * All calls are in loop context on the port's core. Bursts: the callee returns how many it took; the caller keeps the rest.
 */
#ifndef HV_NETPORT_H
#define HV_NETPORT_H

#include <hv/types.h>

#define NETPORT_BURST 32

enum netport_gso { NETPORT_GSO_NONE, NETPORT_GSO_TCPV4, NETPORT_GSO_TCPV6, NETPORT_GSO_UDP_L4 };

struct netport_offload {
	bool needs_csum; /* checksum from csum_start to the end goes to csum_start + csum_offset; the pseudo-header sum is there already */
	bool csum_valid; /* receive: L4 checksum known good */
	uint8_t gso;     /* enum netport_gso */
	uint8_t ecn;     /* TSO with ECN */
	uint16_t gso_size; /* payload bytes per segment */
	uint16_t hdr_len;  /* headers to repeat (a hint; the switch parses for itself) */
	uint16_t csum_start, csum_offset;
};

/* A frame to send: its bytes are copied out before tx_burst returns. */
struct netport_frame {
	const struct hv_seg *segs;
	uint16_t nsegs;
	uint32_t len; /* bytes, Ethernet header first, no FCS */
	struct netport_offload off;
};

/* A frame the switch delivers: read-only segments, valid during the call. */
typedef struct netport_frame netport_rx_frame;

/* Bytes of a plain frame. */
#define NETPORT_PLAIN_MIN 24
#define NETPORT_PLAIN_MAX 0x4000
#define NETPORT_HEAD 20

/*
 * A frame from one guest to another, which no copy of the switch's lies between: its first bytes are what the switch has read, once, and
 * checked; the rest is in the sender's memory, which may change at any time.
 */
struct netport_direct {
	uint8_t head[NETPORT_HEAD]; /* all of it may be read; the frame is at least as long */
	uint32_t head_bytes;        /* of it that belong to the frame */
	const void *rest;           /* what follows; valid during the call; it may overlap the receiver's memory (one VM, two NICs) */
	uint32_t bytes; /* of the frame, the head's included */
};

enum netport_feature {
	NETPORT_F_CSUM = 1u << 0, /* the side accepts frames with partial checksums */
	NETPORT_F_TSO4 = 1u << 1,
	NETPORT_F_TSO6 = 1u << 2,
	NETPORT_F_USO = 1u << 3,
	NETPORT_F_ECN = 1u << 4,
};

struct netport;

struct netport_client {
	/* The switch delivers; returns how many frames the guest had room for. The switch counts and drops the rest. */
	unsigned (*rx_burst)(void *arg, const netport_rx_frame *frames, unsigned n);
	/* The same for frames from other guests' memory, of NETPORT_PLAIN_MAX bytes at most. May be NULL. */
	unsigned (*rx_direct)(void *arg, const struct netport_direct *frames, unsigned n);
	/* The end of a delivery round: raise the guest's interrupt once. May be NULL. */
	void (*rx_flush)(void *arg);
	/* Link state or MTU changed. May be NULL. */
	void (*changed)(void *arg);
	void *arg;
};

struct netport_ops {
	/* Takes frames into the switch; returns how many were taken (a policy drop counts as taken). */
	unsigned (*tx_burst)(struct netport *port, const struct netport_frame *frames, unsigned n);
	/*
	 * The same for plain frames, which are the most: one segment, no offload, NETPORT_PLAIN_MIN to NETPORT_PLAIN_MAX bytes. They are copied
	 * out, or delivered, before it returns. May be NULL: then tx_burst takes them.
	 */
	unsigned (*tx_plain)(struct netport *port, const struct hv_seg *frames, unsigned n);
	/* The end of a sending round: the switch may push what it gathered. May be NULL. */
	void (*tx_flush)(struct netport *port);
	/* Attaches the frontend; client stays valid until set to NULL. */
	void (*set_client)(struct netport *port, const struct netport_client *client);
	/* What the guest driver accepted (enum netport_feature). Frames delivered use no other offload. */
	void (*set_features)(struct netport *port, uint32_t features);
	/* The guest changed its MAC or its receive filter. The switch's policy decides. */
	void (*set_mac)(struct netport *port, const uint8_t mac[6]);
	void (*set_filter)(struct netport *port, bool promisc, bool allmulti);
};

struct netport {
	const struct netport_ops *ops;
	const char *name;
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t core;
	bool link_up;
	uint32_t features; /* what the switch offers to the guest, enum netport_feature */
};

#endif
