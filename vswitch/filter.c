/* The filters in their order. Owner: the switch's core. */
#include "filter.h"

#include "gro.h"
#include "mirror.h"
#include "trace.h"

struct filter {
	uint16_t bit; /* in vsw_port.filters_in or filters_out */
	vsw_filter_fn run;
	const char *name;
	bool stateless; /* or knows of v->trace: it changes nothing while a frame is traced */
};

/* The end of each list: a bit of no filter. */
static const struct filter filters_in[] = {
	{VSW_FILTER_MIRROR, vsw_mirror_in, "mirroring", true},
	{VSW_FILTER_STORM, vsw_storm_in, "the storm limit", false},
	{VSW_FILTER_GUARD, vsw_guard_in, "a guard", true},
	{VSW_FILTER_SHAPE, vsw_shape_in, "shaping", false},
	{0, NULL, NULL, false},
};
static const struct filter filters_out[] = {
	{VSW_FILTER_GUARD, vsw_guard_out, "learning of leases", false},
	{VSW_FILTER_SHAPE, vsw_shape_out, "shaping", false},
	{VSW_FILTER_MIRROR, vsw_mirror_out, "mirroring", true},
	{VSW_FILTER_GRO, vsw_gro_filter, "GRO", false},
	{0, NULL, NULL, false},
};

static unsigned run(const struct filter *f, uint16_t on, struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	for (; f->bit && n; f++) {
		if (!(on & f->bit))
			continue;
		if (p->sw->v->trace)
			vsw_trace_note(p->sw->v, "filter", "", 0, "%s: %s is on%s", p->name, f->name,
				f->stateless ? "" : "; what it would do depends on the moment and is not looked at");
		if (!p->sw->v->trace || f->stateless)
			n = f->run(p, frames, n);
	}
	return n;
}

unsigned vsw_filters_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return run(filters_in, p->filters_in, p, frames, n);
}

unsigned vsw_filters_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return run(filters_out, p->filters_out, p, frames, n);
}

static const struct filter *behind(const struct filter *f, uint16_t bit)
{
	while (f->bit && f->bit != bit)
		f++;
	return f->bit ? f + 1 : f;
}

unsigned vsw_filters_in_after(struct vsw_port *p, uint16_t after, struct rte_mbuf **frames, unsigned n)
{
	return run(behind(filters_in, after), p->filters_in, p, frames, n);
}

unsigned vsw_filters_out_after(struct vsw_port *p, uint16_t after, struct rte_mbuf **frames, unsigned n)
{
	return run(behind(filters_out, after), p->filters_out, p, frames, n);
}

void vsw_filters_apply(struct vsw_port *p)
{
	vsw_storm_apply(p, p->own.has_storm ? &p->own.storm : &p->portgroup->config->storm);
	vsw_guard_apply(p);
	vsw_shape_apply(p);
}

void vsw_filters_tick(struct vsw_port *p)
{
	if (p->filters_in & VSW_FILTER_STORM)
		vsw_storm_tick(p);
}
