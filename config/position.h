/* Reading of the positions that `berth compile` adds to the JSON. */
#ifndef CONFIG_POSITION_H
#define CONFIG_POSITION_H

#include "report.h"

#include <yyjson.h>

#define CONFIG_POSITIONS_KEY "positions" /* of the JSON's root; not a key of the YAML */

/* json: the value of that key. Reports what is wrong with it. */
void position_read(struct config_positions *out, struct report *report, yyjson_val *json);

#endif
