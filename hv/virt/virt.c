/* Which vendor this machine has. */
#include "virt/vcpu_impl.h"

#include <errno.h>
#include <hv/log.h>

static const struct virt_ops *const vendors[] = {&svm_ops, &vmx_ops};

const struct virt_ops *virt_ops;

int virt_init(void)
{
	for (unsigned i = 0; !virt_ops && i < HV_ARRAY_LEN(vendors); i++)
		if (vendors[i]->probe() == 0)
			virt_ops = vendors[i];
	if (!virt_ops) {
		log_error("virt.none", "this machine cannot run guests: it needs AMD-V with nested paging or VT-x with EPT and"
			" unrestricted guest, present and not disabled by firmware");
		return -ENODEV;
	}
	virt_cpuid_init();
	return 0;
}

const char *virt_exit_name(unsigned reason)
{
	static const char *const names[] = {
#define X(name, text) [VEXIT_##name] = text,
		VIRT_EXITS(X)
#undef X
	};
	return reason < VEXIT_COUNT ? names[reason] : "?";
}
