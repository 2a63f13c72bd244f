/*
 * An NFS mount's state, shared by the files of this folder. Owner: the core that opened it; every function runs in loop context there.
 *
 * Invariants
 *  1. A request that was taken is in exactly one place: a file's `waiting` queue, carried by a READ op, named by one write-log entry, or in
 * one of the file's two flush queues.
 *  2. Write data is copied into the file's write log before it is sent, and stays there until the server has it on stable storage: a WRITE
 *     that was answered FILE_SYNC (unless an older write to the same bytes is not stable: then it stays as if it were not either), or a
 * COMMIT with the verifier of the WRITE's answer. Guest memory is never needed again.
 *  3. The log keeps the order of submission. After any loss of the connection every entry that is not stable is sent again, in that order,
 *     before any other request of the file is sent (`replaying`): no read sees what the server forgot, no old write lands over a newer one.
 *  4. Two writes that overlap are never in flight at the same time, so the server cannot reorder them.
 *  5. A write verifier that changes within a connection is treated as a loss of the connection: 3 applies.
 *  6. A COMMIT covers the entries that were answered before it was sent (`epoch`); a flush ends with the first COMMIT sent after it arrived
 *     and while nothing replays.
 *  7. The RPC context is destroyed only by nfs_lose and close, never inside a library callback; callbacks of a context that is not `rpc`
 * are ignored. All data of replies is copied in the callback.
 */
#ifndef STORAGE_NFS_CLIENT_H
#define STORAGE_NFS_CLIENT_H

#include "status.h"
#include <hv/core.h>
#include <hv/mem.h>
#include <stdint.h>
#include <storage/nfs.h>
#include <storage/queue.h>
#include <sys/time.h>

#include <libnfs-raw-nfs.h>
#include <nfsc/libnfs.h>

#include <nfsc/libnfs-raw.h>

#define NFS_OPS 64
#define NFS_HANDLE_MAX 64                /* RFC 1813 section 2.4, NFS3_FHSIZE */
#define NFS_MAX_BYTES (512u * 1024)      /* largest READ and WRITE */
#define NFS_LOG_BYTES (8u * 1024 * 1024) /* write log of a file */
#define NFS_MAX_RETRIES 8

struct nfs_handle {
	uint32_t bytes;
	char data[NFS_HANDLE_MAX];
};

enum nfs_op_kind { NFS_OP_READ, NFS_OP_WRITE, NFS_OP_COMMIT, NFS_OP_CALL };

/* One RPC. */
struct nfs_op {
	struct nfs_initiator *n;
	struct nfs_file *file; /* NULL for calls */
	struct nfs_op *next, *prev;
	enum nfs_op_kind kind;
	bool rpc_error; /* answered, but not by NFS: looked at after the library has returned */
	uint64_t sent_ns;
	union {
		struct blk_req *req;     /* READ; NULL when it was cancelled */
		struct nfs_write *write; /* WRITE */
		struct nfs_call *call;   /* CALL; NULL when its fiber has given up */
		uint64_t epoch;          /* COMMIT */
	};
	void (*reply)(struct nfs_op *op, void *data); /* data: the decoded result; releases the op */
};

/* A write in the log: header, then the data. */
struct nfs_write {
	uint32_t span;  /* bytes of log to the next entry */
	uint32_t bytes; /* of data */
	uint64_t offset;
	uint32_t progress;  /* bytes that this connection's server has taken */
	uint8_t state;      /* enum nfs_write_state */
	bool acked;         /* done(0) was called */
	bool sync;          /* FUA: FILE_SYNC */
	bool part_unstable; /* some of it was answered UNSTABLE */
	uint8_t retries;
	uint64_t epoch; /* of the answer */
	uint64_t not_before_ns;
	struct blk_req *req; /* NULL once it is done */
} __attribute__((aligned(64)));

enum nfs_write_state { WRITE_FREE, WRITE_PENDING, WRITE_SENT, WRITE_UNSTABLE };

struct nfs_log {
	uint8_t *base;
	uint32_t head, tail, used; /* head: oldest; tail: next; used: bytes between them */
	uint32_t cursor;           /* no entry before it is pending */
	unsigned pending, replaying, unstable;
	bool has_verifier;
	char verifier[8];
	uint64_t epoch;     /* of answers that come now */
	uint64_t oldest_ns; /* when the first entry that is unstable now was answered */
	int error;          /* of a write that was done(0) and then lost: for the next flush */
	bool committing;
	uint64_t commit_not_before_ns;
};

struct nfs_file {
	struct file file;
	struct nfs_initiator *n;
	struct nfs_file *next;
	struct nfs_handle handle;
	struct nfs_log log;
	struct blk_queue waiting;               /* reads and writes */
	struct blk_queue flush_new, flush_sent; /* before, and covered by, the COMMIT in flight */
	bool stale_logged;
	bool closing; /* closed by its user, kept until its last write is stable */
	char path[FILE_PATH_MAX + 1];
};

