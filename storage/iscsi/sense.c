/* See sense.h. Two tables: SAM-5 status codes, then sense keys, some refined by additional sense codes (first match wins). */
#include "sense.h"
#include <errno.h>

#define ANY 0xff

enum {
	GOOD = 0x00,
	CHECK_CONDITION = 0x02,
	CONDITION_MET = 0x04,
	BUSY = 0x08,
	CONFLICT = 0x18,
	SET_FULL = 0x28,
	ACA_ACTIVE = 0x30,
	ABORTED = 0x40
};

static const struct {
	uint8_t status;
	struct sense_verdict verdict;
} statuses[] = {
	{GOOD, {SENSE_OK, 0, "good"}},
	{CONDITION_MET, {SENSE_OK, 0, "condition met"}},
	{BUSY, {SENSE_WAIT, 0, "busy"}},
	{SET_FULL, {SENSE_WAIT, 0, "task set full"}},
	{CONFLICT, {SENSE_FAIL, -EIO, "reservation conflict: another host has reserved the LUN"}},
	{ACA_ACTIVE, {SENSE_WAIT, 0, "ACA active"}},
	{ABORTED, {SENSE_RETRY, -EIO, "task aborted"}},
};

static const struct {
	uint8_t key, asc, ascq;
	struct sense_verdict verdict;
} senses[] = {
	{0x0, ANY, ANY, {SENSE_OK, 0, "no sense"}},
	{0x1, ANY, ANY, {SENSE_OK, 0, "recovered error"}},
	{0x2, ANY, ANY, {SENSE_WAIT, 0, "not ready"}},
	{0x3, ANY, ANY, {SENSE_FAIL, -EIO, "medium error"}},
	{0x4, 0x44, ANY, {SENSE_RETRY, -EIO, "internal target failure"}},
	{0x4, ANY, ANY, {SENSE_FAIL, -EIO, "hardware error"}},
	{0x5, 0x20, ANY, {SENSE_FAIL, -EOPNOTSUPP, "command not supported"}},
	{0x5, 0x21, ANY, {SENSE_FAIL, -EINVAL, "block address out of range"}},
	{0x5, 0x25, ANY, {SENSE_WAIT, 0, "the target has no such LUN"}}, /* unmapped or being replaced: like a lost array */
	{0x5, ANY, ANY, {SENSE_FAIL, -EIO, "illegal request"}},
	{0x6, ANY, ANY, {SENSE_ATTENTION, 0, "unit attention"}},
	{0x7, 0x27, 0x07, {SENSE_FAIL, -ENOSPC, "thin-provisioned space is used up"}},
	{0x7, ANY, ANY, {SENSE_FAIL, -EROFS, "write protected"}},
	{0x8, ANY, ANY, {SENSE_FAIL, -EIO, "blank check"}},
	{0xb, 0x47, ANY, {SENSE_RETRY, -EIO, "transport CRC error"}},
	{0xb, ANY, ANY, {SENSE_RETRY, -EIO, "command aborted by the target"}},
	{0xd, ANY, ANY, {SENSE_FAIL, -ENOSPC, "volume overflow"}},
	{0xe, ANY, ANY, {SENSE_FAIL, -EIO, "miscompare"}},
};

static struct sense_verdict judge_sense(uint8_t key, uint8_t asc, uint8_t ascq)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(senses); i++)
		if (senses[i].key == key && (senses[i].asc == ANY || senses[i].asc == asc) &&
			(senses[i].ascq == ANY || senses[i].ascq == ascq))
			return senses[i].verdict;
	return (struct sense_verdict){SENSE_RETRY, -EIO, "unknown sense key"};
}

struct sense_verdict sense_judge(uint8_t status, uint8_t key, uint8_t asc, uint8_t ascq)
{
	if (status == CHECK_CONDITION)
		return judge_sense(key & 0xf, asc, ascq);
	for (unsigned i = 0; i < HV_ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].verdict;
	return (struct sense_verdict){SENSE_RETRY, -EIO, "unknown status"};
}
