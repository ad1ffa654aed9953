/*
 * A handle is ours in front and the real one behind it, in one piece of memory. The VFS is a copy
 * of the real one with another name, size and functions where the world has its say.
 */
#include "lib/testing/sim_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/testing/sim.h"
#include "lib/testing/sim_disk.h"
#include "lib/testing/test.h"

struct sim_file {
    sqlite3_file base;
    sqlite3_file *real;
    struct sim_process *p; /* NULL: opened by nobody in particular */
    const char *path;      /* SQLite's; valid as long as the file is open */
    ino_t ino;
    bool is_temporary;
};

static sqlite3_vfs sim_vfs;
static sqlite3_vfs *real_vfs;

static struct sim_file *file_of(sqlite3_file *file)
{
    return (struct sim_file *)(void *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return file_of(file)->real;
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

    if (!is_journaled(f) || f->real->pMethods->xFileSize(f->real, &size) != SQLITE_OK)
        return;
    if (is_cut)
        n = size > offset ? (size_t)(size - offset) : 0;
    else if (offset + (sqlite3_int64)n > size)
        n = offset < size ? (size_t)(size - offset) : 0;
    CLEANUP(mem_free) uint8_t *old = malloc(n + 1);
    assert_non_null(old);
    if (n > 0 && f->real->pMethods->xRead(f->real, old, (int)n, offset) != SQLITE_OK)
        n = 0;
    sim_disk_before(f->p->disk, f->path, f->ino, is_cut, offset, slice_of(old, n), size);
}

/* ---- the methods of a file ---- */

static int file_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *p, int n, sqlite3_int64 offset)
{
    return real_of(file)->pMethods->xRead(real_of(file), p, n, offset);
}

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
    return f->real->pMethods->xWrite(f->real, p, n, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct sim_file *f = file_of(file);
    int rc = suffer(f, faults_of(f)->io_error, SQLITE_IOERR_TRUNCATE);

    if (rc != SQLITE_OK)
        return rc;
    disk_tell(f, true, size, 0);
    return f->real->pMethods->xTruncate(f->real, size);
}

static int file_sync(sqlite3_file *file, int flags UNUSED)
{
    struct sim_file *f = file_of(file);
    int rc = suffer(f, faults_of(f)->sync_error, SQLITE_IOERR_FSYNC);

    if (rc == SQLITE_OK && f->p && f->p->disk)
        sim_disk_synced(f->p->disk, f->ino);
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *out_size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), out_size);
}

static int file_lock(sqlite3_file *file, int level)
{
    struct sim_file *f = file_of(file);
    int rc = suffer(f, 0, SQLITE_IOERR_LOCK);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xLock(f->real, level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_reserved_lock(sqlite3_file *file, int *out_is_reserved)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out_is_reserved);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_device_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int block, int size, int extend, void volatile **out)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), block, size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    struct sim_file *f = file_of(file);

    if (!(flags & SQLITE_SHM_UNLOCK)) {
        int rc = suffer(f, 0, SQLITE_IOERR_SHMLOCK);
        if (rc != SQLITE_OK)
            return rc;
    }
    return f->real->pMethods->xShmLock(f->real, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    struct sim_file *f = file_of(file);

    if (f->p)
        between(f->p);
    f->real->pMethods->xShmBarrier(f->real);
}

static int file_shm_unmap(sqlite3_file *file, int is_delete)
{
    const struct sim_file *f = file_of(file);
    bool is_dead = f->p && f->p->is_dead;

    return f->real->pMethods->xShmUnmap(f->real, is_dead ? 0 : is_delete);
}

static int file_fetch(sqlite3_file *file, sqlite3_int64 offset, int n, void **out)
{
    return real_of(file)->pMethods->xFetch(real_of(file), offset, n, out);
}

static int file_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *p)
{
    return real_of(file)->pMethods->xUnfetch(real_of(file), offset, p);
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 3,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
    .xFetch = file_fetch,
    .xUnfetch = file_unfetch,
};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs UNUSED, const char *name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct sim_file *f = file_of(file);
    struct stat st;

    *f = (struct sim_file){.real = (sqlite3_file *)(void *)(f + 1),
                           .p = sim_now_running(),
                           .path = name ? name : "",
                           .is_temporary = !name || (flags & SQLITE_OPEN_DELETEONCLOSE)};
    if (f->p && !sim_step(f->p))
        return SQLITE_CANTOPEN;
    int rc = real_vfs->xOpen(real_vfs, name, f->real, flags, out_flags);
    if (f->real->pMethods)
        f->base.pMethods = &file_methods;
    if (rc == SQLITE_OK && name && stat(name, &st) == 0)
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
    sim_vfs = *real_vfs;
    sim_vfs.pNext = NULL;
    sim_vfs.zName = SIM_VFS_NAME;
    sim_vfs.szOsFile = (int)sizeof(struct sim_file) + real_vfs->szOsFile;
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
