/* A 16550A at 0x3f8, ISA IRQ 4, whose line is the VM's console (uart.c). */
#ifndef HV_VDEV_UART_H
#define HV_VDEV_UART_H

#include "vdev/lock.h"
#include "virt/iobus.h"
#include <hv/core.h>

struct vm;
struct state_writer;
struct state_reader;

#define UART_PORT 0x3f8u
#define UART_IRQ 4u
#define UART_FIFO 16u
#define UART_TX_RING 4096u /* power of two */
#define UART_RX_RING 256u  /* power of two */

struct uart_state {
	uint8_t ier, fcr, lcr, mcr, scratch, dll, dlm;
	uint8_t lsr_errors; /* overrun, until LSR is read */
	uint8_t msr_delta;
	bool thre_pending;         /* the transmitter-empty interrupt has not been taken */
	bool thre_owed;            /* the ring was full: tell the guest when there is room again */
	uint32_t rx_head, rx_tail; /* free-running; received bytes not yet read */
	uint8_t rx[UART_RX_RING];
};

struct uart {
	struct vdev_lock lock; /* all of s, and the ring's head */
	struct uart_state s;
	uint8_t line; /* interrupt line as last told, or unknown */
	/* Guest -> console: single producer (the lock's holder), single consumer (io_core). */
	uint8_t tx[UART_TX_RING];
	_Atomic uint32_t tx_head, tx_tail;
	_Atomic bool tx_urgent; /* a line ended, or half the ring is full: drain now, not when the timer says */
	struct hv_msg tx_msg;
	struct hv_timer tx_timer; /* io_core */
	bool retired;             /* io_core */
	struct vm *vm;
	struct io_region region;
	uint64_t n_tx, n_rx, n_tx_full;
};

int uart_init(struct uart *u, struct vm *vm) HV_MUST_CHECK;
/* Hands over what is buffered, then stops. Fiber on io_core. @pre no vCPU runs */
void uart_fini(struct uart *u);
void uart_reset(struct uart *u);
/* Hands every buffered byte to config.console. Loop context on io_core. */
void uart_flush(struct uart *u);
/* Bytes for the receiver; returns how many fit. Loop context on io_core. */
size_t uart_input(struct uart *u, const char *bytes, size_t len);
void uart_save(struct uart *u, struct state_writer *w);
int uart_decode(struct uart_state *s, struct state_reader *r) HV_MUST_CHECK;
void uart_apply(struct uart *u, const struct uart_state *s);

#endif
