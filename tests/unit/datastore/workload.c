/*
 * Verified workload on datastores over real servers: the program that system tests run natively (tests/system/storage_native.py) while they
 * kill, stop and restart the servers.
 *
 *   test-storage-workload SECONDS DATASTORE...
 *     DATASTORE: iscsi:NAME:PORT:TARGET:LUN[:USER:SECRET] | nfs:NAME:NFS_PORT:MOUNT_PORT:SERVER:EXPORT:FILE | ram:NAME
 *
 * Each datastore gets reads and writes of 4 to 256 KiB at random places of its first 16 MiB, 16 at a time, none overlapping another, with a
 * flush now and then; each block's contents name the block and the write that made them, and every read is checked against the last write
 * that was done. At the end everything is read once more. Prints "ready NAME" when a disk is open, and for each datastore a line of JSON.
 * Ends with 0 when no request failed and nothing differed.
 */
#include <datastore/datastore.h>
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "native.h"

#define BLOCK 4096u
#define BLOCKS 4096u
#define MAX_RUN 64u
#define DEPTH 16
#define MAX_JOBS 4

struct slot {
	struct blk_req req;
	struct hv_seg segs[4];
	struct job *job;
	bool busy;
	uint32_t first, count, version_first;
	uint8_t *data;
};

struct job {
	char spec[512], name[64], file[128];
	struct datastore_config config;
	struct datastore *ds;
	struct blk_dev *disk;
	uint32_t version[BLOCKS], next_version;
	bool locked[BLOCKS];
	struct slot slots[DEPTH], flush;
	uint64_t done, errors, mismatches, flushes, last_ns, longest_gap_ns, end_ns;
	unsigned in_flight;
	bool stop, open_failed, finished;
	struct hv_fiber *fiber;
};

static struct job jobs[MAX_JOBS];
static unsigned job_count;
static uint64_t seed = 88172645463325252ull;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void fill(uint8_t *p, uint32_t block, uint32_t version)
{
	uint64_t *w = (uint64_t *)(void *)p;

	for (unsigned i = 0; i < BLOCK / 8; i++)
		w[i] = version ? (uint64_t)block << 40 ^ (uint64_t)version << 8 ^ i * 0x9e3779b97f4a7c15ull : 0;
}

static bool check(struct job *j, const uint8_t *p, uint32_t block)
{
	uint8_t want[BLOCK];

	fill(want, block, j->version[block]);
	if (memcmp(p, want, BLOCK) == 0)
		return true;
	if (j->mismatches++ < 5)
		fprintf(stderr, "%s: block %u does not hold write %u\n", j->name, block, j->version[block]);
	return false;
}

static void done(struct blk_req *req, int status)
{
	struct slot *s = req->owner;
	struct job *j = s->job;
	uint64_t now = hv_now_ns();

	s->busy = false;
	j->in_flight--;
	j->done++;
	if (now - j->last_ns > j->longest_gap_ns)
		j->longest_gap_ns = now - j->last_ns;
	j->last_ns = now;
	if (status) {
		if (j->errors++ < 5)
			fprintf(stderr, "%s: %s ended with %d\n", j->name, blk_op_name(req->op), status);
	}
	if (req->op == BLK_FLUSH) {
		j->flushes++;
	} else {
		for (uint32_t i = 0; i < s->count; i++) {
			uint32_t block = s->first + i;

			j->locked[block] = false;
			if (!status && req->op == BLK_READ)
				check(j, s->data + i * BLOCK, block);
			else if (!status)
				j->version[block] = s->version_first + i;
		}
	}
	hv_fiber_wake(j->fiber);
}

/* Up to four segments of uneven length, neighbours in memory or not. */
static void scatter(struct slot *s, uint64_t bytes)
{
	uint64_t at = 0;

	s->req.nsegs = 0;
	while (at < bytes) {
		uint64_t piece = 512 * (1 + random64() % 64), n = s->req.nsegs == 3 ? bytes - at : HV_MIN(bytes - at, piece);

		s->segs[s->req.nsegs++] = (struct hv_seg){.base = s->data + at, .len = (uint32_t)n};
		at += n;
	}
	s->req.segs = s->segs;
}

static bool submit(struct job *j, struct slot *s)
{
	int err;

	s->busy = true;
	j->in_flight++;
	err = blk_submit(j->disk, &s->req);
	if (!err)
		return true;
	s->busy = false;
	j->in_flight--;
	if (err != -EAGAIN && j->errors++ < 5)
		fprintf(stderr, "%s: submit: %d\n", j->name, err);
	return false;
}

