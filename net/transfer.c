/*
 * Data through a socket.
 *
 * Receive: what lwIP delivers stays in its pbufs (mbufs of the NIC) until it is copied, once, into the caller's vectors; the window opens
 * by as much. Small segments are packed together, so that a peer that sends byte by byte does not hold a whole packet buffer for each.
 * Send: data is copied once into lwIP's segments (the caller may use its buffer again at once; lwIP needs it until it is acknowledged).
 * Segments leave at the end of the round, so a header and the data behind it share packets.
 *
 * Owner: the network's core.
 */
#include "socket_impl.h"

#include <errno.h>
#include <hv/log.h>
#include <limits.h>
#include <string.h>

#define PACK_BELOW 256u /* bytes of a segment that is packed */
#define PACK_ROOM 1536u
#define SENDABLE (TCP_SND_QUEUELEN - 8)

/* ---- receive ---- */

void net_rx_drop(struct sock *s)
{
	while (s->rx_head) {
		struct pbuf *p = s->rx_head;

		s->rx_head = p->next;
		p->next = NULL;
		pbuf_free(p);
	}
	s->rx_tail = NULL;
	s->rx_offset = 0;
	s->rx_bytes = 0;
}

static void link_tail(struct sock *s, struct pbuf *p)
{
	if (s->rx_tail)
		s->rx_tail->next = p;
	else
		s->rx_head = p;
	while (p->next)
		p = p->next;
	s->rx_tail = p;
}

/* A packed tail is a PBUF_RAM of PACK_ROOM bytes; `tot_len` holds its room, `len` what is used. */
static bool is_packed(const struct pbuf *p)
{
	return p && pbuf_match_type(p, PBUF_RAM);
}

static bool pack(struct sock *s, struct pbuf *p)
{
	struct pbuf *to = s->rx_tail;

	if (!is_packed(to) || (unsigned)to->len + p->tot_len > PACK_ROOM) {
		to = pbuf_alloc(PBUF_RAW, PACK_ROOM, PBUF_RAM);
		if (!to)
			return false;
		to->len = 0;
		link_tail(s, to);
	}
	pbuf_copy_partial(p, (uint8_t *)to->payload + to->len, p->tot_len, 0);
	to->len = (u16_t)(to->len + p->tot_len);
	return true;
}

void net_rx_append(struct sock *s, struct pbuf *p)
{
	s->rx_bytes += p->tot_len;
	if (p->tot_len < PACK_BELOW && s->rx_head && pack(s, p))
		pbuf_free(p);
	else
		link_tail(s, p);
}

/* Opens the window by n bytes; lwIP takes 16 bits at a time. */
static void consumed(struct sock *s, size_t n)
{
	while (n && s->pcb) {
		u16_t piece = (u16_t)HV_MIN(n, (size_t)UINT16_MAX);

		tcp_recved(s->pcb, piece);
		n -= piece;
	}
}

/* Copies up to length bytes and takes them out of the queue. */
static size_t read_out(struct sock *s, uint8_t *to, size_t length)
{
	size_t done = 0;

	while (done < length && s->rx_bytes) {
		struct pbuf *p = s->rx_head;
		size_t n = HV_MIN(length - done, (size_t)(p->len - s->rx_offset));

		memcpy(to + done, (const uint8_t *)p->payload + s->rx_offset, n);
		done += n;
		s->rx_offset = (uint16_t)(s->rx_offset + n);
		s->rx_bytes -= (uint32_t)n;
		if (s->rx_offset < p->len)
			break;
		s->rx_head = p->next;
		s->rx_tail = s->rx_head ? s->rx_tail : NULL;
		s->rx_offset = 0;
		p->next = NULL;
		pbuf_free(p);
	}
	return done;
}

