/*
 * The virtual switch under load: one thread, bursts of 32, known unicast on VLANs with the default policies. `run` starts it, under
 * callgrind for instructions per packet and beside other switches for packets per second.
 *
 * usage: bench-vswitch CASE FRAME_BYTES PORTS MACS BURSTS [EAL argument ...]      FRAME_BYTES 0 = IMIX (7 x 60, 4 x 590, 1 x 1514)
 *   in       uplink -> local ports        out    local ports -> uplink       (devices of two rings; local ports are VMkernel ports)
 *   local    local port -> local port     guest  guest -> guest, in segments of memory as a virtual NIC offers them
 *   policy-in, policy-out   as in and out; the local ports are shaped in both directions, and a mirror session watches them for frames of
 *                           one host and TCP port, which never come
 *   virtio   guest -> guest from virtqueue to virtqueue, both of virtual NICs in memory of the bench (PORTS: 2 to 4 of them)
 *   trunk-virtio   the same, on trunk ports: with tags
 *   trunk-in, trunk-out, trunk-guest   uplink -> guests, guests -> uplink, guest -> guest on trunk ports
 *   forward  uplink 0 <-> local ports, which are ethdevs 1.. (give them with --vdev): what other switches do between devices
 *   plain    the same without VLANs
 *
 * Only measured() is of interest: callgrind is told to collect inside it. Prints packets, CPU nanoseconds and drops.
 */
#include "guest_driver.h"
#include "switch.h"

#include <hv/netport.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MACS_MAX = 16000, VLANS = 4, PORTS_MAX = 128, RX_BACKLOG = 16, NICS_MAX = 4, NIC_BUFFER = 2048, NIC_HEADER = 12 };

struct port {
	struct vsw_vmk_port *vmk;
	struct netport *np;
	struct netport_client client;
	uint16_t ethdev;
};

static struct {
	unsigned frame_bytes, ports, macs;
	struct vsw *v;
	struct rte_mempool *pool;
	struct rte_ring *rx, *tx;
	struct port port[PORTS_MAX]; /* the local ones; port 0 of the switch is the uplink */
	unsigned next_mac, next_size;
	uint64_t received;
	uint8_t data[2048], sink[2048];
} b;

static unsigned local_ports(void)
{
	return b.ports - 1;
}

static void die(const char *what)
{
	fprintf(stderr, "bench-vswitch: %s\n", what);
	exit(1);
}

static uint64_t local_mac(unsigned port)
{
	return 0x000000005452ull | (uint64_t)(port + 1) << 40;
}

static uint64_t outside_mac(unsigned i)
{
	return 0x000001005452ull | (uint64_t)(i & 0xff) << 40 | (uint64_t)(i >> 8) << 32;
}

static unsigned vlan_of(unsigned port)
{
	return port % VLANS;
}

static uint32_t next_size(void)
{
	static const uint16_t imix[12] = {60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 590, 60};

	if (b.frame_bytes)
		return b.frame_bytes;
	b.next_size = b.next_size == 11 ? 0 : b.next_size + 1;
	return imix[b.next_size];
}

static unsigned next_mac(void)
{
	b.next_mac = b.next_mac + 1 >= b.macs ? 0 : b.next_mac + 1;
	return b.next_mac;
}

/* ---- frames ---- */

static void header(uint8_t *f, uint64_t dst, uint64_t src, uint16_t vlan)
{
	vsw_store_mac(f, dst);
	vsw_store_mac(f + 6, src);
	if (vlan) {
		memcpy(f + 12, (uint8_t[]){0x81, 0, 0, (uint8_t)vlan}, 4);
		f += 4;
	}
	memcpy(f + 12, (uint8_t[]){0x08, 0x00, 0x45, 0}, 4);
	memcpy(f + 22, (uint8_t[]){64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 9, 0, 9}, 16); /* IPv4, UDP */
}

