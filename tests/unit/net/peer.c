#include "peer.h"

#include "stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hv/core.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vswitch/vswitch.h>

#define FRAME_MAX 2048

static int tap;
static struct vsw *vsw;
static struct rte_ring *rx, *tx;
static struct rte_mempool *wire_pool;
static uint16_t wire_port;
static unsigned lose, swap;
static bool cut;
static uint64_t clock_ns = 1000000000; /* the host's, kept from test to test */

/* ---- the peer's side: servers, each connection a process ---- */

static void serve_echo(int fd)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			ssize_t w = write(fd, buf + at, (size_t)(n - at));

			if (w <= 0)
				return;
			at += w;
		}
	}
}

/* Reads how many bytes are wanted, sends that many of a pattern. */
static void serve_source(int fd)
{
	uint8_t buf[65536];
	uint32_t want, at = 0;

	if (read(fd, &want, sizeof(want)) != sizeof(want))
		return;
	while (at < want) {
		uint32_t n = want - at < sizeof(buf) ? want - at : (uint32_t)sizeof(buf);
		ssize_t w;

		for (uint32_t i = 0; i < n; i++)
			buf[i] = (uint8_t)((at + i) * 2654435761u >> 24);
		w = write(fd, buf, n);
		if (w <= 0)
			return;
		at += (uint32_t)w;
	}
}

static void serve_reset(int fd)
{
	struct linger l = {1, 0};
	char c;

	if (read(fd, &c, 1) == 1)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Adds up all bytes until the end of the stream, then answers: half-close. */
static void serve_sum(int fd)
{
	uint8_t buf[65536];
	uint64_t answer[2] = {0};
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			answer[1] += buf[i] * (uint64_t)((answer[0] + (uint64_t)i) % 251 + 1);
		answer[0] += (uint64_t)n;
	}
	if (write(fd, answer, sizeof(answer)) != sizeof(answer))
		return;
}

static void serve_deaf(int fd)
{
	sleep(600);
}

static void server(uint16_t port, void (*serve)(int fd))
{
	struct sockaddr_in a = peer_addr(INADDR_ANY, port);
	int one = 1, fd, c;

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8))
		_exit(1);
	while ((c = accept(fd, NULL, NULL)) >= 0) {
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(c);
			_exit(0); /* closes the connection */
		}
		close(c);
	}
	_exit(1);
}

static int tap_open(void)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	strcpy(r.ifr_name, "tap0");
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &r)) {
		close(fd);
		return -1;
	}
	return fd;
}

int peer_start(void)
{
	if (unshare(CLONE_NEWNET) || (tap = tap_open()) < 0) {
		fprintf(stderr, "no network namespace or tap here: %s\n", strerror(errno));
		return 77;
	}
	if (system("ip addr add 10.77.0.1/24 dev tap0 && ip link set tap0 up && ip link set lo up"))
		return 77;
	server(PORT_ECHO, serve_echo);
	server(PORT_SOURCE, serve_source);
	server(PORT_RESET, serve_reset);
	server(PORT_SUM, serve_sum);
	server(PORT_DEAF, serve_deaf);
	return 0;
}

/* ---- the wire ---- */

static bool chance(unsigned one_in)
{
	return one_in && (unsigned)rand() % one_in == 0;
}

static void to_host(const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);

	if (!m)
		return; /* a slow host loses frames: so does a real wire */
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	if (rte_ring_enqueue(rx, m))
		rte_pktmbuf_free(m);
}

static void to_peer(const uint8_t *frame, size_t len)
{
	if (write(tap, frame, len) < 0 && errno != EAGAIN && errno != EIO)
		fail_msg("tap: %s", strerror(errno));
}

/* One direction: passes a frame on, or loses it, or keeps it until the next has passed. */
struct direction {
	uint8_t kept[FRAME_MAX];
	size_t kept_len;
	void (*out)(const uint8_t *frame, size_t len);
};
static struct direction inward = {.out = to_host}, outward = {.out = to_peer};

static void pass(struct direction *d, const uint8_t *frame, size_t len)
{
	if (cut || chance(lose))
		return;
	if (!d->kept_len && chance(swap)) {
		memcpy(d->kept, frame, len);
		d->kept_len = len;
		return;
	}
	d->out(frame, len);
	if (d->kept_len)
		d->out(d->kept, d->kept_len);
	d->kept_len = 0;
}

/* The host's clock follows the real one, and may be advanced beyond by a test. */
static void follow_clock(void)
{
	static uint64_t last;
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	if (last && now - last < 1000000000)
		native_time_advance(now - last);
	last = now;
}

static void pump(void)
{
	uint8_t frame[FRAME_MAX];
	struct rte_mbuf *m;
	ssize_t n;

	for (unsigned i = 0; i < 64 && (n = read(tap, frame, sizeof(frame))) > 0; i++)
		pass(&inward, frame, (size_t)n);
	while (!rte_ring_dequeue(tx, (void **)&m)) {
		const void *data = rte_pktmbuf_read(m, 0, m->pkt_len, frame);

		pass(&outward, data, m->pkt_len);
		rte_pktmbuf_free(m);
	}
}

