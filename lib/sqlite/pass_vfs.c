/*
 * A VFS through which everything passes (pass_vfs.h has the layout of a file handle).
 */
#include "lib/sqlite/pass_vfs.h"

static struct pass_file *file_of(sqlite3_file *file)
{
    return (struct pass_file *)(void *)file;
}

sqlite3_file *pass_vfs_real(sqlite3_file *file)
{
    return file_of(file)->real;
}

/* ---- the methods of a file, in the order of sqlite3_io_methods ---- */

static int pass_close(sqlite3_file *file)
{
    return pass_vfs_real(file)->pMethods->xClose(pass_vfs_real(file));
}

static int pass_read(sqlite3_file *file, void *p, int n, sqlite3_int64 offset)
{
    return pass_vfs_real(file)->pMethods->xRead(pass_vfs_real(file), p, n, offset);
}

static int pass_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 offset)
{
    return pass_vfs_real(file)->pMethods->xWrite(pass_vfs_real(file), p, n, offset);
}

static int pass_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return pass_vfs_real(file)->pMethods->xTruncate(pass_vfs_real(file), size);
}

static int pass_sync(sqlite3_file *file, int flags)
{
    return pass_vfs_real(file)->pMethods->xSync(pass_vfs_real(file), flags);
}

static int pass_size(sqlite3_file *file, sqlite3_int64 *out_size)
{
    return pass_vfs_real(file)->pMethods->xFileSize(pass_vfs_real(file), out_size);
}

static int pass_lock(sqlite3_file *file, int level)
{
    return pass_vfs_real(file)->pMethods->xLock(pass_vfs_real(file), level);
}

static int pass_unlock(sqlite3_file *file, int level)
{
    return pass_vfs_real(file)->pMethods->xUnlock(pass_vfs_real(file), level);
}

static int pass_check_reserved_lock(sqlite3_file *file, int *out_is_reserved)
{
    return pass_vfs_real(file)->pMethods->xCheckReservedLock(pass_vfs_real(file), out_is_reserved);
}

static int pass_control(sqlite3_file *file, int op, void *arg)
{
    return pass_vfs_real(file)->pMethods->xFileControl(pass_vfs_real(file), op, arg);
}

static int pass_sector_size(sqlite3_file *file)
{
    return pass_vfs_real(file)->pMethods->xSectorSize(pass_vfs_real(file));
}

static int pass_device_characteristics(sqlite3_file *file)
{
    return pass_vfs_real(file)->pMethods->xDeviceCharacteristics(pass_vfs_real(file));
}

static int pass_shm_map(sqlite3_file *file, int block, int size, int extend, void volatile **out)
{
    return pass_vfs_real(file)->pMethods->xShmMap(pass_vfs_real(file), block, size, extend, out);
}

static int pass_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return pass_vfs_real(file)->pMethods->xShmLock(pass_vfs_real(file), offset, n, flags);
}

static void pass_shm_barrier(sqlite3_file *file)
{
    pass_vfs_real(file)->pMethods->xShmBarrier(pass_vfs_real(file));
}

static int pass_shm_unmap(sqlite3_file *file, int is_delete)
{
    return pass_vfs_real(file)->pMethods->xShmUnmap(pass_vfs_real(file), is_delete);
}

static int pass_fetch(sqlite3_file *file, sqlite3_int64 offset, int n, void **out)
{
    return pass_vfs_real(file)->pMethods->xFetch(pass_vfs_real(file), offset, n, out);
}

static int pass_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *p)
{
    return pass_vfs_real(file)->pMethods->xUnfetch(pass_vfs_real(file), offset, p);
}

const sqlite3_io_methods pass_vfs_methods = {
    .iVersion = 3,
    .xClose = pass_close,
    .xRead = pass_read,
    .xWrite = pass_write,
    .xTruncate = pass_truncate,
    .xSync = pass_sync,
    .xFileSize = pass_size,
    .xLock = pass_lock,
    .xUnlock = pass_unlock,
    .xCheckReservedLock = pass_check_reserved_lock,
    .xFileControl = pass_control,
    .xSectorSize = pass_sector_size,
    .xDeviceCharacteristics = pass_device_characteristics,
    .xShmMap = pass_shm_map,
    .xShmLock = pass_shm_lock,
    .xShmBarrier = pass_shm_barrier,
    .xShmUnmap = pass_shm_unmap,
    .xFetch = pass_fetch,
    .xUnfetch = pass_unfetch,
};

/* ---- the VFS ---- */

void pass_vfs_make(sqlite3_vfs *out, sqlite3_vfs *real, const char *name, size_t file_bytes)
{
    *out = *real;
    out->pNext = NULL;
    out->zName = name;
    out->szOsFile = (int)file_bytes + real->szOsFile;
}

int pass_vfs_open(sqlite3_vfs *real, const char *name, struct pass_file *file, size_t file_bytes,
                  const sqlite3_io_methods *methods, int flags, int *out_flags)
{
    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(void *)((char *)file + file_bytes);
    int rc = real->xOpen(real, name, file->real, flags, out_flags);
    if (file->real->pMethods)
        file->base.pMethods = methods;
    return rc;
}
