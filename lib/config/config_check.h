/*
 * The effective configuration, every setting with its value and where the value comes from:
 *
 *     dbs[0].replicas[0].sync-interval    10s        line 14
 *     dbs[0].replicas[0].secret-access-key ***       line 3
 *     dbs[0].monitor-interval             1s         default
 *
 * Secrets are shown as "***", everywhere.
 */
#ifndef WALFERRY_LIB_CONFIG_CONFIG_CHECK_H
#define WALFERRY_LIB_CONFIG_CONFIG_CHECK_H

#include <stdbool.h>

#include "lib/base/base.h"
#include "lib/config/config.h"
#include "lib/json/json_writer.h"

/*
 * Adds the text form to out. is_full false leaves out what has its default. Ends with the warnings
 * and a line "N databases, N warnings". ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int config_check_text(const struct config *c, bool is_full, struct buf *out,
                               struct error *err);

/*
 * Writes the JSON form as one value with the given key (NULL for a whole document):
 * {"file", "settings": [{"key","value","origin","line"}], "warnings": [...]}. Failures stick in w.
 */
void config_check_json(const struct config *c, struct json_writer *w, const char *key);

#endif