/* 32 frames whose first bytes are written, as a device would have. */
static void make_burst(struct rte_mbuf **frames, unsigned from, bool tagged, bool to_local)
{
	if (rte_pktmbuf_alloc_bulk(b.pool, frames, VSW_BURST))
		die("no mbuf");
	for (unsigned i = 0; i < VSW_BURST; i++) {
		uint16_t len = (uint16_t)next_size();
		unsigned to = tagged ? (from + i) % local_ports() : from, out = next_mac() / VLANS * VLANS + vlan_of(to);
		uint8_t *f = rte_pktmbuf_mtod(frames[i], uint8_t *);

		if (tagged)
			header(f, local_mac(to), outside_mac(out), (uint16_t)(10 + vlan_of(to)));
		else
			header(f, to_local ? local_mac((from + VLANS) % local_ports()) : outside_mac(out), local_mac(from), 0);
		frames[i]->data_len = (uint16_t)(len + (tagged ? 4 : 0));
		frames[i]->pkt_len = frames[i]->data_len;
	}
}

/* ---- cases ---- */

static void drain(void)
{
	struct rte_mbuf *m[VSW_BURST];
	unsigned n;

	while ((n = rte_ring_dequeue_burst(b.tx, (void **)m, VSW_BURST, NULL))) {
		b.received += n;
		rte_pktmbuf_free_bulk(m, n);
	}
}

/* A loaded wire: more than one burst has come in when the uplink is polled. */
static void case_in(unsigned round)
{
	struct rte_mbuf *m[VSW_BURST];

	make_burst(m, round, true, true);
	rte_ring_enqueue_burst(b.rx, (void **)m, VSW_BURST, NULL);
	while (round % RX_BACKLOG == RX_BACKLOG - 1 && rte_ring_count(b.rx))
		native_core_step();
}

static void case_from_local(unsigned round, bool to_local)
{
	struct rte_mbuf *m[VSW_BURST];
	unsigned from = round % local_ports();

	make_burst(m, from, false, to_local);
	vsw_vmk_tx(b.port[from].vmk, m, VSW_BURST);
	vsw_vmk_flush(b.port[from].vmk);
	native_core_step();
	drain();
}

static void case_out(unsigned round)
{
	case_from_local(round, false);
}

static void case_local(unsigned round)
{
	case_from_local(round, true);
}

static void case_guest(unsigned round)
{
	struct hv_seg segs[VSW_BURST];
	struct netport_frame frames[VSW_BURST];
	unsigned from = round % local_ports();
	struct netport *np = b.port[from].np;

	header(b.data, local_mac((from + VLANS) % local_ports()), local_mac(from), 0);
	for (unsigned i = 0; i < VSW_BURST; i++) {
		segs[i] = (struct hv_seg){b.data, next_size()};
		frames[i] = (struct netport_frame){.segs = &segs[i], .nsegs = 1, .len = segs[i].len};
	}
	np->ops->tx_burst(np, frames, VSW_BURST);
	np->ops->tx_flush(np);
}

/* ---- virtual NICs: the guests' drivers ---- */

static struct nic {
	struct dev dev;
	uint64_t buffers[2]; /* of the receive and the transmit queue: one for each descriptor */
} nics[NICS_MAX];

enum { RX, TX };

/* One buffer for each descriptor, once and for all: a driver that uses descriptor n again uses its buffer. */
static void nic_buffers(struct nic *nic, unsigned q)
{
	struct queue *queue = &nic->dev.queues[q];
	uint64_t bytes = (uint64_t)queue->size * NIC_BUFFER;

	guest.next_free = HV_ALIGN_UP(guest.next_free, bytes); /* in one unit of guest memory */
	nic->buffers[q] = ram_alloc(bytes);
	for (unsigned i = 0; i < queue->size; i++)
		desc_write(queue->desc, i, nic->buffers[q] + i * NIC_BUFFER, NIC_BUFFER, q == RX ? 2 : 0, 0);
	for (unsigned i = 0; q == RX && i < queue->size; i++)
		queue_add_head(queue, (uint16_t)i);
}

static void nic_send(struct nic *nic, unsigned frames)
{
	struct queue *q = &nic->dev.queues[TX];

	for (unsigned i = 0; i < frames; i++) {
		uint16_t head = q->avail_idx % q->size;

		desc_write(q->desc, head, nic->buffers[TX] + head * NIC_BUFFER, NIC_HEADER + next_size(), 0, 0);
		queue_add_head(q, head);
	}
}

