/*
 * A file as a disk: READ, WRITE UNSTABLE through the write log (log.c), COMMIT. Invariants: client.h.
 *
 * Order of sending in file_issue: pending writes of the log, oldest first; nothing else while acked ones are among them (replay); a COMMIT
 * when a flush waits, the log is half full, or its oldest unstable write is five seconds old; then waiting reads and writes.
 */
#include "client.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

#define MS 1000000ULL
#define AGAIN_NS (200 * MS)
#define COMMIT_AGE_NS (5000 * MS)
#define OP_MAX_NS (60000 * MS)

static const uint8_t zeroes[4096];

static struct nfs_file *from_blk(struct blk_dev *dev)
{
	return hv_container_of(dev, struct nfs_file, file.blk);
}

void file_stale(struct nfs_file *f, const char *text)
{
	if (f->stale_logged)
		return;
	f->stale_logged = true;
	log_error("nfs.stale", "%s: %s: %s; its disk is gone", f->n->link.name, f->path, text);
	f->file.blk.state = BLK_STATE_GONE;
	if (f->file.blk.changed)
		f->file.blk.changed(&f->file.blk, f->file.blk.changed_arg);
}

static void io_error(struct nfs_file *f, const char *what, uint64_t offset, uint64_t bytes, const char *text)
{
	log_warn("nfs.io.error", "%s: %s: %s of %llu bytes at %llu: %s", f->n->link.name, f->path, what, (unsigned long long)bytes,
		(unsigned long long)offset, text);
}

/* ---- read ---- */

static void read_requeue(struct nfs_file *f, struct blk_req *req, bool later)
{
	req->scratch[STORAGE_SCRATCH_OP] = 0;
	req->scratch[STORAGE_SCRATCH_NOT_BEFORE] = later ? hv_now_ns() + AGAIN_NS : 0;
	blk_queue_insert_ordered(&f->waiting, req);
}

static void read_failed(struct nfs_file *f, struct blk_req *req, const struct status_verdict *v)
{
	bool bounded = v->action == STATUS_RETRY;

	if (v->action == STATUS_WAIT || (bounded && ++req->scratch[STORAGE_SCRATCH_RETRIES] <= NFS_MAX_RETRIES)) {
		f->n->link.stats.retried++;
		read_requeue(f, req, true);
		return;
	}
	if (v->action == STATUS_STALE)
		file_stale(f, v->text);
	io_error(f, "read", req->offset_bytes, req->length_bytes, v->text);
	blk_complete(req, v->error);
}

/* Data of an answer goes to its place; past the end of the file are zeroes. Returns false when the answer makes no sense. */
static bool read_take(struct blk_req *req, const READ3resok *ok)
{
	uint64_t *progress = &req->scratch[STORAGE_SCRATCH_PROGRESS];
	uint32_t bytes = ok->data.data_len;

	if (bytes > req->length_bytes - *progress || (!bytes && !ok->eof))
		return false;
	blk_segs_from_buf(req->segs, req->nsegs, *progress, ok->data.data_val, bytes);
	*progress += bytes;
	while (ok->eof && *progress < req->length_bytes) {
		uint64_t n = HV_MIN(req->length_bytes - *progress, sizeof(zeroes));

		blk_segs_from_buf(req->segs, req->nsegs, *progress, zeroes, n);
		*progress += n;
	}
	return true;
}

static void read_reply(struct nfs_op *op, void *data)
{
	const READ3res *res = data;
	struct nfs_file *f = op->file;
	struct blk_req *req = op->req;
	struct status_verdict v = status_judge((uint32_t)res->status);

	rpc_op_put(op);
	if (!req)
		return; /* cancelled or out of time */
	if (v.action == STATUS_OK && !read_take(req, &res->READ3res_u.resok))
		v = (struct status_verdict){STATUS_RETRY, -EIO, "impossible answer to READ"};
	if (v.action != STATUS_OK)
		read_failed(f, req, &v);
	else if (req->scratch[STORAGE_SCRATCH_PROGRESS] < req->length_bytes)
		read_requeue(f, req, false);
	else
		blk_complete(req, 0);
}

/* False when it cannot be sent now. */
static bool read_send(struct nfs_file *f, struct blk_req *req)
{
	struct nfs_op *op = rpc_op_get(f->n, f, NFS_OP_READ, read_reply);
	uint64_t progress = req->scratch[STORAGE_SCRATCH_PROGRESS];
	READ3args args = {
		.file = rpc_handle(&f->handle), .offset = req->offset_bytes + progress, .count = (count3)(req->length_bytes - progress)};

	if (!op)
		return false;
	op->req = req;
	blk_queue_remove(&f->waiting, req);
	req->scratch[STORAGE_SCRATCH_OP] = (uintptr_t)op;
	if (rpc_nfs3_read_async(f->n->rpc, rpc_answered, &args, op) == 0)
		return true;
	rpc_op_put(op);
	read_requeue(f, req, true);
	return false;
}

