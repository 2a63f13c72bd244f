/*
 * What must hold of the switch, told by its configuration alone (vswitch_model.c), and configurations that change at random
 * (vswitch_change.c): parts of the fuzz target vswitch.c.
 */
#ifndef VSWITCH_MODEL_H
#define VSWITCH_MODEL_H

#include "switch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { GUESTS = 5, NICS = GUESTS + 1, VMK = GUESTS, WIRES = 2, FROM_WIRE = NICS, MARK_LEN = 8, NO_VLAN = -1, MACS_MAX = 16 };

#define CHECK(cond) ((cond) ? (void)0 : model_failed(#cond, __FILE__, __LINE__))
_Noreturn void model_failed(const char *what, const char *file, int line);

/* The next bytes of the input; 0 behind its end. */
uint8_t input_byte(void);
uint16_t input_word(void);

/* A NIC of a guest, or the vmk's. */
struct model_nic {
	bool plugged;
	unsigned group; /* index in model.config */
	struct vsw_port_config own;
	uint64_t mac, own_mac;
	uint64_t macs[MACS_MAX]; /* all that it has had since it was plugged in */
	unsigned mac_count;
	bool wants_promisc;
	bool sees_others;      /* since it was plugged in it may have seen frames for others: promiscuous, or a mirror's destination */
	bool mirrored;         /* ... the latter */
	bool forges;           /* since then it was allowed to, at some time */
	uint64_t shaped_since; /* its egress shaping was the same since then; 0: it has none */
	uint64_t shaped_bytes; /* received since then */
};

struct model {
	struct vsw *v;
	struct vsw_config config; /* what runs */
	struct model_nic nics[NICS];
	unsigned got; /* frames that left the switch since model_begin */
};
extern struct model model;

/* ---- vswitch_model.c ---- */
void model_reset(void);
void model_plugged(unsigned nic, unsigned group, uint64_t mac);
/* After each change of configuration, policy, address or filter. */
void model_refresh(void);
struct vsw_policy_config model_policy(unsigned nic);
/* Puts a mark into the frame's payload from `at` on, by which it is known again: of the record that model_sent will fill. */
void model_mark(uint8_t *frame, uint32_t at, uint32_t len);
/* The frame is about to be sent by NIC `from`, or brought by wire from - FROM_WIRE. cut: it may arrive in several frames. */
void model_sent(unsigned from, const uint8_t *frame, uint32_t len, bool cut);
/* Frames are about to be sent; then it is over: each of n frames has come out somewhere or is counted as dropped. */
void model_begin(void);
void model_end(unsigned n);
/* A frame has arrived at a NIC / left by a wire. */
void model_received(unsigned nic, const uint8_t *frame, uint32_t len, bool large);
void model_left(unsigned wire, const uint8_t *frame, uint32_t len);
/* Counters and tables agree with themselves. tables: also the MAC tables, which takes a while. */
void model_check(bool tables);

/* ---- vswitch_change.c ---- */
void change_base(struct vsw_config *c);
/* Another configuration, or places of NICs, by input bytes, on the running switch. */
void change_configuration(void);

#endif
