/*
 * The state of a connection to storage, the same for both protocols: what it is doing, since when, what went wrong last, and how long to
 * wait before the next attempt. Keeps the log readable: one line when storage is lost, one when it is back, and in between only news.
 *
 *   CLOSED --open--> CONNECTING -> LOGIN (iSCSI login / MOUNT) -> PROBING (capacity / FSINFO) -> READY
 *                        ^             |                             |                            |
 *                        |             +--------- any failure -------+----------------------------+
 *                        |                                           v
 *                        +---- back-off over ---- BACKING_OFF <---- LOST (connection taken down, requests kept for replay)
 *   any --close--> CLOSED
 *
 * Owner: the storage core, loop context.
 */
#ifndef STORAGE_LINK_H
#define STORAGE_LINK_H

#include <hv/types.h>

enum storage_link_state {
	STORAGE_LINK_CLOSED,
	STORAGE_LINK_CONNECTING,
	STORAGE_LINK_LOGIN,
	STORAGE_LINK_PROBING,
	STORAGE_LINK_READY,
	STORAGE_LINK_LOST,
	STORAGE_LINK_BACKING_OFF,
};

struct storage_link_stats {
	uint64_t attempts, logins, losses, refused;
	uint64_t replayed;  /* requests sent again after a loss */
	uint64_t retried;   /* requests sent again because the server asked for it */
	uint64_t timed_out; /* requests ended by their deadline */
	uint64_t canceled;
};

#define STORAGE_LINK_TEXT_MAX 200

struct storage_link {
	const char *name;  /* the datastore's, for the log */
	const char *proto; /* "iscsi", "nfs": first part of event ids */
	enum storage_link_state state;
	uint64_t since_ns; /* start of this state */
	uint64_t lost_ns;  /* when READY was left, or the first attempt began; 0 while READY */
	uint64_t last_log_ns;
	unsigned failures;                  /* attempts since READY */
	bool refused;                       /* the server answered and said no: longer back-off */
	bool was_ready;                     /* at least once */
	char reason[STORAGE_LINK_TEXT_MAX]; /* of the last failure */
	struct storage_link_stats stats;
	/* Told after READY is entered or left, and at CLOSED; may be NULL. */
	void (*changed)(struct storage_link *link, void *arg);
	void *changed_arg;
};

const char *storage_link_state_text(enum storage_link_state state);
void storage_link_init(struct storage_link *link, const char *proto, const char *name);
/* Enters a state. Logs "back after" at READY, "lost" when READY is left, and tells `changed`. */
void storage_link_set(struct storage_link *link, enum storage_link_state state);
/* Notes why the connection failed (or is being dropped) and enters LOST; logs it if it is news. refused: the server itself said no. */
void storage_link_fail(struct storage_link *link, bool refused, const char *fmt, ...) HV_PRINTF(3, 4);
/* Time until the next attempt: doubling from 100 ms, at most 5 s (30 s when refused), with up to 25 % taken off at random. */
uint64_t storage_link_backoff_ns(const struct storage_link *link);

#endif
