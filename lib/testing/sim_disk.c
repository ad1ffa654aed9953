/*
 * A journal of undo records, newest first:
 *
 *   WRITE    bytes that were replaced, and the size before: put back sector by sector
 *   CUT      bytes that were cut off, and the size before
 *   CREATE   the name goes
 *   RENAME   the name moves back; what it had replaced comes back from its backup
 *   UNLINK   the name comes back from its backup
 *
 * A backup is a second link to the file, in the folder, under a name that nobody else uses.
 * Descriptors are remembered in a table by number, so that a write knows its file.
 */
#include "lib/testing/sim_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/testing/memory_files.h"
#include "lib/testing/test.h"

enum undo_kind {
    UNDO_WRITE,
    UNDO_CUT,
    UNDO_CREATE,
    UNDO_RENAME,
    UNDO_UNLINK,
};

enum {
    SECTOR_BYTES = 512,
    PATH_BYTES = 400,
};

struct sim_undo {
    struct sim_undo *next;
    enum undo_kind kind;
    ino_t ino;
    char path[PATH_BYTES];   /* of the file (when it was written), or the name that changed */
    char from[PATH_BYTES];   /* RENAME: the old name */
    char backup[PATH_BYTES]; /* RENAME, UNLINK: what had the name; "": nothing */
    int64_t offset;
    int64_t size; /* before */
    size_t n;
    uint8_t bytes[];
};

/* What is known of a descriptor of the process. */
static struct open_file {
    bool is_ours;
    ino_t ino;
    char path[PATH_BYTES];
} open_files[MEMORY_FILES_FDS_MAX];

static struct open_file *file_of(int fd)
{
    int i = fd - MEMORY_FILES_FD;

    return i >= 0 && i < MEMORY_FILES_FDS_MAX && open_files[i].is_ours ? &open_files[i] : NULL;
}

static const struct env_file *files(void)
{
    return memory_files();
}

static bool is_inside(const struct sim_disk *d, const char *path)
{
    return d && (strncmp(path, d->folder, strlen(d->folder)) == 0 ||
                 strncmp(path, d->whole_folder, strlen(d->whole_folder)) == 0);
}

/* ---- the journal ---- */

static struct sim_undo *undo_push(struct sim_disk *d, enum undo_kind kind, const char *path,
                                  size_t n)
{
    struct sim_undo *u = calloc(1, sizeof(*u) + n);

    assert_non_null(u);
    u->kind = kind;
    u->n = n;
    (void)snprintf(u->path, sizeof(u->path), "%s", path);
    u->next = d->undo;
    d->undo = u;
    return u;
}

static void undo_free(struct sim_undo *u)
{
    if (u->backup[0])
        (void)files()->unlink(NULL, u->backup); /* it is ours */
    free(u);
}

static bool is_of_file(const struct sim_undo *u)
{
    return u->kind == UNDO_WRITE || u->kind == UNDO_CUT;
}

/* Forgets records of a file (ino), or all of names (ino 0). */
static void undo_forget(struct sim_disk *d, ino_t ino)
{
    struct sim_undo **at = &d->undo;

    while (*at) {
        struct sim_undo *u = *at;
        if (ino ? is_of_file(u) && u->ino == ino : !is_of_file(u)) {
            *at = u->next;
            undo_free(u);
        } else {
            at = &u->next;
        }
    }
}

void sim_disk_before(struct sim_disk *d, const char *path, ino_t ino, bool is_cut, int64_t offset,
                     struct slice old, int64_t size)
{
    struct sim_undo *u = undo_push(d, is_cut ? UNDO_CUT : UNDO_WRITE, path, old.n);

    u->ino = ino;
    u->offset = offset;
    u->size = size;
    if (old.n > 0)
        memcpy(u->bytes, old.p, old.n);
}

