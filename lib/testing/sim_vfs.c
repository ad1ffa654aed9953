/*
 * Everything passes (lib/sqlite/pass_vfs.h), but where the world has its say.
 */
#include "lib/testing/sim_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/sqlite/pass_vfs.h"
#include "lib/testing/memory_files.h"
#include "lib/testing/memory_sqlite.h"
#include "lib/testing/sim.h"
#include "lib/testing/sim_disk.h"
#include "lib/testing/test.h"

struct sim_file {
    struct pass_file pass; /* first */
    struct sim_process *p; /* NULL: opened by nobody in particular */
    const char *path;      /* SQLite's; valid as long as the file is open */
    ino_t ino;
    bool is_temporary;
};

static sqlite3_vfs sim_vfs;
static sqlite3_vfs *real_vfs;
static sqlite3_io_methods methods; /* since registration */

static struct sim_file *file_of(sqlite3_file *file)
{
    return (struct sim_file *)(void *)file;
}

/* ---- the world's say ---- */

/* Others go on for a moment. */
static void between(struct sim_process *p)
{
    struct sim *sim = p->sim;

    if (sim->depth > 0 || p->is_calm || p->is_dead || !sim->between ||
        !sim_chance(sim, sim->faults.between))
        return;
    struct sim_process *before = sim_enter(NULL);
    sim->depth++;
    sim->between(sim->between_arg, p);
    sim->depth--;
    sim_leave(sim, before);
}

/* SQLITE_OK, or what the operation answers instead of happening. */
static int suffer(const struct sim_file *f, unsigned chance, int rc)
{
    if (!f->p)
        return SQLITE_OK;
    between(f->p);
    if (!sim_step(f->p))
        return rc;
    if (f->p->is_calm || f->is_temporary || !sim_chance(f->p->sim, chance))
        return SQLITE_OK;
    sim_trace(f->p->sim, "SQLite: fault %d", rc);
    errno = rc == SQLITE_FULL ? ENOSPC : EIO;
    return rc;
}

/* The rates of the world that f is in. */
static const struct sim_faults *faults_of(const struct sim_file *f)
{
    static const struct sim_faults none;
    return f->p ? &f->p->sim->faults : &none;
}

static bool is_journaled(const struct sim_file *f)
{
    return f->p && f->p->disk && f->p->disk->is_journaled && !f->p->is_calm && !f->is_temporary;
}

/* What the disk must know before bytes at offset change, or are cut off. */
static void disk_tell(const struct sim_file *f, bool is_cut, sqlite3_int64 offset, size_t n)
{
    sqlite3_int64 size = 0;

    if (!is_journaled(f) || f->pass.real->pMethods->xFileSize(f->pass.real, &size) != SQLITE_OK)
        return;
    if (is_cut)
        n = size > offset ? (size_t)(size - offset) : 0;
    else if (offset + (sqlite3_int64)n > size)
        n = offset < size ? (size_t)(size - offset) : 0;
    CLEANUP(mem_free) uint8_t *old = malloc(n + 1);
    assert_non_null(old);
    if (n > 0 && f->pass.real->pMethods->xRead(f->pass.real, old, (int)n, offset) != SQLITE_OK)
        n = 0;
    sim_disk_before(f->p->disk, f->path, f->ino, is_cut, offset, slice_of(old, n), size);
}

/* ---- the methods of a file that do more than pass ---- */

