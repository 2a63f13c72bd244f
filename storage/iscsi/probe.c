/*
 * Which disk is this LUN, how large, what can it do: a fixed sequence of commands, run after each login and after a unit attention. While
 * it runs no request is sent.
 *
 *   TEST UNIT READY -> INQUIRY -> VPD 00h -> 80h -> 83h -> B0h -> B2h -> READ CAPACITY(16) -> probe_finish
 *
 * A unit attention repeats the step; "not ready" repeats it later for as long as it takes; a VPD page that the unit does not list is
 * skipped.
 */
#include "session.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

#define MS 1000000ULL
#define AGAIN_NS (500 * MS)
#define MAX_ATTENTIONS 32

enum { INQUIRY = 0x12, TEST_UNIT_READY = 0x00, SERVICE_ACTION_IN_16 = 0x9e, READ_CAPACITY_16 = 0x10 };

static int got_nothing(struct iscsi_initiator *s, size_t bytes)
{
	return 0;
}

static int got_inquiry(struct iscsi_initiator *s, size_t bytes)
{
	uint8_t type = 0;
	int err = inquiry_standard(s->probe.buffer, bytes, &s->probe.id, &type);

	if (err == -ENODEV)
		session_fail(s, true, "LUN %u of %s is no disk (peripheral 0x%02x): check the LUN number", s->config.lun, s->config.target,
			type);
	else if (err)
		session_fail(s, true, "LUN %u of %s: INQUIRY data too short", s->config.lun, s->config.target);
	return err;
}

static int got_pages(struct iscsi_initiator *s, size_t bytes)
{
	memcpy(s->probe.pages, s->probe.buffer, bytes);
	s->probe.pages_bytes = bytes;
	return 0;
}

static int got_serial(struct iscsi_initiator *s, size_t bytes)
{
	(void)inquiry_serial(s->probe.buffer, bytes, &s->probe.id); /* optional: without it the unit has no serial */
	return 0;
}

static int got_designators(struct iscsi_initiator *s, size_t bytes)
{
	(void)inquiry_designators(s->probe.buffer, bytes, &s->probe.id); /* optional, as the serial */
	return 0;
}

static int got_limits(struct iscsi_initiator *s, size_t bytes)
{
	inquiry_block_limits(s->probe.buffer, bytes, &s->probe.limits);
	return 0;
}

static int got_provisioning(struct iscsi_initiator *s, size_t bytes)
{
	inquiry_provisioning(s->probe.buffer, bytes, &s->probe.limits);
	return 0;
}

static int got_capacity(struct iscsi_initiator *s, size_t bytes)
{
	int err = inquiry_capacity(s->probe.buffer, bytes, &s->probe.capacity);

	if (err)
		session_fail(s, true, "LUN %u of %s: capacity not usable (block size other than 512 and 4096, or too large)", s->config.lun,
			s->config.target);
	return err;
}

static const struct probe_step {
	uint8_t opcode, page; /* page: VPD page; 0 for others */
	bool vpd, optional;
	uint16_t bytes;
	int (*got)(struct iscsi_initiator *s, size_t bytes);
} steps[] = {
	{TEST_UNIT_READY, 0, false, false, 0, got_nothing},
	{INQUIRY, 0x00, false, false, 96, got_inquiry},
	{INQUIRY, 0x00, true, true, 255, got_pages},
	{INQUIRY, 0x80, true, true, 255, got_serial},
	{INQUIRY, 0x83, true, true, 1024, got_designators},
	{INQUIRY, 0xb0, true, true, 64, got_limits},
	{INQUIRY, 0xb2, true, true, 64, got_provisioning},
	{SERVICE_ACTION_IN_16, 0, false, false, 32, got_capacity},
};

/* The LUN that answers must be the one that was there before: guests hold state about it, and requests wait in its blocks. */
static bool same_unit(const struct lun *lun, const struct lun_identity *now, uint32_t block_bytes)
{
	const struct lun_identity *was = &lun->id;

	if (!lun->identified)
		return true;
	if (lun->blk.block_bytes != block_bytes)
		return false;
	if (was->naa_bytes || now->naa_bytes)
		return was->naa_bytes == now->naa_bytes && memcmp(was->naa, now->naa, was->naa_bytes) == 0;
	return strcmp(was->serial, now->serial) == 0 && strcmp(was->product, now->product) == 0;
}

static uint32_t transfer_limit(const struct inquiry_limits *limits, uint32_t block)
{
	uint64_t most = limits->max_transfer_blocks ? (uint64_t)limits->max_transfer_blocks * block : SESSION_MAX_BYTES;

	return (uint32_t)HV_MIN(most, (uint64_t)SESSION_MAX_BYTES);
}

static void probe_apply(struct iscsi_initiator *s)
{
	struct blk_dev *blk = &s->lun.blk;
	const struct iscsi_probe *p = &s->probe;
	uint64_t size = p->capacity.blocks * p->capacity.block_bytes, old_size = blk->size_bytes;
	bool first = !s->lun.identified;

	s->lun.id = p->id;
	s->lun.identified = true;
	s->lun.thin = p->limits.thin;
	s->limits = p->limits;
	blk->size_bytes = size;
	blk->block_bytes = p->capacity.block_bytes;
	blk->physical_bytes = HV_MIN(p->capacity.physical_bytes, 1024u * 1024);
	blk->max_bytes = transfer_limit(&p->limits, blk->block_bytes);
	blk->can_discard = p->limits.unmap && p->limits.max_unmap_blocks;
	blk->can_write_zeroes = p->limits.max_write_same_blocks || p->limits.write_same;
	if (first)
		log_info("iscsi.lun", "%s: LUN %u is %s %s, serial \"%s\", %llu MiB, %u-byte blocks%s", s->link.name, s->config.lun,
			s->lun.id.vendor, s->lun.id.product, s->lun.id.serial, (unsigned long long)(size >> 20), blk->block_bytes,
			s->lun.thin ? ", thin" : "");
	else if (size != old_size)
		log_warn("iscsi.lun.resized", "%s: LUN %u was %llu MiB, is %llu MiB now", s->link.name, s->config.lun,
			(unsigned long long)(old_size >> 20), (unsigned long long)(size >> 20));
	if (size != old_size && blk->changed)
		blk->changed(blk, blk->changed_arg);
}

