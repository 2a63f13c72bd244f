/*
 * Task switches by TSS or task gate (SDM vol. 3 ch. 8): VT-x leaves them to us (26.4.2), AMD-V's machine does them by itself.
 *
 *   the new TSS is read and checked -> the old task is saved -> the new one's registers -> its segments -> its error code
 *   `-- faults up to here are the old task's --'                `------ faults are the new task's -------'
 *
 * The machine has checked privilege and the gate. A VM in long mode does not come here: a task switch is #GP there.
 */
#include "virt/task.h"

#include "virt/vcpu_impl.h"
#include "virt/walk.h"
#include "virt/x86.h"
#include "vm/vm_impl.h"

#include <errno.h>

#define FLAGS_NT (1u << 14)
#define FLAGS_DEFINED 0x3f7fd5u
#define TYPE_BUSY 2u
#define TYPE_32 8u
#define DR6_BT (1u << 15)
#define DR7_LOCAL 0x155u /* L0 to L3, LE */
#define SELECTOR_TI 4u

/* Table 8-1 and figures 8-2, 8-11: offsets of fields that both forms have; general registers and selectors follow each other. */
struct form {
	uint8_t bytes, word; /* the least size of a TSS; the size of a field */
	uint8_t ip, flags, registers, selectors, ldt;
	uint8_t selector_count; /* ES, CS, SS, DS and, of 32 bits, FS, GS */
};
static const struct form form_16 = {44, 2, 14, 16, 18, 34, 42, 4}, form_32 = {104, 4, 32, 36, 40, 72, 96, 6};
#define TSS32_CR3 28
#define TSS32_TRAP 100

static const enum virt_seg_id segments[6] = {VSEG_ES, VSEG_CS, VSEG_SS, VSEG_DS, VSEG_FS, VSEG_GS};

static const struct form *form_of(uint16_t attr)
{
	return attr & TYPE_32 ? &form_32 : &form_16;
}

static uint32_t field_get(const struct form *f, const uint8_t *tss, unsigned at)
{
	return tss[at] | (uint32_t)tss[at + 1] << 8 | (f->word == 4 ? (uint32_t)tss[at + 2] << 16 | (uint32_t)tss[at + 3] << 24 : 0);
}

static void field_put(const struct form *f, uint8_t *tss, unsigned at, uint32_t x)
{
	for (unsigned i = 0; i < f->word; i++)
		tss[at + i] = (uint8_t)(x >> 8 * i);
}

static int fault(struct vcpu *v, uint8_t vector, uint32_t error)
{
	vcpu_inject(v, vector, true, error);
	return -EFAULT;
}

/* Linear memory, as the machine reads and writes system structures. -EFAULT: the guest gets its fault, or the VM has ended. */
static int linear(struct vcpu *v, uint32_t at, uint8_t *data, unsigned bytes, bool write)
{
	struct walk w;

	vcpu_walk_context(v, &w);
	for (unsigned done = 0, n; done < bytes; done += n) {
		gpa_t gpa;
		uint32_t error;
		uint32_t here = at + done;

		n = HV_MIN(bytes - done, (unsigned)(HV_PAGE_SIZE - (here & (HV_PAGE_SIZE - 1))));
		switch (walk_translate(&w, here, (write ? WALK_WRITE : WALK_READ) | WALK_IMPLICIT, &gpa, &error)) {
		case 0:
			break;
		case -EFAULT:
			virt_ops->set_control(v, VCTL_CR2, here);
			return fault(v, X86_PF, error);
		default:
			vcpu_crash(v, "a page table lies in device memory");
			return -EFAULT;
		}
		if (write ? gmem_write(v->vm->gmem, gpa, data + done, n) : gmem_read(v->vm->gmem, gpa, data + done, n)) {
			vcpu_crash(v, "a descriptor or task state segment lies in device memory");
			return -EFAULT;
		}
	}
	return 0;
}

struct descriptor {
	uint32_t at; /* linear */
	struct virt_seg seg;
};

static unsigned dpl(const struct virt_seg *s)
{
	return s->attr >> SEG_DPL_SHIFT & 3;
}

