/* Options and names of sockets. Owner: the network's core. */
#include "socket_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#define MS_PER_S 1000

/* A value that fits what the caller gave room for. */
static int give(void *value, socklen_t *length, int v)
{
	if (!value || !length || *length < sizeof(v))
		return net_fail(EINVAL);
	memcpy(value, &v, sizeof(v));
	*length = sizeof(v);
	return 0;
}

int net_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	struct sock *s = net_sock(fd);

	if (!s)
		return -1;
	if (level == SOL_SOCKET && option == SO_ERROR)
		return give(value, length, net_sock_take_error(s));
	if (level == SOL_SOCKET && option == SO_TYPE)
		return give(value, length, SOCK_STREAM);
	if (level == SOL_SOCKET && option == SO_SNDBUF)
		return give(value, length, TCP_SND_BUF);
	if (level == SOL_SOCKET && option == SO_RCVBUF)
		return give(value, length, TCP_WND);
	if (level == SOL_TCP && option == TCP_NODELAY)
		return give(value, length, s->pcb && tcp_nagle_disabled(s->pcb));
	return net_fail(ENOPROTOOPT);
}

static int set_socket_option(struct sock *s, int option, const void *value, socklen_t length, int v)
{
	struct linger linger;

	switch (option) {
	case SO_KEEPALIVE:
		if (v)
			ip_set_option(s->pcb, SOF_KEEPALIVE);
		else
			ip_reset_option(s->pcb, SOF_KEEPALIVE);
		return 0;
	case SO_REUSEADDR:
		if (v)
			ip_set_option(s->pcb, SOF_REUSEADDR);
		else
			ip_reset_option(s->pcb, SOF_REUSEADDR);
		return 0;
	case SO_LINGER:
		if (length < sizeof(linger))
			return net_fail(EINVAL);
		memcpy(&linger, value, sizeof(linger));
		s->reset_on_close = linger.l_onoff && !linger.l_linger;
		return 0;
	case SO_SNDBUF: /* buffers have one size, larger than what is asked for in practice */
	case SO_RCVBUF:
		return 0;
	default:
		return net_fail(ENOPROTOOPT);
	}
}

static int set_tcp_option(struct sock *s, int option, int v)
{
	switch (option) {
	case TCP_NODELAY:
		if (v)
			tcp_nagle_disable(s->pcb);
		else
			tcp_nagle_enable(s->pcb);
		return 0;
	case TCP_KEEPIDLE:
		s->pcb->keep_idle = (u32_t)v * MS_PER_S;
		return 0;
	case TCP_KEEPINTVL:
		s->pcb->keep_intvl = (u32_t)v * MS_PER_S;
		return 0;
	case TCP_KEEPCNT:
		s->pcb->keep_cnt = (u32_t)v;
		return 0;
	case TCP_SYNCNT: /* the callers' own deadlines end an attempt */
	case TCP_USER_TIMEOUT:
		return 0;
	default:
		return net_fail(ENOPROTOOPT);
	}
}

int net_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	struct sock *s = net_sock(fd);
	int v;

	if (!s)
		return -1;
	if (!value || length < sizeof(v))
		return net_fail(EINVAL);
	memcpy(&v, value, sizeof(v));
	if (!s->pcb)
		return net_fail(EINVAL);
	if (level == SOL_SOCKET)
		return set_socket_option(s, option, value, length, v);
	if (level == SOL_TCP)
		return v < 0 || v > 32767 ? net_fail(EINVAL) : set_tcp_option(s, option, v);
	return net_fail(ENOPROTOOPT);
}

static int give_address(struct sockaddr *address, socklen_t *length, uint32_t ip, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = lwip_htons(port)};

	if (!address || !length)
		return net_fail(EFAULT);
	in.sin_addr.s_addr = ip;
	memcpy(address, &in, HV_MIN(*length, (socklen_t)sizeof(in)));
	*length = sizeof(in);
	return 0;
}

int net_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *s = net_sock(fd);

	if (!s)
		return -1;
	return give_address(address, length, s->pcb ? s->pcb->local_ip.addr : 0, s->pcb ? s->pcb->local_port : 0);
}

int net_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *s = net_sock(fd);

	if (!s)
		return -1;
	if (s->state != SOCK_OPEN)
		return net_fail(ENOTCONN);
	return give_address(address, length, s->pcb->remote_ip.addr, s->pcb->remote_port);
}

int net_fcntl(int fd, int command, long argument)
{
	if (!net_sock(fd))
		return -1;
	switch (command) {
	case F_GETFL:
		return O_RDWR | O_NONBLOCK;
	case F_SETFL:
	case F_SETFD:
		return 0; /* non-blocking always; nothing is ever executed over us */
	case F_GETFD:
		return 0;
	default:
		return net_fail(EINVAL);
	}
}

int net_ioctl(int fd, unsigned long request, void *argument)
{
	struct sock *s = net_sock(fd);

	if (!s)
		return -1;
	if (request == FIONBIO)
		return 0;
	if (request == FIONREAD) {
		*(int *)argument = (int)s->rx_bytes;
		return 0;
	}
	return net_fail(ENOTTY);
}
