/*
 * APIC virtualization (SDM vol. 3 ch. 30): the processor reads and writes the LAPIC's registers in vcpu_apic_page() and delivers interrupts
 * from there. All of it or none: TPR shadow, APIC-register virtualization, virtual-interrupt delivery, and for each of the LAPIC's two ways
 * in (the page at 0xfee00000, the MSRs) the virtualization of that way.
 *
 * Who waits and what is in service is the page's IRR and ISR; the processor keeps the highest of each in the VMCS's guest interrupt status
 * (RVI, SVI), which is written when we have changed the page. An EOI leaves the guest only for vectors in the EOI-exit bitmap: the
 * level-triggered ones, which the I/O APIC waits for.
 *
 * Requests of other cores (struct lapic_requests) are taken into the page by us before an entry, and where the processor has posted
 * interrupts by itself while the guest runs: their sender interrupts its core with the notification vector, which then does not leave the
 * guest (30.6). When that interrupt comes to the host instead, the requests are still there, and outstanding: vcpu_posted_to_us.
 *
 * Without it only the TPR shadow remains (CR8 without exits): interrupts are injected, the LAPIC's page is device memory.
 */
#include "virt/vmx/insn.h"
#include "virt/vmx/vmx_impl.h"

#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/mem.h>
#include <string.h>

#define X2APIC(reg) (MSR_X2APIC_FIRST + (reg))
enum { X2_TPR = 0x08, X2_EOI = 0x0b, X2_ICR = 0x30, X2_CURRENT_COUNT = 0x39, X2_SELF_IPI = 0x3f };

/* The same for all guests: what is allowed without a LAPIC that is virtualized by MSRs, and with one. */
static uint8_t *msr_bitmap, *msr_bitmap_x2apic;

static void allow(uint8_t *map, uint32_t msr, bool read, bool write)
{
	uint32_t bit = msr < 0x2000 ? msr : 0x2000 + (msr - 0xc0000000);
	if (read)
		map[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
	if (write)
		map[0x800 + bit / 8] &= (uint8_t) ~(1u << (bit % 8));
}

/* Registers that the page holds as the MSR shows them: not ICR, one MSR but two registers of the page, and not the running count. */
static void allow_x2apic(uint8_t *map)
{
	static const uint8_t readable[][2] = {
		{0x02, 0x03}, {X2_TPR, X2_TPR}, {0x0a, 0x0a}, {0x0d, 0x0d}, {0x0f, 0x28}, {0x32, 0x38}, {0x3e, 0x3e}};
	for (unsigned i = 0; i < HV_ARRAY_LEN(readable); i++)
		for (uint32_t reg = readable[i][0]; reg <= readable[i][1]; reg++)
			allow(map, X2APIC(reg), true, false);
	allow(map, X2APIC(X2_TPR), false, true);
	allow(map, X2APIC(X2_EOI), false, true);
	allow(map, X2APIC(X2_SELF_IPI), false, true);
}

int vmx_make_msr_bitmaps(void)
{
	static const uint32_t direct[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};
	static const uint32_t readable[] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK};
	if (msr_bitmap)
		return 0;
	uint8_t *map = hv_pages_alloc(HV_ORDER_4K), *x2apic = hv_pages_alloc(HV_ORDER_4K);
	if (!map || !x2apic) {
		if (map)
			hv_pages_free(map, HV_ORDER_4K);
		if (x2apic)
			hv_pages_free(x2apic, HV_ORDER_4K);
		return -ENOMEM;
	}
	memset(map, 0xff, HV_PAGE_SIZE);
	for (unsigned i = 0; i < HV_ARRAY_LEN(direct); i++)
		allow(map, direct[i], true, true);
	for (unsigned i = 0; i < HV_ARRAY_LEN(readable); i++)
		allow(map, readable[i], true, false);
	memcpy(x2apic, map, HV_PAGE_SIZE);
	allow_x2apic(x2apic);
	msr_bitmap = map;
	msr_bitmap_x2apic = x2apic;
	return 0;
}

void vmx_apic_init(struct vcpu *v)
{
	vmwrite(VMCS_msr_bitmap, hv_virt_to_phys(msr_bitmap).v);
	if (!vmx_features.tpr_shadow)
		return;
	vmwrite(VMCS_virtual_apic, hv_virt_to_phys(v->apic_page).v);
	vmwrite(VMCS_tpr_threshold, 0);
	if (vmx_features.apicv)
		vmwrite(VMCS_apic_access, hv_virt_to_phys(v->vm->virt->apic_access).v);
}

static void post(struct vcpu *v, bool on)
{
	if (on) {
		vmwrite(VMCS_posted_vector, HV_NOTIFY_VECTOR);
		vmwrite(VMCS_posted_descriptor, hv_virt_to_phys(v->requests).v);
	}
	vmwrite(VMCS_pin_controls, on ? vmx_features.pin | PIN_POSTED : vmx_features.pin);
}

enum virt_apic vmx_apic_mode(struct vcpu *v, enum lapic_mode mode)
{
	struct virt_vcpu *s = v->virt;
	bool on = mode != LAPIC_OFF;
	if (!vmx_features.apicv)
		return VAPIC_NOTHING;
	vmx_acquire(v);
	vmx_proc2_control(v, PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS, on);
	vmx_proc2_control(v, PROC2_X2APIC, mode == LAPIC_X2APIC);
	vmx_proc2_control(v, PROC2_APIC_ACCESS, mode == LAPIC_XAPIC);
	vmwrite(VMCS_msr_bitmap, hv_virt_to_phys(mode == LAPIC_X2APIC ? msr_bitmap_x2apic : msr_bitmap).v);
	if (vmx_features.posted)
		post(v, on);
	vmx_release(v);
	s->flush = true; /* 29.4.3.4: translations may depend on the virtualization of APIC accesses */
	return !on ? VAPIC_NOTHING : vmx_features.posted ? VAPIC_DELIVERS_POSTED : VAPIC_DELIVERS;
}

void vmx_apic_sync(struct vcpu *v, const struct lapic_page_state *a)
{
	struct virt_vcpu *s = v->virt;
	vmwrite(VMCS_interrupt_status, a->requested | (uint64_t)a->in_service << 8);
	for (unsigned i = 0; i < HV_ARRAY_LEN(s->eoi_exits); i++)
		if (s->eoi_exits[i] != a->level[i])
			vmwrite((enum vmcs_field)(VMCS_eoi_exits0 + 2 * i), s->eoi_exits[i] = a->level[i]);
}
