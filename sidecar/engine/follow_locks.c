/*
 * Are our locks still there? POSIX locks vanish in silence when any descriptor of the file is
 * closed in this process, by whatever code. Then applications may restart the log under our read
 * transaction. The kernel's own list is the only witness: /proc/self/fdinfo/FD has for each lock
 *
 *     lock:  1: POSIX  ADVISORY  READ  4711 fd:01:1835013 1073741826 1073742335
 *
 *   1. Go through our descriptors; keep those of the database and of -shm (by device and inode).
 *   2. Collect from their fdinfo: SHARED on the database (bytes 1073741826 .. + 509), the dead-man
 *      switch of -shm (byte 128), the holder's reader slot (byte 123 + slot).
 *
 * Going through all descriptors takes milliseconds when there are thousands. So those that showed
 * locks are remembered: they are asked first, and the others only if that is not enough.
 *
 * Lost locks come back only when SQLite has closed its last connection to the file: it believes to
 * hold them. So the follower must be opened again; whether history is unbroken, follower_contains()
 * then tells from the log itself.
 *
 * Where fdinfo shows no locks (some sandboxes), a probe at open finds that out and the check always
 * answers yes. A file system on which locks were seen once is not probed again.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/follow_internal.h"

enum {
    DB_SHARED_FIRST = 1073741826,
    SHM_CHECKPOINTER = 121,
    SHM_READER_0 = 123,
    SHM_DEAD_MAN_SWITCH = 128,
    FDINFO_BYTES_MAX = 64 * 1024,
    SEEN_FS_MAX = 16,
};

struct lock_witness {
    const struct env *env;
    struct follower *f; /* remembers the descriptors */
    struct stat db;
    struct stat shm;
    int slot;
    bool has_shared;
    bool has_dead_man_switch;
    bool has_slot;
};

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A number and what follows it; false if there is none. */
static bool number_take(const char **at, uint64_t *out)
{
    char *end;

    *out = strtoull(*at, &end, 10);
    if (end == *at) {
        return false;
    }
    *at = end;
    return true;
}

/* One line of fdinfo: its last two words are the range. */
static void line_judge(struct lock_witness *w, const char *line, bool is_db)
{
    uint64_t first;
    uint64_t last;
    uint64_t reader = SHM_READER_0 + (unsigned)w->slot;

    if (strncmp(line, "lock:", 5) != 0 || !strstr(line, " POSIX ")) {
        return;
    }
    const char *at = strrchr(line, ':'); /* of device:inode */
    at = strchr(at, ' ');
    if (!at || !number_take(&at, &first) || !number_take(&at, &last)) {
        return;
    }
    if (is_db) {
        w->has_shared = w->has_shared || (first <= DB_SHARED_FIRST && last >= DB_SHARED_FIRST);
        return;
    }
    w->has_dead_man_switch =
        w->has_dead_man_switch || (first <= SHM_DEAD_MAN_SWITCH && last >= SHM_DEAD_MAN_SWITCH);
    w->has_slot = w->has_slot || (first <= reader && last >= reader);
}

static int fdinfo_read(struct lock_witness *w, int fd, bool is_db, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(FDINFO_BYTES_MAX);
    char path[64];
    int info_fd;
    size_t got = 0;
    uint8_t *at;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd); /* bounded by an int */
    if (env_open(w->env, path, O_RDONLY, 0, &info_fd, err) < 0) {
        return -1;
    }
    int rc = buf_extend(&text, FDINFO_BYTES_MAX - 1, &at, err);
    if (rc == 0) {
        rc = env_pread(w->env, info_fd, at, FDINFO_BYTES_MAX - 1, 0, path, &got, err);
    }
    env_close_quietly(w->env, info_fd); /* nothing was written */
    if (rc < 0) {
        return -1;
    }
    at[got] = 0;
    char *rest = (char *)at;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        line_judge(w, line, is_db);
    }
    return 0;
}

/* One entry of /proc/self/fd. */
static int descriptor_judge(void *witness, const char *name, struct error *err)
{
    struct lock_witness *w = witness;
    struct stat st;
    char path[64];
    char *end;
    long fd = strtol(name, &end, 10);

    /* Asked by path: most descriptors are others', who may open and close them just now. */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd); /* bounded */
    if (end == name || *end || w->env->file.stat(w->env->file.ctx, path, &st) < 0) {
        return 0;
    }
    bool is_db = is_same_file(&st, &w->db);
    if (!is_db && !is_same_file(&st, &w->shm)) {
        return 0;
    }
    bool had_lock = is_db ? w->has_shared : w->has_dead_man_switch;
    if (fdinfo_read(w, (int)fd, is_db, err) < 0) {
        return -1;
    }
    if (!had_lock && (is_db ? w->has_shared : w->has_dead_man_switch)) {
        *(is_db ? &w->f->db_lock_fd : &w->f->shm_lock_fd) = (int)fd;
    }
    return 0;
}

