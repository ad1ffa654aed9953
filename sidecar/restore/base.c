/*
 * The base of a roll forward.
 *
 *   1. base_log_contains(): a log whose frame at the object's end has the object's salts and
 *      running checksum proves that the database has seen that state
 *   2. base_settle(): SQLite recovers and checkpoints, so that the file alone is the database
 *   3. base_compare(): every page against the map
 *   4. base_copy(): what the newer objects did not claim
 *
 * Steps 1 and 2 in this order: a checkpoint may restart the log.
 */
#include "sidecar/restore/base.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "lib/sqlite/wal_format.h"

enum {
    COMPARE_BYTES = 256 * 1024, /* read at a time */
};

void base_close(struct base *b)
{
    page_map_close(&b->map);
    free(b->path);
    *b = (struct base)BASE_INIT;
}

int base_open(const struct env *env, const char *path, const char *map_path, struct base *out,
              struct error *err)
{
    CLEANUP(base_close) struct base b = BASE_INIT;
    bool is_sound = false;

    b.env = env;
    b.path = str_dup(path, err);
    if (!b.path || page_map_open(env, map_path, &b.map, err) < 0 ||
        page_map_verify(&b.map, &is_sound, err) < 0)
        return -1;
    if (!is_sound) {
        return error_set(err, ERR_CORRUPT, 0, "page map %s does not have its own checksum",
                         map_path);
    }
    *out = b;
    b = (struct base)BASE_INIT;
    return 0;
}

/* ---- step 1 ---- */

/* Reads the header of the log's frame that ends at offset; false in *out_is_there if it has none.
 */
static int frame_read(const struct base *b, const char *wal_path, int64_t offset,
                      struct wal_frame *out, bool *out_is_there, struct error *err)
{
    uint8_t bytes[WAL_FRAME_HEADER_BYTES];
    size_t n = 0;
    int fd = -1;

