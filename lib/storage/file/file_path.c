/*
 * Where objects lie, and the folders above them.
 *
 * A key is a path below the root; storage.c has refused "..", "." and doubled slashes, so the path
 * cannot leave the root by its text. It could leave it by a symbolic link, so every folder between
 * root and object is looked at (lstat) before it is used, and a link is refused aloud: following it
 * would write or delete elsewhere, passing over it would hide a backup.
 *
 * The first put into a folder (file_folder_ensure):
 *   1. create the root and its missing parents, fsync each new one's parent, and the root's
 *   2. from the root downwards: create the folder if it is missing, refuse what is not a folder
 *   3. fsync each of these folders' parents, also if the folder was there: who made it may have
 *      died before it was durable
 *   4. remove temporary files whose ctime is a day old (mtime is the object's, and may be any)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/storage/file/file_internal.h"

enum {
    TEMP_HEX_DIGITS = 16,
    TEMP_NAME_KEPT_BYTES = 200, /* of the object's name */
    PART_BYTES_MAX = 255,       /* NAME_MAX of Linux */
};

static const char temp_suffix[] = ".tmp";
static const uint64_t temp_age_ns_max = NS_PER_DAY;

bool file_temp_is(const char *name)
{
    size_t n = strlen(name);
    size_t tail = 1 + TEMP_HEX_DIGITS + sizeof(temp_suffix) - 1;

    if (name[0] != '.' || n < 1 + 1 + tail ||
        strcmp(name + n - (sizeof(temp_suffix) - 1), temp_suffix) != 0)
        return false;
    const char *hex = name + n - tail;
    return hex[0] == '.' && strspn(hex + 1, "0123456789abcdef") == TEMP_HEX_DIGITS;
}

void file_temp_path(const struct env *env, const char *path, char out[static PATH_MAX])
{
    const char *name = strrchr(path, '/') + 1;
    uint64_t random;

    env_random_fill(env, &random, sizeof(random));
    int n = snprintf(out, PATH_MAX, "%.*s.%.*s.%016" PRIx64 "%s", (int)(name - path), path,
                     TEMP_NAME_KEPT_BYTES, name, random, temp_suffix);
    ASSERT(n > 0 && n < PATH_MAX); /* FILE_ROOT_BYTES_MAX leaves room */
}

int file_key_check(const char *key, struct error *err)
{
    while (*key) {
        char part[PART_BYTES_MAX + 1];
        size_t n = strcspn(key, "/");
        if (n > PART_BYTES_MAX) {
            return error_set(err, ERR_USAGE, 0,
                             "key \"%.200s\": a file name has at most %d bytes, this part has %zu",
                             key, PART_BYTES_MAX, n);
        }
        memcpy(part, key, n);
        part[n] = '\0';
        if (file_temp_is(part)) {
            return error_set(err, ERR_USAGE, 0, "key part \"%s\": is the form of temporary files",
                             part);
        }
        key += n;
        if (*key == '/')
            key++;
    }
    return 0;
}

