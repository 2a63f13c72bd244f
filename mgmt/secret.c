/* Secrets that come as files: boot modules, and parts of a configuration that arrives over the control console. */
#include "inventory.h"

#include <errno.h>
#include <hv/host.h>
#include <string.h>

int mgmt_secret_text(const void *bytes, size_t len, char *out, size_t size)
{
	while (len && strchr("\r\n", ((const char *)bytes)[len - 1]))
		len--;
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(out, bytes, len);
	out[len] = '\0';
	return (int)len;
}

int mgmt_module_secret(void *arg, const char *name, char *out, size_t size)
{
	const struct hv_module *m = hv_module_find(name);

	return m ? mgmt_secret_text(m->data, m->bytes, out, size) : -ENOENT;
}