    *out_is_there = false;
    if (env_open(b->env, wal_path, O_RDONLY, 0, &fd, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    int rc = env_pread(b->env, fd, bytes, sizeof(bytes), offset, wal_path, &n, err);
    env_close_quietly(b->env, fd); /* nothing was written through it */
    if (rc < 0)
        return -1;
    *out_is_there = n == sizeof(bytes);
    if (*out_is_there)
        wal_frame_decode(bytes, out);
    return 0;
}

int base_log_contains(const struct base *b, const struct ltx_header *object, bool *out_contains,
                      struct error *err)
{
    int64_t frame_bytes = WAL_FRAME_HEADER_BYTES + (int64_t)object->page_size;
    int64_t end = 0;
    struct wal_frame frame;
    bool is_there = false;

    *out_contains = false;
    if (!object->has_ext || object->wal_offset <= 0 || object->wal_bytes <= 0 ||
        !checked_add_i64(object->wal_offset, object->wal_bytes, &end) ||
        end < WAL_HEADER_BYTES + frame_bytes)
        return 0;
    CLEANUP(mem_free) char *wal_path = str_printf(err, "%s-wal", b->path);
    if (!wal_path || frame_read(b, wal_path, end - frame_bytes, &frame, &is_there, err) < 0)
        return -1;
    *out_contains = is_there && wal_salt_eq(frame.salt, object->wal_salt) &&
                    wal_cksum_eq(frame.cksum, object->wal_cksum);
    return 0;
}

/* ---- step 2 ---- */

static void connection_close(sqlite3 **db)
{
    (void)sqlite3_close(*db); /* all was checkpointed, or an error was told */
}

int base_settle(const struct base *b, struct error *err)
{
    CLEANUP(connection_close) sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(b->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    /* A read takes care of a hot journal; a checkpoint needs one before it, too. */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    enum error_code code = ERR_IO;
    if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
        code = ERR_BUSY;
    else if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
        code = ERR_CORRUPT;
    return error_set(err, code, rc, "%s: %s", b->path,
                     db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

/* ---- steps 3 and 4: walks over all pages ---- */

/* Some pages that follow each other, and what the map says about them. */
struct window {
    uint8_t *bytes;
    struct map_entry *entries;
    uint32_t page_count_max;
    uint32_t first;
    uint32_t page_count;
};

static void window_destroy(struct window *w)
{
    free(w->bytes);
    free(w->entries);
}

static int window_init(struct window *w, uint32_t page_size, struct error *err)
{
    w->page_count_max = COMPARE_BYTES / page_size;
    w->bytes = mem_new(w->page_count_max, page_size, err);
    w->entries = w->bytes ? mem_new(w->page_count_max, sizeof(*w->entries), err) : NULL;
    return w->entries ? 0 : -1;
}

/* Moves on to the pages from first. */
static int window_read(struct window *w, struct base *b, int fd, uint32_t first, struct error *err)
{
    const struct map_state *s = &b->map.state;
    uint32_t left = s->page_count - first + 1;

    w->first = first;
    w->page_count = left < w->page_count_max ? left : w->page_count_max;
    for (uint32_t i = 0; i < w->page_count; i++)
        w->entries[i] = (struct map_entry){.pgno = first + i};
    if (page_map_read(&b->map, w->entries, w->page_count, err) < 0)
        return -1;
    return env_pread_exact(b->env, fd, w->bytes, (size_t)w->page_count * s->page_size,
                           (int64_t)(first - 1) * s->page_size, b->path, err);
}

/* What to do with a page; has_fitted: it is as the map says. */
typedef int page_fn(void *arg, uint32_t pgno, struct slice page, uint64_t checksum, bool has_fitted,
                    struct error *err);

static int pages_walk(const struct base *const_b, int fd, page_fn *fn, void *arg, struct error *err)
{
    struct base *b = (struct base *)(uintptr_t)const_b; /* reading the map needs no change of it */
    uint32_t page_size = b->map.state.page_size;
    uint32_t lock_pgno = db_lock_pgno(page_size);
    CLEANUP(window_destroy) struct window w = {0};

    if (window_init(&w, page_size, err) < 0)
        return -1;
    for (uint64_t first = 1; first <= b->map.state.page_count; first += w.page_count) {
        if (window_read(&w, b, fd, (uint32_t)first, err) < 0)
            return -1;
        for (uint32_t i = 0; i < w.page_count; i++) {
            struct slice page = slice_of(w.bytes + (size_t)i * page_size, page_size);
            uint32_t pgno = w.first + i;
            if (pgno == lock_pgno)
                continue;
            uint64_t checksum = ltx_page_checksum(pgno, page);
            if (fn(arg, pgno, page, checksum, checksum == w.entries[i].checksum, err) < 0)
                return -1;
        }
    }
    return 0;
}

struct comparison {
    uint64_t db_checksum;
    bool has_fitted;
};

static int page_compare(void *arg, uint32_t pgno UNUSED, struct slice page UNUSED,
                        uint64_t checksum, bool has_fitted, struct error *err UNUSED)
{
    struct comparison *c = arg;

    c->db_checksum = ltx_db_checksum_toggle(c->db_checksum, checksum);
    c->has_fitted &= has_fitted;
    return 0;
}

/* The checksum of a file whose size is not that of the map: over the pages that it has. */
static int other_size(const struct base *b, int fd, int64_t bytes, uint64_t *out_db_checksum,
                      struct error *err)
{
    uint32_t page_size = b->map.state.page_size;
    CLEANUP(mem_free) uint8_t *page = mem_new(1, page_size, err);
    uint64_t sum = LTX_CHECKSUM_FLAG;

    if (!page)
        return -1;
    for (int64_t at = 0; at + page_size <= bytes; at += page_size) {
        uint32_t pgno = (uint32_t)(at / page_size) + 1;
        if (env_pread_exact(b->env, fd, page, page_size, at, b->path, err) < 0)
            return -1;
        if (pgno != db_lock_pgno(page_size))
            sum = ltx_db_checksum_toggle(sum, ltx_page_checksum(pgno, slice_of(page, page_size)));
    }
    *out_db_checksum = sum;
    return 0;
}

static int compare_fd(const struct base *b, int fd, enum base_content *out_content,
                      uint64_t *out_db_checksum, struct error *err)
{
    struct comparison c = {.db_checksum = LTX_CHECKSUM_FLAG, .has_fitted = true};
    struct stat st;

    if (env_fstat(b->env, fd, b->path, &st, err) < 0)
        return -1;
    *out_content = BASE_IS_OTHER;
    if (st.st_size != (int64_t)b->map.state.page_count * b->map.state.page_size)
        return other_size(b, fd, st.st_size, out_db_checksum, err);
    if (pages_walk(b, fd, page_compare, &c, err) < 0)
        return -1;
    *out_content = c.has_fitted ? BASE_IS_MAP : BASE_IS_OTHER;
    *out_db_checksum = c.db_checksum;
    return 0;
}

int base_compare(const struct base *b, enum base_content *out_content, uint64_t *out_db_checksum,
                 struct error *err)
{
    int fd = -1;

    if (env_open(b->env, b->path, O_RDONLY, 0, &fd, err) < 0)
        return -1;
    int rc = compare_fd(b, fd, out_content, out_db_checksum, err);
    env_close_quietly(b->env, fd); /* nothing was written through it */
    return rc;
}

struct copy {
    struct output *output;
    struct page_run run;
};

static void copy_destroy(struct copy *c)
{
    page_run_destroy(&c->run);
}

static int page_copy(void *arg, uint32_t pgno, struct slice page, uint64_t checksum,
                     bool has_fitted, struct error *err)
{
    struct copy *c = arg;
    bool is_ours = false;

    if (!has_fitted) {
        return error_set(err, ERR_WRONG_STATE, 0, "page %u changed while it was being copied",
                         pgno);
    }
    if (output_claim(c->output, pgno, &is_ours, err) < 0)
        return -1;
    return is_ours ? output_write(c->output, &c->run, pgno, page, checksum, err) : 0;
}

int base_copy(const struct base *b, struct output *o, struct error *err)
{
    CLEANUP(copy_destroy) struct copy c = {.output = o};
    int fd = -1;

    ASSERT(o->page_size == b->map.state.page_size);
    if (page_run_init(&c.run, o->page_size, err) < 0 ||
        env_open(b->env, b->path, O_RDONLY, 0, &fd, err) < 0)
        return -1;
    int rc = pages_walk(b, fd, page_copy, &c, err);
    env_close_quietly(b->env, fd); /* nothing was written through it */
    if (rc < 0 || output_flush(o, &c.run, err) < 0)
        return -1;
    output_count(o, &c.run);
    return 0;
}
