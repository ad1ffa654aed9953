/*
 * The system calls of SQLite's os_unix.c (its table aSyscall), each answered as its manual page
 * says: -1 and errno, where the seam says -errno.
 */
#include "lib/testing/memory_sqlite.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/testing/memory_files.h"
#include "lib/testing/test.h"

static int64_t answer(int64_t rc)
{
    if (rc >= 0)
        return rc;
    errno = (int)-rc;
    return -1;
}

static int call_open(const char *path, int flags, int mode)
{
    return (int)answer(memory_files()->open(NULL, path, flags, (mode_t)mode));
}

static int call_close(int fd)
{
    return (int)answer(memory_files()->close(NULL, fd));
}

static int call_access(const char *path, int mode UNUSED)
{
    return (int)answer(memory_files_exist(path) ? 0 : -ENOENT);
}

static char *call_getcwd(char *out, size_t n)
{
    assert_true(n > strlen(MEMORY_FILES_HOME));
    memcpy(out, MEMORY_FILES_HOME, strlen(MEMORY_FILES_HOME) + 1);
    return out;
}

static int call_stat(const char *path, struct stat *out)
{
    return (int)answer(memory_files()->stat(NULL, path, out));
}

static int call_fstat(int fd, struct stat *out)
{
    return (int)answer(memory_files()->fstat(NULL, fd, out));
}

static int call_ftruncate(int fd, off_t size)
{
    return (int)answer(memory_files()->ftruncate(NULL, fd, size));
}

static int call_fcntl(int fd, int command, ...)
{
    va_list ap;

    if (command != F_SETLK && command != F_GETLK)
        return 0; /* flags of a descriptor */
    va_start(ap, command);
    struct flock *lock = va_arg(ap, struct flock *);
    va_end(ap);
    return (int)answer(memory_files()->lock(NULL, fd, command, lock));
}

static ssize_t call_pread(int fd, void *p, size_t n, off_t offset)
{
    return answer(memory_files()->pread(NULL, fd, p, n, offset));
}

static ssize_t call_pwrite(int fd, const void *p, size_t n, off_t offset)
{
    return answer(memory_files()->pwrite(NULL, fd, p, n, offset));
}

static int call_fchmod(int fd, mode_t mode)
{
    return (int)answer(memory_files()->fchmod(NULL, fd, mode));
}

static int call_unlink(const char *path)
{
    return (int)answer(memory_files()->unlink(NULL, path));
}

/* By this SQLite lets a folder be, where it would else call fsync(2) with what we answer. */
static int call_open_directory(const char *path UNUSED, int *out_fd)
{
    *out_fd = -1;
    return SQLITE_CANTOPEN;
}

static int call_fchown(int fd, uid_t uid, gid_t gid)
{
    return (int)answer(memory_files()->fchown(NULL, fd, uid, gid));
}

static void *call_mmap(void *at UNUSED, size_t n, int protection UNUSED, int flags UNUSED, int fd,
                       off_t offset)
{
    assert_true(n <= MEMORY_FILES_PIECE_BYTES);
    return memory_files_map(fd, offset);
}

static int call_munmap(void *p UNUSED, size_t n UNUSED)
{
    return 0;
}

static ssize_t call_readlink(const char *path UNUSED, char *out UNUSED, size_t n UNUSED)
{
    return answer(-EINVAL); /* there are no links */
}

#define CALL(name, fn) {name, (sqlite3_syscall_ptr)(fn)}

void memory_sqlite_begin(sqlite3_vfs *unix_vfs)
{
    static const struct {
        const char *name;
        sqlite3_syscall_ptr fn;
    } calls[] = {
        CALL("open", call_open),       CALL("close", call_close),
        CALL("access", call_access),   CALL("getcwd", call_getcwd),
        CALL("stat", call_stat),       CALL("fstat", call_fstat),
        CALL("lstat", call_stat),      CALL("ftruncate", call_ftruncate),
        CALL("fcntl", call_fcntl),     CALL("pread", call_pread),
        CALL("pread64", call_pread),   CALL("pwrite", call_pwrite),
        CALL("pwrite64", call_pwrite), CALL("fchmod", call_fchmod),
        CALL("unlink", call_unlink),   CALL("openDirectory", call_open_directory),
        CALL("fchown", call_fchown),   CALL("mmap", call_mmap),
        CALL("munmap", call_munmap),   CALL("readlink", call_readlink),
    };

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        test_row(calls[i].name);
        assert_int_equal(unix_vfs->xSetSystemCall(unix_vfs, calls[i].name, calls[i].fn), SQLITE_OK);
    }
}