/* Takes back what was sent and received; receive buffers are posted again. */
static void nic_reap(struct nic *nic)
{
	uint16_t head;

	while (queue_used(&nic->dev.queues[TX], NULL, NULL))
		;
	while (queue_used(&nic->dev.queues[RX], &head, NULL)) {
		b.received++;
		queue_add_head(&nic->dev.queues[RX], head);
	}
}

static void case_virtio(unsigned round)
{
	unsigned from = round % b.ports;

	nic_send(&nics[from], VSW_BURST);
	native_core_step();
	for (unsigned i = 0; i < b.ports; i++)
		nic_reap(&nics[i]);
}

/* A burst of a trunk's guest in one piece of memory. */
static void trunk_sends(unsigned from, uint64_t dst)
{
	struct hv_seg segs[VSW_BURST];
	struct netport *np = b.port[from].np;

	header(b.data, dst, local_mac(from), (uint16_t)(10 + vlan_of(from)));
	for (unsigned i = 0; i < VSW_BURST; i++)
		segs[i] = (struct hv_seg){b.data, next_size() + 4};
	np->ops->tx_plain(np, segs, VSW_BURST);
	np->ops->tx_flush(np);
}

static void case_trunk_out(unsigned round)
{
	unsigned from = round % local_ports();

	trunk_sends(from, outside_mac(next_mac() / VLANS * VLANS + vlan_of(from)));
	native_core_step();
	drain();
}

static void case_trunk_guest(unsigned round)
{
	unsigned from = round % local_ports();

	trunk_sends(from, local_mac((from + 1) % local_ports()));
}

static void nics_start(bool trunk)
{
	struct vm_config config = {.cpus = 1, .nic_count = b.ports};

	for (unsigned i = 0; i < b.ports; i++) {
		uint8_t mac[6];

		vsw_store_mac(mac, local_mac(i));
		if (vsw_guest_port_create(b.v, 0, "guest", mac, &b.port[i].np))
			die("no guest port");
		config.nics[i].port = b.port[i].np;
	}
	guest_make(&config);
	for (unsigned i = 0; i < b.ports; i++) {
		struct nic *nic = &nics[i];

		dev_open(&nic->dev, 1 + i, 1ull << 15 /* mergeable receive buffers */, 2, 0);
		nic_buffers(nic, RX);
		nic_buffers(nic, TX);
		for (unsigned k = 0; k < nic->dev.queues[TX].size; k++) {
			uint8_t *f = ram(nic->buffers[TX] + k * NIC_BUFFER, NIC_BUFFER);

			memset(f, 0, NIC_BUFFER);
			header(f + NIC_HEADER, local_mac((i + 1 + k % (b.ports - 1)) % b.ports), local_mac(i),
				trunk ? 10 : 0); /* to the others in turn */
		}
	}
}

/* Frames that the uplink has brought so far. */
static uint64_t uplink_in(void)
{
	return vsw_uplink_port(b.v->uplinks[0])->count.in_frames;
}

/* Each device brings as many frames as the uplink does in one poll of the switch. */
static void case_forward(unsigned round)
{
	struct rte_mbuf *m[VSW_BURST];
	uint64_t before = uplink_in(), share;

	native_core_step();
	share = uplink_in() - before;
	for (unsigned i = 0; i < local_ports(); i++) {
		for (uint64_t sum = 0; sum < share; sum += VSW_BURST) {
			uint16_t n = rte_eth_rx_burst(b.port[i].ethdev, 0, m, VSW_BURST);

			vsw_vmk_tx(b.port[i].vmk, m, n);
		}
	}
}

static const struct bench_case {
	const char *name;
	void (*round)(unsigned round);
	bool guests, devices, nics, untagged, policies, trunk;
} cases[] = {
	{"in", case_in},
	{"out", case_out},
	{"local", case_local},
	{"policy-in", case_in, .policies = true},
	{"policy-out", case_out, .policies = true},
	{"guest", case_guest, .guests = true},
	{"virtio", case_virtio, .nics = true},
	{"trunk-virtio", case_virtio, .nics = true, .trunk = true},
	{"trunk-in", case_in, .guests = true, .trunk = true},
	{"trunk-out", case_trunk_out, .guests = true, .trunk = true},
	{"trunk-guest", case_trunk_guest, .guests = true, .trunk = true},
	{"forward", case_forward, .devices = true},
	{"plain", case_forward, .devices = true, .untagged = true},
};

