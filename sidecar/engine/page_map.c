/*
 * The page map: a header and one checksum a page. The table of the file is in page_map.h.
 *
 * A new map is written beside its name ("<path>.tmp") and takes the name when it is complete; an
 * existing one is changed in place:
 *
 *   1. page_map_write(): entries of the pages of one acknowledged object
 *   2. page_map_commit(): fdatasync, so that the entries are on the disk before any header that
 *      speaks of them; then the header of the new state
 *   3. when the database shrank: the header is made durable, then the tail is cut
 *
 * Killed before step 2's header, the map still says n while some entries are already those of
 * n + 1: the caller heals them from object n + 1. The header is not synced by itself, but by the
 * fdatasync of the next commit, so it can never be more than one object behind. In step 3 a header
 * of the old, larger state with a file that is cut already would be a damaged map, hence the order;
 * entries beyond the page count are never looked at.
 *
 * Invariant: a map that was never published has txid 0 (no state has it), and closing it removes
 * the temporary file.
 */
#include "sidecar/engine/page_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ltx/crc64.h"
#include "lib/ltx/ltx.h"

enum {
    ENTRY_BYTES = 8,
    RUN_ENTRIES = 2048, /* entries moved by one call: 16 KiB on the stack */
    MAP_EARLIER_OFFSET = 96,
    MAP_CRC_OFFSET = MAP_EARLIER_OFFSET + 8 * PAGE_MAP_EARLIER,
    MAP_FLAG_REWIND = 1,
};

static const char map_magic[] = "WFMAP003";

static_assert(sizeof(map_magic) - 1 == 8, "magic of 8 bytes");
static_assert(MAP_CRC_OFFSET + 8 == PAGE_MAP_HEADER_BYTES, "the checksum ends the header");

/* ---- the header ---- */

static void header_encode(const struct map_state *s, uint8_t out[static PAGE_MAP_HEADER_BYTES])
{
    memset(out, 0, PAGE_MAP_HEADER_BYTES);
    memcpy(out, map_magic, sizeof(map_magic) - 1);
    be32_store(out + 8, s->page_size);
    be32_store(out + 12, s->page_count);
    be64_store(out + 16, s->txid);
    be64_store(out + 24, s->file_checksum);
    be64_store(out + 32, s->db_checksum);
    be32_store(out + 40, s->epoch);
    be32_store(out + 44, s->owner);
    be32_store(out + 48, s->is_rewind ? MAP_FLAG_REWIND : 0);
    be32_store(out + 52, s->end.salt[0]);
    be32_store(out + 56, s->end.salt[1]);
    be32_store(out + 60, s->end.frame);
    if (s->is_rewind) {
        be64_store(out + 64, s->rewind_tip_txid);
    } else {
        be32_store(out + 64, s->end.cksum[0]);
        be32_store(out + 68, s->end.cksum[1]);
    }
    be64_store(out + 72, s->pending_txid);
    be64_store(out + 80, s->pending_file_checksum);
    be64_store(out + 88, s->file_id);
    for (size_t i = 0; i < PAGE_MAP_EARLIER; i++)
        be64_store(out + MAP_EARLIER_OFFSET + 8 * i, s->earlier[i]);
    be64_store(out + MAP_CRC_OFFSET, crc64(0, slice_of(out, MAP_CRC_OFFSET)));
}

static int header_decode(const uint8_t bytes[static PAGE_MAP_HEADER_BYTES], const char *path,
                         struct map_state *out, struct error *err)
{
    struct cursor c = CURSOR_OF(slice_of(bytes, PAGE_MAP_HEADER_BYTES));