/* The same for a file that is ours alone. */
static void before(struct sim_disk *d, const struct open_file *f, bool is_cut, int64_t offset,
                   size_t n)
{
    int fd = files()->open(NULL, f->path, O_RDONLY, 0);
    struct stat st;

    if (fd < 0)
        return; /* it has no name any more: a crash takes all of it */
    CLEANUP(mem_free) uint8_t *old = malloc(n);
    assert_non_null(old);
    ssize_t got = files()->pread(NULL, fd, old, n, offset);
    if (files()->fstat(NULL, fd, &st) == 0) {
        sim_disk_before(d, f->path, f->ino, is_cut, offset,
                        slice_of(old, got > 0 ? (size_t)got : 0), st.st_size);
    }
    (void)files()->close(NULL, fd); /* nothing was written */
}

void sim_disk_synced(struct sim_disk *d, ino_t ino)
{
    if (d)
        undo_forget(d, ino);
}

/* Keeps what has a name that is about to lose it. */
static void backup_keep(struct sim_disk *d, struct sim_undo *u)
{
    (void)snprintf(u->backup, sizeof(u->backup), "%.200s/undo-%u", d->folder, d->backup_count++);
    if (files()->link(NULL, u->path, u->backup) < 0)
        u->backup[0] = 0;
}

/* ---- a crash ---- */

static void write_undo(struct sim_disk *d, const struct sim_undo *u)
{
    int fd = files()->open(NULL, u->path, O_WRONLY, 0);
    struct stat st;

    if (fd < 0)
        return;
    if (files()->fstat(NULL, fd, &st) == 0 && st.st_ino == u->ino) {
        bool is_torn = sim_luck(d->sim, 2) == 0;
        for (size_t at = 0; at < u->n; at += SECTOR_BYTES) {
            size_t part = u->n - at < SECTOR_BYTES ? u->n - at : SECTOR_BYTES;
            if (!is_torn || sim_luck(d->sim, 2)) {
                assert_int_equal(
                    files()->pwrite(NULL, fd, u->bytes + at, part, u->offset + (int64_t)at), part);
            }
        }
        if (!is_torn && u->size < st.st_size)
            assert_int_equal(files()->ftruncate(NULL, fd, u->size), 0);
    }
    (void)files()->close(NULL, fd); /* cannot fail */
}

static void name_undo(const struct sim_undo *u)
{
    if (u->kind == UNDO_CREATE)
        (void)files()->unlink(NULL, u->path); /* it may be gone */
    if (u->kind == UNDO_RENAME)
        (void)files()->rename(NULL, u->path, u->from); /* likewise */
    if (u->backup[0])
        IGNORE(files()->link(NULL, u->backup, u->path)); /* the name may be taken again */
}

void sim_disk_crash(struct sim_disk *d)
{
    size_t names = 0;

    for (const struct sim_undo *u = d->undo; u; u = u->next) {
        if (!is_of_file(u))
            names++;
        else if (sim_luck(d->sim, 2))
            write_undo(d, u);
    }
    size_t lost = sim_luck(d->sim, names + 1);
    sim_trace(d->sim, "crash of the machine: %zu of %zu names are lost", lost, names);
    for (const struct sim_undo *u = d->undo; u && lost > 0; u = u->next) {
        if (!is_of_file(u)) {
            name_undo(u);
            lost--;
        }
    }
    sim_disk_settle(d);
}

void sim_disk_settle(struct sim_disk *d)
{
    while (d->undo) {
        struct sim_undo *u = d->undo;
        d->undo = u->next;
        undo_free(u);
    }
}

/* ---- the operations of a process ---- */

/* 0, or the -errno that the operation answers instead of happening. */
static int suffer(struct sim_process *p, bool is_write)
{
    struct sim *sim = p->sim;

    if (!sim_step(p))
        return -EIO;
    if (p->is_calm)
        return 0;
    if (is_write && sim_chance(sim, sim->faults.no_space)) {
        sim_trace(sim, "ENOSPC");
        return -ENOSPC;
    }
    if (sim_chance(sim, sim->faults.io_error)) {
        sim_trace(sim, "EIO");
        return -EIO;
    }
    return 0;
}

static bool is_journaled(const struct sim_process *p, const char *path)
{
    return p->disk && p->disk->is_journaled && !p->is_calm && is_inside(p->disk, path);
}

