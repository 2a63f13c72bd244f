/*
 * iSCSI session: connection, login, keep-alive, loss and reconnection. The states are storage/link.h's:
 *
 *   CONNECTING  TCP to the next portal            connected() -> LOGIN              5 s
 *   LOGIN       iSCSI login, CHAP                 logged_in() -> PROBING           10 s
 *   PROBING     which LUN is this (probe.c)       session_probed() -> READY        30 s
 *   READY       commands run (command.c); a NOP-Out after 3 s of silence, 5 s for any sign of life after it
 *   LOST        session_lose(): context destroyed, requests back in `waiting`      -> BACKING_OFF at once
 *   BACKING_OFF session_tick() -> CONNECTING
 *
 * Reconnection is ours, not libiscsi's, because a context that failed is destroyed as a whole: nothing of a dead connection can touch guest
 * memory afterwards. Invariants: session.h.
 */
#include "session.h"
#include "library.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/rand.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ULL
#define TICK_NS (100 * MS)
#define CONNECT_NS (5000 * MS)
#define LOGIN_NS (10000 * MS)
#define PROBE_NS (30000 * MS)
#define SILENCE_NS (3000 * MS)
#define NOP_NS (5000 * MS)

void session_fail(struct iscsi_initiator *s, bool refused, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	s->failed_refused = refused;
	va_start(ap, fmt);
	hv_vsnprintf(s->failed_text, sizeof(s->failed_text), fmt, ap);
	va_end(ap);
}

/* ---- login ---- */

/* Login status class and detail (RFC 7143 section 11.13.5) -> what an administrator checks. */
static const struct {
	int status;
	const char *hint;
} login_hints[] = {
	{0x0201, "check the CHAP user and secret on both sides"},
	{0x0202, "the target does not admit this initiator name: check its access list"},
	{0x0203, "there is no target of this name at this portal: check the target name"},
	{0x0204, "the target was removed"},
	{0x0206, "the target's limit of connections is reached"},
	{0x0301, "the target is not operational"},
	{0x0302, "the target is out of resources"},
};

/* The library puts the status at the end of its text, in parentheses. 0 when there is none. */
static int login_status(const char *text)
{
	const char *open = strrchr(text, '(');
	long status = open ? strtol(open + 1, NULL, 10) : 0;

	return status > 0 && status <= 0xffff ? (int)status : 0;
}

static void login_refused(struct iscsi_initiator *s, const char *text)
{
	int status = login_status(text);
	const char *hint = NULL;

	for (unsigned i = 0; i < HV_ARRAY_LEN(login_hints); i++)
		if (login_hints[i].status == status)
			hint = login_hints[i].hint;
	if (status == 0x0201 && !s->config.chap_user[0])
		hint = "the target asks for CHAP and none is configured";
	if (!status || !hint)
		session_fail(s, status != 0, "login to %s failed: %s", s->config.target, text);
	else if (s->config.chap_user[0])
		session_fail(s, true, "login to %s as CHAP user \"%s\" refused: status 0x%04x, %s", s->config.target, s->config.chap_user,
			status, hint);
	else
		session_fail(s, true, "login to %s refused: status 0x%04x, %s", s->config.target, status, hint);
}

static void logged_in(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct iscsi_initiator *s = arg;
	const char *bad;

	if (ctx != s->ctx)
		return;
	if (status == SCSI_STATUS_REDIRECT) {
		hv_snprintf(s->redirect, sizeof(s->redirect), "%s", iscsi_get_target_address(ctx));
		session_fail(s, false, "redirected to %s", s->redirect);
		return;
	}
	if (status != SCSI_STATUS_GOOD) {
		login_refused(s, iscsi_get_error(ctx));
		return;
	}
	bad = library_negotiation_error(ctx);
	if (bad) {
		session_fail(s, true, "login to %s: the target negotiated an impossible %s", s->config.target, bad);
		return;
	}
	storage_link_set(&s->link, STORAGE_LINK_PROBING);
	probe_start(s);
}

static void connected(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct iscsi_initiator *s = arg;

	if (ctx != s->ctx)
		return;
	if (status != SCSI_STATUS_GOOD) {
		session_fail(s, false, "no connection: %s", iscsi_get_error(ctx));
		return;
	}
	storage_link_set(&s->link, STORAGE_LINK_LOGIN);
	if (iscsi_login_async(ctx, logged_in, s) != 0)
		session_fail(s, false, "login could not be sent: %s", iscsi_get_error(ctx));
}

/* ---- connection ---- */

