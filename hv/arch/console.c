/*
 * Serial ports, polled (National PC16550D data sheet). COM1 is the host's screen, COM2 the control console. A port that is not there reads as all
 * ones and is left alone. Each write is whole between cores; interrupts are off meanwhile, because exits and interrupts log, too.
 */
#include "arch/console.h"
#include "arch/cpu.h"
#include "arch/irq.h"
#include "arch/platform.h"
#include "kern/lock.h"
#include <hv/core.h>
#include <hv/host.h>
#include <hv/log.h>

enum { UART_DATA = 0, UART_IER = 1, UART_FCR = 2, UART_LCR = 3, UART_MCR = 4, UART_LSR = 5, UART_SCRATCH = 7 };
#define LSR_DATA 0x01u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u
#define COM2_ISA_IRQ 3u
#define FIFO_BYTES 16u
#define TX_PATIENCE 2000000u /* reads of the status register: seconds; then the port is given up */

struct uart {
	uint16_t base;
	bool present;
	struct hv_lock lock;
};

static struct uart com1 = {.base = 0x3f8}, com2 = {.base = 0x2f8};

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
	cpu_outb(u->base + UART_MCR, 0x03);
}

static void uart_write(struct uart *u, const char *text, size_t len)
{
	unsigned room = 0;

	for (size_t i = 0; i < len && u->present; i++) {
		for (unsigned wait = 0; !room; wait++) {
			if (cpu_inb(u->base + UART_LSR) & LSR_THRE)
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

/* What is still in the FIFO and the shift register goes out. */
static void uart_drain(const struct uart *u)
{
	for (unsigned wait = 0; u->present && wait < TX_PATIENCE && !(cpu_inb(u->base + UART_LSR) & LSR_TEMT); wait++)
		cpu_pause();
}

void console_drain(void)
{
	uart_drain(&com1);
	uart_drain(&com2);
}

void console_init(void)
{
	uart_init(&com1);
	uart_init(&com2);
}

static void input_arrived(void *arg)
{
	hv_core_wake(0); /* whoever reads the console polls on core 0 */
}

void console_wake_on_input(void)
{
	if (!com2.present)
		return;
	if (irq_route_isa(platform_acpi(), COM2_ISA_IRQ, 0, input_arrived, NULL)) {
		log_warn("console.input", "no interrupt for the control console: its input waits for the next time core 0 wakes");
		return;
	}
	cpu_outb(com2.base + UART_MCR, 0x0b); /* OUT2 lets the interrupt out */
	cpu_outb(com2.base + UART_IER, 0x01); /* data received */
}

void console_write_unlocked(const char *text, size_t len)
{
	uart_write(&com1, text, len);
}

void hv_console_write(const char *text, size_t len)
{
	unsigned long irq = hv_lock_irq(&com1.lock);

	uart_write(&com1, text, len);
	hv_unlock_irq(&com1.lock, irq);
}

void hv_control_write(const char *text, size_t len)
{
	unsigned long irq = hv_lock_irq(&com2.lock);

	uart_write(&com2, text, len);
	hv_unlock_irq(&com2.lock, irq);
}

size_t hv_control_read(char *buf, size_t size)
{
	unsigned long irq = hv_lock_irq(&com2.lock);
	size_t n = 0;

	while (n < size && com2.present && cpu_inb(com2.base + UART_LSR) & LSR_DATA)
		buf[n++] = (char)cpu_inb(com2.base + UART_DATA);
	hv_unlock_irq(&com2.lock, irq);
	return n;
}
