/*
 * A hostile NFS server: replies that are good but for what the input changes: bytes, length, sent twice, cut, not sent, or the connection
 * closed. A file is opened, listed, read, written and flushed meanwhile. Nothing may crash or hang, and every request ends exactly once.
 *
 * fuzz: hv/arch/context.S hv/kern/blk.c hv/kern/fiber.c hv/kern/format.c hv/kern/log.c hv/kern/loop.c hv/kern/msg.c
 * fuzz: hv/kern/sched.c hv/kern/slab.c hv/kern/timer.c tests/native/native.c hv/kern/chacha.c storage/link.c storage/file.c
 * fuzz: tests/fuzz/disk_user.c storage/nfs/ subprojects/libnfs/lib/init.c subprojects/libnfs/lib/libnfs-zdr.c subprojects/libnfs/lib/pdu.c
 * fuzz: subprojects/libnfs/lib/socket.c subprojects/libnfs/mount/libnfs-raw-mount.c subprojects/libnfs/mount/mount.c
 * fuzz: subprojects/libnfs/nfs/libnfs-raw-nfs.c subprojects/libnfs/nfs/nfs.c subprojects/libnfs/portmap/libnfs-raw-portmap.c
 * fuzz: subprojects/libnfs/portmap/portmap.c
 * fuzz-flags: -fno-sanitize=nonnull-attribute -Istorage -Istorage/include -Istorage/nfs/include -DHAVE_CONFIG_H -D_U_=__attribute__((unused))
 * fuzz-flags: -Isubprojects/libnfs/include -Isubprojects/libnfs/include/nfsc -Isubprojects/libnfs/mount -Isubprojects/libnfs/nfs
 * fuzz-flags: -Isubprojects/libnfs/portmap -Isubprojects/libnfs/berth
 */
#include "disk_user.h"
#include "native.h"
#include <arpa/inet.h>
#include <errno.h>
#include <hv/core.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <storage/nfs.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 120, RECORD_MOST = 16384 };
enum { MOUNT = 100005 };

static int listener = -1, connection = -1;
static uint8_t in[1 << 17];
static size_t in_bytes;
static struct nfs_initiator *n;
static struct file *file;
static bool opener_ended;

static uint32_t get(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return ntohl(v);
}

static size_t put(uint8_t *out, size_t at, uint32_t v)
{
	v = htonl(v);
	memcpy(out + at, &v, 4);
	return at + 4;
}

static void disconnect(void)
{
	if (connection >= 0)
		close(connection);
	connection = -1;
	in_bytes = 0;
}

/* ---- good replies (RFC 1813) ---- */

