/*
 * Slabs: a fixed number of objects of one size, linked through their first word while free. Owned by one core, no lock.
 */
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>

#define CACHE_LINE 64u

static size_t stride(const struct hv_slab *s)
{
	size_t align = s->object_bytes >= CACHE_LINE ? CACHE_LINE : 16;

	return HV_ALIGN_UP(HV_MAX(s->object_bytes, sizeof(void *)), align);
}

int hv_slab_init(struct hv_slab *s, const char *name, size_t object_bytes, unsigned capacity)
{
	size_t step;
	char *base;

	*s = (struct hv_slab){.name = name, .object_bytes = object_bytes, .capacity = capacity};
	step = stride(s);
	if (!object_bytes || !capacity || object_bytes > SIZE_MAX / 2 || step > SIZE_MAX / 2 / capacity)
		return trace_error(-EINVAL);
	base = hv_contig_alloc(step * capacity, HV_PAGE_SIZE);
	if (!base)
		return trace_error(-ENOMEM);
	s->base = base;
	for (unsigned i = capacity; i-- > 0;) {
		void **object = (void **)(base + i * step);

		*object = s->free_list;
		s->free_list = object;
	}
	return 0;
}

void *hv_slab_get(struct hv_slab *s)
{
	void **object = s->free_list;

	if (!object)
		return NULL;
	s->free_list = *object;
	s->in_use++;
	return object;
}

void hv_slab_put(struct hv_slab *s, void *object)
{
	size_t offset = (size_t)((char *)object - (char *)s->base);

	hv_assert(s->in_use && offset < stride(s) * s->capacity && offset % stride(s) == 0);
	*(void **)object = s->free_list;
	s->free_list = object;
	s->in_use--;
}

void hv_slab_destroy(struct hv_slab *s)
{
	hv_assert(!s->in_use);
	if (s->base)
		hv_contig_free(s->base, stride(s) * s->capacity);
	*s = (struct hv_slab){.name = s->name};
}