void file_read_recover(struct nfs_op *op)
{
	struct nfs_file *f = op->file;
	struct blk_req *req = op->req;

	rpc_op_put(op);
	if (!req)
		return;
	f->n->link.stats.replayed++;
	read_requeue(f, req, false);
}

/* ---- write ---- */

/* Invariant 4: no write in flight touches the same bytes. */
static bool overlaps_in_flight(const struct nfs_file *f, const struct nfs_write *w)
{
	for (const struct nfs_op *op = f->n->in_flight_head; op; op = op->next) {
		const struct nfs_write *o = op->write;

		if (op->kind == NFS_OP_WRITE && op->file == f && o->offset < w->offset + w->bytes && w->offset < o->offset + o->bytes)
			return true;
	}
	return false;
}

/* Ends the entry's request, if it still has one; remembers an error that nobody can be told about otherwise. */
static void write_end(struct nfs_file *f, struct nfs_write *w, int status)
{
	struct blk_req *req = w->req;

	w->req = NULL;
	if (status && w->acked) {
		f->log.error = status;
		f->n->durability.lost_writes++;
		log_error("nfs.write.lost",
			"%s: %s: %u bytes at %llu were written, lost by the server before a flush, and refused when sent again",
			f->n->link.name, f->path, w->bytes, (unsigned long long)w->offset);
	}
	if (!status && req)
		w->acked = true;
	if (status)
		log_free(&f->log, w);
	if (req)
		blk_complete(req, status);
}

static void write_failed(struct nfs_file *f, struct nfs_write *w, const struct status_verdict *v)
{
	if (v->action == STATUS_WAIT || (v->action == STATUS_RETRY && ++w->retries <= NFS_MAX_RETRIES)) {
		f->n->link.stats.retried++;
		w->not_before_ns = hv_now_ns() + AGAIN_NS;
		log_set_state(&f->log, w, WRITE_PENDING);
		return;
	}
	if (v->action == STATUS_STALE)
		file_stale(f, v->text);
	io_error(f, "write", w->offset, w->bytes, v->text);
	write_end(f, w, v->error);
}

/* True when the answer comes from the server instance that gave the others of this connection. */
static bool verifier_same(struct nfs_file *f, const char *verifier)
{
	struct nfs_log *log = &f->log;

	if (log->has_verifier && memcmp(log->verifier, verifier, sizeof(log->verifier)) != 0) {
		f->n->durability.verifier_changes++;
		return false;
	}
	log->has_verifier = true;
	memcpy(log->verifier, verifier, sizeof(log->verifier));
	return true;
}

/* Only what says so is stable (RFC 1813 section 3.3.7). */
static bool is_stable(const WRITE3resok *ok)
{
	return ok->committed == DATA_SYNC || ok->committed == FILE_SYNC;
}

static void write_taken(struct nfs_file *f, struct nfs_write *w, const WRITE3resok *ok)
{
	w->progress += ok->count;
	w->part_unstable |= !is_stable(ok);
	if (w->progress < w->bytes) { /* a short write: the rest follows */
		log_set_state(&f->log, w, WRITE_PENDING);
		return;
	}
	w->epoch = f->log.epoch;
	/* A stable write over one that is not must stay behind it in the log, or a replay would bring the older data back. */
	if (w->part_unstable || log_covers_older(&f->log, w)) {
		log_set_state(&f->log, w, WRITE_UNSTABLE);
		write_end(f, w, 0);
		return;
	}
	struct blk_req *req = w->req;

	w->req = NULL;
	log_free(&f->log, w);
	if (req)
		blk_complete(req, 0);
}

static void write_reply(struct nfs_op *op, void *data)
{
	const WRITE3res *res = data;
	const WRITE3resok *ok = &res->WRITE3res_u.resok;
	struct nfs_file *f = op->file;
	struct nfs_write *w = op->write;
	struct status_verdict v = status_judge((uint32_t)res->status);

	rpc_op_put(op);
	if (v.action == STATUS_OK && (!ok->count || ok->count > w->bytes - w->progress))
		v = (struct status_verdict){STATUS_RETRY, -EIO, "impossible answer to WRITE"};
	if (v.action == STATUS_OK && w->sync && !is_stable(ok))
		v = (struct status_verdict){STATUS_RETRY, -EIO, "the server did not make a FILE_SYNC write stable"};
	if (v.action != STATUS_OK)
		write_failed(f, w, &v);
	else if (!is_stable(ok) && !verifier_same(f, ok->verf))
		nfs_fail(f->n, false, "the server has restarted (write verifier changed)"); /* stays SENT: replayed */
	else
		write_taken(f, w, ok);
}