static int file_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 offset)
{
    struct sim_file *f = file_of(file);
    int rc = suffer(f, faults_of(f)->no_space, SQLITE_FULL);

    if (rc == SQLITE_OK && f->p && !f->p->is_calm && !f->is_temporary &&
        sim_chance(f->p->sim, f->p->sim->faults.io_error)) {
        sim_trace(f->p->sim, "SQLite: EIO");
        errno = EIO;
        rc = SQLITE_IOERR_WRITE;
    }
    if (rc != SQLITE_OK)
        return rc;
    disk_tell(f, false, offset, (size_t)n);
    return pass_vfs_methods.xWrite(file, p, n, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct sim_file *f = file_of(file);
    int rc = suffer(f, faults_of(f)->io_error, SQLITE_IOERR_TRUNCATE);

    if (rc != SQLITE_OK)
        return rc;
    disk_tell(f, true, size, 0);
    return pass_vfs_methods.xTruncate(file, size);
}

static int file_sync(sqlite3_file *file, int flags UNUSED)
{
    struct sim_file *f = file_of(file);
    int rc = suffer(f, faults_of(f)->sync_error, SQLITE_IOERR_FSYNC);

    if (rc == SQLITE_OK && f->p && f->p->disk)
        sim_disk_synced(f->p->disk, f->ino);
    return rc;
}

static int file_lock(sqlite3_file *file, int level)
{
    struct sim_file *f = file_of(file);
    int rc = suffer(f, 0, SQLITE_IOERR_LOCK);

    return rc != SQLITE_OK ? rc : pass_vfs_methods.xLock(file, level);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    struct sim_file *f = file_of(file);

    if (!(flags & SQLITE_SHM_UNLOCK)) {
        int rc = suffer(f, 0, SQLITE_IOERR_SHMLOCK);
        if (rc != SQLITE_OK)
            return rc;
    }
    return pass_vfs_methods.xShmLock(file, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    struct sim_file *f = file_of(file);

    if (f->p)
        between(f->p);
    pass_vfs_methods.xShmBarrier(file);
}

static int file_shm_unmap(sqlite3_file *file, int is_delete)
{
    const struct sim_file *f = file_of(file);
    bool is_dead = f->p && f->p->is_dead;

    return pass_vfs_methods.xShmUnmap(file, is_dead ? 0 : is_delete);
}

static void methods_make(void)
{
    methods = pass_vfs_methods;
    methods.xWrite = file_write;
    methods.xTruncate = file_truncate;
    methods.xSync = file_sync;
    methods.xLock = file_lock;
    methods.xShmLock = file_shm_lock;
    methods.xShmBarrier = file_shm_barrier;
    methods.xShmUnmap = file_shm_unmap;
}

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs UNUSED, const char *name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct sim_file *f = file_of(file);
    struct stat st;

    *f = (struct sim_file){.p = sim_now_running(),
                           .path = name ? name : "",
                           .is_temporary = !name || (flags & SQLITE_OPEN_DELETEONCLOSE)};
    if (f->p && !sim_step(f->p))
        return SQLITE_CANTOPEN;
    int rc = pass_vfs_open(real_vfs, name, &f->pass, sizeof(*f), &methods, flags, out_flags);
    if (rc == SQLITE_OK && name && memory_files()->stat(NULL, name, &st) == 0)
        f->ino = st.st_ino;
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs UNUSED, const char *name, int is_folder_synced)
{
    struct sim_process *p = sim_now_running();

    if (p && !sim_step(p))
        return SQLITE_IOERR_DELETE;
    return real_vfs->xDelete(real_vfs, name, is_folder_synced);
}

static int vfs_randomness(sqlite3_vfs *vfs UNUSED, int n, char *out)
{
    struct sim_process *p = sim_now_running();

    memset(out, 0, (size_t)n);
    if (p)
        env_random_fill(&p->env, out, (size_t)n);
    return n;
}

static int vfs_sleep(sqlite3_vfs *vfs UNUSED, int us)
{
    struct sim_process *p = sim_now_running();

    if (!p)
        return us;
    if (p->is_calm || p->is_dead)
        p->own_ns += (uint64_t)us * NS_PER_US;
    else
        p->sim->now_ns += (uint64_t)us * NS_PER_US;
    between(p);
    return us;
}

static int vfs_current_time_ms(sqlite3_vfs *vfs UNUSED, sqlite3_int64 *out_ms)
{
    static const sqlite3_int64 julian_1970_ms = INT64_C(210866760000000);
    const struct sim_process *p = sim_now_running();

    *out_ms = julian_1970_ms + (p ? (sqlite3_int64)(env_wall_ns(&p->env) / NS_PER_MS) : 0);
    return SQLITE_OK;
}

void sim_vfs_register(void)
{
    if (real_vfs)
        return;
    real_vfs = sqlite3_vfs_find("unix");
    assert_non_null(real_vfs);
    memory_sqlite_begin(real_vfs);
    methods_make();
    pass_vfs_make(&sim_vfs, real_vfs, SIM_VFS_NAME, sizeof(struct sim_file));
    sim_vfs.xOpen = vfs_open;
    sim_vfs.xDelete = vfs_delete;
    sim_vfs.xRandomness = vfs_randomness;
    sim_vfs.xSleep = vfs_sleep;
    sim_vfs.xCurrentTimeInt64 = vfs_current_time_ms;
    assert_int_equal(sqlite3_vfs_register(&sim_vfs, 1), SQLITE_OK);
}

void sim_vfs_begin(void)
{
    sqlite3_randomness(0, NULL);
}
