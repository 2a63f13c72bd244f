/*
 * Sockets: descriptors, life cycle, readiness. Data: transfer.c; options and names: option.c.
 *
 * Owner: the network's core. lwIP's callbacks only note what happened and call `notify`; a socket is closed only by its user, so a pcb
 * never goes away under lwIP's feet.
 */
#include "socket_impl.h"

#include <errno.h>
#include <hv/log.h>
#include <lwip/priv/tcp_priv.h>
#include <string.h>

/* Room for a header and a fair piece of data before a socket counts as writable. */
#define WRITABLE_BYTES 4096u

static struct sock socks[NET_FD_MAX];
static struct sock *fds[NET_FD_MAX]; /* fd - NET_FD_FIRST */

int net_fail(int err)
{
	errno = err;
	return -1;
}

int net_errno(err_t err)
{
	static const int map[] = {[ERR_OK] = 0,
		[-ERR_MEM] = ENOMEM,
		[-ERR_BUF] = ENOBUFS,
		[-ERR_TIMEOUT] = ETIMEDOUT,
		[-ERR_RTE] = ENETUNREACH,
		[-ERR_INPROGRESS] = EINPROGRESS,
		[-ERR_VAL] = EINVAL,
		[-ERR_WOULDBLOCK] = EAGAIN,
		[-ERR_USE] = EADDRINUSE,
		[-ERR_ALREADY] = EALREADY,
		[-ERR_ISCONN] = EISCONN,
		[-ERR_CONN] = ENOTCONN,
		[-ERR_IF] = ENETDOWN,
		[-ERR_ABRT] = ECONNABORTED,
		[-ERR_RST] = ECONNRESET,
		[-ERR_CLSD] = EPIPE,
		[-ERR_ARG] = EINVAL};

	return err <= 0 && -err < (int)HV_ARRAY_LEN(map) ? map[-err] : EIO;
}

struct sock *net_sock(int fd)
{
	struct sock *s = fd >= NET_FD_FIRST && fd < NET_FD_FIRST + NET_FD_MAX ? fds[fd - NET_FD_FIRST] : NULL;

	net_assert_core();
	if (!s)
		errno = EBADF;
	return s;
}

int net_sock_take_error(struct sock *s)
{
	int err = s->error;

	s->error = 0;
	return err;
}

static void changed(struct sock *s)
{
	if (s->notify)
		s->notify(s->notify_arg);
}

/* ---- lwIP's callbacks ---- */

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct sock *s = arg;

	s->state = SOCK_OPEN;
	changed(s);
	return ERR_OK;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct sock *s = arg;

	if (!p) {
		s->eof = true;
	} else if (s->shut_read) {
		tcp_recved(pcb, p->tot_len);
		pbuf_free(p);
	} else {
		net_rx_append(s, p);
	}
	changed(s);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	changed(arg);
	return ERR_OK;
}

/* lwIP has freed the pcb. ERR_ABRT: it gave up retransmitting; a RST to a SYN: nobody listens. */
static void on_error(void *arg, err_t err)
{
	struct sock *s = arg;

	if (err == ERR_ABRT)
		s->error = ETIMEDOUT;
	else if (err == ERR_RST && s->state == SOCK_CONNECTING)
		s->error = ECONNREFUSED;
	else if (err == ERR_CLSD) /* closed in order by both sides */
		s->error = 0;
	else
		s->error = net_errno(err);
	s->pcb = NULL;
	s->state = SOCK_DEAD;
	s->push = false;
	changed(s);
}

/* ---- descriptors ---- */

static int name_socket(struct sock *s)
{
	for (int i = 0; i < NET_FD_MAX; i++) {
		if (fds[i])
			continue;
		fds[i] = s;
		s->names++;
		return i + NET_FD_FIRST;
	}
	return -1;
}

static struct sock *free_sock(void)
{
	for (unsigned i = 0; i < NET_FD_MAX; i++) {
		if (!socks[i].used)
			return &socks[i];
	}
	return NULL;
}

int net_socket(int domain, int type, int protocol)
{
	struct sock *s;

	net_assert_core();
	if (domain != AF_INET)
		return net_fail(EAFNOSUPPORT);
	if ((type & 0xf) != SOCK_STREAM || (protocol && protocol != IPPROTO_TCP))
		return net_fail(EPROTONOSUPPORT);
	s = free_sock();
	if (!s)
		return net_fail(EMFILE);
	*s = (struct sock){.pcb = tcp_new_ip_type(IPADDR_TYPE_V4)};
	if (!s->pcb)
		return net_fail(ENOMEM);
	s->used = true;
	tcp_arg(s->pcb, s);
	tcp_recv(s->pcb, on_received);
	tcp_sent(s->pcb, on_sent);
	tcp_err(s->pcb, on_error);
	return name_socket(s); /* as many descriptors as sockets: there is one */
}