    if (!slice_eq_str(cursor_bytes(&c, 8), map_magic))
        return error_set(err, ERR_CORRUPT, 0, "%s: not a page map (magic at offset 0)", path);
    uint64_t wanted = crc64(0, slice_of(bytes, MAP_CRC_OFFSET));
    uint64_t stored = be64_load(bytes + MAP_CRC_OFFSET);
    if (stored != wanted) {
        return error_set(err, ERR_CORRUPT, 0, "%s: header has checksum %016llx, should be %016llx",
                         path, (unsigned long long)stored, (unsigned long long)wanted);
    }
    struct map_state s = {0};
    s.page_size = cursor_be32(&c);
    s.page_count = cursor_be32(&c);
    s.txid = cursor_be64(&c);
    s.file_checksum = cursor_be64(&c);
    s.db_checksum = cursor_be64(&c);
    s.epoch = cursor_be32(&c);
    s.owner = cursor_be32(&c);
    uint32_t flags = cursor_be32(&c);
    s.end.salt[0] = cursor_be32(&c);
    s.end.salt[1] = cursor_be32(&c);
    s.end.frame = cursor_be32(&c);
    s.is_rewind = (flags & MAP_FLAG_REWIND) != 0;
    if (s.is_rewind) {
        s.rewind_tip_txid = cursor_be64(&c);
    } else {
        s.end.cksum[0] = cursor_be32(&c);
        s.end.cksum[1] = cursor_be32(&c);
    }
    s.pending_txid = cursor_be64(&c);
    s.pending_file_checksum = cursor_be64(&c);
    s.file_id = cursor_be64(&c);
    for (size_t i = 0; i < PAGE_MAP_EARLIER; i++)
        s.earlier[i] = cursor_be64(&c);
    s.end.page_size = s.page_size;
    s.end.page_count = s.page_count;
    if (!db_page_size_is_valid(s.page_size) || s.txid == 0 ||
        (flags & ~(uint32_t)MAP_FLAG_REWIND)) {
        return error_set(err, ERR_CORRUPT, 0, "%s: header has page size %u, TXID %llu, flags %u",
                         path, s.page_size, (unsigned long long)s.txid, flags);
    }
    *out = s;
    return 0;
}

static int header_write(struct page_map *m, const struct map_state *state, struct error *err)
{
    uint8_t bytes[PAGE_MAP_HEADER_BYTES];

    header_encode(state, bytes);
    return env_pwrite(m->env, m->fd, bytes, sizeof(bytes), 0, m->path, err);
}

/* Offset in the file of a page's entry; pgno = page count + 1 gives the length of the file. */
static int64_t entry_offset(uint64_t pgno)
{
    return PAGE_MAP_HEADER_BYTES + (int64_t)(pgno - 1) * ENTRY_BYTES;
}

static int64_t map_bytes(uint32_t page_count)
{
    return entry_offset((uint64_t)page_count + 1);
}

/* ---- opening and closing ---- */

int page_map_open(const struct env *env, const char *path, struct page_map *out, struct error *err)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    uint8_t bytes[PAGE_MAP_HEADER_BYTES];
    struct stat st;

    m.env = env;
    m.path = str_dup(path, err);
    if (!m.path || env_open(env, path, O_RDWR, 0, &m.fd, err) < 0)
        return error_wrap(err, "page map");
    m.state.txid = 1; /* whatever happens now, the file is a published one */
    if (env_pread_exact(env, m.fd, bytes, sizeof(bytes), 0, path, err) < 0 ||
        header_decode(bytes, path, &m.state, err) < 0 || env_fstat(env, m.fd, path, &st, err) < 0)
        return error_wrap(err, "page map");
    if (st.st_size < map_bytes(m.state.page_count)) {
        (void)error_set(err, ERR_CORRUPT, 0, "%s: %lld bytes, should be %lld for %u pages", path,
                        (long long)st.st_size, (long long)map_bytes(m.state.page_count),
                        m.state.page_count);
        return error_wrap(err, "page map");
    }
    *out = m;
    m = (struct page_map)PAGE_MAP_INIT;
    return 0;
}

/* "<path>.tmp"; the caller frees. */
static char *temp_path_of(const char *path, struct error *err)
{
    return str_printf(err, "%s.tmp", path);
}

void page_map_close(struct page_map *m)
{
    struct error err = ERROR_INIT;

    if (m->fd >= 0) {
        env_close_quietly(m->env, m->fd); /* what must last was synced by commit or publish */
        CLEANUP(mem_free) char *temp = m->state.txid == 0 ? temp_path_of(m->path, &err) : NULL;
        /* A leftover that cannot be removed now is overwritten by the next map. */
        if (temp && env_unlink(m->env, temp, &err) < 0)
            error_clear(&err);
    }
    free(m->path);
    *m = (struct page_map)PAGE_MAP_INIT;
}

