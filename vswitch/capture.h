/* A bounded store of captured frames, the newest ones (mirror.c writes, the control console reads). */
#ifndef VSWITCH_CAPTURE_H
#define VSWITCH_CAPTURE_H

#include "switch.h"

#include <vswitch/mirrors.h>

#define VSW_CAPTURE_PORTS 64u /* names of ports that are kept; frames of further ones are shown as of "?" */

struct vsw_capture;

/* NULL: no memory. bytes >= VSW_CAPTURE_MIN_BYTES. Control path. */
struct vsw_capture *vsw_capture_create(size_t bytes);
void vsw_capture_destroy(struct vsw_capture *c);

/*
 * Stores the first snap bytes (0: all) of a frame, with the tag of its VLAN put in when it has one; `tci` 0: untagged. The oldest make
 * room. False: it is larger than the store.
 */
bool vsw_capture_add(struct vsw_capture *c, const struct vsw_port *p, enum vsw_mirror_direction dir, const struct rte_mbuf *m, uint16_t tci,
	uint32_t snap);

/* Calls fn for the frames from sequence number `from` on, oldest first, while it returns true. */
void vsw_capture_read(struct vsw_capture *c, uint64_t from, bool (*fn)(void *arg, const struct vsw_captured *frame), void *arg);
struct vsw_capture_state vsw_capture_state(const struct vsw_capture *c);

#endif
