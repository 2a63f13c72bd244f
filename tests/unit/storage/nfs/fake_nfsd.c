/* See fake_nfsd.h. Built on libnfs' server side, so that its decoding of our calls is tried too. */
#include "fake_nfsd.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <nfsc/libnfs.h>

#include <nfsc/libnfs-raw.h>

#define HAVE_SOCKADDR_STORAGE 1
#define HAVE_NET_IF_H 1
#include <libnfs-private.h>
#include <libnfs-raw-mount.h>
#include <libnfs-raw-nfs.h>

#define MAX_CONNECTIONS 4

struct fake_nfsd_faults fake_nfsd_faults;
unsigned fake_nfsd_writes, fake_nfsd_commits;

static uint8_t cache[FAKE_FILE_BYTES], stable[FAKE_FILE_BYTES];
static char verifier[8];
static int listener = -1;
static struct connection {
	struct rpc_context *rpc;
	int fd;
} connections[MAX_CONNECTIONS];
static unsigned turn;
static char handle_bytes[] = "file", root_bytes[] = "root";

static bool every(unsigned n)
{
	return n && ++turn % n == 0;
}

static int reply(struct rpc_context *rpc, struct rpc_msg *call, void *result, zdrproc_t encode, size_t hint)
{
	return rpc_send_reply(rpc, call, result, encode, (int)hint);
}

static int do_null(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	return fake_nfsd_faults.swallow ? 0 : reply(rpc, call, NULL, (zdrproc_t)zdr_void, 0);
}

static int do_mnt(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	static int flavor = 1;
	mountres3 res = {.fhs_status = (mountstat3)fake_nfsd_faults.mount_status};

	res.mountres3_u.mountinfo.fhandle.fhandle3_len = 4;
	res.mountres3_u.mountinfo.fhandle.fhandle3_val = root_bytes;
	res.mountres3_u.mountinfo.auth_flavors.auth_flavors_len = 1;
	res.mountres3_u.mountinfo.auth_flavors.auth_flavors_val = &flavor;
	return reply(rpc, call, &res, (zdrproc_t)zdr_mountres3, 0);
}

static int do_fsinfo(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	FSINFO3res res = {.status = NFS3_OK};

	res.FSINFO3res_u.resok =
		(FSINFO3resok){.rtmax = 1 << 20, .rtpref = 1 << 20, .wtmax = 1 << 20, .wtpref = 1 << 20, .maxfilesize = INT64_MAX};
	return fake_nfsd_faults.swallow ? 0 : reply(rpc, call, &res, (zdrproc_t)zdr_FSINFO3res, 0);
}

static int do_lookup(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	const LOOKUP3args *args = call->body.cbody.args;
	LOOKUP3res res = {.status = strcmp(args->what.name, "disk") == 0 ? NFS3_OK : NFS3ERR_NOENT};

	res.LOOKUP3res_u.resok.object.data.data_len = 4;
	res.LOOKUP3res_u.resok.object.data.data_val = handle_bytes;
	return reply(rpc, call, &res, (zdrproc_t)zdr_LOOKUP3res, 0);
}

static int do_getattr(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	GETATTR3res res = {.status = NFS3_OK};

	res.GETATTR3res_u.resok.obj_attributes.type = NF3REG;
	res.GETATTR3res_u.resok.obj_attributes.size = FAKE_FILE_BYTES;
	return reply(rpc, call, &res, (zdrproc_t)zdr_GETATTR3res, 0);
}

static int do_read(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	const READ3args *args = call->body.cbody.args;
	READ3res res = {.status = (nfsstat3)fake_nfsd_faults.read_status};
	uint32_t count = args->count;

	if (fake_nfsd_faults.swallow)
		return 0;
	if (every(fake_nfsd_faults.jukebox_every))
		res.status = NFS3ERR_JUKEBOX;
	if (args->offset + count > FAKE_FILE_BYTES)
		count = args->offset < FAKE_FILE_BYTES ? (uint32_t)(FAKE_FILE_BYTES - args->offset) : 0;
	if (count > 512 && every(fake_nfsd_faults.short_every))
		count /= 2;
	res.READ3res_u.resok.count = count;
	res.READ3res_u.resok.eof = args->offset + count >= FAKE_FILE_BYTES;
	res.READ3res_u.resok.data.data_len = count;
	res.READ3res_u.resok.data.data_val = (char *)cache + args->offset;
	return reply(rpc, call, &res, (zdrproc_t)zdr_READ3res, count);
}

static int do_write(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	const WRITE3args *args = call->body.cbody.args;
	WRITE3res res = {.status = (nfsstat3)fake_nfsd_faults.write_status};
	WRITE3resok *ok = &res.WRITE3res_u.resok;
	uint32_t count = args->data.data_len;

	if (fake_nfsd_faults.swallow)
		return 0;
	fake_nfsd_writes++;
	if (every(fake_nfsd_faults.jukebox_every))
		res.status = NFS3ERR_JUKEBOX;
	if (args->offset + count > FAKE_FILE_BYTES)
		res.status = NFS3ERR_FBIG;
	if (res.status == NFS3_OK) {
		if (count > 512 && every(fake_nfsd_faults.short_every))
			count /= 2;
		ok->committed = args->stable != UNSTABLE || every(fake_nfsd_faults.sync_every) ? FILE_SYNC : UNSTABLE;
		if (fake_nfsd_faults.never_stable)
			ok->committed = UNSTABLE;
		memcpy(cache + args->offset, args->data.data_val, count);
		if (ok->committed == FILE_SYNC)
			memcpy(stable + args->offset, args->data.data_val, count);
		ok->count = count;
		memcpy(ok->verf, verifier, sizeof(verifier));
	}
	return reply(rpc, call, &res, (zdrproc_t)zdr_WRITE3res, 0);
}