static bool write_send(struct nfs_file *f, struct nfs_write *w)
{
	WRITE3args args = {.file = rpc_handle(&f->handle),
		.offset = w->offset + w->progress,
		.count = w->bytes - w->progress,
		.stable = w->sync ? FILE_SYNC : UNSTABLE};
	struct nfs_op *op = rpc_op_get(f->n, f, NFS_OP_WRITE, write_reply);

	if (!op)
		return false;
	args.data.data_val = (char *)log_data(w) + w->progress;
	args.data.data_len = args.count;
	op->write = w;
	log_set_state(&f->log, w, WRITE_SENT);
	if (w->acked)
		f->n->durability.resent++;
	if (rpc_nfs3_write_async(f->n->rpc, rpc_answered, &args, op) == 0)
		return true;
	rpc_op_put(op);
	w->not_before_ns = hv_now_ns() + AGAIN_NS;
	log_set_state(&f->log, w, WRITE_PENDING);
	return false;
}

/* Sends the log's pending writes in order. False when one cannot be sent now. */
static bool log_send(struct nfs_file *f)
{
	struct nfs_write *w;

	while ((w = log_next_pending(&f->log)) != NULL) {
		if (w->not_before_ns && w->not_before_ns > hv_now_ns())
			return false;
		if (overlaps_in_flight(f, w) || !write_send(f, w))
			return false;
	}
	return true;
}

/* ---- flush ---- */

static void flushes_fail(struct blk_queue *queue, int status)
{
	for (struct blk_req *req = queue->head; req; req = req->next)
		req->scratch[STORAGE_SCRATCH_STATUS] = (uint64_t)(int64_t)status;
}

/* Ends them; a loss is told to every flush that was there when it was noticed: each of them promises the same data. */
static void flushes_end(struct nfs_file *f, struct blk_queue *queue)
{
	struct blk_req *req;

	if (f->log.error && queue->head) {
		flushes_fail(&f->flush_new, f->log.error);
		flushes_fail(&f->flush_sent, f->log.error);
		f->log.error = 0;
	}
	while ((req = queue->head) != NULL) {
		blk_queue_remove(queue, req);
		blk_complete(req, (int)(int64_t)req->scratch[STORAGE_SCRATCH_STATUS]);
	}
}

static void commit_again(struct nfs_file *f)
{
	struct blk_req *req;

	f->log.committing = false;
	while ((req = f->flush_sent.head) != NULL) {
		blk_queue_remove(&f->flush_sent, req);
		blk_queue_insert_ordered(&f->flush_new, req);
	}
}

static void commit_reply(struct nfs_op *op, void *data)
{
	const COMMIT3res *res = data;
	struct nfs_file *f = op->file;
	uint64_t epoch = op->epoch;
	struct status_verdict v = status_judge((uint32_t)res->status);

	rpc_op_put(op);
	if (v.action == STATUS_OK && !verifier_same(f, res->COMMIT3res_u.resok.verf)) {
		commit_again(f);
		nfs_fail(f->n, false, "the server has restarted (write verifier changed)");
		return;
	}
	if (v.action == STATUS_WAIT || v.action == STATUS_RETRY) {
		f->n->link.stats.retried++;
		f->log.commit_not_before_ns = hv_now_ns() + AGAIN_NS;
		commit_again(f);
		return;
	}
	f->log.committing = false;
	if (v.action == STATUS_OK) {
		f->n->durability.commits++;
	} else {
		/* The server says for good that it could not make them stable: the flush tells. They cannot be sent again without end. */
		if (v.action == STATUS_STALE)
			file_stale(f, v.text);
		log_error("nfs.commit.failed", "%s: %s: COMMIT: %s", f->n->link.name, f->path, v.text);
		f->log.error = v.error;
	}
	log_committed(&f->log, epoch);
	flushes_end(f, &f->flush_sent);
}

