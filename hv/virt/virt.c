/* Which vendor this machine has. */
#include "virt/vcpu_impl.h"

#include <errno.h>
#include <hv/log.h>
#include <hv/vm.h>

static const struct virt_ops *const vendors[] = {&svm_ops, &vmx_ops};

const struct virt_ops *virt_ops;

static char refusal[200] = "its processor has neither AMD-V nor VT-x";

void virt_refuse(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	hv_vsnprintf(refusal, sizeof(refusal), fmt, ap);
	va_end(ap);
}

int virt_init(void)
{
	for (unsigned i = 0; !virt_ops && i < HV_ARRAY_LEN(vendors); i++)
		if (vendors[i]->probe() == 0)
			virt_ops = vendors[i];
	if (virt_ops)
		virt_cpuid_init();
	return virt_ops ? 0 : -ENODEV;
}

const char *vm_refused_by_machine(void)
{
	return virt_init() ? refusal : NULL;
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