static void portal_text(struct iscsi_initiator *s, char *buf, size_t size)
{
	const struct storage_portal *p = &s->config.portals[s->portal % s->config.portal_count];

	if (s->redirect[0])
		hv_snprintf(buf, size, "%s", s->redirect);
	else
		hv_snprintf(buf, size, "%u.%u.%u.%u:%u", p->address >> 24, p->address >> 16 & 255, p->address >> 8 & 255, p->address & 255,
			p->port);
	s->redirect[0] = 0;
}

static struct iscsi_context *context_make(struct iscsi_initiator *s)
{
	struct iscsi_context *ctx = iscsi_create_context(s->config.initiator);

	if (!ctx)
		return NULL;
	iscsi_set_noautoreconnect(ctx, 1);
	iscsi_set_isid_random(ctx, s->isid, 0);
	if (iscsi_set_targetname(ctx, s->config.target) || iscsi_set_session_type(ctx, ISCSI_SESSION_NORMAL) ||
		iscsi_set_header_digest(ctx, s->config.header_digest ? ISCSI_HEADER_DIGEST_CRC32C_NONE : ISCSI_HEADER_DIGEST_NONE) ||
		(s->config.chap_user[0] && iscsi_set_initiator_username_pwd(ctx, s->config.chap_user, s->config.chap_secret))) {
		iscsi_destroy_context(ctx);
		return NULL;
	}
	return ctx;
}

static void session_lose(struct iscsi_initiator *s);

static void session_connect(struct iscsi_initiator *s)
{
	char portal[64];

	portal_text(s, portal, sizeof(portal));
	storage_link_set(&s->link, STORAGE_LINK_CONNECTING);
	s->failed = false;
	s->nop_ns = 0;
	s->heard_ns = hv_now_ns();
	s->ctx = context_make(s);
	if (!s->ctx)
		session_fail(s, false, "no memory for a connection");
	else if (iscsi_connect_async(s->ctx, portal, connected, s) != 0)
		session_fail(s, false, "no connection: %s", iscsi_get_error(s->ctx));
	if (s->failed)
		session_lose(s);
}

static void lun_state(struct iscsi_initiator *s, enum blk_state state)
{
	if (s->lun.blk.state == state)
		return;
	s->lun.blk.state = state;
	if (s->lun.blk.changed)
		s->lun.blk.changed(&s->lun.blk, s->lun.blk.changed_arg);
}

static void context_destroy(struct iscsi_initiator *s)
{
	struct iscsi_context *ctx = s->ctx;

	s->ctx = NULL; /* the library calls back for everything that it still holds: ignored from here on */
	probe_stop(s);
	if (ctx)
		iscsi_destroy_context(ctx);
}

/* Takes the connection down and plans the next attempt. Never inside a library callback. */
static void session_lose(struct iscsi_initiator *s)
{
	bool redirected = s->redirect[0];

	storage_link_fail(&s->link, s->failed_refused, "%s", s->failed_text);
	context_destroy(s);
	s->portal++;
	s->next_attempt_ns = hv_now_ns() + (redirected ? 0 : storage_link_backoff_ns(&s->link));
	storage_link_set(&s->link, STORAGE_LINK_BACKING_OFF);
	lun_state(s, BLK_STATE_WAITING);
	command_recover(s);
}

void session_probed(struct iscsi_initiator *s)
{
	storage_link_set(&s->link, STORAGE_LINK_READY);
	lun_state(s, BLK_STATE_ONLINE);
	command_issue(s);
}

static unsigned session_poll(struct hv_poller *poller)
{
	struct iscsi_initiator *s = hv_container_of(poller, struct iscsi_initiator, poller);
	struct pollfd pfd;

	if (!s->ctx)
		return 0;
	if (s->waiting.head)
		command_issue(s);
	pfd = (struct pollfd){.fd = iscsi_get_fd(s->ctx), .events = (short)iscsi_which_events(s->ctx)};
	if (!s->failed && poll(&pfd, 1, 0) <= 0)
		return 0;
	if (!s->failed) {
		s->heard_ns = hv_now_ns();
		if (iscsi_service(s->ctx, pfd.revents) != 0 || library_lost(s->ctx))
			session_fail(s, false, "connection lost: %s",
				iscsi_get_error(s->ctx)[0] ? iscsi_get_error(s->ctx) : "closed by the target");
	}
	if (s->failed)
		session_lose(s);
	return 1;
}

/* ---- time ---- */

