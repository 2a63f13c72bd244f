/* Paths into the configuration, and printing of untrusted text. Pure functions on caller-owned buffers. */
#include <config/path.h>
#include <stdio.h>
#include <string.h>

#define KEY_SHOWN 40

char *config_printable(char *out, size_t max, const char *text, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if ((c & 0xc0) == 0x80) /* the rest of a multi-byte character: its first byte was shown as '?' */
			continue;
		if (n == max) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		out[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	out[n] = 0;
	return out;
}

static void append(struct config_path *path, const char *text, size_t len)
{
	size_t room = CONFIG_PATH_MAX - path->len;
	if (len > room)
		len = room;
	memcpy(path->text + path->len, text, len);
	path->len += len;
	path->text[path->len] = 0;
}

size_t config_path_push_key(struct config_path *path, const char *key, size_t len)
{
	size_t mark = path->len;
	char shown[KEY_SHOWN + 4];
	if (path->len)
		append(path, ".", 1);
	config_printable(shown, KEY_SHOWN, key, len);
	append(path, shown, strlen(shown));
	return mark;
}

size_t config_path_push_index(struct config_path *path, size_t index)
{
	size_t mark = path->len;
	char text[32];
	int len = snprintf(text, sizeof(text), "[%lu]", (unsigned long)index);
	append(path, text, (size_t)len);
	return mark;
}

void config_path_pop(struct config_path *path, size_t mark)
{
	path->len = mark;
	path->text[mark] = 0;
}