void file_path_of(const struct file_store *store, const char *key, char out[static PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s", store->root, key);
    ASSERT(n > 0 && n < PATH_MAX); /* FILE_ROOT_BYTES_MAX leaves room */
}

void file_path_parent(const char *path, char out[static PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    ASSERT(slash);
    size_t n = slash == path ? 1 : (size_t)(slash - path);

    ASSERT(n < PATH_MAX);
    memcpy(out, path, n);
    out[n] = '\0';
}

uint64_t file_timestamp_ns(const struct stat *st)
{
    if (st->st_mtim.tv_sec < 0)
        return 0;
    return (uint64_t)st->st_mtim.tv_sec * NS_PER_SEC + (uint64_t)st->st_mtim.tv_nsec;
}

int file_link_refuse(const char *path, struct error *err)
{
    (void)error_set(err, ERR_WRONG_STATE, 0, "%s: is a symbolic link, which is never followed here",
                    path);
    return error_hint(err, "move what it points at into the folder of the replica, or remove it");
}

static const char *root_path(const struct file_store *store)
{
    return store->root[0] ? store->root : "/";
}

static int root_refuse(const struct file_store *store, struct error *err)
{
    (void)error_set(err, ERR_WRONG_STATE, ENOTDIR, "%s: is not a folder, or lies below a file",
                    root_path(store));
    return error_hint(err, "choose another path for the replica");
}

static int root_look(const struct file_store *store, bool *out_exists, struct error *err)
{
    struct stat st;

    if (env_stat(store->env, root_path(store), &st, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        if (err->origin == ENOTDIR)
            return root_refuse(store, err);
        *out_exists = false;
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return root_refuse(store, err);
    *out_exists = true;
    return 0;
}

/*
 * Cuts the next folder of path below the root into out: call with *at = length of the root. False
 * when only the last part is left.
 */
static bool folder_next(const char *path, size_t *at, char out[static PATH_MAX])
{
    const char *slash = strchr(path + *at + 1, '/');

    if (!slash)
        return false;
    *at = (size_t)(slash - path);
    memcpy(out, path, *at);
    out[*at] = '\0';
    return true;
}

int file_folder_look(const struct file_store *store, const char *path, bool *out_exists,
                     struct error *err)
{
    char folder[PATH_MAX];
    size_t at = strlen(store->root);
    bool exists = false;

    if (root_look(store, &exists, err) < 0)
        return -1;
    while (exists && folder_next(path, &at, folder)) {
        struct stat st;
        if (env_lstat(store->env, folder, &st, err) < 0) {
            if (err->code != ERR_NOT_FOUND)
                return -1;
            exists = false;
        } else if (S_ISLNK(st.st_mode)) {
            return file_link_refuse(folder, err);
        } else if (!S_ISDIR(st.st_mode)) {
            exists = false;
        }
    }
    error_clear(err);
    *out_exists = exists;
    return 0;
}

/* Step 1. A root that was there and is gone (an unmounted volume, rm -r) is not made anew in silence:
 * what would be put into it is the middle of something. A list that finds it missing clears this. */
static int root_ensure(struct file_store *store, struct error *err)
{
    char part[PATH_MAX];
    bool exists = false;

    if (root_look(store, &exists, err) < 0)
        return -1;
    if (exists) {
        atomic_store(&store->has_root, true);
        return 0;
    }
    if (atomic_load(&store->has_root)) {
        return error_set(err, ERR_WRONG_STATE, 0, "%s: the folder was there and has vanished",
                         root_path(store));
    }
    size_t n = strlen(store->root);
    for (size_t end = 1; end <= n; end++) {
        bool is_new = false;
        if (end < n && store->root[end] != '/')
            continue;
        memcpy(part, store->root, end);
        part[end] = '\0';
        if (env_mkdir(store->env, part, FILE_FOLDER_MODE, &is_new, err) < 0 ||
            (is_new && env_fsync_parent(store->env, part, err) < 0))
            return -1;
    }
    if (root_look(store, &exists, err) < 0)
        return -1;
    atomic_store(&store->has_root, exists);
    return exists ? 0
                  : error_set(err, ERR_BUSY, 0, "%s: was removed while it was created",
                              root_path(store));
}

/* Steps 2 and 3 for one folder. */
static int folder_ensure(const struct file_store *store, const char *folder, struct error *err)
{
    struct stat st;
    bool is_new;

    if (env_mkdir(store->env, folder, FILE_FOLDER_MODE, &is_new, err) < 0)
        return -1;
    if (!is_new) {
        if (env_lstat(store->env, folder, &st, err) < 0)
            return -1;
        if (S_ISLNK(st.st_mode))
            return file_link_refuse(folder, err);
        if (!S_ISDIR(st.st_mode)) {
            (void)error_set(err, ERR_WRONG_STATE, ENOTDIR, "%s: is a file where a folder is needed",
                            folder);
            return error_hint(err, "move the file out of the folder of the replica");
        }
    }
    return env_fsync_parent(store->env, folder, err);
}

struct sweep {
    const struct env *env;
    const char *folder;
    uint64_t now_ns;
};

/* Whatever keeps a leftover from being removed does not keep us from writing. */
static int sweep_on_name(void *arg, const char *name, struct error *err UNUSED)
{
    struct sweep *s = arg;
    struct error ignored = ERROR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (!file_temp_is(name))
        return 0;
    int n = snprintf(path, sizeof(path), "%s/%s", s->folder, name);
    if (n < 0 || (size_t)n >= sizeof(path) || env_lstat(s->env, path, &st, &ignored) < 0)
        return 0;
    uint64_t changed_ns = (uint64_t)st.st_ctim.tv_sec * NS_PER_SEC + (uint64_t)st.st_ctim.tv_nsec;
    if (S_ISREG(st.st_mode) && s->now_ns > changed_ns && s->now_ns - changed_ns > temp_age_ns_max) {
        int rc = env_unlink(s->env, path, &ignored);
        (void)rc; /* as above */
    }
    return 0;
}

int file_folder_ensure(struct file_store *store, const char *path, struct error *err)
{
    char folder[PATH_MAX];
    struct sweep sweep = {.env = store->env, .folder = folder, .now_ns = env_wall_ns(store->env)};
    size_t at = strlen(store->root);

    if (root_ensure(store, err) < 0)
        return -1;
    while (folder_next(path, &at, folder)) {
        if (folder_ensure(store, folder, err) < 0)
            return -1;
    }
    /* The root itself, unless its parent is not ours to open: then it was there before us. */
    if (store->root[0] && env_fsync_parent(store->env, store->root, err) < 0 &&
        err->code != ERR_ACCESS)
        return -1;
    error_clear(err);
    file_path_parent(path, folder);
    return env_list_folder(store->env, folder, sweep_on_name, &sweep, err); /* step 4 */
}
