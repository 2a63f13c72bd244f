/*
 * The screen: a copy in memory is what is written to and scrolled, and lines that changed go out whole, because reading video memory is
 * slow. A cell is a character and its attribute (IBM VGA text modes).
 */
#include "arch/screen.h"
#include "kern/lock.h"
#include <hv/mem.h>

#define LIGHT_GREY 0x0700u
#define CELLS_MAX (BOOT_SCREEN_COLUMNS_MAX * BOOT_SCREEN_ROWS_MAX)

static struct {
	volatile uint16_t *memory; /* NULL: none */
	unsigned columns, rows, cells_a_line;
	unsigned row, column;
	uint16_t copy[CELLS_MAX];
} s;

static struct hv_lock lock;

static void show(unsigned row)
{
	for (unsigned i = 0; i < s.columns; i++)
		s.memory[row * s.cells_a_line + i] = s.copy[row * s.columns + i];
}

static void blank(unsigned row)
{
	for (unsigned i = 0; i < s.columns; i++)
		s.copy[row * s.columns + i] = LIGHT_GREY | ' ';
}

/* Returns the first row that must be shown. */
static unsigned next_line(unsigned from)
{
	s.column = 0;
	if (++s.row < s.rows)
		return from;
	s.row = s.rows - 1;
	for (unsigned i = 0; i < s.row * s.columns; i++)
		s.copy[i] = s.copy[i + s.columns];
	blank(s.row);
	return 0;
}

void screen_write_unlocked(const char *text, size_t len)
{
	unsigned from = s.row;
	if (!s.memory)
		return;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			from = next_line(from);
			continue;
		}
		if (s.column == s.columns)
			from = next_line(from);
		s.copy[s.row * s.columns + s.column++] = (uint16_t)(LIGHT_GREY | (unsigned char)text[i]);
	}
	for (unsigned row = from; row <= s.row; row++)
		show(row);
}

void screen_write(const char *text, size_t len)
{
	unsigned long irq = hv_lock_irq(&lock);
	screen_write_unlocked(text, len);
	hv_unlock_irq(&lock, irq);
}

void screen_init(const struct boot_screen *screen)
{
	if (!screen->address)
		return;
	s.columns = screen->columns;
	s.rows = screen->rows;
	s.cells_a_line = screen->pitch / 2;
	volatile uint16_t *memory = hv_mmio_map(HPA(screen->address), (size_t)screen->pitch * screen->rows);
	for (unsigned row = 0; row < s.rows; row++)
		blank(row);
	s.memory = memory;
	for (unsigned row = 0; memory && row < s.rows; row++)
		show(row);
}
