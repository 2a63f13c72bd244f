/*
 * An NFS mount: connection, MOUNT, FSINFO, keep-alive, loss and reconnection. The states are storage/link.h's; an attempt goes through
 * stages, each a TCP connection of its own:
 *
 *   PORTMAP_MOUNT  GETPORT(MOUNT v3)  only when no mount port is configured
 *   MOUNT          MNT(export): the root's handle   only when it is not known yet (handles outlive the server's restart)
 *   PORTMAP_NFS    GETPORT(NFS v3)    only when no NFS port is configured
 *   NFS            FSINFO, then READY; from then on a NULL RPC after 3 s of silence, 5 s for any sign of life after it
 *
 * Link: CONNECTING until the first connection stands, LOGIN until NFS is connected, PROBING until FSINFO is answered. Invariants: client.h.
 */
#include "client.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/rand.h>
#include <poll.h>
#include <string.h>

#include <libnfs-raw-mount.h>
#include <libnfs-raw-portmap.h>

#define MS 1000000ULL
#define TICK_NS (100 * MS)
#define STAGE_NS (10000 * MS)
#define SILENCE_NS (3000 * MS)
#define PING_NS (5000 * MS)
#define PORTMAP_PORT 111

void nfs_fail(struct nfs_initiator *n, bool refused, const char *fmt, ...)
{
	va_list ap;

	if (n->failed)
		return;
	n->failed = true;
	n->failed_refused = refused;
	va_start(ap, fmt);
	hv_vsnprintf(n->failed_text, sizeof(n->failed_text), fmt, ap);
	va_end(ap);
}

bool nfs_ready(const struct nfs_initiator *n)
{
	return n->link.state == STORAGE_LINK_READY && !n->failed;
}

/* ---- stages ---- */

/* The first stage from `stage` on that has something to do. */
static enum nfs_stage stage_needed(const struct nfs_initiator *n, enum nfs_stage stage)
{
	if (stage == STAGE_PORTMAP_MOUNT && (n->mount_port || n->root.bytes))
		stage = STAGE_MOUNT;
	if (stage == STAGE_MOUNT && n->root.bytes)
		stage = STAGE_PORTMAP_NFS;
	if (stage == STAGE_PORTMAP_NFS && n->nfs_port)
		stage = STAGE_NFS;
	return stage;
}

static uint16_t stage_port(const struct nfs_initiator *n)
{
	switch (n->stage) {
	case STAGE_MOUNT:
		return n->mount_port;
	case STAGE_NFS:
		return n->nfs_port;
	default:
		return PORTMAP_PORT;
	}
}

static const char *stage_service(const struct nfs_initiator *n)
{
	return n->stage == STAGE_MOUNT ? "MOUNT" : n->stage == STAGE_NFS ? "NFS" : "portmapper";
}

/* True when the callback is this connection's and good; notes the failure otherwise. */
static bool stage_ok(struct nfs_initiator *n, struct rpc_context *rpc, int status, const void *data)
{
	if (rpc != n->rpc)
		return false;
	if (status == RPC_STATUS_SUCCESS && data)
		return true;
	nfs_fail(n, false, "%s: no answer: %s", stage_service(n), rpc_get_error(rpc) ? rpc_get_error(rpc) : "connection lost");
	return false;
}

static void got_port(struct rpc_context *rpc, int status, void *data, void *arg)
{
	struct nfs_initiator *n = arg;
	uint32_t port;

	if (!stage_ok(n, rpc, status, data))
		return;
	port = *(const uint32_t *)data;
	if (port == 0 || port > UINT16_MAX) {
		nfs_fail(n, true, "the server's portmapper knows no %s v3 over TCP", n->stage == STAGE_PORTMAP_MOUNT ? "MOUNT" : "NFS");
		return;
	}
	if (n->stage == STAGE_PORTMAP_MOUNT)
		n->mount_port = (uint16_t)port;
	else
		n->nfs_port = (uint16_t)port;
	n->stage_done = true;
}

