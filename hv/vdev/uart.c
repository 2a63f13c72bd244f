/*
 * A 16550A serial port (National Semiconductor PC16550D data sheet). Its line is a ring: the guest's bytes go in under the device's lock,
 * the VM's io_core takes them out and gives them to config.console in batches: at the end of a line, when half the ring is full, or 2 ms
 * after the first byte. No byte is lost: with less than a FIFO's room in the ring the transmitter reads as busy, and its empty-interrupt
 * comes when the ring has been drained. A guest that writes without looking at LSR overruns its own transmitter, as on the real thing:
 * counted.
 *
 * Interrupt line = (highest pending source in IIR) and MCR.OUT2. It drops and rises for each new transmitter-empty, because ISA lines are
 * edge- triggered.
 */
#include "vdev/uart.h"
#include "vdev/irq.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('U', 'A', 'R', 'T')
#define BATCH_NS 2000000u
#define LINE_UNKNOWN 2

enum { RBR_THR = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define IER_RX 0x01
#define IER_THRE 0x02
#define IER_LINE 0x04
#define IER_MODEM 0x08
#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_THRE 0x02
#define IIR_RX 0x04
#define IIR_LINE 0x06
#define IIR_RX_TIMEOUT 0x0c
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define LCR_DLAB 0x80
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define LSR_READY 0x01
#define LSR_OVERRUN 0x02
#define LSR_THRE 0x20
#define LSR_EMPTY 0x40
#define MSR_LINES 0xb0 /* carrier, data set ready, clear to send: the console is always there */

/* ---- receive and transmit buffers, under the lock ---- */

static uint32_t rx_used(const struct uart *u)
{
	return u->s.rx_head - u->s.rx_tail;
}

static bool rx_put(struct uart *u, uint8_t byte)
{
	if (rx_used(u) == UART_RX_RING)
		return false;
	u->s.rx[u->s.rx_head++ % UART_RX_RING] = byte;
	return true;
}

static uint32_t tx_room(struct uart *u)
{
	return UART_TX_RING -
	       (atomic_load_explicit(&u->tx_head, memory_order_relaxed) - atomic_load_explicit(&u->tx_tail, memory_order_acquire));
}

static bool tx_ready(struct uart *u)
{
	return tx_room(u) >= UART_FIFO;
}

/* ---- interrupt ---- */

static uint8_t iir(const struct uart *u)
{
	static const uint8_t trigger[] = {1, 4, 8, 14};
	uint8_t ier = u->s.ier;
	if ((ier & IER_LINE) && u->s.lsr_errors)
		return IIR_LINE;
	if ((ier & IER_RX) && rx_used(u) > 0) {
		bool few = (u->s.fcr & FCR_ENABLE) && rx_used(u) < trigger[u->s.fcr >> 6];
		return few ? IIR_RX_TIMEOUT : IIR_RX; /* the line is idle as soon as input stops: four character times have always passed */
	}
	if ((ier & IER_THRE) && u->s.thre_pending)
		return IIR_THRE;
	if ((ier & IER_MODEM) && u->s.msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct uart *u)
{
	uint8_t level = iir(u) != IIR_NONE && (u->s.mcr & MCR_OUT2);
	if (u->line == level)
		return;
	u->line = level;
	vm_irq_set(u->vm, UART_IRQ, level);
}

/* ---- console side, io_core ---- */

/* Gives the guest its transmitter back after a full ring. */
static void room_again(struct uart *u)
{
	vdev_lock(&u->lock);
	if (u->s.thre_owed && tx_ready(u)) {
		u->s.thre_owed = false;
		u->s.thre_pending = true;
		update_irq(u);
	}
	vdev_unlock(&u->lock);
}

void uart_flush(struct uart *u)
{
	atomic_store(&u->tx_urgent, false);
	for (;;) {
		uint32_t tail = atomic_load_explicit(&u->tx_tail, memory_order_relaxed);
		uint32_t used = atomic_load(&u->tx_head) - tail;
		uint32_t at = tail % UART_TX_RING, len = HV_MIN(used, UART_TX_RING - at);
		if (len == 0)
			break;
		if (u->vm->config.console)
			u->vm->config.console(u->vm->config.arg, (const char *)u->tx + at, len);
		atomic_store(&u->tx_tail, tail + len); /* sequentially consistent with the look at tx_head: see access() */
	}
	room_again(u);
}

static void tx_message(struct hv_msg *m)
{
	struct uart *u = hv_container_of(m, struct uart, tx_msg);
	if (u->retired)
		return;
	if (atomic_load(&u->tx_urgent)) {
		hv_timer_cancel(&u->tx_timer);
		uart_flush(u);
	} else if (!u->tx_timer.armed) {
		hv_timer_arm(&u->tx_timer, hv_now_ns() + BATCH_NS);
	}
}

static void tx_timeout(struct hv_timer *t)
{
	uart_flush(hv_container_of(t, struct uart, tx_timer));
}

size_t uart_input(struct uart *u, const char *bytes, size_t len)
{
	size_t taken = 0;
	vdev_lock(&u->lock);
	while (taken < len && rx_put(u, (uint8_t)bytes[taken]))
		taken++;
	u->n_rx += taken;
	if (taken)
		update_irq(u);
	vdev_unlock(&u->lock);
	return taken;
}

/* ---- guest side, under the lock ---- */

/* A byte leaves the guest. Returns true when io_core must be told. */
static bool transmit(struct uart *u, uint8_t byte)
{
	if (u->s.mcr & MCR_LOOP) {
		if (!rx_put(u, byte))
			u->s.lsr_errors |= LSR_OVERRUN;
		u->s.thre_pending = true;
		return false;
	}
	u->s.thre_pending = false;
	update_irq(u); /* drops the line, so that the next empty is an edge */
	uint32_t room = tx_room(u);
	if (room == 0) {
		u->n_tx_full++;
		u->s.thre_owed = true;
		return true;
	}
	uint32_t head = atomic_load_explicit(&u->tx_head, memory_order_relaxed);
	u->tx[head % UART_TX_RING] = byte;
	atomic_store(&u->tx_head, head + 1);
	u->n_tx++;
	if (tx_ready(u))
		u->s.thre_pending = true;
	else
		u->s.thre_owed = true;
	if (byte == '\n' || room <= UART_TX_RING / 2)
		atomic_store(&u->tx_urgent, true);
	return true;
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t value = u->s.lsr_errors;
	u->s.lsr_errors = 0;
	if (rx_used(u) > 0)
		value |= LSR_READY;
	if (tx_ready(u))
		value |= LSR_THRE | LSR_EMPTY;
	return value;
}

/* In loop-back the modem outputs are the inputs: OUT2, OUT1, DTR, RTS appear as carrier, ring, data set ready, clear to send. */
static uint8_t read_msr(struct uart *u)
{
	uint8_t mcr = u->s.mcr, delta = u->s.msr_delta;
	u->s.msr_delta = 0;
	if (!(mcr & MCR_LOOP))
		return MSR_LINES | delta;
	return (uint8_t)((mcr & 0x0c) << 4 | (mcr & 0x02) << 3 | (mcr & 0x01) << 5 | delta);
}

static uint8_t read_register(struct uart *u, unsigned reg)
{
	uint8_t value = 0;
	switch (reg) {
	case RBR_THR:
		if (u->s.lcr & LCR_DLAB)
			return u->s.dll;
		if (rx_used(u) > 0)
			value = u->s.rx[u->s.rx_tail++ % UART_RX_RING];
		return value;
	case IER:
		return u->s.lcr & LCR_DLAB ? u->s.dlm : u->s.ier;
	case IIR_FCR:
		value = iir(u);
		if (value == IIR_THRE)
			u->s.thre_pending = false;
		return (uint8_t)(value | (u->s.fcr & FCR_ENABLE ? IIR_FIFO : 0));
	case LCR:
		return u->s.lcr;
	case MCR:
		return u->s.mcr;
	case LSR:
		return read_lsr(u);
	case MSR:
		return read_msr(u);
	default:
		return u->s.scratch;
	}
}

static void write_ier(struct uart *u, uint8_t value)
{
	if ((value & IER_THRE) && !(u->s.ier & IER_THRE)) { /* enabling it while the transmitter is empty raises it */
		u->s.thre_pending = tx_ready(u);
		u->s.thre_owed = !u->s.thre_pending;
	}
	u->s.ier = value & 0x0f;
}

static bool write_register(struct uart *u, unsigned reg, uint8_t value)
{
	switch (reg) {
	case RBR_THR:
		if (!(u->s.lcr & LCR_DLAB))
			return transmit(u, value);
		u->s.dll = value;
		return false;
	case IER:
		if (u->s.lcr & LCR_DLAB)
			u->s.dlm = value;
		else
			write_ier(u, value);
		return false;
	case IIR_FCR:
		if ((value & FCR_CLEAR_RX) || ((value ^ u->s.fcr) & FCR_ENABLE))
			u->s.rx_tail = u->s.rx_head;
		u->s.fcr = value & 0xc9;
		return false;
	case LCR:
		u->s.lcr = value;
		return false;
	case MCR:
		u->s.mcr = value & 0x1f;
		return false;
	case SCR:
		u->s.scratch = value;
		return false;
	default: /* LSR and MSR are read-only */
		return false;
	}
}

static void access(struct io_region *r, struct io_access *a)
{
	struct uart *u = r->arg;
	unsigned reg = a->offset & 7;
	bool tell = false;

	vdev_lock(&u->lock);
	if (a->write)
		tell = write_register(u, reg, (uint8_t)a->value);
	else
		a->value = read_register(u, reg);
	if (reg != SCR && reg != LCR)
		update_irq(u);
	uint32_t used = atomic_load(&u->tx_head) - atomic_load(&u->tx_tail);
	vdev_unlock(&u->lock);
	/*
	 * One message starts a batch (its first byte), one ends it; in between bytes just gather. When the ring was not empty, io_core has
	 * not yet looked at tx_head for the last time: it stores tx_tail first, we store tx_head first, so one of the two sees the other.
	 */
	if (tell && (used <= 1 || atomic_load(&u->tx_urgent)))
		hv_msg_post(u->vm->config.io_core, &u->tx_msg);
}

/* ---- life ---- */

void uart_reset(struct uart *u)
{
	vdev_lock(&u->lock);
	u->s = (struct uart_state){.dll = 12, .lcr = 3};
	u->line = LINE_UNKNOWN;
	update_irq(u);
	vdev_unlock(&u->lock);
}

int uart_init(struct uart *u, struct vm *vm)
{
	u->vm = vm;
	u->tx_msg.fn = tx_message;
	u->tx_timer.fn = tx_timeout;
	u->region = (struct io_region){.start = UART_PORT, .bytes = 8, .access = access, .name = "uart", .arg = u};
	uart_reset(u);
	return iobus_attach(vm, IO_PORT, &u->region);
}

void uart_fini(struct uart *u)
{
	if (!u->vm)
		return; /* never made */
	if (u->region.attached)
		iobus_detach(u->vm, IO_PORT, &u->region);
	uart_flush(u);
	u->retired = true;
	hv_timer_cancel(&u->tx_timer);
	while (__atomic_load_n(&u->tx_msg.posted, __ATOMIC_ACQUIRE))
		hv_fiber_yield();
}

/* Bytes the guest has sent are not saved: the caller flushes them first (platform_save). */
void uart_save(struct uart *u, struct state_writer *w)
{
	const struct uart_state *s = &u->s;
	state_begin(w, TAG, 1, 0);
	const uint8_t b[] = {
		s->ier, s->fcr, s->lcr, s->mcr, s->scratch, s->dll, s->dlm, s->lsr_errors, s->msr_delta, s->thre_pending, s->thre_owed};
	state_put(w, b, sizeof(b));
	state_put_u16(w, (uint16_t)rx_used(u));
	for (uint32_t i = s->rx_tail; i != s->rx_head; i++)
		state_put_u8(w, s->rx[i % UART_RX_RING]);
	state_end(w);
}

int uart_decode(struct uart_state *s, struct state_reader *r)
{
	int version = state_open(r, TAG, 1, 0);
	if (version < 0)
		return version;
	uint8_t b[11];
	state_get(r, b, sizeof(b));
	*s = (struct uart_state){.ier = b[0] & 0x0f,
		.fcr = b[1] & 0xc9,
		.lcr = b[2],
		.mcr = b[3] & 0x1f,
		.scratch = b[4],
		.dll = b[5],
		.dlm = b[6],
		.lsr_errors = b[7] & LSR_OVERRUN,
		.msr_delta = b[8] & 0x0f,
		.thre_pending = b[9],
		.thre_owed = b[10]};
	s->rx_head = state_get_u16(r);
	if (s->rx_head > UART_RX_RING)
		return -EINVAL;
	state_get(r, s->rx, s->rx_head);
	return state_close(r) ? 0 : -EINVAL;
}

void uart_apply(struct uart *u, const struct uart_state *s)
{
	vdev_lock(&u->lock);
	u->s = *s;
	u->line = LINE_UNKNOWN;
	update_irq(u);
	vdev_unlock(&u->lock);
	room_again(u);
}
