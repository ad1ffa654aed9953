/*
 * The moment at which a lock disturbs least: right after a commit.
 *
 * A writer that meets a lock sleeps in SQLite's busy handler for 1, 2, 5, 10 ms ..., much longer than we
 * hold it. Most applications leave a pause between two commits, and most of that pause is left when a
 * commit has just been published. So before the write lock is taken, or the end of the log is
 * looked for without it, the counter of commits in the wal-index is watched until it moves. Nobody
 * waits meanwhile. An application that does not write at all moves nothing: the patience is over soon.
 */
#include "sidecar/engine/follow_internal.h"

enum {
    MOMENT_PAUSE_US = 100,   /* a look costs tens of nanoseconds, a sleep some microseconds */
    MOMENT_PAUSES_MAX = 120, /* 12 ms at least: 80 commits a second are met by most tries */
};

void follow_await_commit(struct follower *f, const struct connection *c)
{
    uint32_t change = f->noted.change;
    uint32_t before = follower_commits_since(f, change);

    for (unsigned i = 0; i < MOMENT_PAUSES_MAX; i++) {
        if (follower_commits_since(f, change) != before) {
            return;
        }
        connection_pause(c, MOMENT_PAUSE_US);
    }
}
