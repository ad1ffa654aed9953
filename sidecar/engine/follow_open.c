/*
 * Opening a follower, or saying by name why the database cannot be followed now.
 *
 * In this order, so that nothing is created or locked where we do not belong:
 *
 *   1. stat        no file, or an empty one            FOLLOW_ABSENT
 *                  not a regular file                  FOLLOW_NOT_DATABASE
 *   2. statfs      NFS, SMB, FUSE, 9p, ceph, ...       FOLLOW_NETWORK_FS
 *   3. open        only for reading                    FOLLOW_READ_ONLY
 *   4. read the header (no lock)
 *                  another magic                       FOLLOW_NOT_DATABASE
 *                  not WAL: switch it on, or           FOLLOW_NOT_WAL
 *   5. begin       busy though the header says WAL     FOLLOW_EXCLUSIVE: in WAL mode only a
 *                                                      connection in exclusive locking mode (or one
 *                                                      that is just closing) keeps readers out
 *                  busy with recovery                  FOLLOW_BUSY
 *                  -wal or -shm cannot be opened       FOLLOW_READ_ONLY
 *   6. the path names another file meanwhile           FOLLOW_MOVED
 *
 * The read transaction of step 5 is the holder's. A missing -wal is created (empty) by SQLite.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/follow_internal.h"
#include "sidecar/engine/lock_vfs.h"

/* Numbers of statfs(2): file systems on which mmap or locks are not shared between machines or
 * mounts. */
static const struct fs_name {
    uint32_t magic;
    const char *name;
} network_fs[] = {
    {0x6969, "NFS"},      {0x517B, "SMB"},        {0xFF534D42, "CIFS"},     {0xFE534D42, "SMB2"},
    {0x65735546, "FUSE"}, {0x01021997, "9p"},     {0x00C36400, "Ceph"},     {0x5346414F, "AFS"},
    {0x47504653, "GPFS"}, {0x0BD00BD0, "Lustre"}, {0x73757245, "Coda"},     {0x7461636F, "OCFS2"},
    {0x01161970, "GFS2"}, {0xAAD7AAEA, "PanFS"},  {0x20030528, "OrangeFS"},
};

static const char *network_fs_name(uint64_t magic)
{
    for (size_t i = 0; i < ARRAY_LEN(network_fs); i++) {
        if (network_fs[i].magic == (uint32_t)magic) {
            return network_fs[i].name;
        }
    }
    return NULL;
}

bool follow_fs_is_network(uint64_t magic)
{
    return network_fs_name(magic) != NULL;
}

const char *follow_state_text(enum follow_state state)
{
    switch (state) {
    case FOLLOW_OK:
        return "ok";
    case FOLLOW_ABSENT:
        return "absent";
    case FOLLOW_NOT_WAL:
        return "not in WAL mode";
    case FOLLOW_EXCLUSIVE:
        return "locked exclusively";
    case FOLLOW_NETWORK_FS:
        return "on a network file system";
    case FOLLOW_MOVED:
        return "moved or replaced";
    case FOLLOW_HEADER_TORN:
        return "wal-index header torn";
    case FOLLOW_READ_ONLY:
        return "not writable";
    case FOLLOW_NOT_DATABASE:
        return "not a database";
    case FOLLOW_BUSY:
        return "busy";
    }
    return "unknown";
}

int follow_process_init(struct error *err)
{
    static bool is_done;

    if (is_done) {
        return 0;
    }
    int rc = sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    if (rc == SQLITE_OK) {
        rc = sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_initialize();
    }
    if (rc != SQLITE_OK) {
        return error_set(err, rc == SQLITE_NOMEM ? ERR_NO_MEMORY : ERR_WRONG_STATE, rc,
                         "set up SQLite: %s", sqlite3_errstr(rc));
    }
    if (lock_vfs_register(err) < 0) {
        return -1;
    }
    is_done = true;
    return 0;
}

const char *follow_sqlite_version(void)
{
    return sqlite3_libversion();
}