static void start(struct job *j, struct slot *s, uint8_t op, uint32_t first, uint32_t count)
{
	s->first = first;
	s->count = count;
	s->req = (struct blk_req){
		.op = op, .offset_bytes = (uint64_t)first * BLOCK, .length_bytes = (uint64_t)count * BLOCK, .done = done, .owner = s};
	if (op == BLK_WRITE) {
		s->req.flags = random64() % 32 == 0 ? BLK_F_FUA : 0;
		for (uint32_t i = 0; i < count; i++)
			fill(s->data + i * BLOCK, first + i, j->next_version + 1 + i);
	} else {
		memset(s->data, 0xee, count * BLOCK);
	}
	scatter(s, (uint64_t)count * BLOCK);
	s->version_first = j->next_version + 1;
	if (op == BLK_WRITE)
		j->next_version += count;
	for (uint32_t i = 0; i < count; i++)
		j->locked[first + i] = true;
	if (!submit(j, s))
		for (uint32_t i = 0; i < count; i++)
			j->locked[first + i] = false;
}

static void start_random(struct job *j, struct slot *s)
{
	uint32_t first = (uint32_t)(random64() % BLOCKS), count = 1 + (uint32_t)(random64() % (random64() % 4 ? 4 : MAX_RUN)), n = 0;

	while (n < count && first + n < BLOCKS && !j->locked[first + n])
		n++;
	if (n)
		start(j, s, random64() % 2 ? BLK_READ : BLK_WRITE, first, n);
}

static void start_flush(struct job *j)
{
	if (j->flush.busy)
		return;
	j->flush.req = (struct blk_req){.op = BLK_FLUSH, .done = done, .owner = &j->flush};
	submit(j, &j->flush);
}

static void drain(struct job *j)
{
	while (j->in_flight)
		(void)hv_fiber_park(0);
}

static void verify_all(struct job *j)
{
	for (uint32_t first = 0; first < BLOCKS; first += MAX_RUN) {
		start(j, &j->slots[0], BLK_READ, first, MAX_RUN);
		drain(j);
	}
}

static void job_run(void *arg)
{
	struct job *j = arg;
	struct datastore_disk_options options = {.size_bytes = (uint64_t)BLOCKS * BLOCK};

	j->fiber = hv_fiber_self();
	if (datastore_disk_open(j->ds, j->file, &options, &j->disk)) {
		j->open_failed = j->finished = true;
		return;
	}
	printf("ready %s\n", j->name);
	for (unsigned i = 0; i < DEPTH; i++) {
		j->slots[i].job = j;
		j->slots[i].data = aligned_alloc(4096, MAX_RUN * BLOCK);
	}
	j->flush.job = j;
	j->last_ns = hv_now_ns();
	for (uint32_t first = 0; first < BLOCKS; first += MAX_RUN) {
		start(j, &j->slots[0], BLK_WRITE, first, MAX_RUN);
		drain(j);
	}
	while (hv_now_ns() < j->end_ns && j->errors + j->mismatches < 100) {
		for (unsigned i = 0; i < DEPTH; i++)
			if (!j->slots[i].busy)
				start_random(j, &j->slots[i]);
		if (random64() % 64 == 0)
			start_flush(j);
		hv_fiber_yield();
		if (j->in_flight >= DEPTH)
			(void)hv_fiber_park(0);
	}
	drain(j);
	start_flush(j);
	drain(j);
	verify_all(j);
	for (unsigned i = 0; i < DEPTH; i++)
		free(j->slots[i].data);
	datastore_disk_close(j->ds, j->disk);
	j->finished = true;
}

static char *field(char **at)
{
	char *f = strsep(at, ":");

	return f ? f : (char *)(uintptr_t) "";
}