/* ---- creating ---- */

/*
 * Gives fd owner, group and mode that let whoever uses the database use it too. Only root can give
 * files away; for everybody else the file has the right owner already, or nobody could help it.
 */
static int owner_apply(const struct env *env, int fd, const struct stat *like, mode_t mode,
                       const char *path, struct error *err)
{
    struct stat st;

    if (env_fstat(env, fd, path, &st, err) < 0)
        return -1;
    if (geteuid() == 0 && (st.st_uid != like->st_uid || st.st_gid != like->st_gid) &&
        env_fchown(env, fd, like->st_uid, like->st_gid, path, err) < 0)
        return -1;
    return st.st_uid == geteuid() || geteuid() == 0 ? env_fchmod(env, fd, mode, path, err) : 0;
}

/* Creates the folder of path, if missing, for the owner of the database. */
static int folder_make(const struct env *env, const char *path, const struct stat *like,
                       struct error *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(mem_free) char *folder = slash && slash > path ? str_dup(path, err) : NULL;
    bool is_there = true;
    int fd = -1;

    if (!slash || slash == path)
        return 0;
    if (!folder)
        return -1;
    folder[slash - path] = '\0';
    if (env_exists(env, folder, &is_there, err) < 0)
        return -1;
    if (is_there)
        return 0;
    if (env_mkdir_all(env, folder, 0700, err) < 0 ||
        env_open(env, folder, O_RDONLY | O_DIRECTORY, 0, &fd, err) < 0)
        return -1;
    /* Who may read the database may pass through the folder. */
    mode_t mode = 0700 | (like->st_mode & 066) | ((like->st_mode & 044) >> 2);
    int rc = owner_apply(env, fd, like, mode, folder, err);
    env_close_quietly(env, fd); /* nothing was written through it */
    return rc < 0 ? -1 : env_fsync_parent(env, folder, err);
}

int page_map_create(const struct env *env, const char *path, const char *owner_path,
                    uint32_t page_size, struct page_map *out, struct error *err)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    CLEANUP(mem_free) char *temp = temp_path_of(path, err);
    struct stat like;

    ASSERT(db_page_size_is_valid(page_size));
    m.env = env;
    m.path = temp ? str_dup(path, err) : NULL;
    m.state.page_size = page_size;
    if (!m.path || env_stat(env, owner_path, &like, err) < 0 ||
        folder_make(env, path, &like, err) < 0 || env_unlink(env, temp, err) < 0 ||
        env_open(env, temp, O_RDWR | O_CREAT | O_EXCL, 0600, &m.fd, err) < 0 ||
        owner_apply(env, m.fd, &like, 0600 | (like.st_mode & 066), temp, err) < 0)
        return error_wrap(err, "page map %s", path);
    *out = m;
    m = (struct page_map)PAGE_MAP_INIT;
    return 0;
}

/* ---- objects that were encoded before ---- */

bool map_state_knows_earlier(const struct map_state *s, uint64_t file_checksum)
{
    for (size_t i = 0; i < PAGE_MAP_EARLIER; i++) {
        if (s->earlier[i] != 0 && s->earlier[i] == file_checksum)
            return true;
    }
    return false;
}

/* The oldest is forgotten. */
static void earlier_add(struct map_state *s, uint64_t file_checksum)
{
    if (map_state_knows_earlier(s, file_checksum))
        return;
    memmove(s->earlier + 1, s->earlier, (PAGE_MAP_EARLIER - 1) * sizeof(*s->earlier));
    s->earlier[0] = file_checksum;
}

/* Those of the same TXID which the map of this name was made for, and knows. */
static void earlier_take_over(const struct page_map *m, struct map_state *s)
{
    CLEANUP(page_map_close) struct page_map before = PAGE_MAP_INIT;
    struct error ignored = ERROR_INIT; /* none, or none of use */

    if (s->file_id == 0 || page_map_open(m->env, m->path, &before, &ignored) < 0 ||
        before.state.txid != s->txid || before.state.file_id != s->file_id)
        return;
    memcpy(s->earlier, before.state.earlier, sizeof(s->earlier));
    if (before.state.file_checksum != s->file_checksum)
        earlier_add(s, before.state.file_checksum);
}