/* A selector's descriptor. -EFAULT: `vector` with the selector, or a page fault, is on its way. */
static int descriptor_read(struct vcpu *v, uint16_t selector, uint8_t vector, struct descriptor *d)
{
	struct virt_seg table;
	uint8_t b[8];

	virt_ops->get_seg(v, selector & SELECTOR_TI ? VSEG_LDTR : VSEG_GDTR, &table);
	if ((selector & SELECTOR_TI && !(table.attr & SEG_P)) || (selector | 7u) > table.limit)
		return fault(v, vector, selector & ~3u);
	d->at = (uint32_t)table.base + (selector & ~7u);
	if (linear(v, d->at, b, sizeof(b), false))
		return -EFAULT;
	d->seg.selector = selector;
	d->seg.base = b[2] | (uint32_t)b[3] << 8 | (uint32_t)b[4] << 16 | (uint32_t)b[7] << 24;
	d->seg.limit = b[0] | (uint32_t)b[1] << 8 | (uint32_t)(b[6] & 15) << 16;
	d->seg.attr = (uint16_t)(b[5] | (b[6] & 0xf0) << 4);
	if (d->seg.attr & SEG_G)
		d->seg.limit = d->seg.limit << 12 | 0xfff;
	return 0;
}

/* Its access byte goes to memory. */
static int descriptor_mark(struct vcpu *v, const struct descriptor *d)
{
	uint8_t access = (uint8_t)d->seg.attr;

	return linear(v, d->at + 5, &access, 1, true);
}

static int tss_find(struct vcpu *v, const struct virt_task *t, struct descriptor *d)
{
	bool back = t->source == VTASK_IRET;
	uint8_t vector = back ? X86_TS : X86_GP;

	if (t->selector & SELECTOR_TI || !(t->selector & ~3u))
		return fault(v, vector, t->selector & ~3u);
	if (descriptor_read(v, t->selector, vector, d))
		return -EFAULT;
	if ((d->seg.attr & (SEG_S | SEG_TYPE_MASK) & ~TYPE_32) != (back ? 1u | TYPE_BUSY : 1u))
		return fault(v, vector, t->selector & ~3u);
	if (!(d->seg.attr & SEG_P))
		return fault(v, X86_NP, t->selector & ~3u);
	if (d->seg.limit < form_of(d->seg.attr)->bytes - 1u)
		return fault(v, X86_TS, t->selector & ~3u);
	return 0;
}

/* The old task's registers go to its TSS, but for what a task does not change itself: stacks, CR3, LDT. */
static int task_save(struct vcpu *v, const struct virt_task *t, const struct virt_seg *tr, uint32_t flags)
{
	const struct form *f = form_of(tr->attr);
	uint8_t tss[104];

	if (linear(v, (uint32_t)tr->base + f->ip, tss + f->ip, f->ldt - f->ip, false))
		return -EFAULT;
	field_put(f, tss, f->ip, (uint32_t)v->rip + t->skip);
	field_put(f, tss, f->flags, flags);
	for (unsigned i = 0; i < 8; i++)
		field_put(f, tss, f->registers + i * f->word, (uint32_t)v->regs[i]);
	for (unsigned i = 0; i < f->selector_count; i++) {
		struct virt_seg s;
		unsigned at = f->selectors + i * f->word;

		virt_ops->get_seg(v, segments[i], &s);
		tss[at] = (uint8_t)s.selector;
		tss[at + 1] = (uint8_t)(s.selector >> 8);
	}
	return linear(v, (uint32_t)tr->base + f->ip, tss + f->ip, f->ldt - f->ip, true);
}

/* ---- the new task's segments (table 8-1, "Exception Conditions Checked During a Task Switch") ---- */

static bool stack_fits(const struct virt_seg *s, unsigned cpl)
{
	return (s->attr & (SEG_S | 8 | 2)) == (SEG_S | 2) && (s->selector & 3) == cpl && dpl(s) == cpl;
}

