/*
 * Secrets out of what leaves the cluster. Two levels:
 *
 *   redact_text()  any text, logs above all: passwords in URLs, bearer tokens, values behind words
 *                  that name a secret (password=..., "secret-access-key": "..."), parameters of
 *                  signed URLs, private keys in PEM
 *   redact_json()  an object of the API: its texts by redact_text(), values of environment
 *                  variables and of members that name a secret wholly; managedFields and the last
 *                  applied manifest are left out. An object of kind Secret becomes its metadata
 *
 * What is taken away is replaced by REDACTED, so that one sees that something was there. Names of
 * Secrets stay: they are needed, and secret is only what they hold.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_REDACT_H
#define WALFERRY_CONTROLLER_PLUGIN_REDACT_H

#include "lib/base/base.h"
#include "lib/json/json.h"

#define REDACTED "REDACTED"

/* Adds text to out. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int redact_text(struct slice text, struct buf *out, struct error *err);

/* Writes v as the next value of w. ERR_LIMIT (a text too long), ERR_NO_MEMORY. */
MUST_USE int redact_json(struct jsonval v, struct json_writer *w, const char *key,
                         struct error *err);

#endif
