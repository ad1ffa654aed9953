/*
 * The temporary file of a restore. The rules of claiming are in write.h.
 *
 * Why a page beyond the smallest newer size is ignored, and not merely one beyond the final size:
 *
 *   object 1   commit 20, pages 1..20
 *   object 2   commit 10                  shrink: pages 11..20 are gone
 *   object 3   commit 15, pages 11..15    growth: new content
 *
 * Page 12 comes from object 3. If object 3 lacked it, page 12 of object 1 would be content that the
 * database never had in that state: so it stays unclaimed, and output_check_complete() refuses.
 *
 * The file is preallocated, so a full disk shows before pages are fetched, and pages can be written
 * in any order. It has the owner and mode of the database from the start: who may read the one may
 * read the other, and what we are not allowed to do shows at once.
 */
#include "sidecar/restore/write.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/ltx.h"

enum {
    RUN_BYTES = 256 * 1024,
};

static const struct env *output_env(const struct output *o)
{
    return o->guard->env;
}

int output_init(struct output *o, const struct guard *guard, const char *map_path,
                struct error *err)
{
    *o = (struct output){.guard = guard, .fd = -1, .map = PAGE_MAP_INIT};
    int rc = pthread_mutex_init(&o->map_mu, NULL);
    ASSERT(rc == 0);
    o->temp_path = str_printf(err, "%s.tmp", guard->path);
    if (o->temp_path && map_path)
        o->map_path = str_dup(map_path, err);
    if (!o->temp_path || (map_path && !o->map_path)) {
        output_destroy(o);
        return -1;
    }
    return 0;
}

/* Closes and removes what was begun. */
static void output_drop(struct output *o)
{
    struct error err = ERROR_INIT;

    page_map_close(&o->map); /* removes one that was not published */
    page_set_destroy(&o->claimed);
    env_close_quietly(output_env(o), o->fd);
    o->fd = -1;
    /* A leftover that cannot be removed now is removed by the next restore. */
    if (o->page_size && !o->is_finished && env_unlink(output_env(o), o->temp_path, &err) < 0)
        error_clear(&err);
    o->page_size = 0;
}

void output_destroy(struct output *o)
{
    if (!o->guard)
        return;
    output_drop(o);
    free(o->temp_path);
    free(o->map_path);
    (void)pthread_mutex_destroy(&o->map_mu); /* cannot fail: nobody holds it */
    *o = (struct output){.fd = -1, .map = PAGE_MAP_INIT};
}

static int folder_make(const struct output *o, struct error *err)
{
    const char *path = o->guard->path;
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path)
        return 0;
    CLEANUP(mem_free) char *folder = str_printf(err, "%.*s", (int)(slash - path), path);
    return folder ? env_mkdir_all(output_env(o), folder, 0750, err) : -1;
}

/* Preallocates. A file system that cannot do it gets a hole of that size. */
static int output_allocate(struct output *o, uint32_t page_size, uint32_t page_count,
                           struct error *err)
{
    const struct env *env = output_env(o);
    int64_t bytes = (int64_t)page_size * page_count;

    if (env_fallocate(env, o->fd, bytes, o->temp_path, err) < 0 ||
        env_ftruncate(env, o->fd, bytes, o->temp_path, err) < 0) {
        if (err->code == ERR_NO_SPACE) {
            (void)error_hint(err, "the restored database takes %lld bytes%s", (long long)bytes,
                             o->guard->is_there ? ", beside the old one until it is proven" : "");
        }
        return -1;
    }
    return 0;
}

int output_begin(struct output *o, uint32_t page_size, uint32_t page_count, struct error *err)
{
    const struct env *env = output_env(o);

    ASSERT(page_count > 0 && o->page_size == 0);
    if (folder_make(o, err) < 0 || env_unlink(env, o->temp_path, err) < 0 ||
        env_open(env, o->temp_path, O_RDWR | O_CREAT | O_EXCL, 0644, &o->fd, err) < 0)
        return -1;
    o->page_size = page_size;
    o->page_count = page_count;
    o->lock_pgno = db_lock_pgno(page_size);
    o->commit_min = page_count;
    o->pages_done = 0;
    o->db_checksum = LTX_CHECKSUM_FLAG;
    if (guard_lock_temp(env, o->fd, o->temp_path, err) < 0 ||
        guard_apply_owner(o->guard, o->fd, o->temp_path, err) < 0 ||
        output_allocate(o, page_size, page_count, err) < 0)
        return -1;
    if (!o->map_path)
        return 0;
    const char *like = o->guard->is_there ? o->guard->path : o->temp_path;
    return page_map_create(env, o->map_path, like, page_size, &o->map, err);
}