void peer_wire(unsigned lose_one_in, unsigned swap_one_in)
{
	lose = lose_one_in;
	swap = swap_one_in;
}

void peer_cut(bool on)
{
	cut = on;
}

bool peer_run(bool (*done)(void *arg), void *arg, unsigned ms)
{
	uint64_t end = hv_now_ns() + ms * 1000000ull;

	while (!done || !done(arg)) {
		if (hv_now_ns() > end)
			return false;
		follow_clock();
		pump();
		native_core_step();
	}
	return true;
}

void peer_run_ms(unsigned ms)
{
	peer_run(NULL, NULL, ms);
}

/* ---- the host's side ---- */

static void eal_start(void)
{
	static bool done;
	char *argv[] = {"test", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};
	int port;

	if (done)
		return;
	done = true;
	assert_true(rte_eal_init(HV_ARRAY_LEN(argv), argv) >= 0);
	wire_pool = rte_pktmbuf_pool_create("wire", 8191, 0, VSW_MBUF_PRIVATE, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	rx = rte_ring_create("rx", 1024, SOCKET_ID_ANY, 0);
	tx = rte_ring_create("tx", 1024, SOCKET_ID_ANY, 0);
	port = rte_eth_from_rings("wire", &rx, 1, &tx, 1, 0);
	assert_true(wire_pool && rx && tx && port >= 0);
	wire_port = (uint16_t)port;
}

int peer_setup(void **state)
{
	static const struct vsw_config config = {
		.uplink_count = 1,
		.uplinks = {{.name = "uplink0", .mtu = 1500}},
		.switch_count = 1,
		.switches = {{.name = "vSwitch0", .uplink_count = 1}},
		.portgroup_count = 1,
		.portgroups = {{.name = "storage"}},
	};
	struct net_vmknic_config vmk = {.name = "vmk0", .address = OWN_ADDRESS, .prefix = 24, .gateway = PEER_ADDRESS};
	struct vsw_uplink_dev dev;

	eal_start();
	dev = (struct vsw_uplink_dev){.ethdev_port = wire_port};
	native_start(1);
	native_time_set(clock_ns); /* lwIP's clock never goes back */
	srand(7);
	peer_wire(0, 0);
	peer_cut(false);
	inward.kept_len = outward.kept_len = 0;
	assert_int_equal(vsw_create(&config, 0, &vsw), 0);
	assert_int_equal(vsw_uplink_attach(vsw, 0, &dev), 0);
	assert_int_equal(net_init(0), 0);
	assert_int_equal(net_vmk_create(&vmk, vsw), 0);
	return 0;
}

int peer_teardown(void **state)
{
	void *m;

	net_stop();
	peer_run_ms(5);
	clock_ns = hv_now_ns();
	while (!rte_ring_dequeue(rx, &m))
		rte_pktmbuf_free(m);
	assert_int_equal(rte_mempool_in_use_count(wire_pool), 0);
	vsw_destroy(vsw); /* asserts nothing of its own: its pools are checked in tests/unit/vswitch */
	while (!rte_ring_dequeue(tx, &m))
		rte_pktmbuf_free(m);
	return 0;
}

int peer_end(void **state)
{
	rte_mempool_free(wire_pool);
	return rte_eal_cleanup();
}

struct sockaddr_in peer_addr(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
}

short peer_events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};

	net_poll(&p, 1, 0);
	return p.revents;
}

struct wait {
	int fd;
	short events;
};

static bool has_event(void *arg)
{
	struct wait *w = arg;

	return peer_events(w->fd) & (w->events | POLLERR | POLLHUP);
}

short peer_wait(int fd, short events, unsigned ms)
{
	struct wait w = {fd, events};

	assert_true(peer_run(has_event, &w, ms));
	return peer_events(fd);
}

int peer_connect(uint16_t port)
{
	struct sockaddr_in a = peer_addr(PEER_ADDRESS, port);
	int fd = net_socket(AF_INET, SOCK_STREAM, 0), err = -1;
	socklen_t len = sizeof(err);

	assert_true(fd >= NET_FD_FIRST);
	assert_int_equal(net_connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(peer_wait(fd, POLLOUT, 20000), POLLOUT);
	assert_int_equal(net_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	assert_int_equal(err, 0);
	return fd;
}

static bool child_done(void *arg)
{
	int *status = arg;

	return waitpid(status[0], &status[1], WNOHANG) == status[0];
}

int peer_shell(const char *command)
{
	int status[2] = {fork(), -1};

	if (!status[0]) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	assert_true(peer_run(child_done, status, 60000));
	return WIFEXITED(status[1]) ? WEXITSTATUS(status[1]) : -1;
}
