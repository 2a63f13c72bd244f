/* Address ranges, see ranges.h. */
#include "kern/ranges.h"

static void delete_at(struct ranges *set, unsigned i)
{
	set->count--;
	for (; i < set->count; i++)
		set->r[i] = set->r[i + 1];
}

static void insert_at(struct ranges *set, unsigned at, struct range r)
{
	for (unsigned i = set->count; i > at; i--)
		set->r[i] = set->r[i - 1];
	set->r[at] = r;
	set->count++;
}

bool ranges_add(struct ranges *set, uint64_t start, uint64_t end)
{
	unsigned i = 0;

	if (start >= end)
		return true;
	while (i < set->count && set->r[i].end < start)
		i++;
	if (i == set->count || set->r[i].start > end) {
		if (set->count == RANGES_MAX)
			return false;
		insert_at(set, i, (struct range){start, end});
		return true;
	}
	set->r[i].start = HV_MIN(set->r[i].start, start);
	set->r[i].end = HV_MAX(set->r[i].end, end);
	while (i + 1 < set->count && set->r[i + 1].start <= set->r[i].end) {
		set->r[i].end = HV_MAX(set->r[i].end, set->r[i + 1].end);
		delete_at(set, i + 1);
	}
	return true;
}

bool ranges_remove(struct ranges *set, uint64_t start, uint64_t end)
{
	if (start >= end)
		return true;
	for (unsigned i = 0; i < set->count;) {
		struct range *r = &set->r[i];

		if (r->end <= start || r->start >= end) {
			i++;
		} else if (r->start >= start && r->end <= end) {
			delete_at(set, i);
		} else if (r->start < start && r->end > end) {
			if (set->count == RANGES_MAX)
				return false;
			insert_at(set, i + 1, (struct range){end, r->end});
			r->end = start;
			return true;
		} else if (r->start < start) {
			r->end = start;
			i++;
		} else {
			r->start = end;
			i++;
		}
	}
	return true;
}

bool ranges_take(struct ranges *set, uint64_t bytes, uint64_t align, uint64_t limit, uint64_t *start)
{
	for (unsigned i = set->count; i-- > 0;) {
		uint64_t end = HV_MIN(set->r[i].end, limit);
		uint64_t at;

		if (end < bytes)
			continue;
		at = HV_ALIGN_DOWN(end - bytes, align);
		if (at < set->r[i].start || !ranges_remove(set, at, at + bytes))
			continue;
		*start = at;
		return true;
	}
	return false;
}
