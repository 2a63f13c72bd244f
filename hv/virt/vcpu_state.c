/*
 * A vCPU's saved state. Bytes are hostile (a migration stream, a file): everything is decoded into a private image and checked first; applying
 * cannot fail. What the checks do not cover (segment attributes and the like) can at worst make the entry fail, which ends that guest only;
 * what could fault the host (XSAVE header, MXCSR, XCR0) is checked completely (SDM vol. 1, 13.8 "XRSTOR", conditions for #GP).
 */
#include "virt/vcpu_impl.h"
#include "vm/state.h"

#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('V', 'C', 'P', 'U')
#define VERSION 1
#define FPU_MAX 4096
#define MXCSR_VALID 0xffffu

static const uint32_t saved_msrs[] = {MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK,
	MSR_KERNEL_GS_BASE, MSR_PAT};
#define MSRS HV_ARRAY_LEN(saved_msrs)

/* FS and GS bases are in the segments. */
struct image {
	uint64_t regs[VREG_COUNT], rip, rflags, dr[4], control[VCTL_COUNT], msr[MSRS], mtrr[MTRR_COUNT];
	uint64_t xcr0, tsc_aux, misc_enable, kvmclock_msr;
	struct virt_seg seg[VSEG_COUNT];
	struct virt_event pending;
	uint32_t kvmclock_version, signals;
	uint8_t state, sipi_vector, shadow, nmi_pending, nmi_blocked;
	uint32_t fpu_bytes;
};

static void put_words(struct state_writer *w, const uint64_t *x, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		state_put_u64(w, x[i]);
}

static void get_words(struct state_reader *r, uint64_t *x, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		x[i] = state_get_u64(r);
}

static void put_segs(struct vcpu *v, struct state_writer *w)
{
	for (unsigned i = 0; i < VSEG_COUNT; i++) {
		struct virt_seg s;
		virt_ops->get_seg(v, i, &s);
		state_put_u64(w, s.base);
		state_put_u32(w, s.limit);
		state_put_u16(w, s.selector);
		state_put_u16(w, s.attr);
	}
}

static void put_event(struct state_writer *w, const struct virt_event *e)
{
	state_put_u8(w, e->valid);
	state_put_u8(w, e->has_error);
	state_put_u8(w, e->type);
	state_put_u8(w, e->vector);
	state_put_u32(w, e->error);
}

void vcpu_save(struct vcpu *v, struct state_writer *w)
{
	state_begin(w, TAG, VERSION, v->index);
	put_words(w, v->regs, VREG_COUNT);
	state_put_u64(w, v->rip);
	state_put_u64(w, v->rflags);
	put_words(w, v->dr, 4);
	for (unsigned i = 0; i < VCTL_COUNT; i++)
		state_put_u64(w, virt_ops->get_control(v, i));
	for (unsigned i = 0; i < MSRS; i++) {
		uint64_t x = 0;
		virt_ops->get_msr(v, saved_msrs[i], &x);
		state_put_u64(w, x);
	}
	put_words(w, v->mtrr, MTRR_COUNT);
	state_put_u64(w, v->xcr0);
	state_put_u64(w, v->tsc_aux);
	state_put_u64(w, v->misc_enable);
	state_put_u64(w, v->kvmclock_msr);
	put_segs(v, w);
	put_event(w, &v->pending);
	state_put_u32(w, v->kvmclock_version);
	state_put_u32(w, atomic_load(&v->signals));
	state_put_u8(w, v->state);
	state_put_u8(w, atomic_load(&v->sipi_vector));
	state_put_u8(w, v->shadow);
	state_put_u8(w, v->nmi_pending);
	state_put_u8(w, v->nmi_blocked && !v->nmi_unblock);
	state_put_u32(w, virt_xsave_bytes());
	state_put(w, v->fpu, virt_xsave_bytes());
	state_end(w);
}

static void decode(struct state_reader *r, struct image *m)
{
	get_words(r, m->regs, VREG_COUNT);
	m->rip = state_get_u64(r);
	m->rflags = state_get_u64(r);
	get_words(r, m->dr, 4);
	get_words(r, m->control, VCTL_COUNT);
	get_words(r, m->msr, MSRS);
	get_words(r, m->mtrr, MTRR_COUNT);
	m->xcr0 = state_get_u64(r);
	m->tsc_aux = state_get_u64(r);
	m->misc_enable = state_get_u64(r);
	m->kvmclock_msr = state_get_u64(r);
	for (unsigned i = 0; i < VSEG_COUNT; i++) {
		m->seg[i].base = state_get_u64(r);
		m->seg[i].limit = state_get_u32(r);
		m->seg[i].selector = state_get_u16(r);
		m->seg[i].attr = state_get_u16(r);
	}
	m->pending.valid = state_get_u8(r) != 0;
	m->pending.has_error = state_get_u8(r) != 0;
	m->pending.type = state_get_u8(r);
	m->pending.vector = state_get_u8(r);
	m->pending.error = state_get_u32(r);
	m->kvmclock_version = state_get_u32(r);
	m->signals = state_get_u32(r);
	m->state = state_get_u8(r);
	m->sipi_vector = state_get_u8(r);
	m->shadow = state_get_u8(r);
	m->nmi_pending = state_get_u8(r);
	m->nmi_blocked = state_get_u8(r);
	m->fpu_bytes = state_get_u32(r);
}

