/*
 * What is known and taken locally before any bucket is asked:
 *
 *   claim_take()  one walferry for a database: a lock on "lock" in the folder of its page maps. Two
 *                 of them would share the maps, and each would take the other's objects for its own.
 *                 The lock ends with the process, however it ends.
 *   claim_look()  what each page map says: that there is one for this very file (the application
 *                 may start although the bucket is away), and whether the log still stands where
 *                 the map does (then nothing is unshipped).
 *
 * Source: fcntl(2), open file description locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/engine_internal.h"

int claim_take(struct database *db, struct error *err)
{
    const struct env *env = db->engine->env;
    struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = -1;

    if (db->claim_fd >= 0)
        return 0;
    CLEANUP(mem_free) char *path = str_printf(err, "%s/lock", db->work_folder);
    if (!path || env_mkdir_all(env, db->work_folder, 0755, err) < 0 ||
        env_open(env, path, O_RDWR | O_CREAT, 0644, &fd, err) < 0)
        return -1;
    int rc = env_lock(env, fd, F_OFD_SETLK, &whole_file);
    if (rc >= 0) {
        db->claim_fd = fd;
        return 0;
    }
    env_close_quietly(env, fd);
    if (rc != -EAGAIN && rc != -EACCES)
        return error_set_errno(err, -rc, "lock %s", path);
    (void)error_set(err, ERR_BUSY, 0, "another walferry replicates %s (it holds %s)", db->path,
                    path);
    return error_hint(err, "stop the other one, or give this one a meta-path of its own");
}

void claim_release(struct database *db)
{
    env_close_quietly(db->engine->env, db->claim_fd);
    db->claim_fd = -1;
}

/* An empty log proves nothing: it may have been written, copied and emptied any number of times. */
static bool end_is_same(const struct log_end *a, const struct log_end *b)
{
    return a->frame > 0 && memcmp(a->salt, b->salt, sizeof(a->salt)) == 0 && a->frame == b->frame &&
           memcmp(a->cksum, b->cksum, sizeof(a->cksum)) == 0;
}

void claim_look(struct database *db, const struct follower *f)
{
    for (size_t i = 0; i < db->chain_count; i++) {
        struct chain *c = &db->chains[i];
        CLEANUP(page_map_close) struct page_map map = PAGE_MAP_INIT;
        struct error ignored = ERROR_INIT; /* no map: attaching finds out what that means */

        c->found = (struct local_proof){.is_same_file = false};
        if (page_map_open(db->engine->env, c->map_path, &map, &ignored) < 0)
            continue;
        c->found.is_same_file = map.state.file_id != 0 && map.state.file_id == db->file_id;
        c->found.is_unchanged = c->found.is_same_file && map.state.pending_txid == 0 &&
                                end_is_same(&map.state.end, follower_end(f));
    }
}
