/* The 16550A as Linux's 8250 driver uses it. */
#include "test.h"

#include "machine.h"
#include "vdev/uart.h"

#define P 0x3f8

static int setup(void **state)
{
	machine_start(2, 4 << 20);
	out8(0x20, 0x11);
	out8(0x21, 0x30);
	out8(0x21, 0x04);
	out8(0x21, 0x01);
	out8(0x21, 0xef);
	return 0;
}
static int teardown(void **state)
{
	machine_stop();
	return 0;
}

/* drivers/tty/serial/8250: what autoconfig looks for. */
static void is_detected_as_16550a(void **state)
{
	out8(P + 1, 0);
	assert_int_equal(in8(P + 1), 0);
	out8(P + 1, 0x0f);
	assert_int_equal(in8(P + 1), 0x0f);
	out8(P + 1, 0xff);
	assert_int_equal(in8(P + 1), 0x0f);
	out8(P + 1, 0);
	out8(P + 4, 0x1a); /* loop-back with OUT2 and RTS */
	assert_int_equal(in8(P + 6) & 0xf0, 0x90);
	out8(P + 4, 0);
	out8(P + 2, 1);
	assert_int_equal(in8(P + 2) >> 6, 3);
	out8(P + 7, 0xa5);
	assert_int_equal(in8(P + 7), 0xa5);
	out8(P + 3, 0x83);
	out8(P + 0, 1);
	assert_int_equal(in8(P + 0), 1);
	out8(P + 3, 3);
	assert_int_equal(in8(P + 5), 0x60);
}

static void loop_back(void **state)
{
	out8(P + 4, 0x10);
	out8(P, 'x');
	assert_int_equal(in8(P + 5) & 1, 1);
	assert_int_equal(in8(P), 'x');
	pass(10 * MS);
	assert_int_equal(m.console_len, 0);
}

static void bytes_arrive_in_order_and_batched(void **state)
{
	for (const char *s = "hello\nworld"; *s; s++)
		out8(P, (uint8_t)*s);
	assert_int_equal(m.console_len, 0);
	pass(0);
	assert_memory_equal(m.console, "hello\n", 6); /* a line does not wait */
	pass(5 * MS);
	assert_int_equal(m.console_len, 11);
	assert_memory_equal(m.console, "hello\nworld", 11);
	out8(P, '!'); /* no end of line: the timer */
	pass(5 * MS);
	assert_int_equal(m.console_len, 12);
}

static void full_ring_is_busy_and_loses_nothing(void **state)
{
	out8(P + 2, 1);
	out8(P + 4, 8);
	out8(P + 1, 2);
	unsigned sent = 0;
	while (in8(P + 5) & 0x20) {
		out8(P, (uint8_t)('a' + sent++ % 26));
		assert_true(sent <= UART_TX_RING);
	}
	assert_true(sent > UART_TX_RING - 2 * UART_FIFO);
	while (take(0) >= 0) {
		in8(P + 2);
		out8(0x20, 0x20);
	}
	assert_int_equal(in8(P + 2) & 0xf, 1);
	pass(0); /* drained */
	assert_int_equal(m.console_len, sent);
	machine_as(0);
	assert_int_equal(take(0), 0x34); /* and told */
	assert_int_equal(in8(P + 2) & 0xf, 2);
	assert_int_equal(in8(P + 2) & 0xf, 1);
	for (unsigned i = 0; i < sent; i++)
		assert_int_equal(m.console[i], 'a' + i % 26);
}

static void transmitter_interrupt(void **state)
{
	out8(P + 2, 1);
	out8(P + 4, 8);
	assert_int_equal(take(0), -1);
	out8(P + 1, 2); /* enabling with an empty transmitter interrupts */
	assert_int_equal(take(0), 0x34);
	assert_int_equal(in8(P + 2), 0xc2);
	assert_int_equal(in8(P + 2), 0xc1); /* reading it took it */
	out8(0x20, 0x20);
	out8(P, 'a');
	assert_int_equal(take(0), 0x34); /* a new edge */
	out8(0x20, 0x20);
	out8(P + 1, 0);
	assert_int_equal(in8(P + 2) & 1, 1);
	out8(P + 4, 0); /* without OUT2 the line is cut */
	out8(P + 1, 2);
	assert_int_equal(take(0), -1);
}

static void receiver(void **state)
{
	char many[600];
	memset(many, 'm', sizeof(many));
	out8(P + 2, 1);
	out8(P + 4, 8);
	out8(P + 1, 1);
	native_core_select(0);
	assert_int_equal(platform_console_input(&m.vm, "ls", 2), 2);
	machine_as(0);
	assert_int_equal(take(0), 0x34);
	assert_int_equal(in8(P + 2) & 0x0f, 4);
	assert_int_equal(in8(P + 5) & 1, 1);
	assert_int_equal(in8(P), 'l');
	assert_int_equal(in8(P), 's');
	assert_int_equal(in8(P + 5) & 1, 0);
	assert_int_equal(in8(P + 2) & 0x0f, 1);
	out8(0x20, 0x20);
	native_core_select(0);
	assert_int_equal(platform_console_input(&m.vm, many, sizeof(many)), UART_RX_RING); /* the rest stays the caller's */
	machine_as(0);
	for (unsigned i = 0; i < UART_RX_RING; i++)
		assert_int_equal(in8(P), 'm');
	assert_int_equal(in8(P + 5) & 1, 0);
	native_core_select(0);
	platform_console_input(&m.vm, "zz", 2);
	machine_as(0);
	out8(P + 2, 3); /* clear */
	assert_int_equal(in8(P + 5) & 1, 0);
}

static void flush_at_the_end(void **state)
{
	out8(P, 'e');
	out8(P, 'n');
	native_core_select(0);
	platform_console_flush(&m.vm);
	assert_int_equal(m.console_len, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(is_detected_as_16550a), T(loop_back), T(bytes_arrive_in_order_and_batched), T(full_ring_is_busy_and_loses_nothing),
		T(transmitter_interrupt), T(receiver), T(flush_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