/* A control call: lives on its fiber's stack. */
struct nfs_call {
	struct hv_fiber *fiber;
	struct nfs_call *next; /* of those that wait for the link */
	enum { CALL_PENDING, CALL_ANSWERED, CALL_LOST } state;
	uint32_t status;                                  /* nfsstat3; UINT32_MAX: the RPC itself was refused */
	void (*got)(struct nfs_call *call, void *result); /* copies out what is wanted of a decoded result; sets status */
};

enum nfs_stage { STAGE_PORTMAP_MOUNT, STAGE_MOUNT, STAGE_PORTMAP_NFS, STAGE_NFS };

struct nfs_initiator {
	struct storage_link link;
	struct file_store store;
	struct nfs_config config;
	struct nfs_durability_stats durability;
	struct rpc_context *rpc;
	enum nfs_stage stage;
	bool stage_done; /* go to the next stage when the library has returned */
	uint16_t nfs_port, mount_port;
	struct nfs_handle root;
	uint32_t max_bytes;
	struct hv_poller poller;
	struct hv_timer tick;
	uint64_t next_attempt_ns, heard_ns, ping_ns;
	bool failed, failed_refused;
	char failed_text[STORAGE_LINK_TEXT_MAX];
	uint64_t seq;
	struct nfs_file *files;
	struct nfs_call *waiters; /* fibers that wait for READY */
	struct nfs_op *in_flight_head, *in_flight_tail;
	unsigned rpc_errors; /* ops in flight with rpc_error */
	struct hv_slab ops;
};

/* mount.c: notes that the connection must go; the first reason stays. Any place, also inside library callbacks. */
void nfs_fail(struct nfs_initiator *n, bool refused, const char *fmt, ...) HV_PRINTF(3, 4);
bool nfs_ready(const struct nfs_initiator *n);

/* rpc.c */
struct nfs_op *rpc_op_get(
	struct nfs_initiator *n, struct nfs_file *file, enum nfs_op_kind kind, void (*reply)(struct nfs_op *op, void *data));
void rpc_op_put(struct nfs_op *op);
/* The library's callback of all ops. */
void rpc_answered(struct rpc_context *rpc, int status, void *data, void *arg);
/* Looks at ops that were answered with an RPC error, outside of the library. */
void rpc_errors_handle(struct nfs_initiator *n);
/* Takes all ops back after the context is gone. */
void rpc_recover(struct nfs_initiator *n);
static inline nfs_fh3 rpc_handle(const struct nfs_handle *h)
{
	nfs_fh3 fh = {.data = {.data_len = h->bytes, .data_val = (char *)(uintptr_t)h->data}};
	return fh;
}
/* False when the server's handle is empty or too long. */
bool rpc_handle_copy(struct nfs_handle *h, const char *data, uint32_t bytes) HV_MUST_CHECK;

/* file.c: a file as a disk */
extern const struct blk_ops file_blk_ops;
/* Sends what waits, as far as ops are free. */
void file_issue(struct nfs_file *f);
void file_issue_all(struct nfs_initiator *n);
void file_tick(struct nfs_initiator *n, uint64_t now);
/* Ends what cannot be sent any more (the file is closed or its mount is). */
void file_abort(struct nfs_file *f, int status);
/* An op of this file failed for good or must be sent again; the connection is up. */
void file_op_rpc_error(struct nfs_op *op);
/* The connection is gone: READ op back to waiting. */
void file_read_recover(struct nfs_op *op);
/* After all ops are taken back: the log is made ready for replay. */
void file_recover(struct nfs_file *f);
/* The handle is stale: tells once. */
void file_stale(struct nfs_file *f, const char *text);

/* log.c: the write log */
int log_open(struct nfs_log *log) HV_MUST_CHECK;
void log_close(struct nfs_log *log);
/* Copies a write in; NULL when there is no room now. */
struct nfs_write *log_append(struct nfs_log *log, struct blk_req *req);
void log_free(struct nfs_log *log, struct nfs_write *w);
/* True when an older entry that is not stable touches the same bytes as w. */
bool log_covers_older(const struct nfs_log *log, const struct nfs_write *w);
/* The next entry that is to be sent, or NULL; does not move on by itself. */
struct nfs_write *log_next_pending(struct nfs_log *log);
void log_set_state(struct nfs_log *log, struct nfs_write *w, enum nfs_write_state state);
/* Entries answered in `epoch` or before are stable. */
void log_committed(struct nfs_log *log, uint64_t epoch);
/* Everything that is not stable becomes pending. Returns how many of them were acked. */
unsigned log_replay(struct nfs_log *log);
/* First entry, and the one after w; NULL at the end. For walks over all entries, free ones included. */
struct nfs_write *log_first(const struct nfs_log *log);
struct nfs_write *log_after(const struct nfs_log *log, const struct nfs_write *w);
static inline uint8_t *log_data(struct nfs_write *w)
{
	return (uint8_t *)(w + 1);
}

/* namespace.c: control calls, for fibers */
extern const struct file_store_ops namespace_ops;
void namespace_wake(struct nfs_initiator *n);

#endif