static void probe_finish(struct iscsi_initiator *s)
{
	s->probe.running = false;
	if (!same_unit(&s->lun, &s->probe.id, s->probe.capacity.block_bytes)) {
		session_fail(s, true,
			"LUN %u is another disk now (serial \"%s\", %u-byte blocks; was \"%s\", %u): not used, to protect its data",
			s->config.lun, s->probe.id.serial, s->probe.capacity.block_bytes, s->lun.id.serial, s->lun.blk.block_bytes);
		return;
	}
	probe_apply(s);
	s->unit_waits = false;
	session_probed(s);
}

static void probe_step(struct iscsi_initiator *s);

static void probe_next(struct iscsi_initiator *s)
{
	s->probe.step++;
	s->probe.attentions = 0;
	probe_step(s);
}

static void probe_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct iscsi_op *op = arg;
	struct iscsi_initiator *s = op->s;
	const struct probe_step *step = &steps[s->probe.step];
	struct sense_verdict v;
	size_t bytes;

	if (ctx != s->ctx || status == SCSI_STATUS_CANCELLED)
		return;
	op->task.xfer_dir = SCSI_XFER_NONE; /* a short answer is no error here */
	v = command_verdict(status, &op->task);
	bytes = v.action == SENSE_OK ? (size_t)op->task.datain.size : 0; /* into probe.buffer: no more than was asked for */
	command_op_put(op);
	if (v.action == SENSE_OK) {
		if (step->got(s, bytes) == 0)
			probe_next(s);
	} else if (v.action == SENSE_ATTENTION && ++s->probe.attentions < MAX_ATTENTIONS) {
		probe_step(s);
	} else if (v.action == SENSE_WAIT) {
		if (!s->unit_waits)
			log_warn("iscsi.unit.waits", "%s: LUN %u of %s: %s; waiting for it", s->link.name, s->config.lun, s->config.target,
				v.text);
		s->unit_waits = true;
		s->probe.again_ns = hv_now_ns() + AGAIN_NS;
	} else if (v.action == SENSE_FAIL && step->optional) {
		probe_next(s);
	} else {
		session_fail(s, true, "LUN %u of %s: %s", s->config.lun, s->config.target, v.text);
	}
}

static void probe_send(struct iscsi_initiator *s, const struct probe_step *step)
{
	struct iscsi_op *op = command_op_get(s, NULL);

	if (!op) {
		s->probe.again_ns = hv_now_ns() + AGAIN_NS; /* requests of before the attention are still in flight */
		return;
	}
	memset(s->probe.buffer, 0, sizeof(s->probe.buffer));
	op->task.cdb_size = step->opcode == SERVICE_ACTION_IN_16 ? 16 : 6;
	op->task.cdb[0] = step->opcode;
	op->task.expxferlen = step->bytes;
	op->task.xfer_dir = step->bytes ? SCSI_XFER_READ : SCSI_XFER_NONE;
	if (step->opcode == INQUIRY) {
		op->task.cdb[1] = step->vpd;
		op->task.cdb[2] = step->page;
		op->task.cdb[3] = (uint8_t)(step->bytes >> 8);
		op->task.cdb[4] = (uint8_t)step->bytes;
	} else if (step->opcode == SERVICE_ACTION_IN_16) {
		op->task.cdb[1] = READ_CAPACITY_16;
		op->task.cdb[13] = (uint8_t)step->bytes;
	}
	if (step->bytes) {
		op->iov[0] = (struct scsi_iovec){.iov_base = s->probe.buffer, .iov_len = step->bytes};
		scsi_task_set_iov_in(&op->task, op->iov, 1);
	}
	(void)command_op_send(op, probe_done); /* a refusal has failed the session, which takes the op back */
}

static void probe_step(struct iscsi_initiator *s)
{
	struct iscsi_probe *p = &s->probe;

	p->again_ns = 0;
	while (p->step < HV_ARRAY_LEN(steps) && steps[p->step].vpd && steps[p->step].page &&
		!inquiry_has_page(p->pages, p->pages_bytes, steps[p->step].page))
		p->step++;
	if (p->step == HV_ARRAY_LEN(steps))
		probe_finish(s);
	else
		probe_send(s, &steps[p->step]);
}

void probe_start(struct iscsi_initiator *s)
{
	if (s->probe.running)
		return;
	memset(&s->probe, 0, sizeof(s->probe));
	s->probe.running = true;
	probe_step(s);
}

void probe_stop(struct iscsi_initiator *s)
{
	s->probe.running = false;
	s->probe.again_ns = 0;
}

void probe_tick(struct iscsi_initiator *s, uint64_t now)
{
	if (s->probe.running && s->probe.again_ns && now >= s->probe.again_ns)
		probe_step(s);
}
