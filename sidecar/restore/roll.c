/*
 * Roll forward: an existing database that is an older state of its replica (a stale volume, an old
 * snapshot of one) becomes the newest before the application starts.
 *
 *   1. The page map tells the state n that was last acknowledged. No usable map: unknown.
 *   2. The bucket's tip is N. N <= n: up to date. N was sent by this very database (pending
 *      record, or its position lies in the log): up to date, replication heals the map. Restored on
 *      purpose to an earlier moment when N was the tip: no stale database, up to date.
 *   3. The database is exactly the state n: it is rolled forward. Exactly N: up to date.
 *      Anything else was written since n: diverged, refused.
 *   4. "Up to date" on the word of the map needs the file that the map was made for. Another one (a
 *      copied volume, or a restore to an earlier moment that died between the new file and its map)
 *      is compared: content of n or N, or a log that holds n, is up to date, anything else unknown.
 *
 * Whether the descent is true is proven at the end: the base and the objects n+1..N must have the
 * database checksum that the tip recorded. If not, the database stays as it was.
 */
#include <stdlib.h>

#include "sidecar/restore/restore_internal.h"

/* What is known about database and tip. */
struct roll {
    struct restore *r;
    size_t destination_idx;
    struct base base;
    struct inventory inventory;
    struct ltx_header tip;
    struct ltx_trailer tip_trailer;
    enum base_content content;
    uint64_t db_checksum;
    bool is_stranger; /* the map was made for another file */
};

static void roll_destroy(struct roll *roll)
{
    base_close(&roll->base);
    inventory_destroy(&roll->inventory);
}

/* Step 4: is it the file that the map was made for? */
static int file_look(struct roll *roll, struct error *err)
{
    uint64_t made_for = roll->base.map.state.file_id;
    uint64_t file_id = 0;

    if (page_map_file_id(roll->r->guard.env, roll->r->guard.path, &file_id, err) < 0)
        return -1;
    roll->is_stranger = made_for && file_id && made_for != file_id;
    return 0;
}

/* Step 1. 1: there is a map. */
static int map_open(struct roll *roll, struct error *err)
{
    const struct restore_args *args = roll->r->args;
    const struct restore_destination *d = &args->destinations[roll->destination_idx];
    CLEANUP(mem_free)
    char *path = page_map_path(roll->r->guard.path, args->options->meta_path, d->name, err);

    if (!path)
        return -1;
    if (base_open(args->env, roll->r->guard.path, path, &roll->base, err) == 0)
        return file_look(roll, err) < 0 ? -1 : 1;
    if (err->code != ERR_NOT_FOUND && err->code != ERR_CORRUPT)
        return -1;
    LOG_INFO(args->log, "no usable page map", LOG_STR("destination", d->name), LOG_ERR(err));
    error_clear(err);
    return 0;
}

/* Step 2. 1: the database may be stale; 0: it is not. */
static int tip_look(struct roll *roll, struct error *err)
{
    const struct map_state *map = &roll->base.map.state;
    unsigned level = 0;
    bool contains = false;

    if (restore_list(roll->r, roll->destination_idx, &roll->inventory, err) < 0)
        return -1;
    const struct inventory_object *tip = inventory_tip(&roll->inventory, &level);
    if (!tip || (tip->max_txid <= map->txid && !roll->is_stranger))
        return 0;
    if (restore_object_ends(roll->r->args->destinations[roll->destination_idx].storage, level, tip,
                            &roll->tip, &roll->tip_trailer, err) < 0)
        return -1;
    if (!roll->is_stranger &&
        (map_state_goes_back(map, tip->max_txid) ||
         map_state_has_sent(map, tip->max_txid, roll->tip_trailer.file_checksum)))
        return 0;
    if (base_log_contains(&roll->base, &roll->tip, &contains, err) < 0)
        return -1;
    return contains ? 0 : 1;
}

static int content_step(void *arg, struct error *err)
{
    struct roll *roll = arg;

    if (base_settle(&roll->base, err) < 0)
        return -1;
    return base_compare(&roll->base, &roll->content, &roll->db_checksum, err);
}

/* ERR_WRONG_STATE: two histories. */
static int diverged(const struct roll *roll, struct error *err)
{
    (void)error_set(err, ERR_WRONG_STATE, 0,
                    "%s was at TXID %016llx and has been written to since, while the replica went "
                    "on to %016llx: two histories have grown apart",
                    roll->r->guard.path, (unsigned long long)roll->base.map.state.txid,
                    (unsigned long long)roll->tip.max_txid);
    return error_hint(err, "restore -force takes the replica's; another replica path keeps both");
}

static enum roll_outcome failure(const struct error *err, bool is_ours)
{
    return is_ours || err->code == ERR_CANCELED || err->code == ERR_NO_MEMORY ? ROLL_REFUSED
                                                                              : ROLL_FAILED;
}

/* Step 3. */
static enum roll_outcome roll_go(struct roll *roll, struct error *err)
{
    if (restore_step(roll->r->args->loop, content_step, roll, err) < 0)
        return ROLL_REFUSED;
    if (roll->content == BASE_IS_OTHER && roll->tip.has_ext &&
        roll->db_checksum == roll->tip.db_checksum)
        return ROLL_UP_TO_DATE;
    if (roll->content == BASE_IS_OTHER && roll->is_stranger) {
        LOG_INFO(roll->r->args->log, "page map is of another file",
                 LOG_STR("db", roll->r->guard.path));
        return ROLL_UNKNOWN;
    }
    if (roll->content == BASE_IS_OTHER) {
        (void)diverged(roll, err);
        return ROLL_REFUSED;
    }
    if (map_state_goes_back(&roll->base.map.state, roll->tip.max_txid))
        return ROLL_UP_TO_DATE;
    switch (restore_attempt(roll->r, roll->destination_idx, &roll->base, err)) {
    case ATTEMPT_DONE:
        return roll->r->result.outcome == RESTORE_UP_TO_DATE ? ROLL_UP_TO_DATE : ROLL_DONE;
    case ATTEMPT_EMPTY:
        return ROLL_UP_TO_DATE;
    case ATTEMPT_IMPOSSIBLE:
        return ROLL_REFUSED;
    case ATTEMPT_FAILED:
        break;
    }
    return ROLL_FAILED;
}

enum roll_outcome restore_roll(struct restore *r, size_t destination_idx, struct error *err)
{
    CLEANUP(roll_destroy)
    struct roll roll = {.r = r, .destination_idx = destination_idx, .base = BASE_INIT};

    inventory_init(&roll.inventory);
    int rc = map_open(&roll, err);
    if (rc <= 0)
        return rc < 0 ? ROLL_REFUSED : ROLL_UNKNOWN;
    r->result.txid = roll.base.map.state.txid;
    rc = tip_look(&roll, err);
    if (rc < 0)
        return failure(err, false);
    return rc == 0 ? ROLL_UP_TO_DATE : roll_go(&roll, err);
}