static int do_commit(struct rpc_context *rpc, struct rpc_msg *call, void *opaque)
{
	COMMIT3res res = {.status = (nfsstat3)fake_nfsd_faults.commit_status};

	if (fake_nfsd_faults.swallow)
		return 0;
	if (every(fake_nfsd_faults.jukebox_every))
		res.status = NFS3ERR_JUKEBOX;
	if (res.status == NFS3_OK) {
		fake_nfsd_commits++;
		memcpy(stable, cache, sizeof(stable));
		memcpy(res.COMMIT3res_u.resok.verf, verifier, sizeof(verifier));
	}
	return reply(rpc, call, &res, (zdrproc_t)zdr_COMMIT3res, 0);
}

static struct service_proc nfs_procs[] = {
	{NFS3_NULL, do_null, (zdrproc_t)zdr_void, 0, NULL},
	{NFS3_GETATTR, do_getattr, (zdrproc_t)zdr_GETATTR3args, sizeof(GETATTR3args), NULL},
	{NFS3_LOOKUP, do_lookup, (zdrproc_t)zdr_LOOKUP3args, sizeof(LOOKUP3args), NULL},
	{NFS3_READ, do_read, (zdrproc_t)zdr_READ3args, sizeof(READ3args), NULL},
	{NFS3_WRITE, do_write, (zdrproc_t)zdr_WRITE3args, sizeof(WRITE3args), NULL},
	{NFS3_FSINFO, do_fsinfo, (zdrproc_t)zdr_FSINFO3args, sizeof(FSINFO3args), NULL},
	{NFS3_COMMIT, do_commit, (zdrproc_t)zdr_COMMIT3args, sizeof(COMMIT3args), NULL},
};

static struct service_proc mount_procs[] = {{MOUNT3_MNT, do_mnt, (zdrproc_t)zdr_dirpath, sizeof(char *), NULL}};

static void unsent(struct rpc_context *rpc, int status, void *data, void *arg)
{
}

static void disconnect(struct connection *c)
{
	struct rpc_endpoint *endpoint, *next;

	if (!c->rpc)
		return;
	for (endpoint = c->rpc->endpoints; endpoint; endpoint = next) { /* the library forgets them */
		next = endpoint->next;
		free(endpoint);
	}
	for (struct rpc_pdu *pdu = c->rpc->outqueue.head; pdu; pdu = pdu->next)
		pdu->cb = unsent;    /* a reply has none, and the library calls it */
	rpc_destroy_context(c->rpc); /* closes the socket */
	c->rpc = NULL;
}

static void accept_one(void)
{
	int fd = accept(listener, NULL, NULL), on = 1;
	unsigned i = 0;

	if (fd < 0)
		return;
	while (i < MAX_CONNECTIONS && connections[i].rpc)
		i++;
	if (i == MAX_CONNECTIONS) {
		close(fd);
		return;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	connections[i].fd = fd;
	connections[i].rpc = rpc_init_server_context(fd);
	rpc_register_service(connections[i].rpc, NFS_PROGRAM, NFS_V3, nfs_procs, sizeof(nfs_procs) / sizeof(nfs_procs[0]));
	rpc_register_service(connections[i].rpc, MOUNT_PROGRAM, MOUNT_V3, mount_procs, 1);
}

uint16_t fake_nfsd_start(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(a);

	memset(&fake_nfsd_faults, 0, sizeof(fake_nfsd_faults));
	memset(cache, 0, sizeof(cache));
	memset(stable, 0, sizeof(stable));
	memcpy(verifier, "instance", 8);
	fake_nfsd_writes = fake_nfsd_commits = 0;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 8) ||
		getsockname(listener, (struct sockaddr *)&a, &length))
		return 0;
	return ntohs(a.sin_port);
}

void fake_nfsd_stop(void)
{
	for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
		disconnect(&connections[i]);
	close(listener);
}

void fake_nfsd_step(void)
{
	accept_one();
	for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
		struct connection *c = &connections[i];
		struct pollfd pfd = {.fd = c->fd};

		if (!c->rpc)
			continue;
		pfd.events = (short)rpc_which_events(c->rpc);
		if (poll(&pfd, 1, 0) > 0 && rpc_service(c->rpc, pfd.revents) != 0)
			disconnect(c);
	}
}

void fake_nfsd_crash(bool forget, bool quiet)
{
	if (forget)
		memcpy(cache, stable, sizeof(cache));
	verifier[0]++;
	for (unsigned i = 0; i < MAX_CONNECTIONS && !quiet; i++)
		disconnect(&connections[i]);
}

const uint8_t *fake_nfsd_stable(void)
{
	return stable;
}
