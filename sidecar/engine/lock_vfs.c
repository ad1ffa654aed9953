/*
 * A VFS through which everything passes (lib/sqlite/pass_vfs.h) and that records locks.
 *
 * Recording: xShmLock(offset, n, flags) covers lock bytes offset .. offset + n - 1 (0 write,
 * 1 checkpoint, 2 recover, 3..7 readers 0..4). A bit is set when the call succeeds and cleared when
 * it unlocks. SQLite holds at most one reader slot shared per connection.
 *
 * A file can be told to sync itself after so many written bytes: a checkpoint of a long log then
 * never leaves more than that in the page cache for one flush (lock_vfs_sync_each()).
 */
#include "sidecar/engine/lock_vfs.h"

#include "lib/sqlite/pass_vfs.h"

enum {
    LOCK_WRITER = 0,
    LOCK_READER_0 = 3,
    READER_SLOTS = 5,
};

struct lock_file {
    struct pass_file pass;    /* first */
    unsigned shared;          /* bit i: lock byte 120 + i is held shared */
    unsigned exclusive;       /* bit i: held exclusively */
    uint64_t sync_each_bytes; /* 0: only when SQLite wants it */
    uint64_t unsynced_bytes;
};

static sqlite3_vfs lock_vfs;
static sqlite3_vfs *real_vfs;
static sqlite3_io_methods methods; /* since registration */

/* The fault under way; tests are single-threaded. */
static struct {
    enum lock_vfs_op op;
    unsigned skip;
    unsigned count;
    int rc;
    unsigned injected;
} fault;

void lock_vfs_inject(enum lock_vfs_op op, unsigned skip, unsigned count, int rc)
{
    fault.op = op;
    fault.skip = skip;
    fault.count = count;
    fault.rc = rc;
    fault.injected = 0;
}

unsigned lock_vfs_injected_count(void)
{
    return fault.injected;
}

/* SQLITE_OK, or what this call of op shall fail with. */
static int fault_of(enum lock_vfs_op op)
{
    if (fault.count == 0 || fault.op != op) {
        return SQLITE_OK;
    }
    if (fault.skip > 0) {
        fault.skip--;
        return SQLITE_OK;
    }
    fault.count--;
    fault.injected++;
    return fault.rc;
}

static struct lock_file *file_of(sqlite3_file *file)
{
    return (struct lock_file *)(void *)file;
}

int lock_vfs_slot(const sqlite3_file *file)
{
    const struct lock_file *f = (const struct lock_file *)(const void *)file;

    for (int slot = 0; slot < READER_SLOTS; slot++) {
        if (f->shared & (1U << (LOCK_READER_0 + slot))) {
            return slot;
        }
    }
    return -1;
}

bool lock_vfs_holds_writer(const sqlite3_file *file)
{
    const struct lock_file *f = (const struct lock_file *)(const void *)file;
    return (f->exclusive & (1U << LOCK_WRITER)) != 0;
}

void lock_vfs_sync_each(sqlite3_file *file, uint64_t bytes)
{
    file_of(file)->sync_each_bytes = bytes;
    file_of(file)->unsynced_bytes = 0;
}

/* ---- the methods of a file that do more than pass ---- */

static int file_read(sqlite3_file *file, void *p, int n, sqlite3_int64 offset)
{
    int rc = fault_of(LOCK_VFS_READ);
    return rc != SQLITE_OK ? rc : pass_vfs_methods.xRead(file, p, n, offset);
}

static int file_sync(sqlite3_file *file, int flags)
{
    int rc = fault_of(LOCK_VFS_SYNC);
    return rc != SQLITE_OK ? rc : pass_vfs_methods.xSync(file, flags);
}

static int file_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 offset)
{
    struct lock_file *f = file_of(file);
    int rc = fault_of(LOCK_VFS_WRITE);

    if (rc == SQLITE_OK) {
        rc = pass_vfs_methods.xWrite(file, p, n, offset);
    }
    f->unsynced_bytes += (uint64_t)n;
    if (rc != SQLITE_OK || f->sync_each_bytes == 0 || f->unsynced_bytes < f->sync_each_bytes) {
        return rc;
    }
    f->unsynced_bytes = 0;
    return file_sync(file, SQLITE_SYNC_NORMAL);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = fault_of(LOCK_VFS_TRUNCATE);
    return rc != SQLITE_OK ? rc : pass_vfs_methods.xTruncate(file, size);
}

static int file_shm_map(sqlite3_file *file, int block, int size, int extend, void volatile **out)
{
    int rc = fault_of(LOCK_VFS_SHM_MAP);
    if (rc != SQLITE_OK) {
        return rc;
    }
    return pass_vfs_methods.xShmMap(file, block, size, extend, out);
}

static void record(struct lock_file *f, int offset, int n, int flags)
{
    unsigned bits = ((1U << n) - 1) << offset;

    if (flags & SQLITE_SHM_UNLOCK) {
        f->shared &= ~bits;
        f->exclusive &= ~bits;
    } else if (flags & SQLITE_SHM_EXCLUSIVE) {
        f->exclusive |= bits;
    } else {
        f->shared |= bits;
    }
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    /* An unlock never fails: SQLite does not look at its result. */
    int rc = flags & SQLITE_SHM_UNLOCK ? SQLITE_OK : fault_of(LOCK_VFS_SHM_LOCK);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = pass_vfs_methods.xShmLock(file, offset, n, flags);
    if (rc == SQLITE_OK) {
        record(file_of(file), offset, n, flags);
    }
    return rc;
}

static int file_shm_unmap(sqlite3_file *file, int is_delete)
{
    file_of(file)->shared = 0;
    file_of(file)->exclusive = 0;
    return pass_vfs_methods.xShmUnmap(file, is_delete);
}

static void methods_make(void)
{
    methods = pass_vfs_methods;
    methods.xRead = file_read;
    methods.xWrite = file_write;
    methods.xTruncate = file_truncate;
    methods.xSync = file_sync;
    methods.xShmMap = file_shm_map;
    methods.xShmLock = file_shm_lock;
    methods.xShmUnmap = file_shm_unmap;
}

static int vfs_open(sqlite3_vfs *vfs UNUSED, const char *name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct lock_file *f = file_of(file);

    *f = (struct lock_file){.shared = 0};
    return pass_vfs_open(real_vfs, name, &f->pass, sizeof(*f), &methods, flags, out_flags);
}

int lock_vfs_stand_on(const char *vfs_name, struct error *err)
{
    sqlite3_vfs *found = sqlite3_vfs_find(vfs_name);
    if (!found) {
        return error_set(err, ERR_WRONG_STATE, 0, "SQLite has no VFS \"%s\"",
                         vfs_name ? vfs_name : "(default)");
    }
    methods_make();
    pass_vfs_make(&lock_vfs, found, LOCK_VFS_NAME, sizeof(struct lock_file));
    lock_vfs.xOpen = vfs_open;
    int rc = sqlite3_vfs_register(&lock_vfs, 0);
    if (rc != SQLITE_OK) {
        return error_set(err, ERR_NO_MEMORY, rc, "register VFS \"%s\": %s", LOCK_VFS_NAME,
                         sqlite3_errstr(rc));
    }
    real_vfs = found;
    return 0;
}

int lock_vfs_register(struct error *err)
{
    return real_vfs ? 0 : lock_vfs_stand_on(NULL, err);
}
