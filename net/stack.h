/* Inside of net/: the stack's parts for each other. */
#ifndef NET_STACK_H
#define NET_STACK_H

#include <net/net.h>

struct pbuf;
struct rte_mbuf;
struct rte_mempool;
struct tcp_pcb;

/* ---- net.c ---- */
/* Panics when not on the owner core. */
void net_assert_core(void);
/* lwIP may have started a timer: arms the loop's for the next that is due. */
void net_timer_arm(void);

/* ---- memory.c ---- */
int net_memory_init(void) HV_MUST_CHECK;
uint64_t net_memory_refused(void);
unsigned net_memory_in_use(void); /* objects of all classes */
/* One more user of a piece of memory that lwIP has: it is free when net_lwip_free (arch/cc.h) was called once for each. */
void net_memory_hold(void *p);

/* ---- frame.c ---- */
/* The frame p in mbufs of `pool`; p stays the caller's. NULL: no mbuf. *referenced: its data was not copied. */
struct rte_mbuf *net_frame_make(struct rte_mempool *pool, struct pbuf *p, bool *referenced);

/* ---- vmk.c ---- */
void net_vmk_destroy_all(void);
/* Pushes frames that the stack gathered to the switch. */
void net_vmk_flush(void);
bool net_vmk_waiting(void);

/* ---- socket.c ---- */
/* Sends what was written since the last round. Returns how many sockets had something. */
unsigned net_sockets_push(void);
bool net_sockets_waiting(void);
void net_sockets_close_all(void);
unsigned net_sockets_open(void);

#endif