static void commit_send(struct nfs_file *f)
{
	COMMIT3args args = {.file = rpc_handle(&f->handle)};
	struct nfs_op *op = rpc_op_get(f->n, f, NFS_OP_COMMIT, commit_reply);
	struct blk_req *req;

	if (!op)
		return;
	op->epoch = f->log.epoch++;
	f->log.committing = true;
	while ((req = f->flush_new.head) != NULL) {
		blk_queue_remove(&f->flush_new, req);
		blk_queue_push(&f->flush_sent, req);
	}
	if (rpc_nfs3_commit_async(f->n->rpc, rpc_answered, &args, op) == 0)
		return;
	rpc_op_put(op);
	f->log.commit_not_before_ns = hv_now_ns() + AGAIN_NS;
	commit_again(f);
}

/* @pre nothing replays */
static void flush_issue(struct nfs_file *f, bool room_wanted)
{
	struct nfs_log *log = &f->log;

	if (log->committing)
		return;
	if (!log->unstable) {
		flushes_end(f, &f->flush_new); /* all that was done is stable */
		return;
	}
	if (!f->flush_new.head && !room_wanted && !f->closing && log->used < NFS_LOG_BYTES / 2 &&
		hv_now_ns() - log->oldest_ns < COMMIT_AGE_NS)
		return;
	if (log->commit_not_before_ns <= hv_now_ns())
		commit_send(f);
}

/* ---- sending ---- */

void file_issue(struct nfs_file *f)
{
	bool room_wanted = false, writes = true;
	uint64_t now = 0;
	struct blk_req *next;

	if (!nfs_ready(f->n))
		return;
	writes = log_send(f);
	if (f->log.replaying)
		return;
	for (struct blk_req *req = f->waiting.head; req; req = next) {
		next = req->next;
		if (req->scratch[STORAGE_SCRATCH_NOT_BEFORE]) {
			now = now ? now : hv_now_ns();
			if (req->scratch[STORAGE_SCRATCH_NOT_BEFORE] > now)
				continue;
		}
		if (req->op == BLK_READ) {
			if (!read_send(f, req))
				break;
		} else if (!room_wanted) {
			if (!log_append(&f->log, req)) {
				room_wanted = true;
				continue;
			}
			blk_queue_remove(&f->waiting, req);
			writes = writes && log_send(f);
		}
	}
	flush_issue(f, room_wanted);
}

void file_issue_all(struct nfs_initiator *n)
{
	for (struct nfs_file *f = n->files; f; f = f->next)
		if (f->waiting.head || f->log.pending || f->flush_new.head)
			file_issue(f);
}

void file_op_rpc_error(struct nfs_op *op)
{
	struct nfs_file *f = op->file;
	struct status_verdict v = {STATUS_RETRY, -EIO, "RPC refused by the server"};
	enum nfs_op_kind kind = op->kind;
	struct blk_req *req = kind == NFS_OP_READ ? op->req : NULL;
	struct nfs_write *w = kind == NFS_OP_WRITE ? op->write : NULL;

	rpc_op_put(op);
	if (w) {
		write_failed(f, w, &v);
	} else if (kind == NFS_OP_COMMIT) {
		f->log.commit_not_before_ns = hv_now_ns() + AGAIN_NS;
		commit_again(f);
	} else if (req) {
		read_failed(f, req, &v);
	}
}

void file_recover(struct nfs_file *f)
{
	struct nfs_write *w;

	commit_again(f);
	f->log.commit_not_before_ns = 0;
	if (!f->log.base)
		return;
	for (w = log_first(&f->log); w; w = log_after(&f->log, w))
		f->n->link.stats.replayed += w->state == WRITE_SENT && w->req;
	(void)log_replay(&f->log); /* the number shows in durability.resent when they are sent */
}

/* ---- the block contract ---- */

static int file_submit(struct blk_dev *dev, struct blk_req *req)
{
	struct nfs_file *f = from_blk(dev);

	if (req->op != BLK_READ && req->op != BLK_WRITE && req->op != BLK_FLUSH)
		return trace_error(-EOPNOTSUPP);
	if (req->length_bytes > NFS_MAX_BYTES)
		return trace_error(-EINVAL);
	memset(req->scratch, 0, sizeof(req->scratch));
	req->scratch[STORAGE_SCRATCH_SEQ] = ++f->n->seq;
	blk_queue_push(req->op == BLK_FLUSH ? &f->flush_new : &f->waiting, req);
	file_issue(f);
	return 0;
}