static void nop_answered(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct iscsi_initiator *s = arg;

	if (ctx == s->ctx)
		s->nop_ns = 0;
}

static void keep_alive(struct iscsi_initiator *s, uint64_t now)
{
	uint64_t silent_since = HV_MAX(s->heard_ns, s->nop_ns);

	if (s->nop_ns && now - silent_since > NOP_NS) {
		session_fail(s, false, "the target does not answer");
	} else if (!s->nop_ns && now - s->heard_ns > SILENCE_NS) {
		s->nop_ns = now;
		if (iscsi_nop_out_async(s->ctx, nop_answered, NULL, 0, s) != 0)
			session_fail(s, false, "NOP-Out could not be sent");
	}
}

static void session_tick(struct hv_timer *timer)
{
	struct iscsi_initiator *s = hv_container_of(timer, struct iscsi_initiator, tick);
	uint64_t now = hv_now_ns(), age = now - s->link.since_ns;

	hv_timer_arm(&s->tick, now + TICK_NS);
	command_tick(s, now);
	switch (s->link.state) {
	case STORAGE_LINK_CONNECTING:
		if (age > CONNECT_NS)
			session_fail(s, false, "no connection: no answer");
		break;
	case STORAGE_LINK_LOGIN:
		if (age > LOGIN_NS)
			session_fail(s, false, "login: no answer");
		break;
	case STORAGE_LINK_PROBING:
		if (age > PROBE_NS && !s->unit_waits)
			session_fail(s, false, "the LUN does not answer");
		probe_tick(s, now);
		keep_alive(s, now);
		break;
	case STORAGE_LINK_READY:
		probe_tick(s, now);
		keep_alive(s, now);
		break;
	case STORAGE_LINK_BACKING_OFF:
		if (now >= s->next_attempt_ns)
			session_connect(s);
		break;
	default:
		break;
	}
	if (s->failed && s->ctx)
		session_lose(s);
}

/* ---- life ---- */

int iscsi_initiator_open(const struct iscsi_config *config, const char *name, void (*changed)(struct storage_link *link, void *arg),
	void *arg, struct iscsi_initiator **out)
{
	struct iscsi_initiator *s;

	if (config->portal_count == 0 || config->portal_count > STORAGE_MAX_PORTALS || !config->target[0] || !config->initiator[0])
		return trace_error(-EINVAL);
	s = hv_contig_alloc(sizeof(*s), 4096);
	if (!s)
		return trace_error(-ENOMEM);
	memset(s, 0, sizeof(*s));
	if (hv_slab_init(&s->ops, "iscsi-op", sizeof(struct iscsi_op), SESSION_OPS)) {
		hv_contig_free(s, sizeof(*s));
		return trace_error(-ENOMEM);
	}
	storage_link_init(&s->link, "iscsi", name);
	s->link.changed = changed;
	s->link.changed_arg = arg;
	s->config = *config;
	hv_random(&s->isid, sizeof(s->isid));
	s->lun.blk = (struct blk_dev){.ops = &command_blk_ops,
		.name = name,
		.block_bytes = 512,
		.physical_bytes = 512,
		.max_bytes = SESSION_MAX_BYTES,
		.max_segs = SESSION_MAX_SEGS,
		.core = (uint16_t)hv_core_self(),
		.state = BLK_STATE_WAITING};
	s->poller = (struct hv_poller){.poll = session_poll, .name = name};
	s->tick.fn = session_tick;
	hv_poller_add(&s->poller);
	hv_timer_arm(&s->tick, hv_now_ns() + TICK_NS);
	session_connect(s);
	*out = s;
	return 0;
}

void iscsi_initiator_close(struct iscsi_initiator *s)
{
	struct blk_req *req;

	hv_timer_cancel(&s->tick);
	hv_poller_remove(&s->poller);
	context_destroy(s);
	command_recover(s);
	storage_link_set(&s->link, STORAGE_LINK_CLOSED);
	s->lun.blk.state = BLK_STATE_GONE;
	while ((req = s->waiting.head) != NULL) {
		blk_queue_remove(&s->waiting, req);
		blk_complete(req, -ESHUTDOWN);
	}
	explicit_bzero(s->config.chap_secret, sizeof(s->config.chap_secret));
	hv_slab_destroy(&s->ops);
	hv_contig_free(s, sizeof(*s));
}

struct lun *iscsi_initiator_lun(struct iscsi_initiator *s)
{
	return &s->lun;
}

const struct storage_link *iscsi_initiator_link(const struct iscsi_initiator *s)
{
	return &s->link;
}
