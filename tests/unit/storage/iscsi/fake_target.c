/* See fake_target.h. Layouts: RFC 7143 section 11. */
#include "fake_target.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 48, MOST = 8192 };
enum { LOGIN = 0x03, COMMAND = 0x01, NOP_OUT = 0x00 };
enum { GOOD = 0, CHECK_CONDITION = 2 };

struct fake_target_faults fake_target_faults;
unsigned (*fake_target_mangle)(uint8_t *pdu, size_t *bytes);
unsigned fake_target_writes, fake_target_syncs, fake_target_logins;

static uint8_t cache[FAKE_LUN_BYTES], stable[FAKE_LUN_BYTES];
static int listener = -1, connection = -1;
static uint8_t in[1 << 18];
static size_t in_bytes;
static uint32_t stat_sn;

static uint32_t get(const uint8_t *p, unsigned bytes)
{
	uint32_t v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static bool next(unsigned *left)
{
	return *left && (*left)--;
}

static void transmit(uint8_t *pdu, size_t bytes)
{
	unsigned times = fake_target_mangle ? fake_target_mangle(pdu, &bytes) : 1;

	if (times == FAKE_CLOSE)
		fake_target_disconnect();
	for (; times && connection >= 0; times--)
		if (send(connection, pdu, bytes, MSG_NOSIGNAL) < 0)
			fake_target_disconnect();
}

/* Sends an answer to `req`: opcode, byte 1, response, status, data, and the word at 40. */
static void answer(
	const uint8_t *req, uint8_t opcode, uint8_t flags, uint8_t response, uint8_t status, const void *data, size_t bytes, uint32_t at40)
{
	static uint8_t out[HEADER + MOST + 4];

	memset(out, 0, HEADER + HV_ALIGN_UP(bytes, 4ul));
	out[0] = opcode;
	out[1] = flags;
	out[2] = response;
	out[3] = status;
	put(out + 4, bytes, 4);
	memcpy(out + 16, req + 16, 4); /* task tag */
	put(out + 20, 0xffffffff, 4);
	put(out + 24, stat_sn++, 4);
	put(out + 28, get(req + 24, 4) + 1, 4);
	put(out + 32, get(req + 24, 4) + 64, 4);
	put(out + 40, at40, 4);
	if (bytes)
		memcpy(out + HEADER, data, bytes);
	transmit(out, HEADER + HV_ALIGN_UP(bytes, 4ul));
}

static void answer_login(const uint8_t *req)
{
	static uint8_t out[HEADER];

	memset(out, 0, sizeof(out));
	out[0] = 0x23;
	out[1] = 0x80 | (req[1] & 0xf); /* on to the stage that was asked for */
	memcpy(out + 8, req + 8, 6);    /* ISID */
	out[15] = 1;                    /* TSIH */
	memcpy(out + 16, req + 16, 4);
	put(out + 24, stat_sn++, 4);
	put(out + 28, get(req + 24, 4), 4);
	put(out + 32, get(req + 24, 4) + 64, 4);
	fake_target_logins++;
	transmit(out, sizeof(out));
}

static void answer_sense(const uint8_t *req, uint8_t key, uint8_t asc, uint8_t ascq)
{
	uint8_t sense[20] = {0, 18, 0x70, 0, key, 0, 0, 0, 0, 10, [14] = asc, [15] = ascq};

	answer(req, 0x21, 0x80, 0, CHECK_CONDITION, sense, sizeof(sense), 0);
}

static void answer_good(const uint8_t *req)
{
	answer(req, 0x21, 0x80, 0, GOOD, NULL, 0, 0);
}

/* Data-In with status: fewer bytes than asked for are told by a residual. */
static void answer_data(const uint8_t *req, const uint8_t *data, size_t bytes)
{
	size_t asked = get(req + 20, 4);
	uint8_t out[HEADER + 1024] = {0x25, 0x81};

	bytes = HV_MIN(bytes, HV_MIN(asked, (size_t)1024));
	if (bytes < asked) {
		out[1] |= 2;
		put(out + 44, asked - bytes, 4);
	}
	put(out + 4, bytes, 4);
	memcpy(out + 16, req + 16, 4);
	put(out + 20, 0xffffffff, 4);
	put(out + 24, stat_sn++, 4);
	put(out + 28, get(req + 24, 4) + 1, 4);
	put(out + 32, get(req + 24, 4) + 64, 4);
	memcpy(out + HEADER, data, bytes);
	transmit(out, HEADER + HV_ALIGN_UP(bytes, 4ul));
}

static void inquiry(const uint8_t *req)
{
	const uint8_t *cdb = req + 32;
	uint8_t data[96] = {0};

	if (!(cdb[1] & 1)) {
		data[4] = 91;
		memcpy(data + 8, "BERTH   FAKE LUN        1   ", 28);
		answer_data(req, data, sizeof(data));
	} else if (cdb[2] == 0x00) {
		answer_data(req, (const uint8_t[]){0, 0, 0, 2, 0x00, 0x80}, 6);
	} else {
		data[1] = 0x80;
		data[3] = (uint8_t)strlen(fake_target_faults.serial);
		memcpy(data + 4, fake_target_faults.serial, data[3]);
		answer_data(req, data, 4u + data[3]);
	}
}

static void capacity(const uint8_t *req)
{
	uint8_t data[32] = {0};

	put(data, FAKE_LUN_BYTES / fake_target_faults.block_bytes - 1, 8);
	put(data + 8, fake_target_faults.block_bytes, 4);
	answer_data(req, data, sizeof(data));
}

static void read_data(const uint8_t *req, size_t offset, size_t bytes)
{
	if (next(&fake_target_faults.short_reads))
		answer(req, 0x25, 0x81, 0, GOOD, cache + offset, bytes / 2, 0);
	else if (next(&fake_target_faults.late_reads))
		answer(req, 0x25, 0x81, 0, GOOD, cache + offset + 512, bytes - 512, 512);
	else
		answer(req, 0x25, 0x81, 0, GOOD, cache + offset, bytes, 0);
}

static void power_cycle(void)
{
	memcpy(cache, stable, sizeof(cache));
}

static void synchronize(const uint8_t *req)
{
	fake_target_syncs++;
	if (next(&fake_target_faults.power_cycles)) {
		power_cycle();
		answer_sense(req, 6, 0x29, 0);
	} else if (next(&fake_target_faults.drops)) {
		power_cycle();
		fake_target_disconnect();
	} else {
		memcpy(stable, cache, sizeof(stable));
		answer_good(req);
	}
}

static void data_command(const uint8_t *req, const uint8_t *data, size_t data_bytes)
{
	const uint8_t *cdb = req + 32;
	size_t offset = get(cdb + 6, 4) * (size_t)fake_target_faults.block_bytes,
	       bytes = get(cdb + 10, 4) * (size_t)fake_target_faults.block_bytes;

	if (fake_target_faults.swallow)
		return;
	if (next(&fake_target_faults.responses)) {
		answer(req, 0x21, 0x80, 1, GOOD, NULL, 0, 0);
	} else if (fake_target_faults.sense[0]) {
		answer_sense(req, fake_target_faults.sense[0], fake_target_faults.sense[1], fake_target_faults.sense[2]);
	} else if (cdb[0] == 0x91) {
		synchronize(req);
	} else if (offset + bytes > FAKE_LUN_BYTES || bytes > MOST || (cdb[0] == 0x8a && data_bytes != bytes)) {
		answer_sense(req, 5, 0x21, 0);
	} else if (cdb[0] == 0x88) {
		read_data(req, offset, bytes);
	} else {
		fake_target_writes++;
		memcpy(cache + offset, data, bytes);
		answer_good(req);
	}
}

static void command(const uint8_t *req, const uint8_t *data, size_t bytes)
{
	switch (req[32]) {
	case 0x00: /* TEST UNIT READY */
		answer_good(req);
		break;
	case 0x12:
		inquiry(req);
		break;
	case 0x9e: /* READ CAPACITY(16) */
		capacity(req);
		break;
	case 0x88:
	case 0x8a:
	case 0x91:
		data_command(req, data, bytes);
		break;
	default:
		answer_sense(req, 5, 0x20, 0);
		break;
	}
}

static void request(const uint8_t *req, const uint8_t *data, size_t bytes)
{
	switch (req[0] & 0x3f) {
	case LOGIN:
		answer_login(req);
		break;
	case COMMAND:
		command(req, data, bytes);
		break;
	case NOP_OUT:
		answer(req, 0x20, 0x80, 0, 0, NULL, 0, 0);
		break;
	default:
		break;
	}
}

uint16_t fake_target_start(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(a);

	fake_target_faults = (struct fake_target_faults){.serial = "one", .block_bytes = 512};
	memset(cache, 0, sizeof(cache));
	memset(stable, 0, sizeof(stable));
	fake_target_writes = fake_target_syncs = fake_target_logins = 0;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 8) ||
		getsockname(listener, (struct sockaddr *)&a, &length))
		return 0;
	return ntohs(a.sin_port);
}

void fake_target_disconnect(void)
{
	if (connection >= 0)
		close(connection);
	connection = -1;
	in_bytes = 0;
}

void fake_target_stop(void)
{
	fake_target_disconnect();
	close(listener);
}

void fake_target_step(void)
{
	size_t at = 0;
	ssize_t got;

	if (connection < 0)
		connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (connection < 0)
		return;
	got = recv(connection, in + in_bytes, sizeof(in) - in_bytes, 0);
	if (got == 0 || (got < 0 && errno != EAGAIN)) {
		fake_target_disconnect();
		return;
	}
	in_bytes += got > 0 ? (size_t)got : 0;
	while (connection >= 0 && in_bytes - at >= HEADER) {
		size_t data = get(in + at + 5, 3), span = HEADER + HV_ALIGN_UP(data, 4ul);

		if (in_bytes - at < span)
			break;
		request(in + at, in + at + HEADER, data);
		at += span;
	}
	if (connection < 0)
		return; /* nothing of a dead connection is looked at */
	memmove(in, in + at, in_bytes - at);
	in_bytes -= at;
}

const uint8_t *fake_target_stable(void)
{
	return stable;
}