bool follow_sqlite_has_wal_reset_bug(void)
{
    int version = sqlite3_libversion_number();
    bool is_back_ported =
        (version >= 3044006 && version < 3045000) || (version >= 3050007 && version < 3051000);
    return version >= 3007000 && version < 3051003 && !is_back_ported;
}

/* Fills err and *out_state; returns -1. */
static int refuse(enum follow_state state, enum follow_state *out_state, struct error *err,
                  const char *path, const char *detail, const char *hint)
{
    *out_state = state;
    error_set(err, ERR_WRONG_STATE, 0, "%s: %s%s%s", path, follow_state_text(state),
              detail ? ": " : "", detail ? detail : "");
    return hint ? error_hint(err, "%s", hint) : -1;
}

/* Steps 1 and 2. */
static int place_check(const struct env *env, const char *path, bool allow_network_fs,
                       enum follow_state *out_state, struct error *err)
{
    struct stat st;

    if (env_stat(env, path, &st, err) < 0) {
        if (err->code != ERR_NOT_FOUND) {
            return -1;
        }
        return refuse(FOLLOW_ABSENT, out_state, err, path, NULL, NULL);
    }
    if (!S_ISREG(st.st_mode)) {
        return refuse(FOLLOW_NOT_DATABASE, out_state, err, path, "not a regular file", NULL);
    }
    if (st.st_size == 0) {
        return refuse(FOLLOW_ABSENT, out_state, err, path, "the file is empty", NULL);
    }
    int64_t magic = allow_network_fs ? 0 : env_fs_magic(env, path);
    if (magic <= 0) {
        return 0;
    }
    const char *name = network_fs_name((uint64_t)magic);
    if (!name) {
        return 0;
    }
    return refuse(FOLLOW_NETWORK_FS, out_state, err, path, name,
                  "WAL mode needs memory that all programs share; use a local volume");
}

/* Names what an error of SQLite means for somebody who wants to follow. Returns -1. */
static int name_failure(const char *path, enum follow_state *out_state, struct error *err)
{
    struct error cause = *err;

    switch (cause.code) {
    case ERR_NOT_FOUND:
        return refuse(FOLLOW_ABSENT, out_state, err, path, NULL, NULL);
    case ERR_ACCESS:
        return refuse(FOLLOW_READ_ONLY, out_state, err, path, cause.text,
                      "run as the application's user; database, -wal and -shm must be writable");
    case ERR_CORRUPT:
        return refuse(FOLLOW_NOT_DATABASE, out_state, err, path, cause.text,
                      "the file is damaged, encrypted, or no SQLite database");
    case ERR_BUSY:
        if ((cause.origin & 0xff) == SQLITE_PROTOCOL) {
            return refuse(FOLLOW_HEADER_TORN, out_state, err, path, cause.text,
                          "a program stopped in the middle of a commit; end it or let it go on");
        }
        if (cause.origin == SQLITE_BUSY) {
            return refuse(FOLLOW_EXCLUSIVE, out_state, err, path, NULL,
                          "an application uses PRAGMA locking_mode=EXCLUSIVE; use NORMAL");
        }
        return refuse(FOLLOW_BUSY, out_state, err, path, cause.text, NULL);
    case ERR_NONE:
    case ERR_USAGE:
    case ERR_EXISTS:
    case ERR_CONFLICT:
    case ERR_EXPIRED:
    case ERR_FENCED:
    case ERR_GAP:
    case ERR_LIMIT:
    case ERR_NO_MEMORY:
    case ERR_NO_SPACE:
    case ERR_IO:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_CANCELED:
    case ERR_WRONG_STATE:
    case ERR_UNSUPPORTED:
        break;
    }
    return -1;
}

static void connection_cleanup(struct connection **c)
{
    connection_close(*c);
}

/* The switch parses the schema; a connection of its own keeps that memory out of the holder. */
static int wal_enable(struct follower *f, enum follow_state *out_state, struct error *err)
{
    CLEANUP(connection_cleanup) struct connection *c = NULL;
    bool is_wal = false;

    if (follow_connect(f, &c, err) < 0) {
        return name_failure(f->path, out_state, err);
    }
    if (connection_enable_wal(c, &is_wal, err) < 0) {
        if (err->code != ERR_BUSY) {
            return name_failure(f->path, out_state, err);
        }
        struct error cause = *err;
        return refuse(FOLLOW_BUSY, out_state, err, f->path, cause.text, NULL);
    }
    if (!is_wal) {
        return refuse(FOLLOW_NOT_WAL, out_state, err, f->path, "SQLite would not switch it on",
                      NULL);
    }
    return 0;
}

