/*
 * Link Aggregation Control Protocol, IEEE 802.1AX-2014 clause 6.4: the state machines of the ports of one system that has one key. Pure:
 * time comes in, frames go out by a function, so that two of them can be stepped against each other (tests/unit/vswitch/test_lacp.c).
 */
#ifndef VSWITCH_LACP_H
#define VSWITCH_LACP_H

#include <hv/types.h>
#include <vswitch/config.h>

#define LACP_PORTS VSW_MAX_UPLINKS
#define LACP_FRAME_LEN 124u
#define LACP_NONE UINT8_MAX

/* Bits of Actor_State and Partner_State, 6.4.2.3. */
enum lacp_state {
	LACP_ACTIVITY = 1u << 0,
	LACP_SHORT_TIMEOUT = 1u << 1,
	LACP_AGGREGATION = 1u << 2,
	LACP_SYNCHRONIZATION = 1u << 3,
	LACP_COLLECTING = 1u << 4,
	LACP_DISTRIBUTING = 1u << 5,
	LACP_DEFAULTED = 1u << 6,
	LACP_EXPIRED = 1u << 7,
};

/* What one side says of itself, or of the other. */
struct lacp_info {
	uint16_t system_priority;
	uint8_t system[6];
	uint16_t key, port_priority, port;
	uint8_t state;
};

struct lacp_pdu {
	struct lacp_info actor, partner;
};

enum lacp_receive { LACP_RX_DISABLED, LACP_RX_EXPIRED, LACP_RX_DEFAULTED, LACP_RX_CURRENT };
enum lacp_periodic { LACP_NO_PERIODIC, LACP_FAST_PERIODIC, LACP_SLOW_PERIODIC };
enum lacp_mux { LACP_DETACHED, LACP_WAITING, LACP_ATTACHED, LACP_COLLECTING_DISTRIBUTING };
enum lacp_selected { LACP_UNSELECTED, LACP_SELECTED, LACP_STANDBY };
enum lacp_churn { LACP_CHURN_MONITOR, LACP_NO_CHURN, LACP_CHURN };

/* Deadlines in nanoseconds; UINT64_MAX: the timer does not run. */
struct lacp_port {
	bool enabled;
	struct lacp_info actor, partner;
	uint8_t mac[6];
	enum lacp_receive receive;
	enum lacp_periodic periodic;
	enum lacp_mux mux;
	enum lacp_selected selected;
	uint8_t aggregator; /* the lowest port of those that it is aggregated with, or LACP_NONE */
	bool ready, ntt;
	uint64_t current_while, periodic_at, wait_while;
	uint64_t window; /* of the transmit limit: its end, and how many were sent in it */
	unsigned sent_in_window;
	struct {
		enum lacp_churn state;
		uint64_t at;
		uint64_t count;
	} churn[2]; /* actor's, partner's */
	uint64_t marker_window;
	unsigned markers_in_window;
	uint64_t pdus_in, pdus_out, pdus_bad, markers;
};

struct lacp {
	bool active, fast;
	struct lacp_port ports[LACP_PORTS];
	uint8_t chosen; /* the aggregator in use, or LACP_NONE */
	void (*send)(void *arg, unsigned port, const uint8_t *frame, uint32_t len);
	void *arg;
	uint64_t now;
};

/* ---- lacp_pdu.c ---- */
/* Reads a frame of Slow Protocols, Ethernet header first. False: not a well-formed LACPDU. */
bool lacp_pdu_parse(const uint8_t *frame, uint32_t len, struct lacp_pdu *out);
void lacp_pdu_build(uint8_t frame[LACP_FRAME_LEN], const uint8_t source[6], const struct lacp_pdu *pdu);
/* Is the frame a Marker PDU (6.5.3)? Then `answer` becomes the Marker Response. */
bool lacp_marker_answer(const uint8_t *frame, uint32_t len, const uint8_t source[6], uint8_t answer[LACP_FRAME_LEN]);

/* ---- lacp.c ---- */
struct lacp_settings {
	bool active, fast;
	uint16_t system_priority, port_priority, key;
	uint8_t system[6];
};
/* @pre l->send and l->arg are set, the rest is zero */
void lacp_init(struct lacp *l, const struct lacp_settings *s);
/* The link of a port came up (with the MAC address that its frames have) or went down. */
void lacp_port_enable(struct lacp *l, unsigned port, const uint8_t mac[6]);
void lacp_port_disable(struct lacp *l, unsigned port);
/* A frame of Slow Protocols that the port received. */
void lacp_input(struct lacp *l, unsigned port, const uint8_t *frame, uint32_t len, uint64_t now_ns);
/* Runs all machines; call it when something above happened and every 100 ms or so. */
void lacp_run(struct lacp *l, uint64_t now_ns);
/* May frames be received from and sent to the port? The two are one in a coupled Mux machine. */
static inline bool lacp_distributes(const struct lacp *l, unsigned port)
{
	return l->ports[port].mux == LACP_COLLECTING_DISTRIBUTING;
}
const char *lacp_mux_name(enum lacp_mux mux);
const char *lacp_receive_name(enum lacp_receive receive);

/* ---- lacp_select.c ---- */
/* Selection logic, 6.4.14: which ports are aggregated, and which aggregator is used. */
void lacp_select(struct lacp *l);
/* Sets `ready` of the ports of an aggregator when none of them waits any more (Ready_N, 6.4.14.1). */
bool lacp_ready(const struct lacp *l, uint8_t aggregator);

#endif