/* ---- a new map ---- */

/* The state as it goes into the header: nothing is pending, the end has the size of the state. */
static struct map_state state_settled(const struct map_state *state)
{
    struct map_state s = *state;

    s.pending_txid = 0;
    s.pending_file_checksum = 0;
    memset(s.earlier, 0, sizeof(s.earlier));
    s.end.page_size = s.page_size;
    s.end.page_count = s.page_count;
    return s;
}

int page_map_publish(struct page_map *m, const struct map_state *state, struct error *err)
{
    struct map_state s = state_settled(state);
    CLEANUP(mem_free) char *temp = temp_path_of(m->path, err);

    ASSERT(m->state.txid == 0);
    ASSERT(s.txid != 0);
    earlier_take_over(m, &s);
    if (!temp || header_write(m, &s, err) < 0 ||
        env_ftruncate(m->env, m->fd, map_bytes(s.page_count), m->path, err) < 0 ||
        env_fsync(m->env, m->fd, m->path, err) < 0 || env_rename(m->env, temp, m->path, err) < 0)
        return error_wrap(err, "page map");
    m->state = s;
    if (env_fsync_parent(m->env, m->path, err) < 0)
        return error_wrap(err, "page map");
    return 0;
}

/* ---- entries ---- */

/* How many of entries[0..n) have neighbouring page numbers, at most RUN_ENTRIES. */
static size_t run_length(const struct map_entry *entries, size_t n)
{
    size_t run = 1;

    while (run < n && run < RUN_ENTRIES && entries[run].pgno == entries[0].pgno + run)
        run++;
    ASSERT(run == n || entries[run].pgno > entries[run - 1].pgno);
    return run;
}

int page_map_read(struct page_map *m, struct map_entry *entries, size_t n, struct error *err)
{
    uint8_t bytes[RUN_ENTRIES * ENTRY_BYTES];

    for (size_t i = 0; i < n;) {
        size_t run = run_length(entries + i, n - i);
        uint32_t first = entries[i].pgno;
        ASSERT(first > 0);
        uint32_t there = first <= m->state.page_count ? m->state.page_count - first + 1 : 0;
        size_t stored = there < run ? there : run;
        if (env_pread_exact(m->env, m->fd, bytes, stored * ENTRY_BYTES, entry_offset(first),
                            m->path, err) < 0)
            return error_wrap(err, "page map");
        for (size_t k = 0; k < run; k++)
            entries[i + k].checksum = k < stored ? be64_load(bytes + k * ENTRY_BYTES) : 0;
        i += run;
    }
    return 0;
}

int page_map_write(struct page_map *m, const struct map_entry *entries, size_t n, struct error *err)
{
    uint8_t bytes[RUN_ENTRIES * ENTRY_BYTES];

    for (size_t i = 0; i < n;) {
        size_t run = run_length(entries + i, n - i);
        ASSERT(entries[i].pgno > 0);
        for (size_t k = 0; k < run; k++)
            be64_store(bytes + k * ENTRY_BYTES, entries[i + k].checksum);
        if (env_pwrite(m->env, m->fd, bytes, run * ENTRY_BYTES, entry_offset(entries[i].pgno),
                       m->path, err) < 0)
            return error_wrap(err, "page map");
        i += run;
    }
    return 0;
}

int page_map_verify(struct page_map *m, bool *out_is_sound, struct error *err)
{
    uint8_t bytes[RUN_ENTRIES * ENTRY_BYTES];
    uint32_t lock_pgno = db_lock_pgno(m->state.page_size);
    uint64_t sum = LTX_CHECKSUM_FLAG;
    bool is_whole = true;

    for (uint64_t pgno = 1; pgno <= m->state.page_count;) {
        uint64_t left = m->state.page_count - pgno + 1;
        size_t run = left < RUN_ENTRIES ? (size_t)left : RUN_ENTRIES;
        if (env_pread_exact(m->env, m->fd, bytes, run * ENTRY_BYTES, entry_offset(pgno), m->path,
                            err) < 0)
            return error_wrap(err, "page map");
        for (size_t k = 0; k < run; k++) {
            uint64_t checksum = be64_load(bytes + k * ENTRY_BYTES);
            /* Every page has one, with its flag; the lock page has none. */
            is_whole &= pgno + k == lock_pgno ? checksum == 0 : (checksum & LTX_CHECKSUM_FLAG) != 0;
            sum = ltx_db_checksum_toggle(sum, checksum);
        }
        pgno += run;
    }
    *out_is_sound = is_whole && sum == m->state.db_checksum;
    return 0;
}