/* ---- claiming ---- */

int output_claim(struct output *o, uint32_t pgno, bool *out_is_ours, struct error *err)
{
    *out_is_ours = false;
    if (pgno > o->commit_min || pgno == o->lock_pgno || page_set_has(&o->claimed, pgno))
        return 0;
    if (page_set_add(&o->claimed, pgno, err) < 0)
        return -1;
    *out_is_ours = true;
    return 0;
}

void output_claimed_object(struct output *o, uint32_t commit)
{
    if (commit < o->commit_min)
        o->commit_min = commit;
}

/* Pages that the database has: all but the lock page. */
static uint32_t output_pages_wanted(const struct output *o)
{
    return o->page_count - (o->lock_pgno <= o->page_count ? 1 : 0);
}

bool output_is_full(const struct output *o)
{
    return o->page_size && o->claimed.page_count == output_pages_wanted(o);
}

int output_check_complete(const struct output *o, struct error *err)
{
    uint32_t missing = 1;

    if (output_is_full(o))
        return 0;
    while (page_set_has(&o->claimed, missing) || missing == o->lock_pgno)
        missing++;
    return error_set(err, ERR_CORRUPT, 0,
                     "no object has page %u of %u (%u pages are missing in all)", missing,
                     o->page_count, output_pages_wanted(o) - o->claimed.page_count);
}

/* ---- writing ---- */

int page_run_init(struct page_run *r, uint32_t page_size, struct error *err)
{
    *r = (struct page_run){.page_count_max = RUN_BYTES / page_size,
                           .db_checksum = LTX_CHECKSUM_FLAG};
    r->bytes = mem_new(r->page_count_max, page_size, err);
    r->entries = r->bytes ? mem_new(r->page_count_max, sizeof(*r->entries), err) : NULL;
    if (!r->entries) {
        page_run_destroy(r);
        return -1;
    }
    return 0;
}

void page_run_destroy(struct page_run *r)
{
    free(r->bytes);
    free(r->entries);
    *r = (struct page_run){0};
}

int output_write(struct output *o, struct page_run *r, uint32_t pgno, struct slice page,
                 uint64_t checksum, struct error *err)
{
    bool follows = r->page_count > 0 && r->entries[r->page_count - 1].pgno + 1 == pgno;

    ASSERT(page.n == o->page_size);
    ASSERT(pgno >= 1 && pgno <= o->page_count && pgno != o->lock_pgno);
    if (r->page_count > 0 && (!follows || r->page_count == r->page_count_max) &&
        output_flush(o, r, err) < 0)
        return -1;
    memcpy(r->bytes + (size_t)r->page_count * o->page_size, page.p, page.n);
    r->entries[r->page_count++] = (struct map_entry){.pgno = pgno, .checksum = checksum};
    return 0;
}

int output_flush(struct output *o, struct page_run *r, struct error *err)
{
    int rc = 0;

    if (r->page_count == 0)
        return 0;
    if (env_pwrite(output_env(o), o->fd, r->bytes, (size_t)r->page_count * o->page_size,
                   (int64_t)(r->entries[0].pgno - 1) * o->page_size, o->temp_path, err) < 0)
        return -1;
    if (o->map_path) {
        (void)pthread_mutex_lock(&o->map_mu); /* cannot fail: initialised, not recursive */
        rc = page_map_write(&o->map, r->entries, r->page_count, err);
        (void)pthread_mutex_unlock(&o->map_mu); /* cannot fail: we hold it */
    }
    for (uint32_t i = 0; i < r->page_count; i++)
        r->db_checksum = ltx_db_checksum_toggle(r->db_checksum, r->entries[i].checksum);
    r->pages_done += r->page_count;
    r->page_count = 0;
    return rc;
}

void output_count(struct output *o, struct page_run *r)
{
    ASSERT(r->page_count == 0);
    o->pages_done += r->pages_done;
    o->db_checksum = ltx_db_checksum_toggle(o->db_checksum, r->db_checksum);
    r->pages_done = 0;
    r->db_checksum = LTX_CHECKSUM_FLAG;
}

int output_sync(const struct output *o, struct error *err)
{
    return env_fsync(output_env(o), o->fd, o->temp_path, err);
}

int output_swap(struct output *o, struct error *err)
{
    if (guard_swap(o->guard, o->temp_path, o->fd, err) < 0)
        return -1;
    o->is_finished = true;
    int fd = o->fd;
    o->fd = -1;
    env_close_quietly(output_env(o), fd); /* all of it was synced */
    return 0;
}
