/*
 * The stack on a test bench with a real peer: a network namespace of the test's own with a tap, Linux's TCP behind it, and small servers.
 * The wire between the switch's uplink and the tap loses and reorders frames on request.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include "test.h"

#include <net/net.h>
#include <net/socket.h>

#define PEER_ADDRESS 0x0a4d0001u /* 10.77.0.1 */
#define OWN_ADDRESS 0x0a4d0002u  /* 10.77.0.2, vmk0 */
#define SILENT_ADDRESS 0x0a4d0063u

enum { PORT_ECHO = 5001, PORT_SOURCE, PORT_RESET, PORT_SUM, PORT_DEAF, PORT_NOBODY };

/* Before anything else in main: namespace, tap, servers. 0, or 77 (skip) when not allowed to. */
int peer_start(void);
int peer_setup(void **state);
/* Fails when a packet buffer or a piece of the stack's memory is missing. */
int peer_teardown(void **state);
int peer_end(void **state);

/* One frame in `lose` is lost and one in `swap` overtaken, each way; 0 = none. */
void peer_wire(unsigned lose, unsigned swap);
/* The wire is cut. */
void peer_cut(bool cut);
/* Runs the host and the wire until done() or ms have passed; false when time ran out. */
bool peer_run(bool (*done)(void *arg), void *arg, unsigned ms);
void peer_run_ms(unsigned ms);

/* A connected socket to the peer's port. */
int peer_connect(uint16_t port);
struct sockaddr_in peer_addr(uint32_t address, uint16_t port);
short peer_events(int fd);
/* Waits until one of the events is there; fails after ms. Returns all that are. */
short peer_wait(int fd, short events, unsigned ms);
/* Runs a shell command in the namespace; its exit status. The host runs meanwhile. */
int peer_shell(const char *command);

#endif
