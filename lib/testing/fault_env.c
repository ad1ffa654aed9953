/*
 * The real environment behind a counter. Each operation asks strike() first: 0 to go on, or the
 * error to answer.
 */
#include "lib/testing/fault_env.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static const struct env_file *real_file(void)
{
    return &env_real()->file;
}

static int strike(void *ctx, int error)
{
    struct fault_env *fe = ctx;
    uint64_t call = atomic_fetch_add(&fe->calls, 1) + 1;

    if (call != atomic_load(&fe->strike_at) || fe->kind == FAULT_NONE)
        return 0;
    if (fe->kind == FAULT_KILL)
        (void)kill(getpid(), SIGKILL); /* does not come back */
    return -error;
}

static int strike_read(void *ctx, int error)
{
    struct fault_env *fe = ctx;
    return fe->counts_reads ? strike(ctx, error) : 0;
}

static int fault_open(void *ctx, const char *path, int flags, mode_t mode)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->open(NULL, path, flags, mode);
}

static int fault_close(void *ctx, int fd)
{
    int rc = strike(ctx, EIO);
    int closed = real_file()->close(NULL, fd);
    return rc < 0 ? rc : closed;
}

static ssize_t fault_pread(void *ctx, int fd, void *p, size_t n, int64_t offset)
{
    int rc = strike_read(ctx, EIO);
    return rc < 0 ? rc : real_file()->pread(NULL, fd, p, n, offset);
}

static ssize_t fault_pwrite(void *ctx, int fd, const void *p, size_t n, int64_t offset)
{
    int rc = strike(ctx, ENOSPC);
    return rc < 0 ? rc : real_file()->pwrite(NULL, fd, p, n, offset);
}

static int fault_fsync(void *ctx, int fd)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->fsync(NULL, fd);
}

static int fault_fdatasync(void *ctx, int fd)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->fdatasync(NULL, fd);
}

static int fault_ftruncate(void *ctx, int fd, int64_t size)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->ftruncate(NULL, fd, size);
}

static int fault_fallocate(void *ctx, int fd, int64_t size)
{
    int rc = strike(ctx, ENOSPC);
    return rc < 0 ? rc : real_file()->fallocate(NULL, fd, size);
}

static int fault_fstat(void *ctx, int fd, struct stat *out)
{
    int rc = strike_read(ctx, EIO);
    return rc < 0 ? rc : real_file()->fstat(NULL, fd, out);
}

static int fault_stat(void *ctx, const char *path, struct stat *out)
{
    int rc = strike_read(ctx, EIO);
    return rc < 0 ? rc : real_file()->stat(NULL, path, out);
}

static int fault_lstat(void *ctx, const char *path, struct stat *out)
{
    int rc = strike_read(ctx, EIO);
    return rc < 0 ? rc : real_file()->lstat(NULL, path, out);
}

static int fault_set_mtime(void *ctx, int fd, uint64_t mtime_ns)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->set_mtime(NULL, fd, mtime_ns);
}

static int fault_rename_noreplace(void *ctx, const char *from, const char *to)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->rename_noreplace(NULL, from, to);
}

static int fault_list_folder(void *ctx, const char *path,
                             int (*on_name)(void *arg, const char *name), void *arg)
{
    int rc = strike_read(ctx, EIO);
    return rc < 0 ? rc : real_file()->list_folder(NULL, path, on_name, arg);
}

static int fault_rename(void *ctx, const char *from, const char *to)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->rename(NULL, from, to);
}

static int fault_link(void *ctx, const char *from, const char *to)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->link(NULL, from, to);
}

static int fault_unlink(void *ctx, const char *path)
{
    int rc = strike(ctx, EIO);
    return rc < 0 ? rc : real_file()->unlink(NULL, path);
}

static int fault_mkdir(void *ctx, const char *path, mode_t mode)
{
    int rc = strike(ctx, ENOSPC);
    return rc < 0 ? rc : real_file()->mkdir(NULL, path, mode);
}

static int fault_fchown(void *ctx, int fd, uid_t uid, gid_t gid)
{
    int rc = strike(ctx, EPERM);
    return rc < 0 ? rc : real_file()->fchown(NULL, fd, uid, gid);
}

static int fault_fchmod(void *ctx, int fd, mode_t mode)
{
    int rc = strike(ctx, EPERM);
    return rc < 0 ? rc : real_file()->fchmod(NULL, fd, mode);
}

static int64_t fault_free_bytes(void *ctx, const char *path, int64_t *out_total_bytes)
{
    int rc = strike_read(ctx, EIO);
    return rc < 0 ? rc : real_file()->free_bytes(NULL, path, out_total_bytes);
}

void fault_env_init(struct fault_env *fe, enum fault_kind kind, uint64_t strike_at)
{
    fe->env = *env_real();
    fe->env.file = (struct env_file){
        .drop_cache = env_real()->file.drop_cache,
        .open = fault_open,
        .close = fault_close,
        .pread = fault_pread,
        .pwrite = fault_pwrite,
        .fsync = fault_fsync,
        .fdatasync = fault_fdatasync,
        .ftruncate = fault_ftruncate,
        .fallocate = fault_fallocate,
        .fstat = fault_fstat,
        .stat = fault_stat,
        .lstat = fault_lstat,
        .set_mtime = fault_set_mtime,
        .rename = fault_rename,
        .rename_noreplace = fault_rename_noreplace,
        .link = fault_link,
        .unlink = fault_unlink,
        .mkdir = fault_mkdir,
        .list_folder = fault_list_folder,
        .fchown = fault_fchown,
        .fchmod = fault_fchmod,
        .free_bytes = fault_free_bytes,
        .ctx = fe,
    };
    fe->kind = kind;
    atomic_init(&fe->strike_at, strike_at);
    fe->counts_reads = true;
    atomic_init(&fe->calls, 0);
}

bool fault_env_has_struck(const struct fault_env *fe)
{
    return atomic_load(&fe->calls) >= atomic_load(&fe->strike_at);
}

uint64_t fault_env_arm(struct fault_env *fe, uint64_t strike_at)
{
    atomic_store(&fe->strike_at, strike_at);
    return atomic_exchange(&fe->calls, 0);
}