static void parse(struct job *j, const char *spec)
{
	char *at = j->spec, *kind;
	struct datastore_config *c = &j->config;

	snprintf(j->spec, sizeof(j->spec), "%s", spec);
	kind = field(&at);
	snprintf(j->name, sizeof(j->name), "%s", field(&at));
	snprintf(c->name, sizeof(c->name), "%.31s", j->name);
	if (strcmp(kind, "iscsi") == 0) {
		c->kind = DATASTORE_ISCSI;
		c->iscsi.portal_count = 1;
		c->iscsi.portals[0] = (struct storage_portal){.address = 0x7f000001, .port = (uint16_t)atoi(field(&at))};
		/* An IQN holds colons: the target's are written as '/'. */
		snprintf(c->iscsi.target, sizeof(c->iscsi.target), "%s", field(&at));
		for (char *p = c->iscsi.target; *p; p++)
			*p = *p == '/' ? ':' : *p;
		c->iscsi.lun = (uint16_t)atoi(field(&at));
		snprintf(c->iscsi.chap_user, sizeof(c->iscsi.chap_user), "%s", field(&at));
		snprintf(c->iscsi.chap_secret, sizeof(c->iscsi.chap_secret), "%s", field(&at));
		strcpy(c->iscsi.initiator, "iqn.2026-01.io.berth:test");
	} else if (strcmp(kind, "nfs") == 0) {
		unsigned a, b, d, e;

		c->kind = DATASTORE_NFS;
		c->nfs.version = 3;
		c->nfs.nfs_port = (uint16_t)atoi(field(&at));
		c->nfs.mount_port = (uint16_t)atoi(field(&at));
		if (sscanf(field(&at), "%u.%u.%u.%u", &a, &b, &d, &e) == 4)
			c->nfs.server = a << 24 | b << 16 | d << 8 | e;
		snprintf(c->nfs.export_path, sizeof(c->nfs.export_path), "%s", field(&at));
		snprintf(j->file, sizeof(j->file), "%s", field(&at));
	} else {
		c->kind = DATASTORE_RAM;
		c->ram.size_bytes = (uint64_t)BLOCKS * BLOCK;
	}
}

static void report(struct job *j)
{
	struct datastore_stats s;

	datastore_stats(j->ds, &s);
	printf("{\"name\": \"%s\", \"state\": \"%s\", \"finished\": %s, \"ios\": %llu, \"flushes\": %llu, \"errors\": %llu, "
	       "\"mismatches\": %llu, "
	       "\"longest_gap_ms\": %llu, \"losses\": %llu, \"attempts\": %llu, \"refused\": %llu, \"replayed\": %llu, \"retried\": %llu, "
	       "\"resent\": %llu, "
	       "\"commits\": %llu}\n",
		j->name, datastore_state_text(s.state), j->finished ? "true" : "false", (unsigned long long)j->done,
		(unsigned long long)j->flushes, (unsigned long long)j->errors, (unsigned long long)j->mismatches,
		(unsigned long long)(j->longest_gap_ns / 1000000), (unsigned long long)s.link.losses, (unsigned long long)s.link.attempts,
		(unsigned long long)s.link.refused, (unsigned long long)s.link.replayed, (unsigned long long)s.link.retried,
		(unsigned long long)s.resent, (unsigned long long)s.commits);
}

int main(int argc, char **argv)
{
	uint64_t end_ns, give_up_ns;
	bool bad = false, running = true;

	if (argc < 3 || argc > 2 + MAX_JOBS)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Linux ends a process that writes to a reset connection; the host's own sockets give the error only. */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return 2;
	native_start(1);
	native_time_real(true);
	native_log(true);
	end_ns = hv_now_ns() + (uint64_t)atoi(argv[1]) * 1000000000ull;
	give_up_ns = end_ns + 40000000000ull;
	for (int i = 2; i < argc; i++) {
		struct job *j = &jobs[job_count++];

		parse(j, argv[i]);
		j->end_ns = end_ns;
		if (datastore_open(&j->config, &j->ds) || hv_fiber_spawn(j->name, job_run, j, 256 * 1024)) {
			fprintf(stderr, "%s: cannot be opened\n", j->name);
			return 2;
		}
	}
	while (running && hv_now_ns() < give_up_ns) {
		if (!native_core_step())
			usleep(200);
		running = false;
		for (unsigned i = 0; i < job_count; i++)
			running |= !jobs[i].finished && !(jobs[i].disk == NULL && hv_now_ns() > end_ns); /* never reached: not waited for */
	}
	for (unsigned i = 0; i < job_count; i++) {
		report(&jobs[i]);
		bad |= jobs[i].errors || jobs[i].mismatches || (jobs[i].disk && !jobs[i].finished) || jobs[i].open_failed;
	}
	for (unsigned i = 0; i < job_count && !bad; i++)
		if (jobs[i].finished)
			datastore_close(jobs[i].ds);
	return bad;
}
