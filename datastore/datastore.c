/*
 * Datastores: what attaches them, their state, and who waits for it. Disks are disk.c's.
 *
 *   ATTACHING --reached--> ONLINE <--> WAITING     any --datastore_close--> CLOSED
 *
 * The state follows the initiator's link (storage/link.h). Owner: the storage core.
 */
#include "private.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <storage/file.h>
#include <string.h>

static struct datastore *all[DATASTORE_MAX];
static unsigned all_count;

const char *datastore_state_text(enum datastore_state state)
{
	static const char *const texts[] = {"attaching", "online", "waiting", "closed"};

	return (unsigned)state < HV_ARRAY_LEN(texts) ? texts[state] : "?";
}

static void waiters_wake(struct datastore *ds)
{
	for (struct datastore_waiter *w = ds->waiters; w; w = w->next)
		hv_fiber_wake(w->fiber);
}

static void state_set(struct datastore *ds, enum datastore_state state)
{
	uint64_t now = hv_now_ns();

	if (ds->state == state)
		return;
	if (ds->state == DATASTORE_WAITING)
		ds->waiting_ns += now - ds->since_ns;
	ds->state = state;
	ds->since_ns = now;
	ds->state_changes++;
	waiters_wake(ds);
	if (ds->changed)
		ds->changed(ds, ds->changed_arg);
}

static void link_changed(struct storage_link *link, void *arg)
{
	struct datastore *ds = arg;

	if (link->state == STORAGE_LINK_READY)
		state_set(ds, DATASTORE_ONLINE);
	else if (link->state == STORAGE_LINK_CLOSED)
		state_set(ds, DATASTORE_CLOSED);
	else if (ds->state == DATASTORE_ONLINE)
		state_set(ds, DATASTORE_WAITING);
}

static int attach(struct datastore *ds)
{
	switch (ds->config.kind) {
	case DATASTORE_NFS:
		return nfs_initiator_open(&ds->config.nfs, ds->config.name, link_changed, ds, &ds->nfs);
	case DATASTORE_ISCSI:
		return iscsi_initiator_open(&ds->config.iscsi, ds->config.name, link_changed, ds, &ds->iscsi);
	case DATASTORE_RAM:
		state_set(ds, DATASTORE_ONLINE);
		return 0;
	default:
		return trace_error(-EINVAL);
	}
}

int datastore_open(const struct datastore_config *config, struct datastore **out)
{
	struct datastore *ds;
	int err;

	if (!config->name[0] || strnlen(config->name, sizeof(config->name)) == sizeof(config->name))
		return trace_error(-EINVAL);
	if (datastore_find(config->name))
		return trace_error(-EEXIST);
	if (all_count == DATASTORE_MAX)
		return trace_error(-ENOSPC);
	ds = hv_contig_alloc(sizeof(*ds), 4096);
	if (!ds)
		return trace_error(-ENOMEM);
	memset(ds, 0, sizeof(*ds));
	ds->config = *config;
	ds->state = DATASTORE_ATTACHING;
	ds->since_ns = hv_now_ns();
	err = attach(ds);
	if (err) {
		hv_contig_free(ds, sizeof(*ds));
		return err;
	}
	all[all_count++] = ds;
	*out = ds;
	return 0;
}

void datastore_close(struct datastore *ds)
{
	unsigned i = 0;

	while (i < all_count && all[i] != ds)
		i++;
	if (i < all_count)
		memmove(&all[i], &all[i + 1], (--all_count - i) * sizeof(all[0]));
	disk_forget_all(ds);
	if (ds->nfs)
		nfs_initiator_close(ds->nfs);
	if (ds->iscsi)
		iscsi_initiator_close(ds->iscsi);
	state_set(ds, DATASTORE_CLOSED);
	explicit_bzero(&ds->config, sizeof(ds->config));
	hv_contig_free(ds, sizeof(*ds));
}

const char *datastore_name(const struct datastore *ds)
{
	return ds->config.name;
}

enum datastore_kind datastore_kind(const struct datastore *ds)
{
	return ds->config.kind;
}

enum datastore_state datastore_state(const struct datastore *ds)
{
	return ds->state;
}

void datastore_on_change(struct datastore *ds, void (*changed)(struct datastore *ds, void *arg), void *arg)
{
	ds->changed = changed;
	ds->changed_arg = arg;
}

int datastore_wait(struct datastore *ds, uint64_t deadline_ns)
{
	struct datastore_waiter self = {.fiber = hv_fiber_self(), .next = ds->waiters}, **at = &ds->waiters;
	int err = 0;

	hv_assert(self.fiber);
	ds->waiters = &self;
	while (ds->state == DATASTORE_ATTACHING && !err)
		err = hv_fiber_park(deadline_ns);
	while (*at != &self)
		at = &(*at)->next;
	*at = self.next;
	return ds->state == DATASTORE_CLOSED ? trace_error(-ESHUTDOWN) : ds->state == DATASTORE_ATTACHING ? err : 0;
}

int datastore_file_load(struct datastore *ds, const char *path, size_t max_bytes, void **data, size_t *bytes, uint64_t deadline_ns)
{
	if (!ds->nfs)
		return trace_error(-EOPNOTSUPP);
	return file_load(nfs_initiator_store(ds->nfs), path, max_bytes, data, bytes, deadline_ns);
}

void datastore_file_unload(void *data, size_t bytes)
{
	file_unload(data, bytes);
}

unsigned datastore_count(void)
{
	return all_count;
}

struct datastore *datastore_get(unsigned i)
{
	return i < all_count ? all[i] : NULL;
}

struct datastore *datastore_find(const char *name)
{
	for (unsigned i = 0; i < all_count; i++)
		if (strcmp(all[i]->config.name, name) == 0)
			return all[i];
	return NULL;
}

void datastore_stats(const struct datastore *ds, struct datastore_stats *out)
{
	const struct storage_link *link = ds->nfs ? nfs_initiator_link(ds->nfs) : ds->iscsi ? iscsi_initiator_link(ds->iscsi) : NULL;

	*out = (struct datastore_stats){.state = ds->state, .state_changes = ds->state_changes, .waiting_ns = ds->waiting_ns, .reason = ""};
	if (ds->state == DATASTORE_WAITING)
		out->waiting_ns += hv_now_ns() - ds->since_ns;
	disk_stats(ds, &out->io);
	if (link) {
		out->link = link->stats;
		out->reason = link->reason;
	}
	if (ds->nfs) {
		const struct nfs_durability_stats *d = nfs_initiator_durability(ds->nfs);

		out->commits = d->commits;
		out->resent = d->resent;
		out->verifier_changes = d->verifier_changes;
		out->lost_writes = d->lost_writes;
	}
}

bool datastore_settling(const struct datastore *ds)
{
	return ds->nfs && nfs_initiator_settling(ds->nfs);
}
