/* See status.h. */
#include "status.h"
#include <errno.h>

static const struct {
	uint32_t status;
	struct status_verdict verdict;
} verdicts[] = {
	{0, {STATUS_OK, 0, "ok"}},
	{1, {STATUS_FAIL, -EACCES, "not owner"}},
	{2, {STATUS_FAIL, -ENOENT, "no such file"}},
	{5, {STATUS_FAIL, -EIO, "I/O error on the server"}},
	{6, {STATUS_FAIL, -EIO, "no such device on the server"}},
	{13, {STATUS_FAIL, -EACCES, "permission denied: check the export's access list and root squashing"}},
	{17, {STATUS_FAIL, -EEXIST, "file exists"}},
	{18, {STATUS_FAIL, -EIO, "cross-device"}},
	{19, {STATUS_FAIL, -EIO, "no such device"}},
	{20, {STATUS_FAIL, -ENOTDIR, "not a directory"}},
	{21, {STATUS_FAIL, -EISDIR, "is a directory"}},
	{22, {STATUS_FAIL, -EINVAL, "invalid argument"}},
	{27, {STATUS_FAIL, -ENOSPC, "file too large for the server"}},
	{28, {STATUS_FAIL, -ENOSPC, "no space left on the server"}},
	{30, {STATUS_FAIL, -EROFS, "read-only file system"}},
	{31, {STATUS_FAIL, -EIO, "too many links"}},
	{63, {STATUS_FAIL, -ENAMETOOLONG, "name too long"}},
	{66, {STATUS_FAIL, -EIO, "directory not empty"}},
	{69, {STATUS_FAIL, -ENOSPC, "quota exceeded"}},
	{70, {STATUS_STALE, -ENODEV, "stale file handle: the file was removed or replaced on the server"}},
	{71, {STATUS_FAIL, -EIO, "too many levels of remote"}},
	{10001, {STATUS_STALE, -ENODEV, "bad file handle"}},
	{10002, {STATUS_RETRY, -EIO, "update synchronisation mismatch"}},
	{10003, {STATUS_RETRY, -EIO, "stale directory cookie"}},
	{10004, {STATUS_FAIL, -EOPNOTSUPP, "not supported by the server"}},
	{10005, {STATUS_FAIL, -EIO, "buffer too small"}},
	{10006, {STATUS_RETRY, -EIO, "server fault"}},
	{10007, {STATUS_FAIL, -EIO, "bad type"}},
	{10008, {STATUS_WAIT, 0, "the server asks to try again later"}},
};

struct status_verdict status_judge(uint32_t nfsstat3)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(verdicts); i++)
		if (verdicts[i].status == nfsstat3)
			return verdicts[i].verdict;
	return (struct status_verdict){STATUS_RETRY, -EIO, "unknown status"};
}

const char *status_mount_text(uint32_t mountstat3)
{
	switch (mountstat3) {
	case 1:
	case 13:
		return "access denied: check the export's access list";
	case 2:
	case 20:
		return "there is no such export: check the path";
	case 10004:
		return "the server does not offer NFSv3 for it";
	case 10006:
		return "server fault";
	default:
		return "refused";
	}
}
