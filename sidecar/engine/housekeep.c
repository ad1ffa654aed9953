/*
 * Housekeeping: once a day, after a full copy has arrived, the store clears away what uploads of
 * dead processes left below the prefix. Parts of a multipart upload that nobody finished are not
 * listed as objects, but stored and billed.
 *
 * Full copies are what is large enough to be sent in parts, so a chain whose full copies arrive
 * leaves at most what a day of deaths has left. An upload that is younger than a day may be
 * somebody's at work; it is spared. Credentials often forbid it, and nothing depends on it: a
 * failure is told at debug only, and the next day tries again.
 */
#include "sidecar/engine/engine_internal.h"

static const uint64_t housekeep_interval_ns = NS_PER_DAY; /* monotonic, between two passes */
static const uint64_t housekeep_age_ns = NS_PER_DAY;      /* of uploads that count as abandoned */

static void housekeep_on_done(void *arg, const struct storage_result *result)
{
    struct chain *c = arg;
    struct engine *e = c->db->engine;

    c->housekeep_op = NULL;
    if (result->err->code != ERR_NONE && result->err->code != ERR_CANCELED) {
        LOG_DEBUG(e->log, "abandoned uploads not cleared away", LOG_STR("db", c->db->path),
                  LOG_STR("destination", c->name), LOG_ERR(result->err));
    } else if (result->bytes > 0) {
        LOG_DEBUG(e->log, "abandoned uploads cleared away", LOG_STR("db", c->db->path),
                  LOG_STR("destination", c->name), LOG_U64("uploads", result->bytes));
    }
    engine_check_waits(e);
}

void housekeep_consider(struct chain *c)
{
    struct engine *e = c->db->engine;
    uint64_t now_ns = env_monotonic_ns(e->env);
    uint64_t wall_ns = env_wall_ns(e->env);
    struct error err = ERROR_INIT;

    loop_assert_owner(e->loop);
    if (c->housekeep_op || c->state != CHAIN_FOLLOWING || wall_ns <= housekeep_age_ns ||
        (c->housekept_ns && now_ns - c->housekept_ns < housekeep_interval_ns))
        return;
    c->housekept_ns = now_ns;
    if (storage_housekeep_start(c->storage, wall_ns - housekeep_age_ns, housekeep_on_done, c,
                                &c->housekeep_op, &err) < 0) {
        c->housekeep_op = NULL;
        LOG_DEBUG(e->log, "abandoned uploads not looked for", LOG_STR("db", c->db->path),
                  LOG_STR("destination", c->name), LOG_ERR(&err));
    }
}

void housekeep_stop(struct chain *c)
{
    if (c->housekeep_op)
        storage_cancel(c->housekeep_op);
}