static bool code_fits(const struct virt_seg *s, unsigned rpl)
{
	return (s->attr & (SEG_S | 8)) == (SEG_S | 8) && (s->attr & 4 ? dpl(s) <= rpl : dpl(s) == rpl);
}

static bool data_fits(const struct virt_seg *s, unsigned cpl)
{
	bool code = s->attr & 8, conforming = code && s->attr & 4;

	return s->attr & SEG_S && !(code && !(s->attr & 2)) && (conforming || dpl(s) >= HV_MAX(cpl, s->selector & 3u));
}

static int segment_load(struct vcpu *v, enum virt_seg_id id, uint16_t selector, unsigned cpl)
{
	struct descriptor d;
	uint8_t absent = id == VSEG_SS ? X86_SS : X86_NP;
	bool fits;

	if (!(selector & ~3u) && id != VSEG_CS && id != VSEG_SS)
		return 0; /* null, as it is already */
	if (!(selector & ~3u))
		return fault(v, X86_TS, selector & ~3u);
	if (descriptor_read(v, selector, X86_TS, &d))
		return -EFAULT;
	fits = id == VSEG_CS ? code_fits(&d.seg, cpl) : id == VSEG_SS ? stack_fits(&d.seg, cpl) : data_fits(&d.seg, cpl);
	if (!fits)
		return fault(v, X86_TS, selector & ~3u);
	if (!(d.seg.attr & SEG_P))
		return fault(v, absent, selector & ~3u);
	if (!(d.seg.attr & 1)) {
		d.seg.attr |= 1;
		if (descriptor_mark(v, &d))
			return -EFAULT;
	}
	virt_ops->set_seg(v, id, &d.seg);
	return 0;
}

static int ldt_load(struct vcpu *v, uint16_t selector)
{
	struct descriptor d;

	if (!(selector & ~3u))
		return 0;
	if (selector & SELECTOR_TI)
		return fault(v, X86_TS, selector & ~3u);
	if (descriptor_read(v, selector, X86_TS, &d))
		return -EFAULT;
	if ((d.seg.attr & (SEG_S | SEG_TYPE_MASK)) != 2 || !(d.seg.attr & SEG_P))
		return fault(v, X86_TS, selector & ~3u);
	virt_ops->set_seg(v, VSEG_LDTR, &d.seg);
	return 0;
}

static int segments_load(struct vcpu *v, const struct form *f, const uint8_t *tss)
{
	static const uint8_t order[6] = {1, 2, 0, 3, 4, 5}; /* CS and SS first: they make the CPL */
	bool v86 = v->rflags & FLAGS_VM;
	uint16_t selectors[6] = {0}, ldt = (uint16_t)field_get(f, tss, f->ldt);
	unsigned cpl;

	for (unsigned i = 0; i < f->selector_count; i++)
		selectors[i] = (uint16_t)field_get(f, tss, f->selectors + i * f->word);
	cpl = v86 ? 3 : selectors[1] & 3u;
	for (unsigned i = 0; i < 6; i++) { /* until each is loaded */
		struct virt_seg s = {.selector = selectors[i]};

		if (v86)
			s = (struct virt_seg){.selector = selectors[i], .base = (uint32_t)selectors[i] << 4, .limit = 0xffff, .attr = 0xf3};
		else if (i == 1 || i == 2)
			s = (struct virt_seg){.selector = selectors[i],
				.limit = 0xffffffff,
				.attr = (uint16_t)(0x93 | (i == 1 ? 8 : 0) | cpl << SEG_DPL_SHIFT | SEG_DB | SEG_G)};
		virt_ops->set_seg(v, segments[i], &s);
	}
	virt_ops->set_seg(v, VSEG_LDTR, &(struct virt_seg){.selector = ldt});
	virt_ops->set_control(v, VCTL_CPL, cpl);
	if (ldt_load(v, ldt))
		return -EFAULT;
	for (unsigned i = 0; !v86 && i < 6; i++) {
		if (segment_load(v, segments[order[i]], selectors[order[i]], cpl))
			return -EFAULT;
	}
	return 0;
}

/* ---- the switch ---- */

