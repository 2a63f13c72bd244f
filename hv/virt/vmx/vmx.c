/*
 * VT-x: the verbs of virt.h (SDM vol. 3 ch. 24 to 29).
 *
 * Per core: the VMXON region, the VPID allocator (as svm.c's for ASIDs), and what is in the SYSCALL MSRs, which VMX does not switch and the
 * host does not use.
 *
 * VMCS: INACTIVE --load--> CURRENT --first enter--> LAUNCHED --unload--> INACTIVE. Unload clears it, so that its bytes are in memory and
 * any core may take it: a verb called outside of a time slice makes it current for its own duration.
 *
 * CR0.NE, CD and NW and the unlisted bits of CR4 are the host's: the guest sees its own values by the read shadows, and a write that
 * changes them exits. DR0-3 and DR6 are not switched: accesses exit until the first one in a time slice, as with SVM.
 */
#include "virt/vmx/vmx_impl.h"

#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

#define MSR_FEATURE_CONTROL 0x3au
#define FEATURE_LOCKED 1u
#define FEATURE_VMX 4u
#define CR4_VMXE (1ull << 13)
#define CR4_MCE (1ull << 6)
#define CR4_PCIDE (1ull << 17)
#define CR0_KNOWN 0xe005003full
#define CR0_OWN (CR0_NE | CR0_CD | CR0_NW)
/* VME PVI TSD DE PSE PAE PGE PCE OSFXSR OSXMMEXCPT UMIP FSGSBASE PCIDE OSXSAVE SMEP SMAP PKE: the guest's. */
#define CR4_GUEST 0x770fbfull
#define CR4_GUEST_BITS (CR4_GUEST & ~CR4_MCE)
#define DR_ENABLED 0xffull
#define DR6_RESET 0xffff0ff0ull
#define VPIDS 0x10000u
#define VIRTUAL_APIC_TPR 0x80

struct vmx_core {
	bool enabled;
	void *region;        /* VMXON */
	uint64_t current_pa; /* VMCS of the vCPU in its time slice; 0: none */
	uint64_t generation;
	uint32_t next_vpid;
	bool flush;                          /* a new generation: drop all of this core's guest TLB entries */
	uint64_t star, lstar, cstar, sfmask; /* in the machine */
};

static struct vmx_core cores[HV_MAX_CORES];
static uint8_t *msr_bitmap; /* the same for all guests */

/* ---- instructions ---- */

static inline uint64_t rd(enum vmcs_field f)
{
	uint64_t x;
	__asm__ volatile("vmread %1, %0" : "=r"(x) : "r"((uint64_t)f) : "cc");
	return x;
}

static inline void wr(enum vmcs_field f, uint64_t x)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)f), "r"(x) : "cc", "memory");
}

static void vmptrld(uint64_t pa)
{
	__asm__ volatile("vmptrld %0" : : "m"(pa) : "cc", "memory");
}

static void vmclear(uint64_t pa)
{
	__asm__ volatile("vmclear %0" : : "m"(pa) : "cc", "memory");
}

