/* The word "without=FEATURE,..." of the host's command line (virt.h). */
#include "virt/virt.h"

#include <hv/host.h>
#include <string.h>

bool virt_without(const char *feature)
{
	static const char key[] = "without=";
	size_t len = strlen(feature);
	bool listed = false; /* inside the word "without=..." */
	for (const char *p = hv_cmdline(); *p; p++) {
		bool begins = p == hv_cmdline() || p[-1] == ' ';
		if (begins) {
			listed = strncmp(p, key, sizeof(key) - 1) == 0;
			p += listed ? sizeof(key) - 1 : 0;
		}
		if (listed && (p[-1] == '=' || p[-1] == ',') && strncmp(p, feature, len) == 0 &&
			(!p[len] || p[len] == ',' || p[len] == ' '))
			return true;
		if (!*p)
			break;
	}
	return false;
}
