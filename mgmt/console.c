/*
 * VM consoles on the host's console: whole lines, prefixed with the VM's name. What a guest prints is untrusted: control characters other
 * than tab are dropped, so that it can neither start a line of its own nor talk to the terminal, and a line has a bounded length.
 */
#include "inventory.h"

#include <hv/host.h>
#include <hv/log.h>
#include <string.h>

void machine_console_flush(struct machine *m)
{
	char out[sizeof(m->line) + CONFIG_NAME_MAX + 8];
	int n;

	if (m->line_len == 0)
		return;
	n = hv_snprintf(out, sizeof(out), "[%s] %.*s\n", m->config->name, (int)m->line_len, m->line);
	if (!hv_console_offer(out, (size_t)n))
		m->console_dropped++;
	m->line_len = 0;
}

void machine_console(struct machine *m, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n') {
			machine_console_flush(m);
			continue;
		}
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			continue;
		if (m->line_len == sizeof(m->line))
			machine_console_flush(m);
		m->line[m->line_len++] = (char)c;
	}
}
