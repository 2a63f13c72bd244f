/*
 * Serial ports (National PC16550D data sheet). COM1 carries the host's console (its own lines are on the screen, too), COM2 the control
 * console. A port that is not there reads as all ones and is left alone.
 *
 * A line of 100 characters takes 9 ms at 115200 baud, so nobody waits for the port:
 *
 *   hv_console_write --whole lines--> ring --core 0's poller, a FIFO (16 bytes) at a time--> port
 *
 * Before core 0 sleeps or runs a guest, the port is told to interrupt when its FIFO is empty; the interrupt only wakes core 0. A line that
 * finds no room is dropped, counted, and reported when there is room. Written at once, waiting: what comes before console_start (there is
 * no loop yet), in a panic, and what is left when the machine goes off.
 *
 * Any core writes, under the port's lock with interrupts off, because exits and interrupts log, too.
 */
#include "arch/console.h"
#include "arch/cpu.h"
#include "arch/irq.h"
#include "arch/platform.h"
#include "arch/screen.h"
#include "kern/line_ring.h"
#include "kern/lock.h"
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>
#include <hv/mem.h>

enum { UART_DATA = 0, UART_IER = 1, UART_FCR = 2, UART_LCR = 3, UART_MCR = 4, UART_LSR = 5, UART_SCRATCH = 7 };
#define IER_RECEIVED 0x01u
#define IER_FIFO_EMPTY 0x02u
#define MCR_READY 0x03u      /* DTR, RTS */
#define MCR_INTERRUPTS 0x08u /* OUT2 lets them out */
#define LSR_DATA 0x01u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u
#define COM1_ISA_IRQ 4u
#define COM2_ISA_IRQ 3u
#define FIFO_BYTES 16u
#define POLL_BYTES 512u      /* a round of the loop sends so much, if the port takes it */
#define TX_PATIENCE 2000000u /* reads of the status register: seconds; then the port is given up */
#define CONSOLE_RING_BYTES (256u << 10)
#define CONSOLE_HOST_BYTES (64u << 10)   /* of these, guests cannot fill */
#define CONTROL_RING_BYTES (2048u << 10) /* the counters of 64 VMs are one line */

struct uart {
	uint16_t base;
	uint8_t isa_irq, ier;
	bool present;
	bool buffered;   /* there is a loop that empties the ring */
	bool interrupts; /* it can wake core 0 */
	struct hv_lock lock;
	struct line_ring ring;
	struct hv_poller poller;
};

static struct uart com1 = {.base = 0x3f8, .isa_irq = COM1_ISA_IRQ}, com2 = {.base = 0x2f8, .isa_irq = COM2_ISA_IRQ};

static void uart_init(struct uart *u)
{
	cpu_outb(u->base + UART_SCRATCH, 0x5a);
	u->present = cpu_inb(u->base + UART_SCRATCH) == 0x5a;
	if (!u->present)
		return;
	cpu_outb(u->base + UART_IER, 0);
	cpu_outb(u->base + UART_LCR, 0x80); /* divisor latch */
	cpu_outb(u->base + UART_DATA, 1);   /* 115200 */
	cpu_outb(u->base + UART_IER, 0);
	cpu_outb(u->base + UART_LCR, 0x03);
	cpu_outb(u->base + UART_FCR, 0x07); /* FIFOs on, emptied */
	cpu_outb(u->base + UART_MCR, MCR_READY);
}

void console_init(void)
{
	uart_init(&com1);
	uart_init(&com2);
}

/* ---- at once ---- */

static bool fifo_empty(const struct uart *u)
{
	return cpu_inb(u->base + UART_LSR) & LSR_THRE;
}

static void write_waiting(struct uart *u, const char *text, size_t len)
{
	unsigned room = 0;

	for (size_t i = 0; i < len && u->present; i++) {
		for (unsigned wait = 0; !room; wait++) {
			if (fifo_empty(u))
				room = FIFO_BYTES;
			else if (wait == TX_PATIENCE)
				u->present = false;
			if (!u->present)
				return;
		}
		cpu_outb(u->base + UART_DATA, (uint8_t)text[i]);
		room--;
	}
}

static void empty_ring_waiting(struct uart *u)
{
	char bytes[FIFO_BYTES];
	unsigned n;

	while (u->present && (n = line_ring_take(&u->ring, bytes, sizeof(bytes))))
		write_waiting(u, bytes, n);
}

void console_write_unlocked(const char *text, size_t len)
{
	empty_ring_waiting(&com1);
	write_waiting(&com1, text, len);
	screen_write_unlocked(text, len);
}

static void report_dropped(const struct uart *u, uint64_t lines)
{
	if (lines)
		log_warn("console.dropped", "%s: %llu lines were dropped: it is slower than what is written to it",
			u == &com1 ? "console" : "control console", (unsigned long long)lines);
}

static void drain(struct uart *u)
{
	unsigned long irq = hv_lock_irq(&u->lock);
	uint64_t news;

	empty_ring_waiting(u);
	u->buffered = false; /* what follows is written at once */
	news = line_ring_news(&u->ring);
	hv_unlock_irq(&u->lock, irq);
	report_dropped(u, news);
	for (unsigned wait = 0; u->present && wait < TX_PATIENCE && !(cpu_inb(u->base + UART_LSR) & LSR_TEMT); wait++)
		cpu_pause();
}

