/*
 * Mirror sessions as others see them: their counters, and the frames of those that capture into memory. Loop context on the switch's core.
 */
#ifndef VSWITCH_MIRRORS_H
#define VSWITCH_MIRRORS_H

#include <vswitch/vswitch.h>

struct vsw_mirror_counters {
	uint64_t matched;   /* frames of the sources that the filter lets through */
	uint64_t frames;    /* of these, mirrored: sampling passes over others */
	uint64_t bytes;     /* of the frames, before they were cut */
	uint64_t no_mbuf;   /* not mirrored: no packet buffer was left */
	uint64_t unplugged; /* not mirrored: the destination port is not there */
	uint64_t too_large; /* not mirrored: larger than the capture's store */
	uint64_t refused;   /* mirrored, but the destination did not take them: its queue was full, no driver, too long for it */
	uint64_t dropped;   /* sum of the four */
};

struct vsw_capture_state {
	uint64_t first, next; /* sequence numbers: the oldest frame there is, the one that comes next; equal: empty */
	uint64_t overwritten; /* frames that made room for newer ones */
};

struct vsw_mirror_info {
	const char *name, *vswitch;
	const char *destination; /* the port's name; "" for a capture */
	bool captures;
	const struct vsw_mirror_counters *counters;
	struct vsw_capture_state capture;
};
void vsw_mirror_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_mirror_info *info), void *arg);

struct vsw_captured {
	uint64_t sequence; /* counts from 0 without a gap */
	uint64_t time_ns;  /* hv_now_ns() */
	const char *port;
	enum vsw_mirror_direction direction; /* VSW_MIRROR_IN: it came from the port; VSW_MIRROR_OUT: it went there */
	uint32_t frame_bytes;                /* its length with the VLAN tag, before it was cut */
	uint32_t len;
	const uint8_t *bytes;
};
/*
 * Calls fn for the captured frames of session `name` from sequence number `from` on (or the oldest there is), while it returns true. They
 * stay. -ENOENT: there is no such session, or it does not capture.
 */
int vsw_mirror_read(
	struct vsw *v, const char *name, uint64_t from, bool (*fn)(void *arg, const struct vsw_captured *frame), void *arg) HV_MUST_CHECK;

#endif
