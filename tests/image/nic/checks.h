/* The checks of the NIC test image, one subject a file; main.c has the order. All run in one fiber on core 0. */
#ifndef TEST_NIC_CHECKS_H
#define TEST_NIC_CHECKS_H

#include <hv/types.h>

struct nic;
struct rte_mbuf;
struct rte_mempool;

#define CHECK(cond) check_line((cond), #cond, __FILE__, __LINE__)
void check_line(bool ok, const char *what, const char *file, int line);
bool option(const char *name);
void sleep_ns(uint64_t ns);

/* memory.c */
void check_memory(void);
void check_alarms(void);
void check_cores(void);

/* port.c: the port under test, polled by a poller that sleeps with its interrupt armed. */
bool port_start(const struct nic *n);
void port_stop(void);
void check_link(void);
void check_traffic(void);
void check_sleep(void);
void check_large_frames(void);
void check_link_events(void);

/* queues.c: instead of port.c, which has one queue. */
void check_queues(const struct nic *n);

/* bench.c: make gives a frame that the peer answers. */
void bench(uint16_t port, struct rte_mempool *pool, struct rte_mbuf *(*make)(void));
void port_bench(void);

#endif