/* Step 4. */
static int mode_check(struct follower *f, enum follow_state *out_state, struct error *err)
{
    uint8_t bytes[DB_HEADER_BYTES];
    struct db_header header;

    if (connection_db_read(f->holder, 0, bytes, sizeof(bytes), err) < 0) {
        return -1;
    }
    if (db_header_decode(slice_of(bytes, sizeof(bytes)), &header, err) < 0) {
        return name_failure(f->path, out_state, err);
    }
    if (header.is_wal) {
        return 0;
    }
    if (f->options.enable_wal) {
        return wal_enable(f, out_state, err);
    }
    return refuse(FOLLOW_NOT_WAL, out_state, err, f->path, NULL,
                  "run PRAGMA journal_mode=WAL in the application, or set journal-mode: enable");
}

/* Steps 3 to 6. */
static int holder_begin(struct follower *f, enum follow_state *out_state, struct error *err)
{
    if (connection_open(f->path, f->options.busy_timeout_ns, &f->holder, err) < 0) {
        return name_failure(f->path, out_state, err);
    }
    if (connection_is_read_only(f->holder)) {
        return refuse(FOLLOW_READ_ONLY, out_state, err, f->path, NULL,
                      "run as the application's user; database, -wal and -shm must be writable");
    }
    if (mode_check(f, out_state, err) < 0) {
        return -1;
    }
    if (connection_begin(f->holder, err) < 0) {
        return name_failure(f->path, out_state, err);
    }
    if (connection_slot(f->holder) < 0) {
        return refuse(FOLLOW_NOT_WAL, out_state, err, f->path, NULL, NULL);
    }
    connection_end(f->holder);
    if (follow_start_anew(f, err) < 0) {
        return name_failure(f->path, out_state, err);
    }
    if (connection_has_moved(f->holder)) {
        return refuse(FOLLOW_MOVED, out_state, err, f->path, NULL, NULL);
    }
    return 0;
}

static void follower_cleanup(struct follower **f)
{
    follower_close(*f);
}

int follower_open(const struct env *env, const char *path, const struct follow_options *options,
                  struct follower **out, enum follow_state *out_state, struct error *err)
{
    CLEANUP(follower_cleanup) struct follower *f = NULL;

    *out_state = FOLLOW_OK;
    if (follow_process_init(err) < 0 ||
        place_check(env, path, options->allow_network_fs, out_state, err) < 0) {
        return -1;
    }
    f = mem_new(1, sizeof(*f), err);
    if (!f) {
        return -1;
    }
    f->env = env;
    f->options = *options;
    f->path = str_dup(path, err);
    if (!f->path || holder_begin(f, out_state, err) < 0) {
        return -1;
    }
    f->wal_path = str_dup(connection_log_path(f->holder), err);
    if (!f->wal_path) {
        return -1;
    }
    follow_locks_probe(f);
    *out = TAKE(f);
    return 0;
}

void follower_close(struct follower *f)
{
    if (!f) {
        return;
    }
    connection_close(f->pin_holder);
    connection_close(f->spare);
    connection_close(f->checkpointer);
    connection_close(f->holder);
    free((void *)f->blocks);
    free(f->wal_path);
    free(f->path);
    free(f);
}

void follower_release(struct follower *f)
{
    /* The connection stays open: it keeps the log from being deleted, and the memory mapped. */
    f->is_pin_broken = f->has_pin;
    connection_close(TAKE(f->pin_holder));
    follow_settle(f);
    connection_end(f->holder);
    f->is_released = true;
}

int follower_reacquire(struct follower *f, struct error *err)
{
    ASSERT(f->is_released);
    if (follow_start_anew(f, err) < 0) {
        return -1;
    }
    f->is_released = false;
    return 0;
}
