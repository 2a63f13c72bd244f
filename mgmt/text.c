/*
 * Text from outside (a server's error message, a file's name cut to fit) on its way into JSON, which is UTF-8: what is none, and control
 * characters, become '?'. Otherwise the writer refuses the whole document, and one server's message would cost the host its counters.
 */
#include "inventory.h"

#include <stdlib.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at s (RFC 3629 section 4), 0 when there is none. A NUL ends every search: it continues nothing.
 */
static size_t sequence(const unsigned char *s)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;

	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static void make_printable(char *text)
{
	for (unsigned char *s = (unsigned char *)text; *s;) {
		size_t len = sequence(s);

		if (len == 0 || *s < 0x20 || *s == 0x7f) {
			*s++ = '?';
			continue;
		}
		s += len;
	}
}

void text_add(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text)
{
	char *copy = strdup(text);

	if (copy)
		make_printable(copy);
	yyjson_mut_obj_add_strcpy(doc, object, key, copy ? copy : "(no memory)");
	free(copy);
}