static bool has_seen_all(const struct lock_witness *w)
{
    return w->has_shared && w->has_dead_man_switch && w->has_slot;
}

/* The descriptors that showed locks the last time. An error counts as nothing seen. */
static bool remembered_see(struct lock_witness *w)
{
    const int fds[] = {w->f->db_lock_fd, w->f->shm_lock_fd};
    struct error ignored = ERROR_INIT; /* all descriptors are asked then */
    char name[16];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        (void)snprintf(name, sizeof(name), "%d", fds[i]); /* bounded by an int */
        if (fds[i] <= 0 || descriptor_judge(w, name, &ignored) < 0) {
            return false;
        }
    }
    return has_seen_all(w);
}

/* Whether all three locks are seen. An error means that it cannot be told. */
static int locks_see(struct follower *f, bool *out_all, struct error *err)
{
    struct lock_witness w = {.env = f->env, .f = f, .slot = connection_slot(f->holder)};
    CLEANUP(mem_free) char *shm_path = NULL;

    if (w.slot < 0) {
        *out_all = false;
        return 0;
    }
    /* "-wal" becomes "-shm": the names differ in that only. */
    shm_path = str_dup(connection_log_path(f->holder), err);
    if (!shm_path) {
        return -1;
    }
    memcpy(shm_path + strlen(shm_path) - 3, "shm", 3);
    if (env_stat(f->env, f->path, &w.db, err) < 0 || env_stat(f->env, shm_path, &w.shm, err) < 0) {
        return -1;
    }
    if (!remembered_see(&w) &&
        env_list_folder(f->env, "/proc/self/fd", descriptor_judge, &w, err) < 0) {
        return -1;
    }
    *out_all = has_seen_all(&w);
    return 0;
}

/* ---- file systems on which locks were seen ---- */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static dev_t seen_fs[SEEN_FS_MAX]; /* guarded by mu */
static size_t seen_fs_count;       /* guarded by mu */

static bool fs_is_seen(dev_t fs)
{
    bool is_seen = false;

    (void)pthread_mutex_lock(&mu); /* cannot fail: a plain mutex that we do not hold */
    for (size_t i = 0; i < seen_fs_count; i++) {
        is_seen = is_seen || seen_fs[i] == fs;
    }
    (void)pthread_mutex_unlock(&mu); /* cannot fail: we hold it */
    return is_seen;
}

static void fs_note(dev_t fs)
{
    (void)pthread_mutex_lock(&mu); /* as above */
    if (seen_fs_count < SEEN_FS_MAX) {
        seen_fs[seen_fs_count++] = fs;
    }
    (void)pthread_mutex_unlock(&mu); /* as above */
}

bool follow_checkpointer_is_there(struct follower *f)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHM_CHECKPOINTER, .l_len = 1};
    struct error ignored = ERROR_INIT; /* then the descriptor stays unknown */
    bool has_all;

    if (f->can_see_locks && f->shm_lock_fd <= 0)
        IGNORE(locks_see(f, &has_all, &ignored));
    return f->can_see_locks && f->shm_lock_fd > 0 && fcntl(f->shm_lock_fd, F_GETLK, &lock) == 0 &&
           lock.l_type != F_UNLCK;
}

void follow_locks_probe(struct follower *f)
{
    struct error err = ERROR_INIT;
    struct stat st;
    bool has_all = false;

    /* An error here only means that there is no witness. */
    bool has_fs = env_stat(f->env, f->path, &st, &err) == 0;
    if (has_fs && fs_is_seen(st.st_dev)) {
        f->can_see_locks = true;
        return;
    }
    f->can_see_locks = locks_see(f, &has_all, &err) == 0 && has_all;
    if (f->can_see_locks && has_fs) {
        fs_note(st.st_dev);
    }
}

bool follow_locks_ok(struct follower *f)
{
    struct error err = ERROR_INIT;
    bool has_all = true;

    if (!f->can_see_locks) {
        return true;
    }
    if (locks_see(f, &has_all, &err) < 0) {
        return true; /* it cannot be told: out of descriptors, for example */
    }
    return has_all;
}

int follow_locks_check(struct follower *f, struct error *err)
{
    if (follow_locks_ok(f)) {
        return 0;
    }
    error_set(err, ERR_WRONG_STATE, FOLLOW_ORIGIN_LOCKS_LOST, "%s: the kernel has lost our locks",
              f->path);
    return error_hint(err, "some code in this process opened and closed the database or its -shm "
                           "file; the database is opened again");
}