static int disk_open(void *ctx, const char *path, int flags, mode_t mode)
{
    struct sim_process *p = ctx;
    struct stat st;
    bool is_new = (flags & O_CREAT) && !memory_files_exist(path);
    int rc = is_inside(p->disk, path) ? suffer(p, is_new) : 0;
    int fd = rc < 0 ? rc : files()->open(NULL, path, flags, mode);

    if (fd < 0 || !is_inside(p->disk, path))
        return fd;
    struct open_file *f = &open_files[fd - MEMORY_FILES_FD];
    assert_int_equal(files()->fstat(NULL, fd, &st), 0);
    *f = (struct open_file){.is_ours = true, .ino = st.st_ino};
    (void)snprintf(f->path, PATH_BYTES, "%s", path);
    if (is_new && is_journaled(p, path))
        (void)undo_push(p->disk, UNDO_CREATE, path, 0);
    return fd;
}

static int disk_close(void *ctx UNUSED, int fd)
{
    struct open_file *f = file_of(fd);

    if (f)
        f->is_ours = false;
    return files()->close(NULL, fd);
}

static ssize_t disk_pread(void *ctx, int fd, void *out, size_t n, int64_t offset)
{
    int rc = file_of(fd) ? suffer(ctx, false) : 0;
    return rc < 0 ? rc : files()->pread(NULL, fd, out, n, offset);
}

static ssize_t disk_pwrite(void *ctx, int fd, const void *bytes, size_t n, int64_t offset)
{
    struct sim_process *p = ctx;
    const struct open_file *f = file_of(fd);
    int rc = f ? suffer(p, true) : 0;

    if (rc < 0)
        return rc;
    if (f && is_journaled(p, f->path))
        before(p->disk, f, false, offset, n);
    return files()->pwrite(NULL, fd, bytes, n, offset);
}

