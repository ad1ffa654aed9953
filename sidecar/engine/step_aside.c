/*
 * Stepping aside for a checkpoint of the application.
 *
 * Its FULL, RESTART and TRUNCATE checkpoints wait for readers, with the write lock in hand and for as
 * long as its busy timeout says, and our holder is a reader (wal.c: walCheckpoint):
 *
 *   FULL                waits for marks behind the end of the log, since it wants to copy everything
 *   RESTART, TRUNCATE   do so, too; then they wait until nobody reads on a slot >= 1
 *
 * PASSIVE waits for nobody. So if somebody holds the checkpoint lock and our mark is behind, or all was
 * copied and we sit on a slot >= 1, the holder is handed over to a reader on the newest commit. Its
 * mark is the end of the log then, or it sits on slot 0: an ordinary hand-over (follow.c), so history
 * stays proven.
 *
 * Slot 0 is not taken without need as soon as all was copied: the application's own checkpoints are
 * safe from SQLite's WAL-reset bug while we sit on a slot >= 1. Whoever restarts the log here holds
 * the locks for it himself.
 *
 * Leaves out: a pin, whose reader stays until it is done.
 */
#include "sidecar/engine/follow_internal.h"

bool follower_is_in_the_way(struct follower *f)
{
    struct wal_index_header h;
    int slot = connection_slot(f->holder);

    if (f->is_released || f->has_pin || slot < 1 ||
        wal_index_header_read(atomic_load(&f->block0), &h) != WAL_INDEX_VALID)
        return false;
    struct wal_checkpoint_info info = follow_checkpoint_info(f);
    bool is_behind = info.read_mark[slot] < h.mx_frame;
    bool is_all_copied = h.mx_frame > 0 && info.backfill == h.mx_frame;
    return (is_behind || is_all_copied) && follow_checkpointer_is_there(f);
}

int follower_step_aside(struct follower *f, note_fn *note, void *arg,
                        enum advance_result *out_result, struct error *err)
{
    if (follow_check_usable(f, err) < 0)
        return -1;
    int rc = connection_is_reading(f->holder) ? follow_hand_over(f, note, arg, out_result, err)
                                              : follow_advance(f, note, arg, out_result, err);
    follow_settle(f);
    return rc;
}
