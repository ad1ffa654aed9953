/*
 * What the files of the levels share: level.c (when), level_encode.c (the object from the pinned
 * state), level_merge.c (the object by download, when a page has rotted), level_upload.c (to the
 * store). The door is in engine_internal.h. Threads: the loop thread.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_LEVEL_INTERNAL_H
#define WALFERRY_SIDECAR_ENGINE_LEVEL_INTERNAL_H

#include "sidecar/engine/engine_internal.h"

/* level.c. NULL: a level that this chain does not have. */
struct level_work *level_of(const struct chain *c, unsigned level);
/* How long to wait after l->failures failures in a row. */
uint64_t level_retry_delay_ns(const struct level_work *l, uint64_t ceiling_ns);
void level_put_off(struct level_work *l); /* stays wanted, but not at once */
void level_arm_one(struct level_work *l); /* its timer, if there is something new */

/* level_encode.c: tasks of a chain; what is under construction is freed. */
void level_encode_init(struct chain *c);
void level_encode_destroy(struct chain *c);

/* level_encode.c. The pages of an object that does not come about count as changed again; txid: the
 * state that it was to lead to. */
void level_give_back(struct level_work *l, uint64_t txid);

/*
 * level_merge.c: makes the object from l's boundary to state from objects of the bucket and hands it
 * to level_upload_start(); a failure on the way gives the pages back and puts the level off.
 * -1: nothing was begun (ERR_GAP, ERR_LIMIT, ERR_NO_SPACE, ERR_NO_MEMORY).
 */
MUST_USE int level_merge_start(struct level_work *l, const struct map_state *state,
                               struct error *err);
void level_merge_stop(struct level_work *l); /* what cannot be stopped ends soon: l->merge tells */

/* level_upload.c: l->header and l->blob are a finished object. */
void level_upload_start(struct level_work *l);
void level_upload_drop(struct level_work *l); /* whoever attaches next finds out what is missing */

#endif
