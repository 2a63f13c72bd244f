/*
 * Fuzzes LACP: frames of any bytes and well-formed PDUs with any values, on any port, while links go up and down and time passes.
 *
 * Checked after each: ports that distribute are enabled, selected and all of the one aggregator in use; what a port says of itself is what
 * its Mux machine is; no more than three LACPDUs and five marker responses leave a port in a second.
 *
 * fuzz: vswitch/lacp.c vswitch/lacp_pdu.c vswitch/lacp_select.c
 * fuzz-flags: -Ivswitch -Ivswitch/include
 */
#include "lacp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond) ((cond) ? (void)0 : failed(#cond, __LINE__))

static const uint8_t *at, *end;
static struct lacp l;
static uint64_t now;
static struct {
	uint64_t when[2][5]; /* of the last ones: LACPDUs, marker responses */
	unsigned n[2];
} sent[LACP_PORTS];

static _Noreturn void failed(const char *what, int line)
{
	fprintf(stderr, "lacp fuzz, line %d: not so: %s\n", line, what);
	abort();
}

static uint8_t byte(void)
{
	return at < end ? *at++ : 0;
}

static void send(void *arg, unsigned port, const uint8_t *frame, uint32_t len)
{
	unsigned marker = frame[14] == 2, limit = marker ? 5 : 3;
	uint64_t *slot = &sent[port].when[marker][sent[port].n[marker] % limit];

	CHECK(port < LACP_PORTS && len == LACP_FRAME_LEN && l.ports[port].enabled);
	CHECK(sent[port].n[marker] < limit || now - *slot > 0); /* windows of a second may meet: never 2 * limit at one time */
	*slot = now;
	sent[port].n[marker]++;
}

static void check(void)
{
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		const struct lacp_port *p = &l.ports[i];

		CHECK(!!(p->actor.state & LACP_SYNCHRONIZATION) == (p->mux >= LACP_ATTACHED));
		CHECK(!!(p->actor.state & LACP_DISTRIBUTING) == lacp_distributes(&l, i));
		CHECK(p->mux == LACP_DETACHED || p->aggregator != LACP_NONE || p->selected == LACP_UNSELECTED);
		if (!lacp_distributes(&l, i))
			continue;
		CHECK(p->enabled && p->selected == LACP_SELECTED && p->aggregator == l.chosen);
		CHECK(p->partner.state & LACP_SYNCHRONIZATION);
		for (unsigned k = 0; k < i; k++)
			CHECK(!lacp_distributes(&l, k) || p->partner.state & LACP_AGGREGATION);
	}
}

static uint16_t small(void)
{
	return byte() % 4;
}

static void info(struct lacp_info *i)
{
	*i = (struct lacp_info){.system_priority = small(),
		.system = {2, 0, 0, 0, 0, byte() % 3},
		.key = small(),
		.port_priority = small(),
		.port = (uint16_t)(byte() % 9),
		.state = byte()};
}

static void pdu(unsigned port)
{
	uint8_t frame[LACP_FRAME_LEN];
	struct lacp_pdu p;
	uint32_t len = sizeof(frame);
	uint8_t how = byte();

	info(&p.actor);
	info(&p.partner);
	if (how & 1)
		p.partner = l.ports[port].actor; /* it knows us */
	lacp_pdu_build(frame, l.ports[port].mac, &p);
	if (how & 2)
		frame[14 + byte() % 50] = byte();
	if (how & 4)
		len = byte() % sizeof(frame);
	if (how & 8)
		memcpy(frame + 14, (uint8_t[]){2, 1, 1, 22}, 4);
	lacp_input(&l, port, frame, len, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lacp_settings s = {.system_priority = 1, .port_priority = 1, .key = 1, .system = {2, 0, 0, 0, 0, 0}};

	at = data;
	end = data + size;
	now = 1;
	memset(sent, 0, sizeof(sent));
	memset(&l, 0, sizeof(l));
	s.active = byte() & 1;
	s.fast = byte() & 1;
	l.send = send;
	lacp_init(&l, &s);
	while (at < end) {
		uint8_t what = byte();
		unsigned port = what % LACP_PORTS;

		switch (what / 32) {
		case 0:
			lacp_port_enable(&l, port, s.system);
			break;
		case 1:
			lacp_port_disable(&l, port);
			break;
		case 2:
		case 3:
			now += 100000000ull * (1 + byte());
			break;
		case 4: {
			uint8_t raw[64];
			uint32_t len = byte() % sizeof(raw);

			for (uint32_t i = 0; i < len; i++)
				raw[i] = byte();
			lacp_input(&l, port, raw, len, now);
			break;
		}
		default:
			pdu(port);
		}
		lacp_run(&l, now);
		check();
	}
	return 0;
}