/* ---- states ---- */

int page_map_commit(struct page_map *m, const struct map_state *state, struct error *err)
{
    struct map_state s = state_settled(state);
    bool has_shrunk = s.page_count < m->state.page_count;

    ASSERT(m->state.txid != 0 && s.txid != 0);
    ASSERT(s.page_size == m->state.page_size);
    if (env_fdatasync(m->env, m->fd, m->path, err) < 0 || header_write(m, &s, err) < 0)
        return error_wrap(err, "page map");
    m->state = s;
    if (has_shrunk && (env_fdatasync(m->env, m->fd, m->path, err) < 0 ||
                       env_ftruncate(m->env, m->fd, map_bytes(s.page_count), m->path, err) < 0))
        return error_wrap(err, "page map");
    return 0;
}

int page_map_set_pending(struct page_map *m, uint64_t txid, uint64_t file_checksum,
                         struct error *err)
{
    struct map_state s = m->state;

    ASSERT(m->state.txid != 0);
    if (s.pending_txid != txid)
        memset(s.earlier, 0, sizeof(s.earlier));
    else if (s.pending_file_checksum != file_checksum)
        earlier_add(&s, s.pending_file_checksum);
    s.pending_txid = txid;
    s.pending_file_checksum = file_checksum;
    if (header_write(m, &s, err) < 0 ||
        (s.is_rewind && env_fdatasync(m->env, m->fd, m->path, err) < 0))
        return error_wrap(err, "page map");
    m->state = s;
    return 0;
}

bool map_state_goes_back(const struct map_state *s, uint64_t tip_txid)
{
    return s->is_rewind && (s->rewind_tip_txid == 0 || s->rewind_tip_txid >= tip_txid);
}

bool map_state_has_sent(const struct map_state *s, uint64_t txid, uint64_t file_checksum)
{
    uint64_t before = s->is_rewind && s->rewind_tip_txid ? s->rewind_tip_txid : s->txid;

    return s->pending_txid == txid && txid == before + 1 &&
           (s->pending_file_checksum == file_checksum || map_state_knows_earlier(s, file_checksum));
}

/* ---- which file it is for, and where it lies ---- */

int page_map_file_id(const struct env *env, const char *db_path, uint64_t *out_file_id,
                     struct error *err)
{
    struct env_identity who;
    uint8_t bytes[8 + 8 + 4] = {0};

    int rc = env_identity(env, db_path, &who);
    if (rc < 0)
        return error_set_errno(err, -rc, "stat %s", db_path);
    be64_store(bytes, who.ino);
    be64_store(bytes + 8, who.born_s);
    be32_store(bytes + 16, who.born_ns);
    uint64_t id = crc64(0, slice_of(bytes, sizeof(bytes)));
    *out_file_id = id ? id : 1; /* 0 says "not known" */
    return 0;
}

char *page_map_path(const char *db_path, const char *meta_path, const char *destination,
                    struct error *err)
{
    /* The name comes from the configuration: it must stay one name in one folder. */
    if (destination[0] == '\0' || destination[0] == '.' || strchr(destination, '/')) {
        (void)error_set(err, ERR_USAGE, 0, "\"%.100s\" cannot name a file, as a destination must",
                        destination);
        return NULL;
    }
    if (meta_path)
        return str_printf(err, "%s/%s.map", meta_path, destination);
    const char *slash = strrchr(db_path, '/');
    const char *name = slash ? slash + 1 : db_path;
    return str_printf(err, "%.*s.%s-walferry/%s.map", (int)(name - db_path), db_path, name,
                      destination);
}