static void got_mount(struct rpc_context *rpc, int status, void *data, void *arg)
{
	struct nfs_initiator *n = arg;
	const mountres3 *res = data;

	if (!stage_ok(n, rpc, status, data))
		return;
	const fhandle3 *fh = &res->mountres3_u.mountinfo.fhandle;

	if (res->fhs_status != MNT3_OK)
		nfs_fail(n, true, "mount of %s refused: %s (status %u)", n->config.export_path,
			status_mount_text((uint32_t)res->fhs_status), (unsigned)res->fhs_status);
	else if (!rpc_handle_copy(&n->root, fh->fhandle3_val, fh->fhandle3_len))
		nfs_fail(n, true, "mount of %s: impossible file handle", n->config.export_path);
	else
		n->stage_done = true;
}

static void got_fsinfo(struct rpc_context *rpc, int status, void *data, void *arg)
{
	struct nfs_initiator *n = arg;
	const FSINFO3res *res = data;

	if (!stage_ok(n, rpc, status, data))
		return;
	struct status_verdict v = status_judge((uint32_t)res->status);

	if (v.action == STATUS_STALE)
		n->root.bytes = 0; /* mount again */
	if (v.action != STATUS_OK) {
		nfs_fail(n, v.action == STATUS_FAIL, "FSINFO: %s", v.text);
		return;
	}
	const FSINFO3resok *ok = &res->FSINFO3res_u.resok;
	uint32_t most = HV_MIN(HV_MIN(ok->rtmax, ok->wtmax), NFS_MAX_BYTES);

	n->max_bytes = HV_ALIGN_DOWN(most, 4096u);
	if (!n->max_bytes) {
		nfs_fail(n, true, "the server's largest transfer is %u bytes: less than 4096 is not usable", most);
		return;
	}
	n->stage_done = true;
}

static void stage_connected(struct rpc_context *rpc, int status, void *data, void *arg)
{
	struct nfs_initiator *n = arg;
	int err;

	if (rpc != n->rpc)
		return;
	if (status != RPC_STATUS_SUCCESS) {
		nfs_fail(n, false, "no connection to %s: %s", stage_service(n), rpc_get_error(rpc) ? rpc_get_error(rpc) : "refused");
		return;
	}
	switch (n->stage) {
	case STAGE_PORTMAP_MOUNT:
		err = rpc_pmap2_getport_async(rpc, MOUNT_PROGRAM, MOUNT_V3, 6 /* TCP */, got_port, n);
		break;
	case STAGE_MOUNT:
		err = rpc_mount3_mnt_async(rpc, got_mount, n->config.export_path, n);
		break;
	case STAGE_PORTMAP_NFS:
		err = rpc_pmap2_getport_async(rpc, NFS_PROGRAM, NFS_V3, 6 /* TCP */, got_port, n);
		break;
	default: {
		FSINFO3args args = {.fsroot = rpc_handle(&n->root)};

		err = rpc_nfs3_fsinfo_async(rpc, got_fsinfo, &args, n);
		break;
	}
	}
	storage_link_set(&n->link, n->stage == STAGE_NFS ? STORAGE_LINK_PROBING : STORAGE_LINK_LOGIN);
	if (err)
		nfs_fail(n, false, "%s: RPC could not be sent", stage_service(n));
}

/* ---- connection ---- */

static void context_destroy(struct nfs_initiator *n)
{
	struct rpc_context *rpc = n->rpc;

	n->rpc = NULL; /* the library calls back for everything that it still holds: ignored from here on */
	if (rpc)
		rpc_destroy_context(rpc);
}

