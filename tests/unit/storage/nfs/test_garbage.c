/*
 * A server that answers nonsense: every call gets a reply whose transaction id fits and whose body is random, cut short, or full of lengths
 * that lie; MOUNT and FSINFO are answered well often enough to get to READ and WRITE. Nothing may crash, hang, be read or written out of
 * bounds (ASan), or end a request twice.
 */
#include "test.h"
#include <arpa/inet.h>
#include <errno.h>
#include <hv/core.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <storage/nfs.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t seed;
static int listener, connection = -1;
static struct nfs_initiator *n;
static uint16_t port;
static unsigned ended, opened, reached;
static struct file *file;
static bool open_ended;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static size_t word(uint8_t *out, size_t at, uint32_t v)
{
	v = htonl(v);
	memcpy(out + at, &v, 4);
	return at + 4;
}

static uint32_t call_word(const uint8_t *record, unsigned i)
{
	uint32_t v;

	memcpy(&v, record + 4 * i, 4);
	return ntohl(v);
}

static size_t good_body(uint8_t *out, size_t at, uint32_t program, uint32_t procedure)
{
	static const uint32_t mount[] = {0, 4, 0x11223344, 0}, fsinfo[] = {0, 0, 65536, 65536, 1, 65536, 65536, 1, 4096, 1, 0, 0, 0, 0},
			      lookup[] = {0, 4, 0x11223344, 0, 0},
			      getattr[] = {0, 1, 0600, 1, 0, 0, 0, 1 << 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	const uint32_t *body = program == 100005 ? mount : procedure == 19 ? fsinfo : procedure == 3 ? lookup : getattr;
	unsigned words = program == 100005 ? HV_ARRAY_LEN(mount)
			 : procedure == 19 ? HV_ARRAY_LEN(fsinfo)
			 : procedure == 3  ? HV_ARRAY_LEN(lookup)
					   : HV_ARRAY_LEN(getattr);

	for (unsigned i = 0; i < words; i++)
		at = word(out, at, body[i]);
	return at;
}

static size_t bad_body(uint8_t *out, size_t at)
{
	static const uint32_t favourites[] = {0, 0, 0, 0, 1, 1, 2, 4, 8, 64, 0xffffffff, 0x80000000, 0x7fffffff, 4096, 70, 10008};
	unsigned words = (unsigned)(random64() % 64);

	for (unsigned i = 0; i < words; i++)
		at = word(out, at, random64() % 8 ? favourites[random64() % HV_ARRAY_LEN(favourites)] : (uint32_t)random64());
	return at;
}

static void answer(const uint8_t *record)
{
	static uint8_t out[8192];
	uint32_t program = call_word(record, 4), procedure = call_word(record, 6);
	bool setup = program == 100005 || procedure == 19 || procedure == 3 || procedure == 1;
	size_t at = word(out, 4, call_word(record, 1));

	at = word(out, at, random64() % 64 ? 1 : (uint32_t)random64());
	at = word(out, at, random64() % 32 ? 0 : (uint32_t)(random64() % 3));
	at = word(out, at, 0);
	at = word(out, at, random64() % 32 ? 0 : (uint32_t)random64());
	at = word(out, at, random64() % 16 ? 0 : (uint32_t)(random64() % 7));
	at = setup && random64() % 8 ? good_body(out, at, program, procedure) : bad_body(out, at);
	if (random64() % 16 == 0)
		at -= random64() % 8;
	word(out, 0, (uint32_t)(at - 4) | (random64() % 32 ? 0x80000000u : 0));
	if (send(connection, out, at, MSG_NOSIGNAL) < 0)
		return; /* the other side has gone: seen at the next receive */
}

static void server_step(void)
{
	static uint8_t in[300000];
	ssize_t got;

	int next = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

	if (next >= 0) {
		if (connection >= 0)
			close(connection);
		connection = next;
	}
	if (connection < 0)
		return;
	got = recv(connection, in, sizeof(in), 0);
	for (ssize_t at = 0; at + 44 <= got; at += 4 + (ssize_t)(call_word(in + at, 0) & 0x7fffffff))
		answer(in + at);
}

static void done(struct blk_req *req, int status)
{
	assert_ptr_equal(req->owner, &ended);
	req->owner = NULL; /* a second end would be seen */
	ended++;
}

static void list_entry(void *arg, const char *name, const struct file_info *info)
{
	assert_true(strlen(name) < 8192);
}

static void opener(void *arg)
{
	uint64_t deadline = hv_now_ns() + 30000000;

	if (file_open(nfs_initiator_store(n), "disk", 0, &file, deadline) == 0)
		opened++;
	else
		file = NULL;
	int err = file_list(nfs_initiator_store(n), "", list_entry, NULL, deadline);

	reached += err != -ETIMEDOUT;
	open_ended = true;
}

static void turns(unsigned count, const bool *until)
{
	for (unsigned i = 0; i < count && !(until && *until); i++) {
		native_core_step();
		server_step();
	}
}

static void one_mount(void)
{
	static uint8_t data[65536];
	struct nfs_config c = {.server = 0x7f000001, .version = 3, .nfs_port = port, .mount_port = port, .export_path = "/x"};
	struct hv_seg segs[9];
	struct blk_req reqs[9];
	unsigned submitted = 0;

	native_start(1);
	native_time_real(true);
	ended = 0;
	file = NULL;
	open_ended = false;
	assert_int_equal(nfs_initiator_open(&c, "bad", NULL, NULL, &n), 0);
	assert_int_equal(hv_fiber_spawn("open", opener, NULL, 0), 0);
	turns(1000000, &open_ended);
	assert_true(open_ended);
	for (unsigned i = 0; i < 9 && file; i++) {
		uint8_t op = i == 8 ? BLK_FLUSH : (uint8_t)(i % 2);

		segs[i] = (struct hv_seg){data + (i % 8) * 8192, 8192};
		reqs[i] = (struct blk_req){
			.op = op, .length_bytes = i == 8 ? 0 : 8192, .nsegs = i != 8, .segs = &segs[i], .done = done, .owner = &ended};
		submitted += blk_submit(&file->blk, &reqs[i]) == 0;
	}
	turns(60, NULL);
	nfs_initiator_close(n); /* ends what is left */
	assert_int_equal(ended, submitted);
	if (connection >= 0)
		close(connection);
	connection = -1;
}

static void test_nonsense(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(a);
	unsigned rounds = getenv("GARBAGE_ROUNDS") ? (unsigned)atoi(getenv("GARBAGE_ROUNDS")) : 150;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)) | listen(listener, 64) |
				 getsockname(listener, (struct sockaddr *)&a, &length),
		0);
	port = ntohs(a.sin_port);
	for (unsigned round = 1; round <= rounds; round++) {
		seed = round * 0x9e3779b97f4a7c15ull;
		int stale;

		while ((stale = accept(listener, NULL, NULL)) >= 0)
			close(stale);
		one_mount();
	}
	close(listener);
	assert_true(opened > rounds / 8); /* often enough past the mount to mean something */
	assert_true(reached > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_nonsense)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
