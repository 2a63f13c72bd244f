/* Shared part of guest tests (guest.h). */
#include "guest.h"

struct frame {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, vector, error, eip, cs, eflags;
};

struct guest_fault guest_fault;
void (*guest_handlers[256])(void);
extern char guest_stubs[];
extern uint32_t guest_try_esp;
void guest_try_abort(void);
void guest_init(uint32_t magic, uint32_t info);
void guest_exception(struct frame *f);

static uint64_t idt[256];

void guest_print(const char *text)
{
	for (; *text; text++)
		outb(0x3f8, (uint8_t)*text);
}

void guest_print_hex(uint32_t x)
{
	char text[9] = {0};
	for (int i = 0; i < 8; i++)
		text[i] = "0123456789abcdef"[x >> (28 - 4 * i) & 15];
	guest_print(text);
}

void guest_exit(uint32_t value)
{
	outl(0xf4, value);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void guest_fail(const char *what, const char *file, int line)
{
	guest_print("FAILED: ");
	guest_print(file);
	guest_print(" line 0x");
	guest_print_hex((uint32_t)line);
	guest_print(": ");
	guest_print(what);
	guest_print("\n");
	guest_exit(1);
}

void guest_exception(struct frame *f)
{
	if (guest_handlers[f->vector]) {
		guest_handlers[f->vector]();
		return;
	}
	guest_fault = (struct guest_fault){f->vector, f->error, f->eip};
	if (guest_try_esp && f->vector < 32) {
		f->eip = (uint32_t)guest_try_abort; /* the IRET there drops this frame's stack */
		return;
	}
	guest_print("exception 0x");
	guest_print_hex(f->vector);
	guest_print(" at 0x");
	guest_print_hex(f->eip);
	guest_print("\n");
	guest_exit(2);
}

void guest_init(uint32_t magic, uint32_t info)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};
	(void)info;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t at = (uint32_t)guest_stubs + 16 * i;
		idt[i] = (uint64_t)(at & 0xffff0000) << 32 | 0x00008e0000080000ull | (at & 0xffff);
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
	if (magic != 0x2badb002)
		guest_exit(3);
	outb(0x21, 0xff); /* the PIC is not part of most tests */
	outb(0xa1, 0xff);
}