void console_drain(void)
{
	drain(&com1);
	drain(&com2);
}

/* ---- through the ring ---- */

static bool uart_write(struct uart *u, const char *text, size_t len, uint32_t keep)
{
	unsigned long irq = hv_lock_irq(&u->lock);
	bool taken = true, first = false;

	if (!u->present) {
		taken = false;
	} else if (!u->buffered) {
		write_waiting(u, text, len);
	} else {
		first = line_ring_used(&u->ring) == 0;
		taken = line_ring_put(&u->ring, text, len, keep);
	}
	hv_unlock_irq(&u->lock, irq);
	if (first)
		hv_core_wake(0); /* its poller empties the ring */
	return taken;
}

static unsigned uart_poll(struct hv_poller *p)
{
	struct uart *u = hv_container_of(p, struct uart, poller);
	unsigned sent = 0, n;
	char bytes[FIFO_BYTES];
	unsigned long irq;
	uint64_t news;

	if (!line_ring_used(&u->ring) && u->ring.dropped == u->ring.dropped_told)
		return 0;
	irq = hv_lock_irq(&u->lock);
	while (sent < POLL_BYTES && line_ring_used(&u->ring) && fifo_empty(u)) {
		n = line_ring_take(&u->ring, bytes, sizeof(bytes));
		for (unsigned i = 0; i < n; i++)
			cpu_outb(u->base + UART_DATA, (uint8_t)bytes[i]);
		sent += n;
	}
	news = line_ring_news(&u->ring);
	hv_unlock_irq(&u->lock, irq);
	report_dropped(u, news);
	return sent;
}

static void set_ier(struct uart *u, uint8_t ier)
{
	if (u->ier != ier)
		cpu_outb(u->base + UART_IER, ier);
	u->ier = ier;
}

/* A port that cannot interrupt keeps the core awake as long as it has something to send. */
static bool uart_arm(struct hv_poller *p, bool on)
{
	struct uart *u = hv_container_of(p, struct uart, poller);
	bool waiting = line_ring_used(&u->ring) != 0;

	if (u->interrupts)
		set_ier(u, (uint8_t)((u->ier & ~IER_FIFO_EMPTY) | (on && waiting ? IER_FIFO_EMPTY : 0)));
	return on && waiting && (!u->interrupts || fifo_empty(u));
}

static void uart_interrupt(void *arg)
{
	hv_core_wake(0); /* its pollers look at the ports */
}

static void uart_start(struct uart *u, const char *name, uint32_t ring_bytes)
{
	unsigned long irq;

	if (!u->present)
		return;
	u->interrupts = irq_route_isa(platform_acpi(), u->isa_irq, 0, uart_interrupt, NULL) == 0;
	if (u->interrupts)
		cpu_outb(u->base + UART_MCR, MCR_READY | MCR_INTERRUPTS);
	else
		log_warn("console.interrupt", "no interrupt for the %s: its input waits for the next time core 0 wakes", name);
	u->poller = (struct hv_poller){.poll = uart_poll, .arm = uart_arm, .name = name};
	hv_poller_add(&u->poller);
	u->ring.buf = hv_contig_alloc(ring_bytes, HV_PAGE_SIZE);
	if (!u->ring.buf) {
		log_warn("console.memory", "no memory to buffer the %s: what is written to it waits for it", name);
		return;
	}
	u->ring.size = ring_bytes;
	irq = hv_lock_irq(&u->lock);
	u->buffered = true;
	hv_unlock_irq(&u->lock, irq);
}

void console_start(void)
{
	uart_start(&com1, "console", CONSOLE_RING_BYTES);
	uart_start(&com2, "control console", CONTROL_RING_BYTES);
	if (com2.interrupts)
		set_ier(&com2, IER_RECEIVED);
}

/* ---- for others ---- */

void hv_console_write(const char *text, size_t len)
{
	screen_write(text, len);
	(void)uart_write(&com1, text, len, 0); /* a dropped line is counted and reported */
}

bool hv_console_offer(const char *text, size_t len)
{
	return uart_write(&com1, text, len, CONSOLE_HOST_BYTES);
}

void hv_control_write(const char *text, size_t len)
{
	(void)uart_write(&com2, text, len, 0); /* as above */
}

size_t hv_control_read(char *buf, size_t size)
{
	unsigned long irq = hv_lock_irq(&com2.lock);
	size_t n = 0;

	/* Whoever asks more than it reads waits, at the other end of the line. */
	if (line_ring_used(&com2.ring) <= com2.ring.size / 2)
		while (n < size && com2.present && cpu_inb(com2.base + UART_LSR) & LSR_DATA)
			buf[n++] = (char)cpu_inb(com2.base + UART_DATA);
	hv_unlock_irq(&com2.lock, irq);
	return n;
}

void hv_console_stats(struct hv_console_stats *console, struct hv_console_stats *control)
{
	*console = (struct hv_console_stats){.bytes = com1.ring.bytes, .dropped_lines = com1.ring.dropped};
	*control = (struct hv_console_stats){.bytes = com2.ring.bytes, .dropped_lines = com2.ring.dropped};
}