static void invept(uint64_t type, uint64_t eptp)
{
	struct {
		uint64_t eptp, zero;
	} d = {eptp, 0};
	__asm__ volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static void invvpid(uint64_t type, uint16_t vpid)
{
	struct {
		uint64_t vpid, linear;
	} d = {vpid, 0};
	__asm__ volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static uint64_t read_cr(unsigned n)
{
	uint64_t x;
	if (n == 0)
		__asm__ volatile("mov %%cr0, %0" : "=r"(x));
	else if (n == 2)
		__asm__ volatile("mov %%cr2, %0" : "=r"(x));
	else if (n == 3)
		__asm__ volatile("mov %%cr3, %0" : "=r"(x));
	else
		__asm__ volatile("mov %%cr4, %0" : "=r"(x));
	return x;
}

/* ---- the machine ---- */

static void bitmap_allow(uint32_t msr, bool write)
{
	uint32_t bit = msr < 0x2000 ? msr : 0x2000 + (msr - 0xc0000000);
	msr_bitmap[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
	if (write)
		msr_bitmap[0x800 + bit / 8] &= (uint8_t) ~(1u << (bit % 8));
}

static int make_maps(void)
{
	static const uint32_t direct[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};
	static const uint32_t readable[] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK};
	if (msr_bitmap)
		return 0;
	uint8_t *map = hv_pages_alloc(HV_ORDER_4K);
	if (!map)
		return -ENOMEM;
	memset(map, 0xff, HV_PAGE_SIZE);
	msr_bitmap = map;
	for (unsigned i = 0; i < HV_ARRAY_LEN(direct); i++)
		bitmap_allow(direct[i], true);
	for (unsigned i = 0; i < HV_ARRAY_LEN(readable); i++)
		bitmap_allow(readable[i], false);
	return 0;
}

/* 24.7: feature control, fixed bits, VMXON. */
static int core_enable(void)
{
	struct vmx_core *c = &cores[hv_core_self()];
	const struct vmx_limits *l = &vmx_features.limits;
	if (c->enabled)
		return 0;
	c->region = hv_pages_alloc(HV_ORDER_4K);
	if (!c->region)
		return -ENOMEM;
	*(uint32_t *)c->region = vmx_features.revision;
	uint64_t control = x86_rdmsr(MSR_FEATURE_CONTROL), pa = hv_virt_to_phys(c->region).v;
	if (!(control & FEATURE_LOCKED))
		x86_wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_LOCKED | FEATURE_VMX);
	__asm__ volatile("mov %0, %%cr0" : : "r"((read_cr(0) | l->cr0_fixed0) & l->cr0_fixed1) : "memory");
	__asm__ volatile("mov %0, %%cr4" : : "r"(read_cr(4) | l->cr4_fixed0 | CR4_VMXE) : "memory");
	__asm__ volatile("vmxon %0" : : "m"(pa) : "cc", "memory");
	c->star = x86_rdmsr(MSR_STAR);
	c->lstar = x86_rdmsr(MSR_LSTAR);
	c->cstar = x86_rdmsr(MSR_CSTAR);
	c->sfmask = x86_rdmsr(MSR_SFMASK);
	c->generation = 1;
	c->next_vpid = 1;
	c->flush = true;
	c->enabled = true;
	return 0;
}

/* ---- VMs and vCPUs ---- */

/* Makes v's VMCS current outside of its time slice; undone by release(). */
static void acquire(const struct vcpu *v)
{
	if (!v->virt->loaded)
		vmptrld(v->virt->region_pa);
}

static void release(const struct vcpu *v)
{
	uint64_t current_pa = cores[hv_core_self()].current_pa;
	if (v->virt->loaded)
		return;
	vmclear(v->virt->region_pa);
	if (current_pa)
		vmptrld(current_pa);
}

static int vm_init(struct vm *vm)
{
	_Static_assert(sizeof(struct virt_vm) <= HV_PAGE_SIZE, "fits a page");
	int ret = make_maps();
	if (ret)
		return ret;
	struct virt_vm *n = hv_pages_alloc(HV_ORDER_4K);
	if (!n)
		return -ENOMEM;
	ret = nested_create(&n->ept, &vmx_ept_format, vm->gmem, vmx_features.gib_pages);
	if (ret) {
		hv_pages_free(n, HV_ORDER_4K);
		return ret;
	}
	n->eptp = vmx_ept_pointer(&n->ept, vmx_features.accessed_dirty);
	vm->virt = n;
	return 0;
}

static void vm_free(struct vm *vm)
{
	if (!vm->virt)
		return;
	nested_destroy(&vm->virt->ept);
	hv_pages_free(vm->virt, HV_ORDER_4K);
	vm->virt = NULL;
}

/* Ch. 25.6 to 25.8. What is not written is 0, as the page is. */
static void set_controls(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	s->proc_controls = s->proc_written = vmx_features.proc;
	wr(VMCS_pin_controls, vmx_features.pin);
	wr(VMCS_proc_controls, s->proc_controls);
	wr(VMCS_proc2_controls, vmx_features.proc2);
	wr(VMCS_exit_controls, vmx_features.exit);
	wr(VMCS_entry_controls, vmx_features.entry);
	wr(VMCS_exception_bitmap, 1u << X86_DB | 1u << X86_AC | 1u << X86_MC); /* #DB and #AC: a guest could loop in them for ever */
	wr(VMCS_pf_mask, 0);
	wr(VMCS_pf_match, 0);
	wr(VMCS_cr3_target_count, 0);
	wr(VMCS_exit_msr_store_count, 0);
	wr(VMCS_exit_msr_load_count, 0);
	wr(VMCS_entry_msr_load_count, 0);
	wr(VMCS_entry_event, 0);
	wr(VMCS_msr_bitmap, hv_virt_to_phys(msr_bitmap).v);
	wr(VMCS_tsc_offset, (uint64_t)v->vm->tsc_offset);
	wr(VMCS_eptp, v->vm->virt->eptp);
	wr(VMCS_cr0_mask, CR0_OWN);
	wr(VMCS_cr4_mask, ~CR4_GUEST_BITS);
	if (vmx_features.proc2 & PROC2_PAUSE_LOOP) {
		wr(VMCS_ple_gap, 128);
		wr(VMCS_ple_window, 4096);
	}
	if (vmx_features.tpr_shadow) {
		wr(VMCS_virtual_apic, hv_virt_to_phys(s->virtual_apic).v);
		wr(VMCS_tpr_threshold, 0);
	}
}

/* Ch. 25.5: where exits go on. Per core and fiber, so at every load. */
static void set_host_state(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr, idtr;
	uint16_t tr, cs, ss;
	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	__asm__ volatile("sidt %0" : "=m"(idtr));
	__asm__ volatile("str %0" : "=r"(tr));
	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	__asm__ volatile("mov %%ss, %0" : "=r"(ss));
	const uint64_t *tss = (const uint64_t *)(gdtr.base + (tr & ~7u));
	uint64_t low = tss[0];
	wr(VMCS_host_cr0, read_cr(0));
	wr(VMCS_host_cr3, read_cr(3));
	wr(VMCS_host_cr4, read_cr(4));
	wr(VMCS_host_cs, cs);
	wr(VMCS_host_ss, ss);
	wr(VMCS_host_ds, 0);
	wr(VMCS_host_es, 0);
	wr(VMCS_host_fs, 0);
	wr(VMCS_host_gs, 0);
	wr(VMCS_host_tr, tr);
	wr(VMCS_host_fs_base, x86_rdmsr(MSR_FS_BASE));
	wr(VMCS_host_gs_base, x86_rdmsr(MSR_GS_BASE));
	wr(VMCS_host_tr_base, (low >> 16 & 0xffffff) | (low >> 56) << 24 | tss[1] << 32);
	wr(VMCS_host_gdtr_base, gdtr.base);
	wr(VMCS_host_idtr_base, idtr.base);
	wr(VMCS_host_sysenter_cs, 0);
	wr(VMCS_host_sysenter_esp, 0);
	wr(VMCS_host_sysenter_eip, 0);
	wr(VMCS_host_pat, x86_rdmsr(MSR_PAT));
	wr(VMCS_host_efer, x86_rdmsr(MSR_EFER));
	wr(VMCS_host_rip, (uint64_t)vmx_world_exit);
}

static void set_guest_state(struct vcpu *v)
{
	wr(VMCS_link_pointer, ~0ull);
	wr(VMCS_debugctl, 0);
	wr(VMCS_pat, PAT_RESET);
	wr(VMCS_efer, 0);
	wr(VMCS_interruptibility, 0);
	wr(VMCS_activity, 0);
	wr(VMCS_pending_debug, 0);
	wr(VMCS_rip, 0);
	wr(VMCS_rsp, 0);
	wr(VMCS_rflags, 2);
	v->virt->rflags = 2;
	v->virt->dr6 = DR6_RESET;
}

static void vcpu_free(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	if (!s)
		return;
	if (s->region)
		hv_pages_free(s->region, HV_ORDER_4K);
	if (s->virtual_apic)
		hv_pages_free(s->virtual_apic, HV_ORDER_4K);
	hv_pages_free(s, HV_ORDER_4K);
	v->virt = NULL;
}

static int vcpu_init(struct vcpu *v)
{
	_Static_assert(sizeof(struct virt_vcpu) <= HV_PAGE_SIZE, "fits a page");
	struct virt_vcpu *s = core_enable() ? NULL : hv_pages_alloc(HV_ORDER_4K);
	if (!s)
		return -ENOMEM;
	v->virt = s;
	s->region = hv_pages_alloc(HV_ORDER_4K);
	s->virtual_apic = hv_pages_alloc(HV_ORDER_4K);
	if (!s->region || !s->virtual_apic) {
		vcpu_free(v);
		return -ENOMEM;
	}
	*(uint32_t *)s->region = vmx_features.revision;
	s->region_pa = hv_virt_to_phys(s->region).v;
	vmclear(s->region_pa);
	acquire(v);
	set_controls(v);
	set_guest_state(v);
	release(v);
	return 0;
}

/* ---- debug registers ---- */

static void proc_control(struct vcpu *v, uint32_t bits, bool on)
{
	struct virt_vcpu *s = v->virt;
	s->proc_controls = on ? s->proc_controls | bits : s->proc_controls & ~bits;
}

void vmx_dr_load(struct vcpu *v)
{
	__asm__ volatile("mov %0, %%db0" : : "r"(v->dr[0]));
	__asm__ volatile("mov %0, %%db1" : : "r"(v->dr[1]));
	__asm__ volatile("mov %0, %%db2" : : "r"(v->dr[2]));
	__asm__ volatile("mov %0, %%db3" : : "r"(v->dr[3]));
	__asm__ volatile("mov %0, %%db6" : : "r"(v->virt->dr6));
	proc_control(v, PROC_MOV_DR, false);
	v->virt->dr_live = true;
}

static void dr_save(struct vcpu *v)
{
	__asm__ volatile("mov %%db0, %0" : "=r"(v->dr[0]));
	__asm__ volatile("mov %%db1, %0" : "=r"(v->dr[1]));
	__asm__ volatile("mov %%db2, %0" : "=r"(v->dr[2]));
	__asm__ volatile("mov %%db3, %0" : "=r"(v->dr[3]));
	__asm__ volatile("mov %%db6, %0" : "=r"(v->virt->dr6));
	proc_control(v, PROC_MOV_DR, true);
	v->virt->dr_live = false;
}

static uint64_t dr6_get(const struct vcpu *v)
{
	uint64_t x = v->virt->dr6;
	if (v->virt->dr_live)
		__asm__ volatile("mov %%db6, %0" : "=r"(x));
	return x;
}

static void dr6_set(struct vcpu *v, uint64_t value)
{
	v->virt->dr6 = value;
	if (v->virt->dr_live)
		__asm__ volatile("mov %0, %%db6" : : "r"(value));
}

void vmx_debug_exception(struct vcpu *v, uint64_t qualification)
{
	dr6_set(v, (dr6_get(v) & ~0xfull) | (qualification & 0x600f));
	wr(VMCS_dr7, rd(VMCS_dr7) & ~(1ull << 13)); /* GD, cleared by delivery (18.2.4) */
}

/* ---- control registers ---- */

static uint64_t cr0_get(void)
{
	return (rd(VMCS_cr0) & ~CR0_OWN) | (rd(VMCS_cr0_shadow) & CR0_OWN);
}

static uint64_t cr4_get(void)
{
	return (rd(VMCS_cr4) & CR4_GUEST_BITS) | (rd(VMCS_cr4_shadow) & ~CR4_GUEST_BITS);
}

static void cr0_set(uint64_t value)
{
	wr(VMCS_cr0, (value & ~(CR0_CD | CR0_NW)) | CR0_NE);
	wr(VMCS_cr0_shadow, value);
}

static void cr4_set(uint64_t value)
{
	wr(VMCS_cr4, (value & CR4_GUEST_BITS) | CR4_VMXE | (read_cr(4) & CR4_MCE));
	wr(VMCS_cr4_shadow, value);
}

static void efer_set(uint64_t value)
{
	uint64_t entry = rd(VMCS_entry_controls) & ~(uint64_t)ENTRY_LONG_MODE;
	wr(VMCS_efer, value);
	wr(VMCS_entry_controls, value & EFER_LMA ? entry | ENTRY_LONG_MODE : entry);
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

/* The four PDPTEs as the processor would load them (4.4.1); false: one has a reserved bit, or they are not in RAM. */
static bool read_pdptes(struct vcpu *v, uint64_t pdpte[4])
{
	uint64_t reserved = ~0ull << vmx_features.limits.phys_bits | 0x1e6;
	if (gmem_read(v->vm->gmem, GPA(rd(VMCS_cr3) & 0xffffffe0), pdpte, 4 * sizeof(*pdpte)))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (pdpte[i] & 1 && pdpte[i] & reserved)
			return false;
	return true;
}

/* Paging was changed by us: drop the guest's TLB entries, load PDPTEs. */
static void sync_paging(struct vcpu *v)
{
	uint64_t pdpte[4];
	v->virt->flush = false;
	if (vmx_features.vpid)
		invvpid(1, v->virt->vpid);
	if (!pae_paging(cr0_get(), cr4_get(), rd(VMCS_efer)))
		return;
	if (!read_pdptes(v, pdpte))
		memset(pdpte, 0, sizeof(pdpte));
	wr(VMCS_pdpte0, pdpte[0]);
	wr(VMCS_pdpte1, pdpte[1]);
	wr(VMCS_pdpte2, pdpte[2]);
	wr(VMCS_pdpte3, pdpte[3]);
}

/* MOV to CR0 (SDM vol. 2, "MOV: Move to/from Control Registers", and vol. 3, 9.8.5). False: #GP. */
static bool write_cr0(struct vcpu *v, uint64_t value)
{
	uint64_t old = cr0_get(), cr4 = cr4_get(), efer = rd(VMCS_efer), pdpte[4];
	bool on = value & CR0_PG && !(old & CR0_PG), off = !(value & CR0_PG) && old & CR0_PG;
	if (value >> 32 || (value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return false;
	bool code64 = rd(VMCS_cs_attr) & 1u << 13;
	if (on && efer & EFER_LME && (!(cr4 & CR4_PAE) || code64 || (rd(VMCS_tr_attr) & 15) != 11))
		return false;
	if (on && !(efer & EFER_LME) && cr4 & CR4_PAE && !read_pdptes(v, pdpte))
		return false;
	if (off && ((efer & EFER_LMA && code64) || cr4 & CR4_PCIDE))
		return false;
	cr0_set((value & CR0_KNOWN) | CR0_ET);
	if (on && efer & EFER_LME)
		efer_set(efer | EFER_LMA);
	if (off)
		efer_set(efer & ~EFER_LMA);
	v->virt->flush = true;
	return true;
}

/* MOV to CR4 that changes a bit which is not the guest's. False: #GP. */
static bool write_cr4(struct vcpu *v, uint64_t value)
{
	uint64_t efer = rd(VMCS_efer), pdpte[4], old = cr4_get();
	if (value & ~(CR4_GUEST & vmx_features.limits.cr4_fixed1))
		return false;
	if (efer & EFER_LMA && !(value & CR4_PAE))
		return false;
	if (value & CR4_PCIDE && !(old & CR4_PCIDE) && (!(efer & EFER_LMA) || rd(VMCS_cr3) & 0xfff))
		return false;
	if (pae_paging(cr0_get(), value, efer) && !read_pdptes(v, pdpte))
		return false;
	cr4_set(value);
	v->virt->flush = true;
	return true;
}

static uint64_t cr8_get(const struct vcpu *v)
{
	return vmx_features.tpr_shadow ? v->virt->virtual_apic[VIRTUAL_APIC_TPR] >> 4 : v->virt->cr8;
}

static void cr8_set(struct vcpu *v, uint64_t value)
{
	v->virt->cr8 = value & 15;
	v->virt->virtual_apic[VIRTUAL_APIC_TPR] = (uint8_t)(value << 4);
}

static bool write_cr(struct vcpu *v, unsigned cr, uint64_t value)
{
	if (cr == 0)
		return write_cr0(v, value);
	if (cr == 4)
		return write_cr4(v, value);
	if (cr != 8 || value > 15)
		return false;
	cr8_set(v, value);
	return true;
}

void vmx_cr_access(struct vcpu *v, uint64_t q, unsigned insn_len)
{
	unsigned cr = q & 15, reg = q >> 8 & 15;
	bool ok = true;
	switch (q >> 4 & 3) {
	case 0:
		ok = write_cr(v, cr, vcpu_code_bits(v) == 64 ? v->regs[reg] : (uint32_t)v->regs[reg]);
		break;
	case 1:
		if (cr == 8)
			v->regs[reg] = cr8_get(v);
		else
			v->regs[reg] = cr == 3 ? rd(VMCS_cr3) : cr == 4 ? cr4_get() : cr0_get();
		break;
	case 2:
		cr0_set(cr0_get() & ~(1ull << 3));
		break;
	case 3: /* LMSW: PE can be set, not cleared */
		ok = write_cr0(v, (cr0_get() & ~0xeull) | (q >> 16 & 0xf));
		break;
	}
	if (ok)
		vcpu_skip(v, insn_len);
	else
		vcpu_inject_gp(v);
}

/* ---- running ---- */

/* vpid_generation 0 asks for a fresh one. A vCPU stays on its core. */
static void take_vpid(struct vcpu *v, struct vmx_core *c)
{
	struct virt_vcpu *s = v->virt;
	if (c->next_vpid == VPIDS) {
		c->generation++;
		c->next_vpid = 1;
		c->flush = true;
	}
	s->vpid = (uint16_t)c->next_vpid++;
	s->vpid_generation = c->generation;
	wr(VMCS_vpid, s->vpid);
	if (c->flush)
		invvpid(2, 0);
	c->flush = false;
}

static void load_syscall_msrs(const struct virt_vcpu *s, struct vmx_core *c)
{
	if (c->star != s->star)
		x86_wrmsr(MSR_STAR, c->star = s->star);
	if (c->lstar != s->lstar)
		x86_wrmsr(MSR_LSTAR, c->lstar = s->lstar);
	if (c->cstar != s->cstar)
		x86_wrmsr(MSR_CSTAR, c->cstar = s->cstar);
	if (c->sfmask != s->sfmask)
		x86_wrmsr(MSR_SFMASK, c->sfmask = s->sfmask);
}

static void load(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	struct virt_vm *n = v->vm->virt;
	struct vmx_core *c = &cores[v->core];
	vmptrld(s->region_pa);
	c->current_pa = s->region_pa;
	s->loaded = true;
	s->launched = false;
	set_host_state();
	if (vmx_features.vpid && s->vpid_generation != c->generation)
		take_vpid(v, c);
	if (!n->seen[v->core]) {
		invept(1, n->eptp);
		n->seen[v->core] = true;
	}
	load_syscall_msrs(s, c);
	x86_wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
	if (rd(VMCS_dr7) & DR_ENABLED)
		vmx_dr_load(v);
}

static void unload(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	if (s->dr_live)
		dr_save(v);
	s->kernel_gs_base = x86_rdmsr(MSR_KERNEL_GS_BASE);
	s->loaded = false;
	vmclear(s->region_pa);
	cores[v->core].current_pa = 0;
}

static void write_state(struct vcpu *v)
{
	struct virt_vcpu *s = v->virt;
	if (s->rip != v->rip)
		wr(VMCS_rip, v->rip);
	if (s->rsp != v->regs[VREG_RSP])
		wr(VMCS_rsp, v->regs[VREG_RSP]);
	if (s->rflags != v->rflags)
		wr(VMCS_rflags, v->rflags);
	if (s->window)
		s->proc_controls |= PROC_IRQ_WINDOW;
	if (s->proc_written != s->proc_controls)
		wr(VMCS_proc_controls, s->proc_written = s->proc_controls);
	if (s->flush)
		sync_paging(v);
	if (s->event & EVENT_VALID) {
		wr(VMCS_entry_event, s->event);
		wr(VMCS_entry_error, s->event_error);
	}
	uint32_t threshold = s->watch_cr8 ? (uint32_t)cr8_get(v) : 0;
	if (vmx_features.tpr_shadow && s->tpr_threshold != threshold)
		wr(VMCS_tpr_threshold, s->tpr_threshold = threshold);
	if (s->cr2 != read_cr(2))
		__asm__ volatile("mov %0, %%cr2" : : "r"(s->cr2));
}

/* RFLAGS.IF is 0. An NMI that left the guest has been taken by the exit: the host's handler runs now, and its IRET opens NMIs again. */
static void read_state(struct vcpu *v, bool entered)
{
	struct virt_vcpu *s = v->virt;
	struct vmx_exit *x = &s->exit;
	s->cr2 = read_cr(2);
	x->reason = entered ? (uint32_t)rd(VMCS_exit_reason) : VMX_EXIT_ENTRY_FAILED;
	if (entered && !(x->reason & VMX_EXIT_ENTRY_FAILED))
		s->launched = true;
	if (x->reason == VMX_EXIT_IRQ_WINDOW)
		s->proc_controls &= ~PROC_IRQ_WINDOW;
	unsigned wants = vmx_exit_wants(x->reason);
	if (wants & VMX_WANT_EVENT) {
		x->event = (uint32_t)rd(VMCS_exit_event);
		x->event_error = x->event & EVENT_ERROR ? (uint32_t)rd(VMCS_exit_event_error) : 0;
		if (EVENT_TYPE(x->event) == VMX_NMI)
			__asm__ volatile("int $2" : : : "memory");
	}
	if (wants & VMX_WANT_QUALIFICATION)
		x->qualification = rd(VMCS_qualification);
	if (wants & VMX_WANT_PHYSICAL)
		x->guest_physical = rd(VMCS_guest_physical);
	if (wants & VMX_WANT_LENGTH)
		x->insn_len = (uint32_t)rd(VMCS_insn_len);
	v->rip = s->rip = rd(VMCS_rip);
	v->regs[VREG_RSP] = s->rsp = rd(VMCS_rsp);
	v->rflags = s->rflags = rd(VMCS_rflags);
	v->shadow = rd(VMCS_interruptibility) & (BLOCKED_STI | BLOCKED_MOV_SS);
}

static void enter(struct vcpu *v, struct virt_exit *e)
{
	struct virt_vcpu *s = v->virt;
	__asm__ volatile("cli" : : : "memory");
	if (vcpu_must_leave(v)) {
		__asm__ volatile("sti" : : : "memory");
		e->reason = VEXIT_NONE;
		vmx_event_from(s->event, s->event_error, &e->interrupted);
		s->event = 0;
		return;
	}
	write_state(v);
	s->event = 0;
	bool entered = vmx_world_switch(v->regs, s->launched);
	read_state(v, entered);
	__asm__ volatile("sti" : : : "memory");
	uint32_t event = entered && !(s->exit.reason & VMX_EXIT_ENTRY_FAILED) ? (uint32_t)rd(VMCS_idt_event) : 0;
	vmx_event_from(event, event & EVENT_ERROR ? (uint32_t)rd(VMCS_idt_error) : 0, &e->interrupted);
	e->cr8 = (uint8_t)cr8_get(v);
	vmx_decode_exit(v, e);
}

const char *vmx_why_invalid(void)
{
	struct vmcs_image b;
#define X(name, encoding) b.name = rd(VMCS_##name);
	VMCS_FIELDS(X)
#undef X
	return vmx_check(&b, &vmx_features.limits);
}

/* ---- state: neutral segment order is VMX's ---- */

#define SEG_FIELD(first, id) ((enum vmcs_field)((first) + 2 * (id)))

static void get_seg(const struct vcpu *v, enum virt_seg_id id, struct virt_seg *seg)
{
	acquire(v);
	*seg = (struct virt_seg){.base = rd(SEG_FIELD(VMCS_es_base, id)), .limit = (uint32_t)rd(SEG_FIELD(VMCS_es_limit, id))};
	if (id < VSEG_GDTR) {
		uint64_t ar = rd(SEG_FIELD(VMCS_es_attr, id));
		seg->selector = (uint16_t)rd(SEG_FIELD(VMCS_es_selector, id));
		seg->attr = (uint16_t)((ar & 0xff) | (ar >> 4 & 0xf00));
		if (ar & VMX_SEG_UNUSABLE)
			seg->attr &= (uint16_t)~SEG_P;
	}
	release(v);
}

static void set_seg(struct vcpu *v, enum virt_seg_id id, const struct virt_seg *seg)
{
	acquire(v);
	wr(SEG_FIELD(VMCS_es_base, id), seg->base);
	wr(SEG_FIELD(VMCS_es_limit, id), seg->limit);
	if (id < VSEG_GDTR) {
		wr(SEG_FIELD(VMCS_es_selector, id), seg->selector);
		wr(SEG_FIELD(VMCS_es_attr, id),
			(seg->attr & 0xffu) | (seg->attr & 0xf00u) << 4 | (seg->attr & SEG_P ? 0 : VMX_SEG_UNUSABLE));
	}
	release(v);
}

static uint64_t get_control(const struct vcpu *v, enum virt_control c)
{
	uint64_t x = 0;
	if (c == VCTL_CR8)
		return cr8_get(v);
	acquire(v);
	switch (c) {
	case VCTL_CR0:
		x = cr0_get();
		break;
	case VCTL_CR2:
		x = v->virt->cr2;
		break;
	case VCTL_CR3:
		x = rd(VMCS_cr3);
		break;
	case VCTL_CR4:
		x = cr4_get();
		break;
	case VCTL_EFER:
		x = rd(VMCS_efer);
		break;
	case VCTL_DR6:
		x = dr6_get(v);
		break;
	case VCTL_DR7:
		x = rd(VMCS_dr7);
		break;
	case VCTL_CPL: /* 25.4.1: SS's DPL is the CPL */
		x = rd(VMCS_ss_attr) >> SEG_DPL_SHIFT & 3;
		break;
	default:
		break;
	}
	release(v);
	return x;
}

static void set_control(struct vcpu *v, enum virt_control c, uint64_t value)
{
	struct virt_vcpu *s = v->virt;
	acquire(v);
	switch (c) {
	case VCTL_CR0:
		cr0_set(value);
		s->flush = true;
		break;
	case VCTL_CR2:
		s->cr2 = value;
		break;
	case VCTL_CR3:
		wr(VMCS_cr3, value);
		s->flush = true;
		break;
	case VCTL_CR4:
		cr4_set(value);
		s->flush = true;
		break;
	case VCTL_EFER:
		efer_set(value);
		s->flush = true;
		break;
	case VCTL_CR8:
		cr8_set(v, value);
		break;
	case VCTL_DR6:
		dr6_set(v, value);
		break;
	case VCTL_DR7:
		wr(VMCS_dr7, value);
		break;
	case VCTL_CPL:
		wr(VMCS_ss_attr, (rd(VMCS_ss_attr) & ~(3ull << SEG_DPL_SHIFT)) | (value & 3) << SEG_DPL_SHIFT);
		break;
	default:
		break;
	}
	release(v);
}

static uint64_t *own_msr(struct virt_vcpu *s, uint32_t msr)
{
	switch (msr) {
	case MSR_STAR:
		return &s->star;
	case MSR_LSTAR:
		return &s->lstar;
	case MSR_CSTAR:
		return &s->cstar;
	case MSR_SFMASK:
		return &s->sfmask;
	case MSR_KERNEL_GS_BASE:
		return &s->kernel_gs_base;
	default:
		return NULL;
	}
}

static enum vmcs_field msr_field(uint32_t msr)
{
	switch (msr) {
	case MSR_SYSENTER_CS:
		return VMCS_sysenter_cs;
	case MSR_SYSENTER_ESP:
		return VMCS_sysenter_esp;
	case MSR_SYSENTER_EIP:
		return VMCS_sysenter_eip;
	case MSR_FS_BASE:
		return VMCS_fs_base;
	case MSR_GS_BASE:
		return VMCS_gs_base;
	case MSR_PAT:
		return VMCS_pat;
	default:
		return VMCS_exit_reason; /* none */
	}
}

static bool get_msr(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
	const uint64_t *own = own_msr(v->virt, msr);
	enum vmcs_field f = msr_field(msr);
	if (own) {
		*value = msr == MSR_KERNEL_GS_BASE && v->virt->loaded ? x86_rdmsr(msr) : *own;
		return true;
	}
	if (f == VMCS_exit_reason)
		return false;
	acquire(v);
	*value = rd(f);
	release(v);
	return true;
}

static bool set_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t *own = own_msr(v->virt, msr);
	enum vmcs_field f = msr_field(msr);
	if (own) {
		*own = value;
		if (v->virt->loaded && msr == MSR_KERNEL_GS_BASE)
			x86_wrmsr(msr, value);
		else if (v->virt->loaded)
			load_syscall_msrs(v->virt, &cores[v->core]);
		return true;
	}
	if (f == VMCS_exit_reason)
		return false;
	acquire(v);
	wr(f, value);
	release(v);
	return true;
}

/* ---- events ---- */

static void inject(struct vcpu *v, const struct virt_event *e)
{
	struct virt_vcpu *s = v->virt;
	bool error = e->has_error && cr0_get() & CR0_PE; /* none in real mode */
	s->event = e->vector | (uint32_t)e->type << 8 | (error ? EVENT_ERROR : 0) | EVENT_VALID;
	s->event_error = e->error;
	if (e->type == VEVENT_NMI) /* one that was cut short has left the block behind; delivery sets it again */
		wr(VMCS_interruptibility, rd(VMCS_interruptibility) & ~(uint64_t)BLOCKED_NMI);
}

void vmx_block_nmi(struct vcpu *v)
{
	wr(VMCS_interruptibility, rd(VMCS_interruptibility) | BLOCKED_NMI);
}

/*
 * Once asked for, the window's control stays until its exit, wanted or not: Bochs keeps the event pending when the control is cleared before
 * (seen with 2.7: STI, HLT with an interrupt waiting; then exits for windows without end).
 */
static void irq_window(struct vcpu *v, bool on)
{
	v->virt->window = on;
}

/* The machine blocks virtual NMIs from delivery to IRET by itself; the window tells when they are open. */
static void nmi_window(struct vcpu *v, bool on)
{
	bool injecting = v->virt->event & EVENT_VALID && EVENT_TYPE(v->virt->event) == VMX_NMI;
	proc_control(v, PROC_NMI_WINDOW, on);
	if (injecting)
		return;
	acquire(v);
	uint64_t was = rd(VMCS_interruptibility);
	wr(VMCS_interruptibility, on ? was | BLOCKED_NMI : was & ~(uint64_t)BLOCKED_NMI);
	release(v);
}

static void shadow(struct vcpu *v, bool on)
{
	acquire(v);
	uint64_t was = rd(VMCS_interruptibility), now = was & ~(uint64_t)(BLOCKED_STI | BLOCKED_MOV_SS);
	if (on)
		now |= v->rflags & FLAGS_IF ? BLOCKED_STI : BLOCKED_MOV_SS;
	if (now != was) {
		wr(VMCS_interruptibility, now);
		wr(VMCS_pending_debug, on && v->rflags & FLAGS_TF ? 1u << 14 : 0);
	}
	v->shadow = on;
	release(v);
}

static void watch_cr8(struct vcpu *v, bool on)
{
	v->virt->watch_cr8 = on;
}

const struct virt_ops vmx_ops = {
	.name = "VT-x",
	.probe = vmx_probe,
	.core_enable = core_enable,
	.vm_init = vm_init,
	.vm_free = vm_free,
	.vcpu_init = vcpu_init,
	.vcpu_free = vcpu_free,
	.load = load,
	.unload = unload,
	.enter = enter,
	.get_seg = get_seg,
	.set_seg = set_seg,
	.get_control = get_control,
	.set_control = set_control,
	.get_msr = get_msr,
	.set_msr = set_msr,
	.inject = inject,
	.irq_window = irq_window,
	.nmi_window = nmi_window,
	.shadow = shadow,
	.watch_cr8 = watch_cr8,
};
