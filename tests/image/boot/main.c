/* Boot test: every core's loop answers a message; then the machine powers off. */
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>

struct greeting {
	struct hv_msg msg;
	struct hv_fiber *from;
	unsigned core;
};

static struct greeting greetings[HV_MAX_CORES];

static void come_back(struct hv_msg *m)
{
	hv_fiber_wake(hv_container_of(m, struct greeting, msg)->from);
}

static void answer(struct hv_msg *m)
{
	struct greeting *g = hv_container_of(m, struct greeting, msg);

	g->core = hv_core_self();
	m->fn = come_back;
	hv_msg_post(0, m);
}

void host_main(void)
{
	for (unsigned i = 0; i < hv_core_count(); i++) {
		greetings[i].msg.fn = answer;
		greetings[i].from = hv_fiber_self();
		hv_msg_post(i, &greetings[i].msg);
		if (hv_fiber_park(hv_now_ns() + 1000000000ull))
			hv_panic("core %u does not answer", i);
		log_info("host.core", "core %u answers", greetings[i].core);
	}
	hv_power_off(0);
}