static void stage_start(struct nfs_initiator *n, enum nfs_stage stage)
{
	struct AUTH *auth;
	char server[16];
	uint32_t xid, a = n->config.server;

	context_destroy(n);
	n->stage = stage_needed(n, stage);
	n->stage_done = false;
	n->rpc = rpc_init_context();
	auth = n->rpc ? libnfs_authunix_create("berth", n->config.uid, n->config.gid, 0, NULL) : NULL;
	if (!auth) {
		nfs_fail(n, false, "no memory for a connection");
		return;
	}
	rpc_set_auth(n->rpc, auth);
	hv_random(&xid, sizeof(xid)); /* not one that a server still remembers from before */
	rpc_set_next_xid(n->rpc, xid);
	hv_snprintf(server, sizeof(server), "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	n->heard_ns = hv_now_ns();
	n->ping_ns = 0;
	if (rpc_connect_async(n->rpc, server, stage_port(n), stage_connected, n) != 0)
		nfs_fail(n, false, "no connection to %s: %s", stage_service(n), rpc_get_error(n->rpc) ? rpc_get_error(n->rpc) : "");
}

static void file_states(struct nfs_initiator *n, enum blk_state state)
{
	for (struct nfs_file *f = n->files; f; f = f->next) {
		struct blk_dev *blk = &f->file.blk;

		if (blk->state == state || blk->state == BLK_STATE_GONE)
			continue;
		blk->state = state;
		if (blk->changed)
			blk->changed(blk, blk->changed_arg);
	}
}

/* Takes the connection down and plans the next attempt. Never inside a library callback. */
static void nfs_lose(struct nfs_initiator *n)
{
	storage_link_fail(&n->link, n->failed_refused, "%s", n->failed_text);
	context_destroy(n);
	n->nfs_port = n->config.nfs_port; /* the portmapper is asked again */
	n->mount_port = n->config.mount_port;
	n->next_attempt_ns = hv_now_ns() + storage_link_backoff_ns(&n->link);
	storage_link_set(&n->link, STORAGE_LINK_BACKING_OFF);
	file_states(n, BLK_STATE_WAITING);
	rpc_recover(n);
}

static void nfs_connect(struct nfs_initiator *n)
{
	n->failed = false;
	storage_link_set(&n->link, STORAGE_LINK_CONNECTING);
	stage_start(n, STAGE_PORTMAP_MOUNT);
	if (n->failed)
		nfs_lose(n);
}

static void stage_advance(struct nfs_initiator *n)
{
	n->stage_done = false;
	if (n->stage != STAGE_NFS) {
		stage_start(n, n->stage + 1);
		return;
	}
	storage_link_set(&n->link, STORAGE_LINK_READY);
	file_states(n, BLK_STATE_ONLINE);
	namespace_wake(n);
	file_issue_all(n);
}

static unsigned nfs_poll(struct hv_poller *poller)
{
	struct nfs_initiator *n = hv_container_of(poller, struct nfs_initiator, poller);
	struct pollfd pfd;

	if (!n->rpc)
		return 0;
	pfd = (struct pollfd){.fd = rpc_get_fd(n->rpc), .events = (short)rpc_which_events(n->rpc)};
	if (!n->failed && poll(&pfd, 1, 0) <= 0)
		return 0;
	if (!n->failed) {
		n->heard_ns = hv_now_ns();
		if (rpc_service(n->rpc, pfd.revents) != 0)
			nfs_fail(n, false, "connection lost: %s", rpc_get_error(n->rpc) ? rpc_get_error(n->rpc) : "closed by the server");
	}
	if (!n->failed && n->rpc_errors)
		rpc_errors_handle(n);
	if (!n->failed && n->stage_done)
		stage_advance(n);
	if (!n->failed)
		file_issue_all(n);
	if (n->failed)
		nfs_lose(n);
	return 1;
}

/* ---- time ---- */

static void ping_answered(struct rpc_context *rpc, int status, void *data, void *arg)
{
	struct nfs_initiator *n = arg;

	if (rpc == n->rpc)
		n->ping_ns = 0;
}

static void keep_alive(struct nfs_initiator *n, uint64_t now)
{
	uint64_t silent_since = HV_MAX(n->heard_ns, n->ping_ns);

	if (n->ping_ns && now > silent_since + PING_NS) {
		nfs_fail(n, false, "the server does not answer");
	} else if (!n->ping_ns && now > n->heard_ns + SILENCE_NS) {
		n->ping_ns = now;
		if (rpc_nfs3_null_async(n->rpc, ping_answered, n) != 0)
			nfs_fail(n, false, "NULL could not be sent");
	}
}

static void nfs_tick(struct hv_timer *timer)
{
	struct nfs_initiator *n = hv_container_of(timer, struct nfs_initiator, tick);
	uint64_t now = hv_now_ns();

	hv_timer_arm(&n->tick, now + TICK_NS);
	file_tick(n, now);
	switch (n->link.state) {
	case STORAGE_LINK_CONNECTING:
	case STORAGE_LINK_LOGIN:
	case STORAGE_LINK_PROBING:
		if (now > n->link.since_ns + STAGE_NS)
			nfs_fail(n, false, "%s: no answer", stage_service(n));
		break;
	case STORAGE_LINK_READY:
		keep_alive(n, now);
		break;
	case STORAGE_LINK_BACKING_OFF:
		if (now >= n->next_attempt_ns)
			nfs_connect(n);
		break;
	default:
		break;
	}
	if (n->failed && n->rpc)
		nfs_lose(n);
}

/* ---- life ---- */

int nfs_initiator_open(const struct nfs_config *config, const char *name, void (*changed)(struct storage_link *link, void *arg), void *arg,
	struct nfs_initiator **out)
{
	struct nfs_initiator *n;

	if (!config->server || !config->export_path[0] || config->version != 3)
		return trace_error(-EINVAL);
	n = hv_contig_alloc(sizeof(*n), 4096);
	if (!n)
		return trace_error(-ENOMEM);
	memset(n, 0, sizeof(*n));
	if (hv_slab_init(&n->ops, "nfs-op", sizeof(struct nfs_op), NFS_OPS)) {
		hv_contig_free(n, sizeof(*n));
		return trace_error(-ENOMEM);
	}
	storage_link_init(&n->link, "nfs", name);
	n->link.changed = changed;
	n->link.changed_arg = arg;
	n->config = *config;
	n->nfs_port = config->nfs_port;
	n->mount_port = config->mount_port;
	n->max_bytes = NFS_MAX_BYTES;
	n->store = (struct file_store){.ops = &namespace_ops, .name = name};
	n->poller = (struct hv_poller){.poll = nfs_poll, .name = name};
	n->tick.fn = nfs_tick;
	hv_poller_add(&n->poller);
	hv_timer_arm(&n->tick, hv_now_ns() + TICK_NS);
	nfs_connect(n);
	*out = n;
	return 0;
}

void nfs_initiator_close(struct nfs_initiator *n)
{
	struct nfs_file *f;

	hv_timer_cancel(&n->tick);
	hv_poller_remove(&n->poller);
	context_destroy(n);
	rpc_recover(n);
	storage_link_set(&n->link, STORAGE_LINK_CLOSED);
	namespace_wake(n);
	while ((f = n->files) != NULL) {
		n->files = f->next;
		if (f->log.unstable || f->log.pending)
			log_error("nfs.write.lost", "%s: %s: closed before the server had made the last writes stable", n->link.name,
				f->path);
		f->file.blk.state = BLK_STATE_GONE; /* done() cannot submit again */
		file_abort(f, -ESHUTDOWN);
		log_close(&f->log);
		hv_contig_free(f, sizeof(*f));
	}
	hv_slab_destroy(&n->ops);
	hv_contig_free(n, sizeof(*n));
}

struct file_store *nfs_initiator_store(struct nfs_initiator *n)
{
	return &n->store;
}

const struct storage_link *nfs_initiator_link(const struct nfs_initiator *n)
{
	return &n->link;
}

const struct nfs_durability_stats *nfs_initiator_durability(const struct nfs_initiator *n)
{
	return &n->durability;
}

bool nfs_initiator_settling(const struct nfs_initiator *n)
{
	const struct nfs_file *f = n->files;

	while (f && !f->closing)
		f = f->next;
	return f != NULL;
}
