/* The sockets against Linux's TCP: data both ways on a good and a bad wire, and each way a connection can end. */
#include "peer.h"

#include "stack.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define MB (1024u * 1024u)

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	assert_int_equal(net_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	return err;
}

/* ---- data ---- */

static void upload(uint32_t total)
{
	uint8_t *data = malloc(total);
	uint64_t sum = 0, answer[2] = {0};
	int fd = peer_connect(PORT_SUM);
	uint32_t at = 0;

	for (uint32_t i = 0; i < total; i++) {
		data[i] = (uint8_t)(rand() >> 7);
		sum += data[i] * (uint64_t)(i % 251 + 1);
	}
	while (at < total) {
		struct iovec v[3] = {{data + at, HV_MIN(48u, total - at)}, {NULL, 0}, {NULL, 0}};
		ssize_t n;

		v[1].iov_base = data + at + v[0].iov_len;
		v[1].iov_len = HV_MIN(8192u, total - at - v[0].iov_len);
		v[2].iov_base = data + at + v[0].iov_len + v[1].iov_len;
		v[2].iov_len = HV_MIN(100000u, total - at - v[0].iov_len - v[1].iov_len);
		assert_true(peer_wait(fd, POLLOUT, 30000) & POLLOUT);
		n = net_writev(fd, v, 3);
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			at += (uint32_t)n;
	}
	assert_int_equal(net_shutdown(fd, SHUT_WR), 0);
	assert_int_equal(net_send(fd, data, 1, 0), -1);
	assert_int_equal(errno, EPIPE);
	for (size_t got = 0; got < sizeof(answer);) { /* the other half of the connection still works */
		ssize_t n;

		assert_true(peer_wait(fd, POLLIN, 60000) & POLLIN);
		n = net_recv(fd, (uint8_t *)answer + got, sizeof(answer) - got, 0);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(answer[0], total);
	assert_true(answer[1] == sum);
	assert_int_equal(net_close(fd), 0);
	free(data);
}

static void download(uint32_t total)
{
	uint8_t a[777], b[30000];
	struct iovec v[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
	int fd = peer_connect(PORT_SOURCE), waiting = -1;
	uint32_t at = 0;

	assert_int_equal(net_send(fd, &total, sizeof(total), 0), sizeof(total));
	while (at < total) {
		ssize_t n;

		peer_wait(fd, POLLIN, 60000);
		assert_int_equal(net_ioctl(fd, FIONREAD, &waiting), 0);
		n = net_readv(fd, v, 2);
		assert_true(n > 0);
		assert_true(n <= waiting);
		for (ssize_t i = 0; i < n; i++) {
			uint8_t got = i < (ssize_t)sizeof(a) ? a[i] : b[i - (ssize_t)sizeof(a)];

			assert_int_equal(got, (uint8_t)((at + (uint32_t)i) * 2654435761u >> 24));
		}
		at += (uint32_t)n;
	}
	peer_wait(fd, POLLIN, 30000);
	assert_int_equal(net_recv(fd, a, 1, 0), 0); /* end of stream */
	assert_int_equal(net_close(fd), 0);
}

static void echo(uint32_t total)
{
	uint8_t *sent = malloc(total), *back = malloc(total);
	int fd = peer_connect(PORT_ECHO);
	uint32_t out = 0, in = 0;

	for (uint32_t i = 0; i < total; i++)
		sent[i] = (uint8_t)(rand() >> 7);
	while (in < total) {
		short ready = peer_wait(fd, (short)(out < total ? POLLIN | POLLOUT : POLLIN), 60000);
		uint32_t most = 1 + (uint32_t)rand() % 50000;

		if (ready & POLLOUT && out < total) {
			ssize_t n = net_send(fd, sent + out, HV_MIN(total - out, most), 0);

			out += n > 0 ? (uint32_t)n : 0;
		}
		if (ready & POLLIN) {
			ssize_t n = net_recv(fd, back + in, HV_MIN(total - in, most), 0);

			assert_true(n > 0);
			in += (uint32_t)n;
		}
	}
	assert_memory_equal(sent, back, total);
	assert_int_equal(net_close(fd), 0);
	free(sent);
	free(back);
}

static void data_goes_both_ways(void **state)
{
	upload(8 * MB);
	download(8 * MB);
	echo(8 * MB);
}

static void a_bad_wire_loses_nothing(void **state)
{
	peer_wire(100, 50);
	upload(MB);
	download(MB);
	echo(MB);
}

static void tiny_segments_are_packed(void **state)
{
	int fd = peer_connect(PORT_ECHO);
	unsigned before = net_memory_in_use();
	uint8_t out[4000], in[4000];
	int waiting = 0;

	for (unsigned i = 0; i < sizeof(out); i++) {
		out[i] = (uint8_t)(i * 13);
		while (net_send(fd, &out[i], 1, 0) != 1)
			peer_run_ms(1);
		peer_run(NULL, NULL, 0);
		native_core_step();
	}
	while (net_ioctl(fd, FIONREAD, &waiting) == 0 && waiting < (int)sizeof(in))
		assert_false(peer_wait(fd, POLLOUT, 20000) & POLLERR), peer_run_ms(1);
	assert_true(net_memory_in_use() - before < 40);
	assert_int_equal(net_recv(fd, in, 1000, MSG_PEEK), 1000);
	assert_int_equal(net_recv(fd, in, sizeof(in), 0), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	net_close(fd);
}

/* ---- ends ---- */

static void nobody_listens_is_refused(void **state)
{
	struct sockaddr_in a = peer_addr(PEER_ADDRESS, PORT_NOBODY);
	int fd = net_socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(net_connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, EINPROGRESS);
	assert_true(peer_wait(fd, POLLOUT, 5000) & POLLERR);
	assert_int_equal(so_error(fd), ECONNREFUSED);
	assert_int_equal(so_error(fd), 0); /* once */
	assert_true(peer_events(fd) & POLLHUP);
	net_close(fd);
}

static void a_reset_is_reported(void **state)
{
	char c = 0;
	int fd = peer_connect(PORT_RESET);

	assert_int_equal(net_send(fd, &c, 1, 0), 1);
	assert_true(peer_wait(fd, POLLIN, 5000) & POLLERR);
	assert_int_equal(net_recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(net_recv(fd, &c, 1, 0), 0);
	assert_int_equal(net_send(fd, &c, 1, 0), -1);
	assert_int_equal(errno, EPIPE);
	net_close(fd);
}

static void silence_times_out(void **state)
{
	struct sockaddr_in a = peer_addr(SILENT_ADDRESS, PORT_ECHO);
	int fd = net_socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(net_connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
	for (unsigned i = 0; i < 200 * 20 && !(peer_events(fd) & POLLERR); i++) {
		native_time_advance(50000000);
		native_core_step();
	}
	assert_int_equal(so_error(fd), ETIMEDOUT);
	net_close(fd);
}

static void a_cut_wire_ends_a_connection_that_sends(void **state)
{
	char c = 1;
	int fd = peer_connect(PORT_ECHO);

	peer_cut(true);
	assert_int_equal(net_send(fd, &c, 1, 0), 1);
	for (unsigned i = 0; i < 1200 * 20 && !(peer_events(fd) & POLLERR); i++) {
		native_time_advance(50000000);
		native_core_step();
	}
	assert_int_equal(net_recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ETIMEDOUT);
	net_close(fd);
}

static void a_deaf_peer_fills_the_buffer_and_no_more(void **state)
{
	static uint8_t data[65536];
	int fd = peer_connect(PORT_DEAF);
	unsigned before = net_sockets_open();
	uint64_t total = 0;

	for (unsigned i = 0; i < 200; i++) {
		ssize_t n = net_send(fd, data, sizeof(data), 0);

		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			total += (uint64_t)n;
		peer_run_ms(5);
	}
	assert_true(total > MB);
	assert_true(total < 12 * MB);
	assert_false(peer_events(fd) & POLLOUT);
	net_close(fd); /* with much unsent: net_stop finds nothing leaked */
	assert_int_equal(net_sockets_open(), before - 1);
}

static void dup2_keeps_the_socket_alive(void **state)
{
	int a = peer_connect(PORT_ECHO), b = peer_connect(PORT_ECHO);
	char c = 'x';

	assert_int_equal(net_dup2(b, a), a); /* as libiscsi's reconnection does */
	assert_int_equal(net_close(b), 0);
	assert_int_equal(net_sockets_open(), 1);
	assert_int_equal(net_send(a, &c, 1, 0), 1);
	assert_true(peer_wait(a, POLLIN, 5000) & POLLIN);
	assert_int_equal(net_recv(a, &c, 1, 0), 1);
	assert_int_equal(net_close(a), 0);
	assert_int_equal(net_close(a), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(net_sockets_open(), 0);
}

static void misuse_is_answered_with_errno(void **state)
{
	struct sockaddr_in a = peer_addr(PEER_ADDRESS, PORT_ECHO), own = peer_addr(OWN_ADDRESS, 700), got;
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(got);
	int fd = net_socket(AF_INET, SOCK_STREAM, 0), other = net_socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char c;

#define FAILS(call, e)                                                                                                                     \
	assert_int_equal(call, -1);                                                                                                        \
	assert_int_equal(errno, e)
	FAILS(net_socket(AF_INET6, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS(net_socket(AF_INET, SOCK_DGRAM, 0), EPROTONOSUPPORT);
	FAILS(net_recv(fd, &c, 1, 0), ENOTCONN);
	FAILS(net_send(fd, &c, 1, 0), ENOTCONN);
	FAILS(net_recv(999, &c, 1, 0), EBADF);
	FAILS(net_connect(fd, (struct sockaddr *)&six, sizeof(six)), EAFNOSUPPORT);
	FAILS(net_connect(fd, (struct sockaddr *)&a, 3), EINVAL);
	FAILS(net_shutdown(fd, SHUT_WR), ENOTCONN);
	FAILS(net_setsockopt(fd, SOL_SOCKET, 9999, &one, sizeof(one)), ENOPROTOOPT);
	assert_int_equal(net_setsockopt(fd, SOL_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(net_bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	FAILS(net_bind(other, (struct sockaddr *)&own, sizeof(own)), EADDRINUSE);
	FAILS(net_connect(fd, (struct sockaddr *)&a, sizeof(a)), EINPROGRESS);
	FAILS(net_connect(fd, (struct sockaddr *)&a, sizeof(a)), EALREADY);
	assert_true(peer_wait(fd, POLLOUT, 5000) & POLLOUT);
	FAILS(net_connect(fd, (struct sockaddr *)&a, sizeof(a)), EISCONN);
	FAILS(net_recv(fd, &c, 1, 0), EAGAIN);
	assert_int_equal(net_getsockname(fd, (struct sockaddr *)&got, &len), 0);
	assert_int_equal(ntohs(got.sin_port), 700);
	assert_int_equal(got.sin_addr.s_addr, htonl(OWN_ADDRESS));
	net_close(fd);
	net_close(other);
}

static void descriptors_run_out_and_come_back(void **state)
{
	int fds[NET_FD_MAX];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < NET_FD_MAX; i++) {
			fds[i] = net_socket(AF_INET, SOCK_STREAM, 0);
			assert_true(fds[i] >= 0);
		}
		assert_int_equal(net_socket(AF_INET, SOCK_STREAM, 0), -1);
		assert_int_equal(errno, EMFILE);
		for (unsigned i = 0; i < NET_FD_MAX; i++)
			assert_int_equal(net_close(fds[i]), 0);
	}
}

static void count_call(void *arg)
{
	++*(unsigned *)arg;
}

static void changes_are_notified(void **state)
{
	unsigned calls = 0;
	int fd = peer_connect(PORT_ECHO);
	char c = 1;

	net_socket_notify(fd, count_call, &calls);
	net_send(fd, &c, 1, 0);
	peer_wait(fd, POLLIN, 5000);
	assert_true(calls >= 1);
	net_socket_notify(fd, NULL, NULL);
	net_close(fd);
}

static void an_administrator_can_ping_a_vmk(void **state)
{
	assert_int_equal(peer_shell("busybox ping -c 3 -W 2 -s 1400 10.77.0.2 >/dev/null"), 0);
	assert_int_not_equal(peer_shell("busybox ping -c 1 -W 1 10.77.0.3 >/dev/null"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, peer_setup, peer_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_administrator_can_ping_a_vmk),
		TEST(data_goes_both_ways),
		TEST(a_bad_wire_loses_nothing),
		TEST(tiny_segments_are_packed),
		TEST(nobody_listens_is_refused),
		TEST(a_reset_is_reported),
		TEST(silence_times_out),
		TEST(a_cut_wire_ends_a_connection_that_sends),
		TEST(a_deaf_peer_fills_the_buffer_and_no_more),
		TEST(dup2_keeps_the_socket_alive),
		TEST(misuse_is_answered_with_errno),
		TEST(descriptors_run_out_and_come_back),
		TEST(changes_are_notified),
	};
	int skip = peer_start();

	return skip ? skip : cmocka_run_group_tests(tests, NULL, peer_end);
}
