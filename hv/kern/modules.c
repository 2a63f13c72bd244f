/* The files given at boot, found by name. Filled once on core 0 before other cores run; constant after that. */
#include "kern/modules.h"
#include "kern/cpio.h"
#include <errno.h>
#include <hv/log.h>

#define MODULES_MAX 256

static struct hv_module modules[MODULES_MAX];
static unsigned module_count;

int modules_read(const void *archive, size_t bytes)
{
	const char *error;
	size_t offset;
	int n = cpio_read(archive, bytes, modules, MODULES_MAX, &error, &offset);

	if (n < 0) {
		log_error("boot.archive", "boot archive refused: %s, at byte %zu of %zu", error, offset, bytes);
		return n;
	}
	module_count = (unsigned)n;
	return n;
}

int modules_add(const char *name, const void *data, size_t bytes)
{
	if (hv_module_find(name))
		return trace_error(-EEXIST);
	if (module_count == MODULES_MAX)
		return trace_error(-E2BIG);
	modules[module_count++] = (struct hv_module){name, data, bytes};
	return 0;
}

unsigned hv_module_count(void)
{
	return module_count;
}

const struct hv_module *hv_module_get(unsigned i)
{
	return i < module_count ? &modules[i] : NULL;
}

const struct hv_module *hv_module_find(const char *name)
{
	for (unsigned i = 0; i < module_count; i++)
		if (!__builtin_strcmp(modules[i].name, name))
			return &modules[i];
	return NULL;
}
