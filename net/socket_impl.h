/*
 * A socket. States, by pcb and flags:
 *
 *   FRESH --connect--> CONNECTING --SYN-ACK--> OPEN --FIN of peer--> OPEN with eof --close/shutdown--> lwIP finishes alone
 *     |                    |                    |
 *     +---- error: lwIP has freed the pcb ------+--> DEAD (error says why, once)
 *
 * Several descriptors may name one socket (dup2); the last close ends it.
 */
#ifndef NET_SOCKET_IMPL_H
#define NET_SOCKET_IMPL_H

#include "stack.h"

#include <lwip/tcp.h>
#include <net/socket.h>

enum sock_state { SOCK_FRESH, SOCK_CONNECTING, SOCK_OPEN, SOCK_DEAD };

struct sock {
	bool used;
	enum sock_state state;
	unsigned names;      /* descriptors */
	struct tcp_pcb *pcb; /* NULL when DEAD */
	int error;           /* errno to report once (SO_ERROR or the next call) */
	bool eof;            /* the peer has sent FIN; data before it may wait */
	bool shut_read, shut_write;
	bool reset_on_close; /* SO_LINGER of 0 s */
	bool push;           /* written to since the last round */
	/* Received and not read: single pbufs linked by `next`, lengths by `len` (tot_len, 16 bits, cannot span a window). */
	struct pbuf *rx_head, *rx_tail;
	uint16_t rx_offset; /* read of rx_head */
	uint32_t rx_bytes;
	void (*notify)(void *arg);
	void *notify_arg;
};

/* The socket of fd, or NULL with errno EBADF. */
struct sock *net_sock(int fd);
/* -1 with errno. */
int net_fail(int err);
/* errno for what lwIP says. */
int net_errno(err_t err);
/* Reports a pending error once: its errno, or 0. */
int net_sock_take_error(struct sock *s);
short net_sock_events(const struct sock *s);
/* ---- transfer.c ---- */
void net_rx_append(struct sock *s, struct pbuf *p);
void net_rx_drop(struct sock *s);

#endif