static bool canonical(uint64_t va)
{
	return (int64_t)(va << 16) >> 16 == (int64_t)va;
}

static bool plausible(const struct image *m)
{
	uint64_t cr0 = m->control[VCTL_CR0], efer = m->control[VCTL_EFER];
	const struct virt_event *e = &m->pending;
	if (m->state > VCPU_HALTED || m->control[VCTL_CPL] > 3 || m->control[VCTL_CR8] > 15)
		return false;
	if (cr0 >> 32 || (cr0 & CR0_PG && !(cr0 & CR0_PE)) || (cr0 & CR0_NW && !(cr0 & CR0_CD)))
		return false;
	if (efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR) || m->control[VCTL_DR6] >> 32 || m->control[VCTL_DR7] >> 32)
		return false;
	if (m->tsc_aux >> 32 || m->xcr0 & ~virt_xcr0_mask() || !(m->xcr0 & 1) || (m->xcr0 & 6) == 4)
		return false;
	if (m->signals & ~(VSIG_IRQ | VSIG_NMI | VSIG_INIT | VSIG_SIPI))
		return false;
	if (e->valid && (e->type == 1 || e->type > VEVENT_SOFTWARE || (e->type == VEVENT_EXCEPTION && (e->vector > 31 || e->vector == X86_NMI))))
		return false;
	for (unsigned i = 0; i < VSEG_COUNT; i++)
		if (!canonical(m->seg[i].base))
			return false;
	return true;
}

/* What XRSTOR would fault on. */
static bool fpu_plausible(const uint8_t *area)
{
	uint32_t mxcsr;
	uint64_t xstate_bv;
	memcpy(&mxcsr, area + 24, sizeof(mxcsr));
	memcpy(&xstate_bv, area + 512, sizeof(xstate_bv));
	for (unsigned i = 520; i < 576; i++)
		if (area[i])
			return false;
	return !(mxcsr & ~MXCSR_VALID) && !(xstate_bv & ~virt_xcr0_mask());
}

static void apply(struct vcpu *v, const struct image *m, const uint8_t *fpu)
{
	memcpy(v->regs, m->regs, sizeof(v->regs));
	v->rip = m->rip;
	v->rflags = m->rflags | 2;
	memcpy(v->dr, m->dr, sizeof(v->dr));
	for (unsigned i = 0; i < VSEG_COUNT; i++)
		virt_ops->set_seg(v, i, &m->seg[i]);
	for (unsigned i = 0; i < VCTL_COUNT; i++) /* CPL after SS, which sets it too */
		virt_ops->set_control(v, i, m->control[i]);
	for (unsigned i = 0; i < MSRS; i++)
		virt_ops->set_msr(v, saved_msrs[i], m->msr[i]);
	memcpy(v->mtrr, m->mtrr, sizeof(v->mtrr));
	v->xcr0 = m->xcr0;
	v->tsc_aux = m->tsc_aux;
	v->misc_enable = m->misc_enable;
	v->kvmclock_msr = m->kvmclock_msr;
	v->kvmclock_version = m->kvmclock_version;
	v->pending = m->pending;
	v->state = m->state;
	atomic_store(&v->sipi_vector, m->sipi_vector);
	atomic_store(&v->signals, m->signals);
	virt_ops->shadow(v, m->shadow != 0);
	v->nmi_pending = m->nmi_pending != 0;
	v->nmi_blocked = m->nmi_blocked != 0;
	v->nmi_unblock = false;
	virt_ops->watch(v, VWATCH_NMI, v->nmi_blocked);
	v->cr8_loaded = (uint8_t)m->control[VCTL_CR8];
	v->irq_check = true;
	memset(v->hints, 0, sizeof(v->hints));
	memcpy(v->fpu, fpu, m->fpu_bytes);
}

int vcpu_load(struct vcpu *v, struct state_reader *r)
{
	struct image m;
	uint8_t fpu[FPU_MAX];
	int version = state_open(r, TAG, VERSION, v->index);
	if (version < 0)
		return version;
	decode(r, &m);
	if (!state_reader_ok(r) || m.fpu_bytes != virt_xsave_bytes() || m.fpu_bytes > sizeof(fpu))
		return -EINVAL;
	state_get(r, fpu, m.fpu_bytes);
	if (!state_close(r) || !plausible(&m) || !fpu_plausible(fpu))
		return -EINVAL;
	apply(v, &m, fpu);
	return 0;
}