static int disk_sync(void *ctx, int fd)
{
    struct sim_process *p = ctx;
    const struct open_file *f = file_of(fd);
    struct stat st;

    if (!f)
        return 0;
    int rc = suffer(p, false);
    if (rc < 0)
        return rc;
    if (!p->is_calm && sim_chance(p->sim, p->sim->faults.sync_error)) {
        sim_trace(p->sim, "fsync fails");
        return -EIO;
    }
    if (p->disk) {
        undo_forget(p->disk,
                    files()->fstat(NULL, fd, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : f->ino);
    }
    return 0;
}

static int disk_ftruncate(void *ctx, int fd, int64_t size)
{
    struct sim_process *p = ctx;
    const struct open_file *f = file_of(fd);
    struct stat st;
    int rc = f ? suffer(p, true) : 0;

    if (rc < 0)
        return rc;
    if (f && is_journaled(p, f->path) && files()->fstat(NULL, fd, &st) == 0 && st.st_size > size)
        before(p->disk, f, true, size, (size_t)(st.st_size - size));
    return files()->ftruncate(NULL, fd, size);
}

static int disk_fallocate(void *ctx, int fd, int64_t size)
{
    int rc = file_of(fd) ? suffer(ctx, true) : 0;
    return rc < 0 ? rc : files()->fallocate(NULL, fd, size);
}

static int disk_set_mtime(void *ctx, int fd, uint64_t mtime_ns)
{
    int rc = suffer(ctx, false);
    return rc < 0 ? rc : files()->set_mtime(NULL, fd, mtime_ns);
}

static int name_move(struct sim_process *p, const char *from, const char *to,
                     int (*move)(void *ctx, const char *from, const char *to))
{
    struct sim_undo *u = NULL;
    int rc = suffer(p, true);

    if (rc < 0)
        return rc;
    if (is_journaled(p, to)) {
        u = undo_push(p->disk, UNDO_RENAME, to, 0);
        (void)snprintf(u->from, sizeof(u->from), "%s", from);
        backup_keep(p->disk, u);
    }
    rc = move(NULL, from, to);
    if (rc < 0 && u) {
        p->disk->undo = u->next;
        undo_free(u);
        return rc;
    }
    /* What was written under the old name is in the file of the new one. */
    for (u = p->disk ? p->disk->undo : NULL; u; u = u->next) {
        if (is_of_file(u) && strcmp(u->path, from) == 0)
            (void)snprintf(u->path, sizeof(u->path), "%s", to);
    }
    for (size_t i = 0; i < MEMORY_FILES_FDS_MAX; i++) {
        if (open_files[i].is_ours && strcmp(open_files[i].path, from) == 0)
            (void)snprintf(open_files[i].path, PATH_BYTES, "%s", to);
    }
    return rc;
}

static int disk_rename(void *ctx, const char *from, const char *to)
{
    return name_move(ctx, from, to, files()->rename);
}

static int disk_rename_noreplace(void *ctx, const char *from, const char *to)
{
    return name_move(ctx, from, to, files()->rename_noreplace);
}

static int disk_link(void *ctx, const char *from, const char *to)
{
    struct sim_process *p = ctx;
    int rc = suffer(p, true);

    if (rc == 0)
        rc = files()->link(NULL, from, to);
    if (rc == 0 && is_journaled(p, to))
        (void)undo_push(p->disk, UNDO_CREATE, to, 0);
    return rc;
}

static int disk_unlink(void *ctx, const char *path)
{
    struct sim_process *p = ctx;
    int rc = suffer(p, false);

    if (rc < 0)
        return rc;
    if (is_journaled(p, path) && memory_files_exist(path))
        backup_keep(p->disk, undo_push(p->disk, UNDO_UNLINK, path, 0));
    return files()->unlink(NULL, path);
}

static int disk_mkdir(void *ctx, const char *path, mode_t mode)
{
    struct sim_process *p = ctx;
    int rc = is_inside(p->disk, path) ? suffer(p, true) : 0;
    return rc < 0 ? rc : files()->mkdir(NULL, path, mode);
}

static int disk_fchown(void *ctx, int fd, uid_t uid, gid_t gid)
{
    int rc = suffer(ctx, false);
    return rc < 0 ? rc : files()->fchown(NULL, fd, uid, gid);
}

static int disk_fchmod(void *ctx, int fd, mode_t mode)
{
    int rc = suffer(ctx, false);
    return rc < 0 ? rc : files()->fchmod(NULL, fd, mode);
}

static int64_t disk_free_bytes(void *ctx, const char *path UNUSED, int64_t *out_total_bytes)
{
    const struct sim_process *p = ctx;

    *out_total_bytes = INT64_C(1) << 40;
    return p->disk && p->disk->is_low ? INT64_C(1) << 20 : INT64_C(1) << 39;
}

void sim_disk_env(struct sim_process *p)
{
    p->env.file = *files();
    p->env.file.open = disk_open;
    p->env.file.close = disk_close;
    p->env.file.pread = disk_pread;
    p->env.file.pwrite = disk_pwrite;
    p->env.file.fsync = disk_sync;
    p->env.file.fdatasync = disk_sync;
    p->env.file.ftruncate = disk_ftruncate;
    p->env.file.fallocate = disk_fallocate;
    p->env.file.set_mtime = disk_set_mtime;
    p->env.file.rename = disk_rename;
    p->env.file.rename_noreplace = disk_rename_noreplace;
    p->env.file.link = disk_link;
    p->env.file.unlink = disk_unlink;
    p->env.file.mkdir = disk_mkdir;
    p->env.file.fchown = disk_fchown;
    p->env.file.fchmod = disk_fchmod;
    p->env.file.free_bytes = disk_free_bytes;
    p->env.file.ctx = p;
}

/* ---- the disk ---- */

void sim_disk_begin(struct sim_disk *d, struct sim *sim, const char *folder, bool is_journaled)
{
    *d = (struct sim_disk){.sim = sim, .is_journaled = is_journaled};
    (void)snprintf(d->folder, sizeof(d->folder), "%s", folder);
    (void)snprintf(d->whole_folder, sizeof(d->whole_folder), "%s/%.150s", MEMORY_FILES_HOME,
                   folder);
    assert_int_equal(files()->mkdir(NULL, folder, 0700), 0);
}

void sim_disk_end(struct sim_disk *d)
{
    sim_disk_settle(d);
    memory_files_remove(d->folder);
}

void sim_disk_wipe(struct sim_disk *d)
{
    sim_disk_end(d);
    assert_int_equal(files()->mkdir(NULL, d->folder, 0700), 0);
}

void sim_disk_copy(const char *from, const char *to)
{
    memory_files_remove(to);
    memory_files_copy(from, to);
}
