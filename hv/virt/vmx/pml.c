/*
 * Page-modification logging (SDM vol. 3, 30.3.6): the processor writes the guest-physical address of each page whose dirty flag it sets
 * into a page of ours, from its last entry down. While the dirty log is on, a vCPU's time slice begins with an empty page and ends by
 * bringing it over; a full page leaves the guest.
 */
#include "virt/vmx/insn.h"
#include "virt/vmx/vmx_impl.h"

#include "virt/gmem.h"
#include "vm/vm_impl.h"

#define ENTRIES 512u

static void empty(struct vcpu *v, const uint64_t *log)
{
	uint16_t next = (uint16_t)vmread(VMCS_pml_index); /* wraps below 0 when the page is full */
	for (unsigned i = next >= ENTRIES ? 0 : next + 1u; i < ENTRIES; i++)
		gmem_mark(v->vm->gmem, GPA(log[i]), 1);
	vmwrite(VMCS_pml_index, ENTRIES - 1);
}

void vmx_pml_load(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	bool on = vmx_features.pml && atomic_load_explicit(&v->vm->nested->logging, memory_order_acquire);
	if (on == s->pml_on)
		return;
	s->pml_on = on;
	vmx_proc2_control(v, PROC2_PML, on);
	if (on)
		vmwrite(VMCS_pml_index, ENTRIES - 1);
}

void vmx_pml_drain(struct vcpu *v)
{
	if (v->virt->pml_on)
		empty(v, v->virt->pml);
}
