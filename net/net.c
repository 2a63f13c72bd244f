/*
 * The stack as a whole: start, its clock, its poller, what lwIP wants of its machine, and statistics.
 *
 * Owner: one core, given to net_init and asserted. The poller sends what sockets gathered in this round, then hands the frames to the
 * switch. A timer of the loop runs lwIP's timers when the next of them is due, so an idle host sleeps in between.
 */
#include "stack.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/rand.h>
#include <lwip/init.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/stats.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>
#include <string.h>

#define NS_PER_MS 1000000ull

static struct {
	bool ready, running;
	unsigned core;
	struct hv_timer timer;
	struct hv_poller poller;
	uint64_t isn_key[2];
} stack;

void net_assert_core(void)
{
	hv_assert(stack.running && hv_core_self() == stack.core);
}

/* ---- what lwIP asks of its machine (arch/cc.h, lwip/sys.h) ---- */

u32_t sys_now(void)
{
	return (u32_t)(hv_now_ns() / NS_PER_MS);
}

_Noreturn void net_lwip_panic(const char *message, const char *file, int line)
{
	hv_panic("lwip: %s (%s:%d)", message, file, line);
}

uint32_t net_lwip_random(void)
{
	uint32_t r;

	hv_random(&r, sizeof(r));
	return r;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ (h >> 29);
}

/* RFC 6528: a clock of 4 us plus a keyed hash of the connection, so numbers grow for one connection and tell nothing about another. */
uint32_t net_lwip_isn(const void *local_ip, uint16_t local_port, const void *remote_ip, uint16_t remote_port)
{
	uint32_t local, remote;
	uint64_t h = stack.isn_key[0];

	memcpy(&local, local_ip, sizeof(local));
	memcpy(&remote, remote_ip, sizeof(remote));
	h = mix(h, (uint64_t)local << 32 | remote);
	h = mix(h ^ stack.isn_key[1], (uint64_t)local_port << 16 | remote_port);
	return (uint32_t)(h >> 32) + (uint32_t)(hv_now_ns() / 4000);
}

/* ---- rounds ---- */

void net_timer_arm(void)
{
	u32_t ms = sys_timeouts_sleeptime();

	if (ms == SYS_TIMEOUTS_SLEEPTIME_INFINITE)
		hv_timer_cancel(&stack.timer);
	else
		hv_timer_arm(&stack.timer, hv_now_ns() + HV_MAX(ms, 1u) * NS_PER_MS);
}

static void timer_due(struct hv_timer *t)
{
	sys_check_timeouts();
	net_vmk_flush();
	net_timer_arm();
}

static unsigned poll_stack(struct hv_poller *p)
{
	unsigned n = net_sockets_push();

	net_vmk_flush();
	return n;
}

/* What a fiber or a message wrote after this round's polling keeps the core awake. */
static bool arm_stack(struct hv_poller *p, bool on)
{
	return on && (net_sockets_waiting() || net_vmk_waiting());
}

int net_init(unsigned core)
{
	int err;

	hv_assert(!stack.running && hv_core_self() == core);
	if (!stack.ready) { /* lwIP starts once; its memory stays */
		err = net_memory_init();
		if (err)
			return trace_error(err);
		hv_random(stack.isn_key, sizeof(stack.isn_key));
		lwip_init();
		stack.ready = true;
	}
	stack.running = true;
	stack.core = core;
	stack.timer = (struct hv_timer){.fn = timer_due};
	stack.poller = (struct hv_poller){.poll = poll_stack, .arm = arm_stack, .name = "net"};
	hv_poller_add(&stack.poller);
	net_timer_arm();
	return 0;
}

static void abort_all(struct tcp_pcb **list)
{
	while (*list)
		tcp_abort(*list);
}

void net_stop(void)
{
	net_assert_core();
	net_sockets_close_all();
	abort_all(&tcp_active_pcbs);
	abort_all(&tcp_tw_pcbs);
	net_vmk_destroy_all();
	hv_poller_remove(&stack.poller);
	hv_timer_cancel(&stack.timer);
	stack.running = false;
}

void net_stats_get(struct net_stats *s)
{
	*s = (struct net_stats){
		.tcp_segments_in = lwip_stats.tcp.recv,
		.tcp_segments_out = lwip_stats.tcp.xmit,
		.tcp_checksum_errors = lwip_stats.tcp.chkerr,
		.tcp_drops = lwip_stats.tcp.drop,
		.ip_drops = lwip_stats.ip.drop,
		.icmp_in = lwip_stats.icmp.recv,
		.arp_in = lwip_stats.etharp.recv,
		.sockets = net_sockets_open(),
		.memory_refused = net_memory_refused(),
	};
}