__attribute__((noinline)) void measured(const struct bench_case *c, unsigned rounds);

void measured(const struct bench_case *c, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++)
		c->round(i);
}

/* ---- the bench's ends of the ports ---- */

static unsigned vmk_rx(void *arg, struct rte_mbuf **frames, unsigned n)
{
	const struct port *p = arg;
	uint16_t sent = 0;

	b.received += n;
	if (p->ethdev != UINT16_MAX)
		sent = rte_eth_tx_burst(p->ethdev, 0, frames, (uint16_t)n);
	rte_pktmbuf_free_bulk(frames + sent, n - sent);
	return n;
}

static unsigned guest_rx(void *arg, const netport_rx_frame *frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		memcpy(b.sink, frames[i].segs[0].base, frames[i].segs[0].len);
	b.received += n;
	return n;
}

static unsigned guest_rx_direct(void *arg, const struct netport_direct *frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		memcpy(b.sink, frames[i].rest, frames[i].bytes - frames[i].head_bytes);
	b.received += n;
	return n;
}

static void device_start(uint16_t port)
{
	struct rte_eth_conf conf = {0};

	if (rte_eth_dev_configure(port, 1, 1, &conf) || rte_eth_rx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL, b.v->rx_pools[0]) ||
		rte_eth_tx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL) || rte_eth_dev_start(port))
		die("a device does not start");
}

static void local_port(unsigned i, const struct bench_case *c)
{
	struct port *p = &b.port[i];
	uint8_t mac[6];

	vsw_store_mac(mac, local_mac(i));
	p->ethdev = UINT16_MAX;
	if (c->guests) {
		if (vsw_guest_port_create(b.v, vlan_of(i), "guest", mac, &p->np))
			die("no guest port");
		p->client = (struct netport_client){.rx_burst = guest_rx, .rx_direct = c->trunk ? guest_rx_direct : NULL, .arg = p};
		p->np->ops->set_client(p->np, &p->client);
		p->np->ops->set_features(p->np, c->trunk ? 0 : ~0u); /* without GRO, a filter */
		return;
	}
	if (vsw_vmk_port_create(b.v, vlan_of(i), "vmk", mac, &(struct vsw_vmk_client){.rx = vmk_rx, .arg = p}, &p->vmk))
		die("no vmk port");
	if (c->devices) {
		p->ethdev = (uint16_t)(i + 1);
		device_start(p->ethdev);
	}
}

