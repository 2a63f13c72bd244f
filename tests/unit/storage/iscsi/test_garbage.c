/*
 * A target that answers nonsense: after connect, each PDU of ours is answered by random PDUs whose task tag fits, so that they reach the
 * code behind the tag check. Nothing may crash, hang, be read or written out of bounds (ASan), or end a request twice; each session ends
 * closed.
 */
#include "test.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hv/core.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <storage/iscsi.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t seed;
static int listener, connection = -1;
static struct iscsi_initiator *s;
static uint16_t port;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

/* A login response that accepts everything (RFC 7143 section 11.13), with some keys now and then odd. */
static size_t login_answer(uint8_t *out, const uint8_t *req)
{
	static const char *const keys[] = {"MaxRecvDataSegmentLength=8192", "MaxRecvDataSegmentLength=0", "FirstBurstLength=-1",
		"InitialR2T=No", "MaxBurstLength=99999999999", "ImmediateData=No", "CHAP_C=0x12", "AuthMethod=CHAP",
		"FirstBurstLength=512"};
	size_t at = 48;

	memset(out, 0, 48);
	out[0] = 0x23;
	out[1] = 0x80 | (req[1] & 0xf);
	memcpy(out + 8, req + 8, 8);
	memcpy(out + 16, req + 16, 4);
	memcpy(out + 28, req + 24, 4);
	put32(out + 32, 0x7fffffff);
	for (unsigned i = 0; i < random64() % 3; i++) {
		const char *key = keys[random64() % HV_ARRAY_LEN(keys)];

		strcpy((char *)out + at, key);
		at += strlen(key) + 1;
	}
	put32(out + 4, (uint32_t)(at - 48));
	while (at % 4)
		out[at++] = 0;
	return at;
}

static size_t nonsense(uint8_t *out, const uint8_t *req)
{
	static const uint8_t opcodes[] = {0x20, 0x21, 0x25, 0x31, 0x32, 0x3f, 0x26, 0x21, 0x25, 0x21};
	size_t data = random64() % 4 ? random64() % 300 : 0;

	for (size_t i = 0; i < 48 + data; i++)
		out[i] = random64() % 3 ? 0 : (uint8_t)random64();
	out[0] = opcodes[random64() % sizeof(opcodes)];
	if (random64() % 8)
		out[1] = 0x80 | (random64() % 2);
	if (random64() % 4)
		out[2] = 0;
	out[3] = random64() % 3 ? 0 : random64() % 2 ? 2 : (uint8_t)random64();
	out[4] = 0;
	put32(out + 4, (uint32_t)data);
	if (random64() % 8)
		memcpy(out + 16, req + 16, 4);
	if (random64() % 2)
		put32(out + 40, (uint32_t)(random64() % 8192));
	if (random64() % 2)
		put32(out + 44, (uint32_t)(random64() % 8192));
	put32(out + 32, 0x7fffffff);
	return HV_ALIGN_UP(48 + data, 4ul);
}

static void target_step(void)
{
	static uint8_t in[70000], out[4096];
	ssize_t got;

	if (connection < 0)
		connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (connection < 0)
		return;
	got = recv(connection, in, sizeof(in), 0);
	if (got == 0 || (got < 0 && errno != EAGAIN)) {
		close(connection);
		connection = -1;
		return;
	}
	for (ssize_t at = 0; got >= 48 && at + 48 <= got;) {
		const uint8_t *req = in + at;
		size_t data = ((size_t)req[5] << 16 | (size_t)req[6] << 8 | req[7]) + 3, n;

		at += 48 + (ssize_t)(data & ~3ul);
		n = (req[0] & 0x3f) == 0x03 && random64() % 16 ? login_answer(out, req) : nonsense(out, req);
		if (send(connection, out, n, MSG_NOSIGNAL) < 0)
			break;
	}
}

static unsigned ended, reached;

static void done(struct blk_req *req, int status)
{
	assert_ptr_equal(req->owner, &ended);
	req->owner = NULL; /* a second end would be seen */
	ended++;
}

static void one_session(void)
{
	static uint8_t data[65536];
	struct iscsi_config c = {.portals = {{0x7f000001, port}}, .portal_count = 1, .target = "t", .initiator = "i", .lun = 1};
	struct hv_seg segs[8];
	struct blk_req reqs[8];
	unsigned submitted = 0;

	native_start(1);
	native_time_real(true);
	ended = 0;
	assert_int_equal(iscsi_initiator_open(&c, "bad", NULL, NULL, &s), 0);
	struct blk_dev *dev = &iscsi_initiator_lun(s)->blk;

	/* What the probe would find out, so that requests go out whatever the target says. */
	dev->size_bytes = 1 << 20;
	for (unsigned i = 0; i < 8; i++) {
		segs[i] = (struct hv_seg){data + i * 8192, 8192};
		reqs[i] = (struct blk_req){
			.op = (uint8_t)(i % 2), .length_bytes = 8192, .nsegs = 1, .segs = &segs[i], .done = done, .owner = &ended};
		submitted += blk_submit(dev, &reqs[i]) == 0;
	}
	for (unsigned i = 0; i < 120; i++) {
		native_core_step();
		target_step();
	}
	reached += iscsi_initiator_link(s)->state >= STORAGE_LINK_PROBING;
	iscsi_initiator_close(s);
	assert_int_equal(ended, submitted);
	if (connection >= 0)
		close(connection);
	connection = -1;
}

static void test_nonsense(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(a);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)) | listen(listener, 64) |
				 getsockname(listener, (struct sockaddr *)&a, &length),
		0);
	port = ntohs(a.sin_port);
	unsigned rounds = getenv("GARBAGE_ROUNDS") ? (unsigned)atoi(getenv("GARBAGE_ROUNDS")) : 1500;

	for (unsigned round = 1; round <= rounds; round++) {
		seed = round * 0x9e3779b97f4a7c15ull;
		int stale;

		while ((stale = accept(listener, NULL, NULL)) >= 0)
			close(stale);
		one_session();
	}
	close(listener);
	assert_true(reached > rounds / 8); /* the nonsense gets past the login often enough to mean something */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_nonsense)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
