/* See storage/link.h: state, log and back-off of a connection to storage. */
#include <hv/core.h>
#include <hv/log.h>
#include <hv/rand.h>
#include <storage/link.h>
#include <string.h>

#define MS 1000000ULL
#define BACKOFF_FIRST_NS (100 * MS)
#define BACKOFF_MAX_NS (5000 * MS)
#define BACKOFF_REFUSED_FIRST_NS (1000 * MS)
#define BACKOFF_REFUSED_MAX_NS (30000 * MS)
#define LOG_AGAIN_NS (300000 * MS) /* the same failure is logged again after five minutes */

static const char *const state_texts[] = {
	[STORAGE_LINK_CLOSED] = "closed",
	[STORAGE_LINK_CONNECTING] = "connecting",
	[STORAGE_LINK_LOGIN] = "login",
	[STORAGE_LINK_PROBING] = "probing",
	[STORAGE_LINK_READY] = "ready",
	[STORAGE_LINK_LOST] = "lost",
	[STORAGE_LINK_BACKING_OFF] = "backing-off",
};

const char *storage_link_state_text(enum storage_link_state state)
{
	return (unsigned)state < HV_ARRAY_LEN(state_texts) ? state_texts[state] : "?";
}

/* "iscsi" + "lost" -> "iscsi.lost" in a caller's buffer. */
static const char *event_id(const struct storage_link *link, const char *what, char *buf, size_t size)
{
	hv_snprintf(buf, size, "%s.%s", link->proto, what);
	return buf;
}

void storage_link_init(struct storage_link *link, const char *proto, const char *name)
{
	*link = (struct storage_link){.name = name, .proto = proto, .state = STORAGE_LINK_CLOSED, .since_ns = hv_now_ns()};
}

static void tell(struct storage_link *link)
{
	if (link->changed)
		link->changed(link, link->changed_arg);
}

static void enter_ready(struct storage_link *link)
{
	char id[32];
	uint64_t away_ms = link->lost_ns ? (hv_now_ns() - link->lost_ns) / MS : 0;

	if (link->was_ready)
		log_info(event_id(link, "back", id, sizeof(id)), "%s: back after %llu.%01llu s", link->name,
			(unsigned long long)(away_ms / 1000), (unsigned long long)(away_ms % 1000 / 100));
	else
		log_info(event_id(link, "ready", id, sizeof(id)), "%s: ready after %llu.%01llu s", link->name,
			(unsigned long long)(away_ms / 1000), (unsigned long long)(away_ms % 1000 / 100));
	link->was_ready = true;
	link->lost_ns = 0;
	link->failures = 0;
	link->refused = false;
	link->last_log_ns = 0;
	link->reason[0] = 0;
	link->stats.logins++;
}

void storage_link_set(struct storage_link *link, enum storage_link_state state)
{
	enum storage_link_state old = link->state;

	if (old == state)
		return;
	link->state = state;
	link->since_ns = hv_now_ns();
	if (state == STORAGE_LINK_CONNECTING) {
		link->stats.attempts++;
		if (!link->lost_ns)
			link->lost_ns = link->since_ns;
	}
	if (old == STORAGE_LINK_READY) {
		link->stats.losses++;
		link->lost_ns = link->since_ns;
	}
	if (state == STORAGE_LINK_READY)
		enter_ready(link);
	if (state == STORAGE_LINK_READY || old == STORAGE_LINK_READY || state == STORAGE_LINK_CLOSED)
		tell(link);
}

void storage_link_fail(struct storage_link *link, bool refused, const char *fmt, ...)
{
	char reason[STORAGE_LINK_TEXT_MAX], id[32];
	uint64_t now = hv_now_ns();
	bool lost = link->state == STORAGE_LINK_READY;
	va_list ap;

	va_start(ap, fmt);
	hv_vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (lost)
		log_warn(event_id(link, "lost", id, sizeof(id)), "%s: lost: %s; requests wait", link->name, reason);
	else if (strcmp(reason, link->reason) != 0 || now - link->last_log_ns > LOG_AGAIN_NS)
		log_warn(event_id(link,
				 !refused                            ? "unreachable"
				 : link->state == STORAGE_LINK_LOGIN ? "login.refused"
								     : "refused",
				 id, sizeof(id)),
			"%s: %s; trying on", link->name, reason);
	else
		goto quiet;
	memcpy(link->reason, reason, sizeof(reason));
	link->last_log_ns = now;
quiet:
	link->failures++;
	link->refused = refused;
	if (refused)
		link->stats.refused++;
	storage_link_set(link, STORAGE_LINK_LOST);
}

uint64_t storage_link_backoff_ns(const struct storage_link *link)
{
	uint64_t first = link->refused ? BACKOFF_REFUSED_FIRST_NS : BACKOFF_FIRST_NS;
	uint64_t most = link->refused ? BACKOFF_REFUSED_MAX_NS : BACKOFF_MAX_NS;
	unsigned doublings = link->failures ? HV_MIN(link->failures - 1, 16u) : 0;
	uint64_t wait = HV_MIN(first << doublings, most);
	uint32_t random;

	hv_random(&random, sizeof(random));
	return wait - wait / 4 * (random % 1024) / 1024;
}