static void uplink(const struct bench_case *c)
{
	int port = 0;

	b.rx = rte_ring_create("rx", 2 * RX_BACKLOG * VSW_BURST, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	b.tx = rte_ring_create("tx", 2048, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!c->devices)
		port = rte_eth_from_rings("wire", &b.rx, 1, &b.tx, 1, 0);
	if (port < 0 || vsw_uplink_attach(b.v, 0, &(struct vsw_uplink_dev){.ethdev_port = (uint16_t)port}))
		die("no uplink");
}

static void learn(void)
{
	for (unsigned i = 0; i < HV_ALIGN_UP(b.macs, VLANS); i++) { /* make_burst rounds up */
		const struct vsw_portgroup_config *group = &b.v->config.portgroups[i % VLANS];
		struct vsw_switch *sw = b.v->switches[0];

		sw->fdb.tokens = 1;
		fdb_learn(&sw->fdb, fdb_key(outside_mac(i), sw->domain_of[group->trunk_count ? 10 + i % VLANS : group->vlan]),
			VSW_PORT_OUTSIDE);
	}
}

/* Shaping that lets everything pass (the clock stands still here: all of it is burst), and a mirror session without a match. */
static void add_policies(struct vsw_config *config)
{
	struct vsw_mirror_config *m = &config->mirrors[config->mirror_count++];

	*m = (struct vsw_mirror_config){
		.name = "watch",
		.captures = true,
		.capture_bytes = 1 << 20,
		.filter = {.has_address = true,
			.address = {.family = 4, .length = 32, .bytes = {10, 9, 9, 9}},
			.protocol = VSW_MATCH_TCP,
			.port = 443},
		.source_count = VLANS,
	};
	for (unsigned i = 0; i < VLANS; i++) {
		m->sources[i] = (struct vsw_mirror_source){.kind = VSW_MIRROR_PORTGROUP, .portgroup = (uint8_t)i};
		config->portgroups[i].ingress = config->portgroups[i].egress =
			(struct vsw_shaping_config){.average_kbps = 10000000, .peak_kbps = 400000000, .burst_bytes = 1000000000};
	}
}

static void start(const struct bench_case *c, int argc, char **argv)
{
	static struct vsw_config config = {
		.uplink_count = 1,
		.uplinks = {{.name = "up0", .mtu = 1500}},
		.switch_count = 1,
		.switches = {{.name = "vSwitch0", .uplink_count = 1}},
		.portgroup_count = VLANS,
		.portgroups = {{.name = "a", .vlan = 10}, {.name = "b", .vlan = 11}, {.name = "c", .vlan = 12}, {.name = "d", .vlan = 13}},
	};
	char *args[64] = {"bench", "--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0", "--log-level=error"};
	int count = 10;

	for (unsigned i = 0; c->untagged && i < VLANS; i++)
		config.portgroups[i].vlan = 0;
	for (unsigned i = 0; c->trunk && i < VLANS; i++) {
		config.portgroups[i].vlan = 0;
		config.portgroups[i].trunk[0] = (struct vsw_vlan_range){10, 10 + VLANS - 1};
		config.portgroups[i].trunk_count = 1;
	}
	if (c->policies)
		add_policies(&config);
	for (int i = 0; i < argc && count < 63; i++)
		args[count++] = argv[i];
	if (rte_eal_init(count, args) < 0)
		die("no EAL");
	native_start(1);
	b.pool = rte_pktmbuf_pool_create("bench", 8191, 256, VSW_MBUF_PRIVATE, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!b.pool || vsw_create(&config, 0, &b.v))
		die("no switch");
	b.v->switches[0]->fdb.multiplier =
		0x5bd1e995a7c29e37; /* the table is empty as yet; a secret one would make counts differ from run to run */
	if (c->nics) {
		nics_start(c->trunk);
		return;
	}
	uplink(c);
	for (unsigned i = 0; i < local_ports(); i++)
		local_port(i, c);
	learn();
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct sums {
	uint64_t in, out, drops;
};

static void add_port(void *arg, const struct vsw_port_info *info)
{
	struct sums *s = arg;

	s->in += info->counters->in_frames;
	s->out += info->counters->out_frames;
	s->drops += info->counters->drops;
}

static struct sums sums(void)
{
	struct sums s = {0};

	vsw_port_foreach(b.v, add_port, &s);
	return s;
}

static const struct bench_case *find(const char *name)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(cases); i++) {
		if (!strcmp(cases[i].name, name))
			return &cases[i];
	}
	die("unknown case");
	return NULL;
}

int main(int argc, char **argv)
{
	const struct bench_case *c = argc >= 6 ? find(argv[1]) : NULL;
	struct sums before, after;
	uint64_t ns;

	if (!c)
		die("usage: bench-vswitch CASE FRAME_BYTES PORTS MACS BURSTS [EAL argument ...]");
	b.frame_bytes = (unsigned)atoi(argv[2]);
	b.ports = (unsigned)atoi(argv[3]);
	b.macs = (unsigned)atoi(argv[4]);
	if (b.ports < 2 || b.ports > (c->nics ? (unsigned)NICS_MAX : (unsigned)PORTS_MAX) || b.macs > MACS_MAX || b.frame_bytes > 1514)
		die("out of range");
	start(c, argc - 6, argv + 6);
	for (unsigned i = 0; i < RX_BACKLOG; i++) /* what happens once */
		c->round(i);
	before = sums();
	ns = cpu_ns();
	measured(c, (unsigned)atoi(argv[5]));
	ns = cpu_ns() - ns;
	after = sums();
	printf("{\"in\": %lu, \"out\": %lu, \"drops\": %lu, \"ns\": %lu}\n", after.in - before.in, after.out - before.out,
		after.drops - before.drops, ns);
	return 0;
}
