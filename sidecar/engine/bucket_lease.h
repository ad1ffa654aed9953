/*
 * The lease of a prefix (opt-in, `lease: true`): a second writer waits for its turn instead of losing
 * the race. Whether two writers can harm each other does not depend on it: conditional creation of
 * every object keeps them apart with or without a lease.
 *
 * The lease is a chain of small objects, "lease/<number>", each created and never overwritten; the
 * newest one counts (lease_record.h). Taking, renewing and taking over are all the same: creating
 * the next number, which one writer can do. So it needs nothing of a store that the LTX objects do
 * not need already.
 *
 *   held      renewed each BUCKET_LEASE_NS / 3; the number before is deleted
 *   waiting   another's is the newest. It is taken over when it has not changed for BUCKET_LEASE_NS
 *             by our own clock, or says that it expired longer ago than that. Clocks of two
 *             machines need not agree
 *   given up  at an orderly end it is deleted, and the next writer need not wait
 *
 * Cost: while held 3 requests each 10 s (put, delete; a list when waiting), also when idle.
 * Threads: loop thread.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_BUCKET_LEASE_H
#define WALFERRY_SIDECAR_ENGINE_BUCKET_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "lib/storage/storage.h"

#define BUCKET_LEASE_NS (30 * NS_PER_SEC)

struct bucket_lease;

struct bucket_lease_args {
    struct loop *loop;
    struct storage *storage; /* of the prefix; borrowed until the end */
    uint32_t owner;          /* ours, random: who has the same is us */
    /* Held, or not any more, or held by somebody else than before. Never from within a call. */
    void (*on_change)(void *arg);
    /* A request failed; it is tried again. */
    void (*on_fault)(void *arg, const struct error *err);
    void *arg;
};

/* Begins to ask for the lease. ERR_NO_MEMORY. */
MUST_USE int bucket_lease_new(const struct bucket_lease_args *args, struct bucket_lease **out,
                              struct error *err);

/* It is ours, and cannot have been taken over yet. */
bool bucket_lease_is_held(const struct bucket_lease *l);

/* For people, while it is not held: "held by node-7 (0a1b2c3d)". "" when that is not known. */
const char *bucket_lease_holder(const struct bucket_lease *l);

/*
 * Ends it. is_given_up: the object is deleted, unless the store is away. done is called once from the
 * loop; l is gone then.
 */
void bucket_lease_end(struct bucket_lease *l, bool is_given_up, void (*done)(void *arg), void *arg);

#endif