static void detach(struct tcp_pcb *pcb)
{
	tcp_arg(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
	tcp_err(pcb, NULL);
}

static void destroy(struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	bool unread = s->rx_bytes > 0;

	net_rx_drop(s);
	s->used = false;
	s->push = false;
	if (!pcb)
		return;
	detach(pcb);
	if (s->reset_on_close || unread || s->state == SOCK_CONNECTING || tcp_close(pcb) != ERR_OK)
		tcp_abort(pcb); /* RFC 9293 section 3.6.1: unread data is lost, so the peer must know */
}

static void forget_name(int fd)
{
	struct sock *s = fds[fd - NET_FD_FIRST];

	fds[fd - NET_FD_FIRST] = NULL;
	if (!--s->names)
		destroy(s);
}

int net_close(int fd)
{
	if (!net_sock(fd))
		return -1;
	forget_name(fd);
	return 0;
}

int net_dup2(int fd, int new_fd)
{
	struct sock *s = net_sock(fd);

	if (!s)
		return -1;
	if (new_fd < NET_FD_FIRST || new_fd >= NET_FD_FIRST + NET_FD_MAX)
		return net_fail(EBADF);
	if (fd == new_fd)
		return new_fd;
	s->names++;
	if (fds[new_fd - NET_FD_FIRST])
		forget_name(new_fd);
	fds[new_fd - NET_FD_FIRST] = s;
	return new_fd;
}

void net_sockets_close_all(void)
{
	for (int fd = NET_FD_FIRST; fd < NET_FD_FIRST + NET_FD_MAX; fd++) {
		if (fds[fd - NET_FD_FIRST])
			forget_name(fd);
	}
}

unsigned net_sockets_open(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NET_FD_MAX; i++)
		n += socks[i].used;
	return n;
}

/* ---- connecting ---- */

static int ipv4_of(const struct sockaddr *address, socklen_t length, ip_addr_t *ip, u16_t *port)
{
	struct sockaddr_in in;

	if (!address || length < sizeof(in))
		return EINVAL;
	memcpy(&in, address, sizeof(in));
	if (in.sin_family != AF_INET)
		return EAFNOSUPPORT;
	ip->addr = in.sin_addr.s_addr;
	*port = lwip_htons(in.sin_port);
	return 0;
}

int net_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sock *s = net_sock(fd);
	ip_addr_t ip;
	u16_t port;
	int err;

	if (!s)
		return -1;
	err = ipv4_of(address, length, &ip, &port);
	if (err)
		return net_fail(err);
	if (s->state != SOCK_FRESH)
		return net_fail(EINVAL);
	err = net_errno(tcp_bind(s->pcb, &ip, port));
	return err ? net_fail(err) : 0;
}

int net_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sock *s = net_sock(fd);
	ip_addr_t ip;
	u16_t port;
	int err;

	if (!s)
		return -1;
	err = ipv4_of(address, length, &ip, &port);
	if (err)
		return net_fail(err);
	if (s->state == SOCK_CONNECTING)
		return net_fail(EALREADY);
	if (s->state == SOCK_OPEN)
		return net_fail(EISCONN);
	if (s->state == SOCK_DEAD) {
		err = net_sock_take_error(s);
		return net_fail(err ? err : ECONNABORTED);
	}
	err = net_errno(tcp_connect(s->pcb, &ip, port, on_connected));
	if (err)
		return net_fail(err);
	s->state = SOCK_CONNECTING;
	net_timer_arm();
	return net_fail(EINPROGRESS);
}

int net_shutdown(int fd, int how)
{
	struct sock *s = net_sock(fd);
	err_t err = ERR_OK;

	if (!s)
		return -1;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return net_fail(EINVAL);
	if (s->state != SOCK_OPEN)
		return net_fail(ENOTCONN);
	if (how != SHUT_RD && !s->shut_write) {
		err = tcp_shutdown(s->pcb, 0, 1);
		if (err != ERR_OK)
			return net_fail(net_errno(err));
		s->shut_write = true;
	}
	if (how != SHUT_WR) {
		s->shut_read = true;
		net_rx_drop(s);
	}
	return 0;
}

/* ---- readiness ---- */

short net_sock_events(const struct sock *s)
{
	int events = 0;

	if (s->error)
		events |= POLLERR;
	if (s->state == SOCK_DEAD)
		return (short)(events | POLLHUP | POLLIN | POLLOUT);
	if (s->state == SOCK_FRESH)
		return (short)(events | POLLHUP | POLLOUT); /* as Linux says of a socket that was never connected */
	if (s->rx_bytes || s->eof || s->shut_read)
		events |= POLLIN;
	if (s->state == SOCK_OPEN &&
		(s->shut_write || (tcp_sndbuf(s->pcb) >= WRITABLE_BYTES && tcp_sndqueuelen(s->pcb) < TCP_SND_QUEUELEN - 16)))
		events |= POLLOUT;
	if (s->eof && s->shut_write)
		events |= POLLHUP;
	return (short)events;
}

int net_poll(struct pollfd *list, nfds_t count, int timeout_ms)
{
	int ready = 0;

	net_assert_core();
	hv_assert(timeout_ms == 0); /* nothing here may block */
	for (nfds_t i = 0; i < count; i++) {
		struct sock *s = list[i].fd < 0 ? NULL : net_sock(list[i].fd);

		list[i].revents = 0;
		if (s)
			list[i].revents = (short)(net_sock_events(s) & (list[i].events | POLLERR | POLLHUP));
		else if (list[i].fd >= 0)
			list[i].revents = POLLNVAL;
		ready += list[i].revents != 0;
	}
	return ready;
}

int net_socket_notify(int fd, void (*fn)(void *arg), void *arg)
{
	struct sock *s = net_sock(fd);

	if (!s)
		return -1;
	s->notify = fn;
	s->notify_arg = arg;
	return 0;
}

bool net_sockets_waiting(void)
{
	for (unsigned i = 0; i < NET_FD_MAX; i++) {
		if (socks[i].push)
			return true;
	}
	return false;
}

unsigned net_sockets_push(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NET_FD_MAX; i++) {
		if (!socks[i].push)
			continue;
		socks[i].push = false;
		tcp_output(socks[i].pcb);
		n++;
	}
	return n;
}
