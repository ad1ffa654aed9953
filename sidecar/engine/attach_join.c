/*
 * Joining: a destination that lags goes on with what differs, although nothing here knows its pages.
 *
 *   its tip's state  =  the sibling's state at TXID e        (proven by the database checksum)
 *   the sibling's page map is at TXID j                      (what its store has acknowledged)
 *
 *   differs from the tip  =  what changed between e and j     from the sibling's page indexes: COVER
 *                         +  what differs from the map at j   from one pass over the database: here
 *                         +  what is noted from now on        the chain tracks
 *
 * (j lies before e while a rewound database has not sent its first object yet; the pages in between
 * are the same.)
 *
 * The pass also gives the map: that of the database as it is now. It lies under the name
 * "<map>.next", at the tip's TXID but with the file checksum of no object: a map under the true name
 * at the tip would claim that the store has these pages. The object N+1 completes it. If we die
 * before its answer, its pending record tells; if nothing was sent, joining begins anew.
 */
#include <stdlib.h>

#include "lib/ltx/ltx.h"
#include "lib/sqlite/db_header.h"
#include "sidecar/engine/attach_internal.h"

/* The walk over the database. */
struct join {
    struct chain *c;
    struct page_map *theirs;
    struct page_map *ours;
    uint8_t *page;
    struct map_entry *run; /* checksums of the sibling's state, then those of the database */
    uint64_t sum;
};

static void join_destroy(struct join *j)
{
    free(j->page);
    free(j->run);
}

static int join_run(struct join *j, size_t n, struct error *err)
{
    struct follower *f = j->c->db->follower;
    uint32_t page_size = follower_end(f)->page_size;

    if (page_map_read(j->theirs, j->run, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint32_t pgno = j->run[i].pgno;
        if (follower_page_read(f, pgno, j->page, err) < 0)
            return -1;
        uint64_t checksum = ltx_page_checksum(pgno, slice_of(j->page, page_size));
        if (checksum != j->run[i].checksum && page_set_add(&j->c->dirty, pgno, err) < 0)
            return -1;
        j->run[i].checksum = checksum;
        j->sum = ltx_db_checksum_toggle(j->sum, checksum);
    }
    return page_map_write(j->ours, j->run, n, err);
}

static int join_walk(struct join *j, struct task *task, struct error *err)
{
    const struct log_end *end = follower_end(j->c->db->follower);
    uint32_t lock_pgno = db_lock_pgno(end->page_size);
    size_t n = 0;

    for (uint32_t pgno = 1; pgno <= end->page_count; pgno++) {
        if (pgno != lock_pgno)
            j->run[n++] = (struct map_entry){.pgno = pgno};
        if (n < FULL_BATCH_PAGES && pgno < end->page_count)
            continue;
        if (task_is_canceled(task))
            return error_set(err, ERR_CANCELED, 0, "stopped");
        if (join_run(j, n, err) < 0)
            return -1;
        n = 0;
    }
    return 0;
}

/*
 * The sibling's map is one of a state that its store has, in pages of our size, and whole: one that
 * could not be brought up to an object that was accepted has some of that object's pages already,
 * and they would be missing in ours.
 */
static int map_is_usable(struct page_map *theirs, const struct lineage_tip *tip,
                         const struct log_end *end, bool *out, struct error *err)
{
    *out = false;
    if (theirs->fd < 0 || theirs->state.txid == 0 || theirs->state.file_checksum == 0 ||
        theirs->state.page_size != end->page_size || tip->page_size != end->page_size)
        return 0;
    return page_map_verify(theirs, out, err);
}

int attach_join(struct attach *a, struct task *task, struct error *err)
{
    struct chain *c = a->c;
    struct chain *sibling = &c->db->chains[a->sibling_idx];
    const struct log_end *end = follower_end(c->db->follower);
    struct map_state state = attach_state_of_tip(a);
    CLEANUP(join_destroy)
    struct join j = {.c = c, .theirs = &sibling->map, .ours = &c->map, .sum = LTX_CHECKSUM_FLAG};

    bool is_usable;

    if (map_is_usable(&sibling->map, &a->facts.tip, end, &is_usable, err) < 0)
        return -1;
    if (!is_usable) {
        a->verdict = LINEAGE_FULL;
        a->reason = "another destination had exactly this state, but there is no whole page map of "
                    "it: all pages are sent once";
        attach_apply_new(a);
        return 0;
    }
    j.page = mem_new(1, end->page_size, err);
    j.run = j.page ? mem_new(FULL_BATCH_PAGES, sizeof(*j.run), err) : NULL;
    page_map_close(&c->map);
    if (!j.run ||
        page_map_create(c->db->engine->env, c->next_map_path, c->db->path, end->page_size, &c->map,
                        err) < 0 ||
        join_walk(&j, task, err) < 0)
        return -1;
    state.page_count = end->page_count;
    state.db_checksum = j.sum;
    state.file_checksum = 0;
    state.end = *end;
    if (page_map_publish(&c->map, &state, err) < 0)
        return -1;
    a->joined_txid = sibling->map.state.txid;
    c->at = attach_state_of_tip(a);
    c->at.end = (struct log_end){.page_size = end->page_size}; /* not in this log */
    c->is_tracking = true;
    c->must_send_dirty = true;
    return 0;
}
