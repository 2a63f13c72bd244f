/*
 * kvmclock: the guest computes time from its TSC and a scale that we write into its memory once (Linux Documentation/virt/kvm/x86/msr.rst).
 * Time zero is the VM's creation, where the guest's TSC was 0; so every vCPU gets the same numbers for ever and the clock is stable.
 */
#include "virt/vcpu_impl.h"
#include "vm/vm_impl.h"

#include <errno.h>
#include <hv/core.h>

#define NS_PER_S 1000000000ull
#define TSC_STABLE 1

struct time_info {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time_ns;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct time_info) == 32, "guest ABI");

/* ns = ((tsc << shift) * mul) >> 32 (shift right when negative). */
static void scale(uint64_t hz, uint32_t *mul, int8_t *shift)
{
	*shift = 0;
	while (hz > 2 * NS_PER_S) {
		hz >>= 1;
		(*shift)--;
	}
	while (hz <= NS_PER_S) {
		hz <<= 1;
		(*shift)++;
	}
	*mul = (uint32_t)((NS_PER_S << 32) / hz);
}

static int write_time(struct vcpu *v, uint64_t value)
{
	struct time_info t = {.version = v->kvmclock_version += 2, .flags = TSC_STABLE};
	v->kvmclock_msr = value;
	if (!(value & 1))
		return 0;
	scale(vm_tsc_hz(v->vm), &t.tsc_to_system_mul, &t.tsc_shift);
	return gmem_write(v->vm->gmem, GPA(value & ~1ull), &t, sizeof(t)) ? -EINVAL : 0;
}

static int write_wall(struct vcpu *v, uint64_t value)
{
	uint64_t hz = vm_tsc_hz(v->vm), tsc = vcpu_tsc(v);
	uint64_t since_start = tsc / hz * NS_PER_S + tsc % hz * NS_PER_S / hz, wall = hv_wall_ns() - since_start;
	uint32_t w[3] = {2, (uint32_t)(wall / NS_PER_S), (uint32_t)(wall % NS_PER_S)};
	return gmem_write(v->vm->gmem, GPA(value), w, sizeof(w)) ? -EINVAL : 0;
}

int kvmclock_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	return msr & 1 ? write_time(v, value) : write_wall(v, value);
}
