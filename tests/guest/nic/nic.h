/*
 * The NICs of a guest test: a polling driver for virtio-net (VIRTIO 1.2, 5.1) and frames to try them with. Tests whose name begins with "net-" are
 * built with it; their host.yaml gives the VM its NICs.
 */
#ifndef NIC_H
#define NIC_H

#include "guest.h"

#define NIC_MAX 8
#define NIC_FRAME_MAX 1518
#define NIC_BROADCAST ((const uint8_t[6]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
#define NIC_TEST_TYPE 0x88b5   /* IEEE 802 local experimental: the frames of a test */
#define NIC_MARKER_TYPE 0x88b6 /* what is sent behind them, to see that they have passed */

struct frame {
	uint32_t len; /* 0: none */
	uint8_t bytes[NIC_FRAME_MAX];
};

/* Starts all NICs, in the configuration's order; CHECKs that there are so many. */
void nic_start_all(unsigned count);
const uint8_t *nic_mac(unsigned nic);
/* Returns when the device has taken it. */
void nic_send(unsigned nic, const struct frame *f);
/* A frame that has arrived. False: none has. */
bool nic_receive(unsigned nic, struct frame *f);
/* The next frame, CHECKed to come. */
void nic_expect(unsigned nic, struct frame *f);

/* Receives until a marker comes. Returns how many other frames came before, the last of them in *f. */
unsigned nic_until_marker(unsigned nic, struct frame *f);
/* CHECKs for NIC 0 to count - 1 that behind all that was sent a marker comes, and before that the frame want[i], or none if that is NULL. */
void nic_arrived(unsigned count, const struct frame *const want[]);

/* A frame of 60 bytes with a number as its payload; tag 0: untagged, else the TCI. */
struct frame frame_make(const uint8_t dst[6], const uint8_t src[6], uint16_t tag, uint16_t type, uint8_t number);
/* The same with a tag in front of its type, or without the tag that it has. */
struct frame frame_tagged(const struct frame *f, uint16_t tag);
/* Equal, but for padding at the end of the longer one. */
bool frame_same(const struct frame *a, const struct frame *b);
uint16_t frame_type(const struct frame *f); /* behind a tag */

#endif
