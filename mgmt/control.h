/* The control console's answers, and its commands about the switch. */
#ifndef MGMT_CONTROL_H
#define MGMT_CONTROL_H

#include "inventory.h"

/* {"event": name}, to be filled and sent; NULL: no memory. */
yyjson_mut_doc *control_event_new(const char *name);
/* Writes the document as a line and frees it. NULL is reported. */
void control_send(yyjson_mut_doc *doc);
/* Likewise, with `request` (the CRC of the line that is answered) in it and its own CRC in front (docs/control-console.md). */
void control_answer(yyjson_mut_doc *doc, uint32_t request);

/* ---- control_listing.c: answers with lists of objects, {"event": EVENT, LIST: [{...}, ...], ...} ---- */

struct control_listing {
	yyjson_mut_doc *doc;
	yyjson_mut_val *list; /* the one begun last: objects are added to it */
};

/* Begins an answer about the switch. false: there is no switch or no memory, which it has reported. */
bool control_listing_begin(struct control_listing *l, const struct inventory *inv, const char *event);
/* Begins one more list in it. */
void control_listing_list(struct control_listing *l, const char *name);
/* One more object in the list. NULL: no memory; yyjson adds nothing to it. */
yyjson_mut_val *control_listing_add(struct control_listing *l);

/* control_config.c: `config` and what follows it; forgets a transfer that is open. */
void control_config(struct inventory *inv, const char *line);
void control_config_stop(void);

/* dirty.c: the command `dirty VM VERB`; answers later. @pre m->vm */
void control_dirty(struct machine *m, const char *verb);
void control_switch_macs(const struct inventory *inv);
void control_switch_neighbors(const struct inventory *inv);
void control_switch_groups(const struct inventory *inv);
void control_switch_drops(const struct inventory *inv);
void control_switch_uplinks(const struct inventory *inv); /* control_uplinks.c */

/* control_capture.c */
void control_switch_mirrors(const struct inventory *inv);
void control_switch_capture(const struct inventory *inv, const char *args);

/* control_trace.c */
void control_switch_trace(const struct inventory *inv, const char *args);

#endif