/* Ends a request now, wherever it is; what is in flight for it goes on without it. */
static void request_end(struct nfs_file *f, struct blk_req *req, struct blk_queue *queue, int status)
{
	if (queue) {
		blk_queue_remove(queue, req);
	} else if (req->op == BLK_READ) {
		((struct nfs_op *)(uintptr_t)req->scratch[STORAGE_SCRATCH_OP])->req = NULL;
	} else {
		struct nfs_write *w = (struct nfs_write *)(uintptr_t)req->scratch[STORAGE_SCRATCH_OP];

		w->req = NULL;
		if (w->state == WRITE_PENDING)
			log_free(&f->log, w);
	}
	if (status == -ETIMEDOUT)
		f->n->link.stats.timed_out++;
	else
		f->n->link.stats.canceled++;
	blk_complete(req, status);
}

static bool queue_holds(const struct blk_queue *queue, const struct blk_req *wanted)
{
	const struct blk_req *req = queue->head;

	while (req && req != wanted)
		req = req->next;
	return req != NULL;
}

static void file_cancel(struct blk_dev *dev, struct blk_req *req)
{
	struct nfs_file *f = from_blk(dev);

	if (req->scratch[STORAGE_SCRATCH_OP])
		request_end(f, req, NULL, -ECANCELED);
	else if (req->op != BLK_FLUSH)
		request_end(f, req, &f->waiting, -ECANCELED);
	else
		request_end(f, req, queue_holds(&f->flush_new, req) ? &f->flush_new : &f->flush_sent, -ECANCELED);
}

void file_abort(struct nfs_file *f, int status)
{
	struct blk_queue *const queues[] = {&f->waiting, &f->flush_new, &f->flush_sent};
	struct blk_req *req;

	for (unsigned i = 0; i < HV_ARRAY_LEN(queues); i++) {
		while ((req = queues[i]->head) != NULL) {
			blk_queue_remove(queues[i], req);
			blk_complete(req, status);
		}
	}
	for (struct nfs_write *w = log_first(&f->log); w; w = log_after(&f->log, w)) {
		req = w->req;
		w->req = NULL;
		if (req)
			blk_complete(req, status);
	}
}

static void file_close(struct blk_dev *dev)
{
	struct nfs_file *f = from_blk(dev), **at = &f->n->files;
	struct nfs_initiator *n = f->n;
	struct nfs_op *op;

	hv_assert(!f->waiting.head && !f->flush_new.head && !f->flush_sent.head);
	for (op = n->in_flight_head; op && op->file != f; op = op->next)
		;
	if (op || f->log.unstable || f->log.replaying) {
		/* Answers will come that name it, or it holds what the server may forget: it lingers until it is clean (file_tick). */
		if (!f->closing) {
			f->closing = true;
			file_issue(f); /* its COMMIT */
		}
		return;
	}
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	log_close(&f->log);
	hv_contig_free(f, sizeof(*f));
}

const struct blk_ops file_blk_ops = {.submit = file_submit, .cancel = file_cancel, .close = file_close};

/* ---- time ---- */

static void queue_tick(struct nfs_file *f, struct blk_queue *queue, uint64_t now)
{
	struct blk_req *req, *next;

	for (req = queue->head; req; req = next) {
		next = req->next;
		if (!req->deadline_ns || now < req->deadline_ns)
			continue;
		request_end(f, req, queue, -ETIMEDOUT);
		next = queue->head; /* done() may have changed the list */
	}
}

static void log_tick(struct nfs_file *f, uint64_t now)
{
	struct nfs_write *w, *next;

	for (w = log_first(&f->log); w; w = next) {
		next = log_after(&f->log, w);
		if (w->state == WRITE_FREE || !w->req || !w->req->deadline_ns || now < w->req->deadline_ns)
			continue;
		request_end(f, w->req, NULL, -ETIMEDOUT);
		next = log_first(&f->log); /* done() may have changed the log; what is ended is not met again */
	}
}

void file_tick(struct nfs_initiator *n, uint64_t now)
{
	struct nfs_file *next;

	for (struct nfs_op *op = n->in_flight_head, *after; op; op = after) {
		after = op->next;
		if (now - op->sent_ns > OP_MAX_NS)
			nfs_fail(n, false, "an RPC was not answered for %llu s", OP_MAX_NS / (1000 * MS));
		if (op->kind == NFS_OP_READ && op->req && op->req->deadline_ns && now >= op->req->deadline_ns) {
			request_end(op->file, op->req, NULL, -ETIMEDOUT);
			after = n->in_flight_head;
		}
	}
	for (struct nfs_file *f = n->files; f; f = next) {
		next = f->next;
		if (f->closing) {
			file_issue(f);
			file_close(&f->file.blk);
			continue;
		}
		queue_tick(f, &f->waiting, now);
		queue_tick(f, &f->flush_new, now);
		queue_tick(f, &f->flush_sent, now);
		if (f->log.used)
			log_tick(f, now);
		file_issue(f);
	}
}