static size_t peek(const struct sock *s, uint8_t *to, size_t length)
{
	size_t done = 0, offset = s->rx_offset;

	for (const struct pbuf *p = s->rx_head; p && done < length; p = p->next) {
		size_t n = HV_MIN(length - done, (size_t)p->len - offset);

		memcpy(to + done, (const uint8_t *)p->payload + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

/* Nothing to read: end of stream (0), an error, or not yet. */
static ssize_t nothing_to_read(struct sock *s)
{
	int err;

	if (s->state == SOCK_FRESH)
		return net_fail(ENOTCONN);
	if (s->shut_read)
		return 0;
	err = net_sock_take_error(s);
	if (err)
		return net_fail(err);
	return s->eof || s->state == SOCK_DEAD ? 0 : net_fail(EAGAIN);
}

ssize_t net_readv(int fd, const struct iovec *vectors, int count)
{
	struct sock *s = net_sock(fd);
	size_t wanted = 0, done = 0;

	if (!s)
		return -1;
	if (count < 0)
		return net_fail(EINVAL);
	for (int i = 0; i < count; i++)
		wanted += vectors[i].iov_len;
	if (!s->rx_bytes)
		return wanted ? nothing_to_read(s) : 0;
	for (int i = 0; i < count && s->rx_bytes; i++)
		done += read_out(s, vectors[i].iov_base, vectors[i].iov_len);
	consumed(s, done);
	return (ssize_t)done;
}

ssize_t net_recv(int fd, void *buffer, size_t length, int flags)
{
	struct iovec vector = {buffer, length};
	struct sock *s;

	if (!(flags & MSG_PEEK))
		return net_readv(fd, &vector, 1);
	s = net_sock(fd);
	if (!s)
		return -1;
	return s->rx_bytes ? (ssize_t)peek(s, buffer, length) : nothing_to_read(s);
}

/* ---- send ---- */

/* Hands data to lwIP until its buffer is full. Bytes taken. */
static size_t write_in(struct sock *s, const uint8_t *from, size_t length, bool more)
{
	size_t done = 0;

	while (done < length) {
		size_t room = HV_MIN((size_t)tcp_sndbuf(s->pcb), (size_t)UINT16_MAX);
		u16_t piece = (u16_t)HV_MIN(length - done, room);
		u8_t flags = TCP_WRITE_FLAG_COPY | (more || done + piece < length ? TCP_WRITE_FLAG_MORE : 0);

		if (!piece || tcp_sndqueuelen(s->pcb) >= SENDABLE)
			break;
		/* A large piece may find no memory where a small one does. */
		while (tcp_write(s->pcb, from + done, piece, flags) != ERR_OK) {
			if (piece <= TCP_MSS / 8)
				return done;
			piece /= 2;
			flags |= TCP_WRITE_FLAG_MORE;
		}
		done += piece;
	}
	return done;
}

static int writable(struct sock *s)
{
	int err;

	if (s->state == SOCK_FRESH)
		return ENOTCONN;
	if (s->state == SOCK_CONNECTING)
		return EAGAIN;
	err = net_sock_take_error(s);
	if (err)
		return err;
	return s->state == SOCK_DEAD || s->shut_write ? EPIPE : 0;
}

ssize_t net_writev(int fd, const struct iovec *vectors, int count)
{
	struct sock *s = net_sock(fd);
	size_t done = 0;
	int err;

	if (!s)
		return -1;
	if (count < 0)
		return net_fail(EINVAL);
	err = writable(s);
	if (err)
		return net_fail(err);
	for (int i = 0; i < count; i++) {
		size_t n = write_in(s, vectors[i].iov_base, vectors[i].iov_len, i + 1 < count);

		done += n;
		if (n < vectors[i].iov_len)
			break;
	}
	if (!done) {
		for (int i = 0; i < count; i++) {
			if (vectors[i].iov_len) {
				tcp_output(s->pcb);
				return net_fail(EAGAIN);
			}
		}
		return 0;
	}
	s->push = true;
	return (ssize_t)done;
}

ssize_t net_send(int fd, const void *buffer, size_t length, int flags)
{
	struct iovec vector = {(void *)(uintptr_t)buffer, length};

	return net_writev(fd, &vector, 1);
}