static size_t words(uint8_t *out, size_t at, const uint32_t *w, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		at = put(out, at, w[i]);
	return at;
}
#define WORDS(...) words(out, at, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static size_t body(uint8_t *out, size_t at, uint32_t program, uint32_t procedure, const uint8_t *args)
{
	if (program == MOUNT)
		return WORDS(0, 4, 0x11223344, 1, 1);
	switch (procedure) {
	case 1: /* GETATTR: a regular file of 1 MiB */
		return WORDS(0, 1, 0600, 1, 0, 0, 0, 1 << 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	case 3: /* LOOKUP */
		return WORDS(0, 4, 0x11223344, 0, 0);
	case 6: { /* READ: handle (8), offset, count */
		uint32_t count = HV_MIN(get(args + 16), (uint32_t)RECORD_MOST / 2);
		at = WORDS(0, 0, count, 0, count);
		memset(out + at, 0x77, count);
		return at + HV_ALIGN_UP(count, 4u);
	}
	case 7: /* WRITE */
		return WORDS(0, 0, 0, get(args + 16), get(args + 20), 1, 2);
	case 17: /* READDIRPLUS: one entry, the end */
		return WORDS(0, 0, 1, 2, 1, 0, 5, 1, 0x61000000, 0, 1, 0, 0, 0, 1);
	case 19: /* FSINFO */
		return WORDS(0, 0, 65536, 65536, 1, 65536, 65536, 1, 4096, 1, 0, 0, 0, 0);
	case 21: /* COMMIT */
		return WORDS(0, 0, 0, 1, 2);
	default:
		return at;
	}
}

/* ---- what becomes of them ---- */

static void transmit(const uint8_t *out, size_t bytes)
{
	if (connection >= 0 && send(connection, out, bytes, MSG_NOSIGNAL) < 0)
		disconnect();
}

static void mangle(uint8_t *out, size_t bytes)
{
	switch (fuzz_answer_mangle(out, bytes)) {
	case 4: /* the record says that it is longer or shorter */
		put(out, 0, (uint32_t)(bytes - 4 + fuzz_input_take() - 8) | 0x80000000u);
		transmit(out, bytes);
		break;
	case 5:
		transmit(out, bytes - fuzz_input_take() % bytes);
		break;
	case 6:
		transmit(out, bytes);
		transmit(out, bytes);
		break;
	case 7:
		if (fuzz_input_take() & 1)
			disconnect();
		break;
	default:
		transmit(out, bytes);
		break;
	}
}

/* A call: record mark, xid, 0, 2, program, version, procedure, credentials, verifier, arguments. */
static void call(const uint8_t *record, size_t bytes)
{
	static uint8_t out[RECORD_MOST];
	size_t args = 36 + (bytes >= 36 ? get(record + 32) : 0) + 8, at;
	if (bytes < 44 || args > bytes)
		abort(); /* ours is well-formed */
	at = put(out, 4, get(record + 4));
	at = WORDS(1, 0, 0, 0, 0);
	at = body(out, at, get(record + 16), get(record + 24), record + args);
	put(out, 0, (uint32_t)(at - 4) | 0x80000000u);
	mangle(out, at);
}

static void server_step(void)
{
	size_t at = 0;
	int next = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	ssize_t got;
	if (next >= 0) {
		disconnect();
		connection = next;
	}
	if (connection < 0)
		return;
	got = recv(connection, in + in_bytes, sizeof(in) - in_bytes, 0);
	if (got == 0 || (got < 0 && errno != EAGAIN)) {
		disconnect();
		return;
	}
	in_bytes += got > 0 ? (size_t)got : 0;
	while (connection >= 0 && in_bytes - at >= 4 && in_bytes - at >= 4 + (get(in + at) & 0x7fffffff)) {
		size_t span = 4 + (get(in + at) & 0x7fffffff);
		call(in + at, span);
		at += span;
	}
	if (connection < 0)
		return;
	memmove(in, in + at, in_bytes - at);
	in_bytes -= at;
}

/* ---- the user of the mount ---- */

static void entry(void *arg, const char *name, const struct file_info *info)
{
	if (strlen(name) > RECORD_MOST)
		abort();
}

static void opener(void *arg)
{
	uint64_t deadline = hv_now_ns() + 3000000000ull;
	if (file_open(nfs_initiator_store(n), "disk", 0, &file, deadline) != 0)
		file = NULL;
	int err = file_list(nfs_initiator_store(n), "", entry, NULL, deadline);
	if (err > 0)
		abort();
	opener_ended = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(a);

	fuzz_input_begin(data, size);
	file = NULL;
	opener_ended = false;
	native_start(1);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 8) ||
		getsockname(listener, (struct sockaddr *)&a, &length))
		abort();
	uint16_t port = ntohs(a.sin_port);
	struct nfs_config c = {.server = 0x7f000001, .version = 3, .nfs_port = port, .mount_port = port, .export_path = "/x"};
	if (nfs_initiator_open(&c, "bad", NULL, NULL, &n) || hv_fiber_spawn("open", opener, NULL, 0))
		abort();
	for (unsigned i = 0; i < 100 && !opener_ended; i++)
		fuzz_turns(8, server_step);
	if (!opener_ended)
		abort(); /* its deadline is over */
	if (file)
		fuzz_disk_submit(&file->blk);
	fuzz_turns(TURNS, server_step);
	nfs_initiator_close(n); /* ends what is left */
	fuzz_disk_check();
	disconnect();
	close(listener);
	return 0;
}
