/*
 * An iSCSI session's state, shared by the files of this folder. Owner: the core that opened it; every function runs in loop context there.
 *
 * Invariants
 *  1. A request that was taken is in exactly one place: `waiting`, or carried by one op in `in_flight`.
 *  2. Segments of a request are named to libiscsi only while its op is in flight. The op leaves in_flight when the library has let go of
 * the task (its callback ran and no PDU of it is queued) or when the context is destroyed, and only then done() is called.
 *  3. The context is destroyed only by session_lose and close, which never run inside a library callback: callbacks note a failure
 *     (session_fail) and the poller acts on it. A callback from a context that is not `ctx` is ignored.
 *  4. Commands are issued only when the link is READY and no probe runs; the probe's own commands only while it runs.
 *  5. All requests that are not done are concurrent with each other for their submitter; so replay needs no order among them for data, and
 *     keeps the order of submission all the same. A request that is done is never sent again.
 *  6. Every login uses the same ISID, so the target reinstates the session: it ends all tasks of the old connection before it accepts the
 *     login (RFC 7143 section 6.3.5). A write of the old connection can therefore not land after its replay.
 */
#ifndef STORAGE_ISCSI_SESSION_H
#define STORAGE_ISCSI_SESSION_H

#include "inquiry.h"
#include "sense.h"
#include <hv/core.h>
#include <hv/mem.h>
#include <stdint.h>
#include <storage/iscsi.h>
#include <storage/queue.h>
#include <time.h>

#include <iscsi.h>

#include <scsi-lowlevel.h>

#define SESSION_OPS 64
#define SESSION_MAX_SEGS 256
#define SESSION_MAX_BYTES (1024u * 1024)
#define PROBE_BUFFER_BYTES 1024

/* One SCSI command. */
struct iscsi_op {
	struct scsi_task task;
	struct iscsi_initiator *s;
	struct blk_req *req; /* NULL: the probe's */
	struct iscsi_op *next, *prev;
	uint64_t sent_ns;
	uint64_t bytes;      /* of the request that this command covers */
	uint64_t abandon_ns; /* when not 0: if it has not ended by then, the connection is dropped and the request ends with ... */
	int abandon_status;  /* ... this */
	uint8_t parameters[24];
	struct scsi_iovec iov[SESSION_MAX_SEGS];
};

struct iscsi_probe {
	unsigned step;
	bool running;
	uint64_t again_ns; /* the step is repeated then; 0 = its command is in flight */
	unsigned attentions;
	uint8_t buffer[PROBE_BUFFER_BYTES], pages[PROBE_BUFFER_BYTES];
	size_t pages_bytes;
	struct lun_identity id;
	struct inquiry_limits limits;
	struct inquiry_capacity capacity;
};

struct iscsi_initiator {
	struct storage_link link;
	struct lun lun;
	struct iscsi_config config;
	struct inquiry_limits limits;
	uint32_t isid;
	unsigned portal;
	char redirect[64]; /* portal that the target sent us to, used once */
	struct iscsi_context *ctx;
	struct hv_poller poller;
	struct hv_timer tick;
	uint64_t next_attempt_ns;
	uint64_t heard_ns; /* when the connection last moved a byte */
	uint64_t nop_ns;   /* when the NOP-Out that has no answer yet was sent; 0 = none */
	/* Set by session_fail. */
	bool failed, failed_refused;
	char failed_text[STORAGE_LINK_TEXT_MAX];
	bool unit_waits; /* the LUN says that it cannot work now; logged */
	uint64_t seq;
	uint64_t cache_lives; /* counts what may have cost the target its write cache: lost connections, unit attentions */
	struct blk_queue waiting;
	struct iscsi_op *in_flight_head, *in_flight_tail;
	struct hv_slab ops;
	struct iscsi_probe probe;
};

/* session.c: notes that the connection must go; the first reason stays. Any place, also inside library callbacks. */
void session_fail(struct iscsi_initiator *s, bool refused, const char *fmt, ...) HV_PRINTF(3, 4);

/* command.c */
/* Sends waiting requests as far as ops are free. */
void command_issue(struct iscsi_initiator *s);
struct iscsi_op *command_op_get(struct iscsi_initiator *s, struct blk_req *req);
void command_op_put(struct iscsi_op *op);
/* Hands the op's prepared task to the library; false when it does not take it (then the connection is failed). */
bool command_op_send(struct iscsi_op *op, iscsi_command_cb callback);
/* SCSI status and sense of an ended task. */
struct sense_verdict command_verdict(int status, const struct scsi_task *task);
/* Deadlines: ends waiting requests whose time is over, fails the connection for those in flight. */
void command_tick(struct iscsi_initiator *s, uint64_t now);
/* Takes all ops back after the context is gone: abandoned requests end, the others wait for replay. */
void command_recover(struct iscsi_initiator *s);
extern const struct blk_ops command_blk_ops;

/* probe.c: identifies the LUN, then session_probed. */
void probe_start(struct iscsi_initiator *s);
void probe_stop(struct iscsi_initiator *s);
void probe_tick(struct iscsi_initiator *s, uint64_t now);
/* session.c: the probe has succeeded. */
void session_probed(struct iscsi_initiator *s);

#endif
