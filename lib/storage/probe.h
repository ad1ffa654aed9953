/*
 * Finds out what a destination can do and whether our credentials suffice, by doing it once with a
 * small canary object: `.walferry-probe/<16 hex digits>`, a name that neither Litestream nor our
 * parser (object_name.h) takes for a backup.
 *
 *   1. create        create-if-absent of the canary
 *   2. create again  must be refused with ERR_EXISTS; a store that accepts it cannot fence
 *   3. head          size and timestamp are those of the first create
 *   4. read          the whole canary, byte for byte the first content
 *   5. range         its middle, exactly
 *   6. list          the canary is there, once
 *   7. delete        and a second look finds it gone
 *
 * A step that fails does not end the probe (a role without delete is worth knowing beside the one
 * without list), except when the store is away (ERR_UNAVAILABLE, ERR_TIMEOUT) or after a cancel.
 * When creating itself is refused, or the destination is only read (storage_set_read_only()), only
 * list is tried: a restore needs no more than reading.
 * Where the bucket is missing and the caller has asked for it, it is made first, and its absence is no
 * failure.
 *
 * The canary is removed unless the store is away or the probe was cancelled; canaries that stayed
 * behind are removed by a later probe, when they are a day old.
 */
#ifndef WALFERRY_LIB_STORAGE_PROBE_H
#define WALFERRY_LIB_STORAGE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/storage/storage.h"

#define STORAGE_PROBE_PREFIX ".walferry-probe/"

enum storage_probe_step {
    STORAGE_PROBE_CREATE,
    STORAGE_PROBE_CREATE_AGAIN,
    STORAGE_PROBE_HEAD,
    STORAGE_PROBE_READ,
    STORAGE_PROBE_RANGE,
    STORAGE_PROBE_LIST,
    STORAGE_PROBE_DELETE,
    STORAGE_PROBE_STEPS
};

/* For people and JSON: "create", "create again", ... */
const char *storage_probe_step_name(enum storage_probe_step step);

struct storage_probe_report {
    struct {
        bool was_tried;
        bool is_ok;
    } step[STORAGE_PROBE_STEPS];
    bool is_read_only;     /* nothing was to be written: steps 1 to 5 and 7 were not asked for */
    bool can_create;       /* create-if-absent is atomic here: proven by steps 1 and 2 */
    bool keeps_timestamps; /* head answered the timestamp that was put */
    /*
     * The first step that failed, with what was expected and what the user can do; code ERR_NONE
     * if none. A store that cannot fence is no failure: see can_create and why_no_create.
     */
    struct error first;
    enum storage_probe_step first_step;
    bool has_made;              /* the bucket was missing, and is there now */
    struct error why_no_create; /* ERR_NONE if can_create or unknown (creating failed otherwise) */
};

/*
 * What the report says, in one word of the condition DestinationAvailable: "Available", "ReadOnly",
 * "DeleteDenied" (all but that), "AuthFailed", "ClockSkew", "TLSError", "BucketMissing",
 * "BucketNameTaken", "Unreachable", "Failed".
 */
const char *storage_probe_reason(const struct storage_probe_report *report);

/* Called once on the loop thread; report is valid during the call. */
typedef void storage_probe_done_fn(void *arg, const struct storage_probe_report *report);

struct storage_probe;

/*
 * Starts a probe. When steps 1 and 2 gave an answer it is recorded by storage_set_can_create(); a
 * store that does not know create-if-absent (ERR_UNSUPPORTED) is probed on without it.
 *
 * out_probe  may be NULL; for storage_probe_cancel(), gone once done was called
 *
 * -1 only for ERR_NO_MEMORY; done is not called then. Cost: about eight requests.
 * The storage must not be freed before done. Threads: loop.
 */
MUST_USE int storage_probe_start(struct storage *st, storage_probe_done_fn *done, void *arg,
                                 struct storage_probe **out_probe, struct error *err);

/* Ends the probe soon: done is called with first.code ERR_CANCELED; the canary may stay behind. */
void storage_probe_cancel(struct storage_probe *probe);

/*
 * storage_probe_start() for code that does one thing after the other. 0 also when steps failed.
 * makes: a bucket that is missing is made, and the probe is made once more.
 */
MUST_USE int storage_probe_wait(struct storage *st, bool makes, struct storage_probe_report *out,
                                struct error *err);

#endif
