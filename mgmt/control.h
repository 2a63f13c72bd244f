/* The control console's answers, and its commands about the switch. */
#ifndef MGMT_CONTROL_H
#define MGMT_CONTROL_H

#include "inventory.h"

/* {"event": name}, to be filled and sent; NULL: no memory. */
yyjson_mut_doc *control_event_new(const char *name);
/* Writes the document as a line and frees it. NULL is reported. */
void control_send(yyjson_mut_doc *doc);

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
