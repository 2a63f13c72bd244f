/*
 * A path into the configuration as people write it: "vms[0].nics[1].portgroup". The decoder builds it while it descends; `berth` builds the
 * same for each place of the YAML file, so that equal text means the same place. Too long a path is cut, never overrun.
 */
#ifndef CONFIG_PATH_H
#define CONFIG_PATH_H

#include <stddef.h>

#define CONFIG_PATH_MAX 255

struct config_path {
	size_t len;
	char text[CONFIG_PATH_MAX + 1];
};

/* Appends ".key" (a key of len bytes, made printable and cut at 40 characters); returns what to give config_path_pop. */
size_t config_path_push_key(struct config_path *path, const char *key, size_t len);
/* Appends "[index]". */
size_t config_path_push_index(struct config_path *path, size_t index);
void config_path_pop(struct config_path *path, size_t mark);

/*
 * Makes untrusted text fit to be shown: at most max characters (then "..."), control characters and anything beyond ASCII as '?'.
 * out has room for max + 4 bytes. Returns out.
 */
char *config_printable(char *out, size_t max, const char *text, size_t len);

#endif