static void registers_load(struct vcpu *v, const struct form *f, const uint8_t *tss, bool nested)
{
	if (f == &form_32 && virt_ops->get_control(v, VCTL_CR0) & CR0_PG)
		virt_ops->set_control(v, VCTL_CR3, field_get(f, tss, TSS32_CR3));
	v->rip = field_get(f, tss, f->ip);
	v->rflags = (field_get(f, tss, f->flags) & FLAGS_DEFINED) | 2 | (nested ? FLAGS_NT : 0);
	for (unsigned i = 0; i < 8; i++) /* of 16 bits: the upper halves are ones (8.6) */
		v->regs[i] = field_get(f, tss, f->registers + i * f->word) | (f->word == 2 ? 0xffff0000u : 0);
	virt_ops->set_control(v, VCTL_DR7, virt_ops->get_control(v, VCTL_DR7) & ~(uint64_t)DR7_LOCAL);
	virt_ops->set_control(v, VCTL_CR0, virt_ops->get_control(v, VCTL_CR0) | CR0_TS);
}

/* The exception's error code, in the size of the TSS. */
static int error_push(struct vcpu *v, const struct form *f, uint32_t error)
{
	struct virt_seg ss;
	uint8_t bytes[4] = {(uint8_t)error, (uint8_t)(error >> 8), (uint8_t)(error >> 16), (uint8_t)(error >> 24)};
	uint32_t mask, at;

	virt_ops->get_seg(v, VSEG_SS, &ss);
	mask = ss.attr & SEG_DB ? 0xffffffff : 0xffff;
	at = ((uint32_t)v->regs[VREG_RSP] - f->word) & mask;
	if (!(ss.attr & 4) && at + f->word - 1u > ss.limit)
		return fault(v, X86_SS, 0);
	if (linear(v, (uint32_t)ss.base + at, bytes, f->word, true))
		return -EFAULT;
	v->regs[VREG_RSP] = ((uint32_t)v->regs[VREG_RSP] & ~mask) | at;
	return 0;
}

void vcpu_task_switch(struct vcpu *v, const struct virt_task *t)
{
	bool nested = t->source == VTASK_CALL || t->source == VTASK_GATE, back = t->source == VTASK_IRET;
	struct descriptor next, before;
	struct virt_seg tr, cs;
	const struct form *f;
	uint8_t tss[104];

	virt_ops->get_seg(v, VSEG_TR, &tr);
	if (tss_find(v, t, &next))
		return;
	f = form_of(next.seg.attr);
	if (linear(v, (uint32_t)next.seg.base, tss, f->bytes, false) || descriptor_read(v, tr.selector & 0xfff8u, X86_TS, &before))
		return;
	if (task_save(v, t, &tr, (uint32_t)v->rflags & (back ? ~FLAGS_NT : ~0u)))
		return;
	if (!nested) {
		before.seg.attr &= (uint16_t)~TYPE_BUSY;
		if (descriptor_mark(v, &before))
			return;
	}
	next.seg.attr |= TYPE_BUSY;
	if (!back && descriptor_mark(v, &next))
		return;
	if (nested) {
		uint8_t link[2] = {(uint8_t)tr.selector, (uint8_t)(tr.selector >> 8)};
		if (linear(v, (uint32_t)next.seg.base, link, sizeof(link), true))
			return;
	}
	virt_ops->shadow(v, false);
	virt_ops->set_seg(v, VSEG_TR, &next.seg);
	registers_load(v, f, tss, nested);
	if (segments_load(v, f, tss) || (t->has_error && error_push(v, f, t->error)))
		return;
	virt_ops->get_seg(v, VSEG_CS, &cs);
	if (v->rip > cs.limit) {
		fault(v, X86_GP, 0);
	} else if (f == &form_32 && tss[TSS32_TRAP] & 1) {
		virt_ops->set_control(v, VCTL_DR6, virt_ops->get_control(v, VCTL_DR6) | DR6_BT);
		vcpu_inject(v, X86_DB, false, 0);
	}
	v->irq_check = true;
}
