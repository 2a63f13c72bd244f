/*
 * iSCSI initiator: one session to one target, one LUN on it (RFC 7143; SPC-4, SBC-3).
 *
 * All functions: loop context on the core that opened the session, which must be the core that runs the network.
 */
#ifndef STORAGE_ISCSI_H
#define STORAGE_ISCSI_H

#include <storage/config.h>
#include <storage/link.h>
#include <storage/lun.h>

struct iscsi_initiator;

/*
 * Starts a session and returns at once; it connects, logs in and reconnects for ever in the background (storage/link.h). The configuration
 * is copied; the copy of the CHAP secret is wiped by close. name must outlive the session. -ENOMEM, -EINVAL (no portal, no target).
 */
int iscsi_initiator_open(const struct iscsi_config *config, const char *name, void (*changed)(struct storage_link *link, void *arg),
	void *arg, struct iscsi_initiator **out) HV_MUST_CHECK;
/* Ends the session: requests that still wait end with -ESHUTDOWN. Not from a request's done(). */
void iscsi_initiator_close(struct iscsi_initiator *s);
/*
 * The LUN: valid as long as the session. Before it was reached once (lun->identified) its size is 0. Takes requests in any state; they wait
 * while the session is not READY.
 */
struct lun *iscsi_initiator_lun(struct iscsi_initiator *s);
const struct storage_link *iscsi_initiator_link(const struct iscsi_initiator *s);

#endif
