/*
 * Nodes and names. A node is a file or a folder, a name a path that leads to one; a node without
 * names lives until its last descriptor is closed. There are few names at a time, so they are one
 * array, searched by a hash of the path.
 *
 *   name   path, hash  ->  node   size, pieces of bytes, locks, double
 *                           ^
 *   descriptor -------------+
 *
 * Bytes lie in pieces of MEMORY_FILES_PIECE_BYTES that stay where they are; those behind the size
 * are 0, always. Pieces that nobody needs are kept, 0 all over.
 */
#include "lib/testing/memory_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/testing/memory_files_internal.h"
#include "lib/testing/test.h"

enum {
    NAMES_MAX = 4096,
    DEVICE = 0x77,
};

struct name {
    uint64_t hash;
    char *path;
    struct node *node;
};

static struct {
    struct name names[NAMES_MAX];
    size_t name_count;
    struct node *descriptors[MEMORY_FILES_FDS_MAX];
    ino_t last_ino;
    uint8_t **free_pieces;
    size_t free_count, free_places;
} the_files;

/* ---- paths ---- */

/* Where it lies, from the root. */
static void path_resolve(const char *path, char out[static PATH_BYTES])
{
    int n = path[0] == '/' ? snprintf(out, PATH_BYTES, "%s", path)
                           : snprintf(out, PATH_BYTES, "%s/%s", MEMORY_FILES_HOME, path);

    assert_true(n > 0 && n < PATH_BYTES);
    while (n > 1 && (out[n - 1] == '/' || (n > 2 && strcmp(out + n - 2, "/.") == 0))) {
        n -= out[n - 1] == '/' ? 1 : 2;
        out[n] = '\0';
    }
}

static uint64_t path_hash(const char *path)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
    return hash;
}

/* NULL: there is none. path is resolved. */
static struct name *name_find(const char *path)
{
    uint64_t hash = path_hash(path);

    for (size_t i = 0; i < the_files.name_count; i++) {
        struct name *name = &the_files.names[i];
        if (name->hash == hash && strcmp(name->path, path) == 0)
            return name;
    }
    return NULL;
}

/* The node that a path of the caller's names, or NULL. */
struct node *memory_node_of(const char *path)
{
    char at[PATH_BYTES];

    path_resolve(path, at);
    const struct name *name = name_find(at);
    return name ? name->node : NULL;
}

/* The folder of a resolved path; NULL: not there, or no folder. */
static struct node *folder_of(const char *path)
{
    char folder[PATH_BYTES];

    (void)snprintf(folder, sizeof(folder), "%s", path); /* as long */
    char *slash = strrchr(folder, '/');
    slash[slash == folder ? 1 : 0] = '\0';
    const struct name *name = name_find(folder);
    return name && S_ISDIR(name->node->mode) ? name->node : NULL;
}

/* ---- bytes ---- */

static uint8_t *piece_take(void)
{
    if (the_files.free_count > 0)
        return the_files.free_pieces[--the_files.free_count];
    uint8_t *piece = calloc(1, MEMORY_FILES_PIECE_BYTES);
    assert_non_null(piece);
    return piece;
}

static void piece_give(uint8_t *piece)
{
    if (the_files.free_count == the_files.free_places) {
        the_files.free_places = the_files.free_places ? 2 * the_files.free_places : 64;
        uint8_t **grown = realloc(the_files.free_pieces, the_files.free_places * sizeof(*grown));
        assert_non_null(grown);
        the_files.free_pieces = grown;
    }
    the_files.free_pieces[the_files.free_count++] = piece;
}

/* How many of n bytes from offset on lie in its piece, which is *out. */
static size_t piece_part(const struct node *node, int64_t offset, size_t n, uint8_t **out)
{
    size_t in_piece = (size_t)(offset % MEMORY_FILES_PIECE_BYTES);
    size_t part = MEMORY_FILES_PIECE_BYTES - in_piece;

    *out = node->pieces[offset / MEMORY_FILES_PIECE_BYTES] + in_piece;
    return part < n ? part : n;
}

static void node_grow(struct node *node, int64_t size)
{
    size_t count = (size_t)((size + MEMORY_FILES_PIECE_BYTES - 1) / MEMORY_FILES_PIECE_BYTES);

    if (count > node->piece_count) {
        uint8_t **grown = realloc(node->pieces, count * sizeof(*grown));
        assert_non_null(grown);
        node->pieces = grown;
        while (node->piece_count < count)
            node->pieces[node->piece_count++] = piece_take();
    }
    if (size > node->size)
        node->size = size;
}

static void node_cut(struct node *node, int64_t size)
{
    for (int64_t at = size; at < node->size;) {
        uint8_t *p;
        size_t part = piece_part(node, at, (size_t)(node->size - at), &p);
        memset(p, 0, part);
        at += (int64_t)part;
    }
    node->size = size;
}

/* ---- nodes and names ---- */

static struct node *node_new(mode_t mode)
{
    struct node *node = calloc(1, sizeof(*node));

    assert_non_null(node);
    node->ino = ++the_files.last_ino;
    node->mode = mode;
    node->double_fd = -1;
    return node;
}

static void node_check(struct node *node)
{
    if (node->names > 0 || node->descriptors > 0)
        return;
    node_cut(node, 0);
    for (size_t i = 0; i < node->piece_count; i++)
        piece_give(node->pieces[i]);
    free(node->pieces);
    memory_double_end(node);
    free(node);
}

/* path is resolved and names nothing. */
static void name_add(const char *path, struct node *node)
{
    char *copy = strdup(path);
    struct node *folder = strcmp(path, "/") == 0 ? NULL : folder_of(path);

    assert_non_null(copy);
    assert_true(the_files.name_count < NAMES_MAX);
    the_files.names[the_files.name_count++] =
        (struct name){.hash = path_hash(path), .path = copy, .node = node};
    node->names++;
    if (folder)
        memory_double_fill(folder, path);
}

/* Takes a name away; its node goes on without a check. */
static struct node *name_take(struct name *name)
{
    struct node *node = name->node;

    free(name->path);
    *name = the_files.names[--the_files.name_count];
    node->names--;
    return node;
}

static void name_remove(struct name *name)
{
    struct node *node = name_take(name);

    if (node->names == 0)
        memory_double_unlink(node);
    else
        memory_double_change(node);
    node_check(node);
}

/* ---- descriptors ---- */

struct node *memory_node_open(int fd)
{
    int i = fd - MEMORY_FILES_FD;

    return i >= 0 && i < MEMORY_FILES_FDS_MAX ? the_files.descriptors[i] : NULL;
}

static int descriptor_make(struct node *node)
{
    for (int i = 0; i < MEMORY_FILES_FDS_MAX; i++) {
        if (!the_files.descriptors[i]) {
            the_files.descriptors[i] = node;
            node->descriptors++;
            return MEMORY_FILES_FD + i;
        }
    }
    return -EMFILE;
}

static int files_open(void *ctx UNUSED, const char *path, int flags, mode_t mode)
{
    char at[PATH_BYTES];

    path_resolve(path, at);
    const struct name *name = name_find(at);
    struct node *node = name ? name->node : NULL;
    if (!node && !(flags & O_CREAT))
        return -ENOENT;
    if (node && (flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        return node && S_ISDIR(node->mode) ? descriptor_make(node_new(S_IFREG | (mode & 0777)))
                                           : -ENOENT;
    }
    if (node && S_ISDIR(node->mode) && (flags & O_ACCMODE) != O_RDONLY)
        return -EISDIR;
    if (node && !S_ISDIR(node->mode) && (flags & O_DIRECTORY))
        return -ENOTDIR;
    if (!node && !folder_of(at))
        return -ENOENT;
    if (!node) {
        node = node_new(S_IFREG | (mode & 0777));
        name_add(at, node);
    }
    if (flags & O_TRUNC) {
        node_cut(node, 0);
        memory_double_touch(node);
    }
    return descriptor_make(node);
}

static int files_close(void *ctx UNUSED, int fd)
{
    struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    the_files.descriptors[fd - MEMORY_FILES_FD] = NULL;
    node->descriptors--;
    memory_locks_drop(node, 0, 0, INT64_MAX);
    memory_locks_drop(node, fd, 0, INT64_MAX);
    node_check(node);
    return 0;
}

static ssize_t files_pread(void *ctx UNUSED, int fd, void *p, size_t n, int64_t offset)
{
    const struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    if (S_ISDIR(node->mode))
        return -EISDIR;
    if (offset >= node->size)
        return 0;
    if (n > (size_t)(node->size - offset))
        n = (size_t)(node->size - offset);
    for (size_t done = 0; done < n;) {
        uint8_t *from;
        size_t part = piece_part(node, offset + (int64_t)done, n - done, &from);
        memcpy((uint8_t *)p + done, from, part);
        done += part;
    }
    return (ssize_t)n;
}

static ssize_t files_pwrite(void *ctx UNUSED, int fd, const void *p, size_t n, int64_t offset)
{
    struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    if (n == 0)
        return 0;
    node_grow(node, offset + (int64_t)n);
    for (size_t done = 0; done < n;) {
        uint8_t *to;
        size_t part = piece_part(node, offset + (int64_t)done, n - done, &to);
        memcpy(to, (const uint8_t *)p + done, part);
        done += part;
    }
    memory_double_touch(node);
    return (ssize_t)n;
}

static int files_sync(void *ctx UNUSED, int fd)
{
    return memory_node_open(fd) ? 0 : -EBADF;
}

static int files_ftruncate(void *ctx UNUSED, int fd, int64_t size)
{
    struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    if (size < node->size)
        node_cut(node, size);
    else
        node_grow(node, size);
    memory_double_touch(node);
    return 0;
}

static int files_fallocate(void *ctx UNUSED, int fd, int64_t size)
{
    struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    if (size <= 0)
        return 0;
    node_grow(node, size);
    memory_double_touch(node);
    return 0;
}

void *memory_files_map(int fd, int64_t offset)
{
    const struct node *node = memory_node_open(fd);

    assert_non_null(node);
    assert_true(offset % MEMORY_FILES_PIECE_BYTES == 0 && offset < node->size);
    return node->pieces[offset / MEMORY_FILES_PIECE_BYTES];
}

/* ---- what is known of a file ---- */

static int node_stat(const struct node *node, struct stat *out)
{
    if (!node)
        return -ENOENT;
    *out = (struct stat){.st_dev = DEVICE,
                         .st_ino = node->ino,
                         .st_mode = node->mode,
                         .st_nlink = node->names,
                         .st_uid = node->uid,
                         .st_gid = node->gid,
                         .st_size = node->size,
                         .st_blksize = 4096,
                         .st_blocks = (node->size + 511) / 512};
    out->st_mtim.tv_sec = (time_t)(node->mtime_ns / UINT64_C(1000000000));
    out->st_mtim.tv_nsec = (long)(node->mtime_ns % UINT64_C(1000000000));
    return 0;
}

static int files_fstat(void *ctx UNUSED, int fd, struct stat *out)
{
    const struct node *node = memory_node_open(fd);
    return node ? node_stat(node, out) : -EBADF;
}

static int files_stat(void *ctx UNUSED, const char *path, struct stat *out)
{
    return node_stat(memory_node_of(path), out);
}

static int files_set_mtime(void *ctx UNUSED, int fd, uint64_t mtime_ns)
{
    struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    node->mtime_ns = mtime_ns;
    memory_double_change(node);
    return 0;
}

static int files_fchown(void *ctx UNUSED, int fd, uid_t uid, gid_t gid)
{
    struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    if (uid != (uid_t)-1)
        node->uid = uid;
    if (gid != (gid_t)-1)
        node->gid = gid;
    memory_double_change(node);
    return 0;
}

static int files_fchmod(void *ctx UNUSED, int fd, mode_t mode)
{
    struct node *node = memory_node_open(fd);

    if (!node)
        return -EBADF;
    node->mode = (node->mode & (mode_t)S_IFMT) | (mode & 07777);
    memory_double_change(node);
    return 0;
}

/* ---- names that change ---- */

static int name_move(const char *from, const char *to, bool may_replace)
{
    char source[PATH_BYTES];
    char target[PATH_BYTES];

    path_resolve(from, source);
    path_resolve(to, target);
    struct name *name = name_find(source);
    if (!name || !folder_of(target))
        return -ENOENT;
    struct name *old = name_find(target);
    if (old && !may_replace)
        return -EEXIST;
    if (old && old->node == name->node)
        return 0;
    assert_false(S_ISDIR(name->node->mode)); /* left out */
    if (old)
        name_remove(old);
    struct node *node = name_take(name_find(source));
    memory_double_rename(node);
    name_add(target, node);
    return 0;
}

static int files_rename(void *ctx UNUSED, const char *from, const char *to)
{
    return name_move(from, to, true);
}

static int files_rename_noreplace(void *ctx UNUSED, const char *from, const char *to)
{
    return name_move(from, to, false);
}

static int files_link(void *ctx UNUSED, const char *from, const char *to)
{
    char target[PATH_BYTES];
    struct node *node = memory_node_of(from);

    path_resolve(to, target);
    if (!node || !folder_of(target))
        return -ENOENT;
    if (name_find(target))
        return -EEXIST;
    name_add(target, node);
    memory_double_change(node);
    return 0;
}

static int files_unlink(void *ctx UNUSED, const char *path)
{
    char at[PATH_BYTES];

    path_resolve(path, at);
    struct name *name = name_find(at);
    if (!name)
        return -ENOENT;
    if (S_ISDIR(name->node->mode))
        return -EISDIR;
    name_remove(name);
    return 0;
}

static int files_mkdir(void *ctx UNUSED, const char *path, mode_t mode)
{
    char at[PATH_BYTES];

    path_resolve(path, at);
    if (name_find(at))
        return -EEXIST;
    if (!folder_of(at))
        return -ENOENT;
    name_add(at, node_new(S_IFDIR | (mode & 0777)));
    return 0;
}

/* ---- folders ---- */

/* The rest of a path below a folder, or NULL. Both are resolved. */
static const char *below(const char *folder, const char *path)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

static int files_list_folder(void *ctx UNUSED, const char *path,
                             int (*on_name)(void *arg, const char *name), void *arg)
{
    char at[PATH_BYTES];
    int rc = 0;

    path_resolve(path, at);
    const struct name *folder = name_find(at);
    if (!folder)
        return -ENOENT;
    if (!S_ISDIR(folder->node->mode))
        return -ENOTDIR;
    /* on_name() may remove what it is told: then another takes its place. */
    for (size_t i = the_files.name_count; rc == 0 && i > 0; i--) {
        if (i > the_files.name_count)
            continue;
        const char *rest = below(at, the_files.names[i - 1].path);
        if (rest && !strchr(rest, '/'))
            rc = on_name(arg, rest);
    }
    return rc;
}

bool memory_files_exist(const char *path)
{
    return memory_node_of(path);
}

uint8_t *memory_files_read(const char *path, size_t *out_n)
{
    int fd = files_open(NULL, path, O_RDONLY, 0);

    assert_true(fd >= 0);
    *out_n = (size_t)memory_node_open(fd)->size;
    uint8_t *bytes = malloc(*out_n + 1);
    assert_non_null(bytes);
    assert_int_equal(files_pread(NULL, fd, bytes, *out_n, 0), *out_n);
    (void)files_close(NULL, fd); /* nothing was written */
    return bytes;
}

void memory_files_remove(const char *path)
{
    char at[PATH_BYTES];

    path_resolve(path, at);
    for (size_t i = the_files.name_count; i > 0; i--) {
        struct name *name = &the_files.names[i - 1];
        if (below(at, name->path) || strcmp(name->path, at) == 0)
            name_remove(name);
    }
}

static void file_copy(const struct node *from, struct node *to)
{
    if (from->size == 0)
        return;
    node_grow(to, from->size);
    for (size_t i = 0; i < to->piece_count; i++)
        memcpy(to->pieces[i], from->pieces[i], MEMORY_FILES_PIECE_BYTES);
}

/* Folders are older than what lies in them, but names change their places: all folders first. */
static void names_copy(const char *from, const char *to, bool is_folders)
{
    for (size_t i = 0, count = the_files.name_count; i < count; i++) {
        const struct name *name = &the_files.names[i];
        const char *rest = below(from, name->path);
        char at[2 * PATH_BYTES];
        if (!rest || (bool)S_ISDIR(name->node->mode) != is_folders)
            continue;
        (void)snprintf(at, sizeof(at), "%s/%s", to, rest); /* fits */
        struct node *node = node_new(name->node->mode);
        file_copy(name->node, node);
        name_add(at, node);
    }
}

void memory_files_copy(const char *from, const char *to)
{
    char source[PATH_BYTES];
    char target[PATH_BYTES];

    path_resolve(from, source);
    path_resolve(to, target);
    assert_int_equal(files_mkdir(NULL, to, 0700), 0);
    names_copy(source, target, true);
    names_copy(source, target, false);
}

/* ---- the rest of the seam ---- */

static char *files_resolve(void *ctx UNUSED, const char *path)
{
    char at[PATH_BYTES];

    path_resolve(path, at);
    if (name_find(at))
        return strdup(at);
    errno = ENOENT;
    return NULL;
}

static int64_t files_fs_magic(void *ctx UNUSED, const char *path)
{
    static const int64_t tmpfs = 0x01021994;
    return memory_files_exist(path) ? tmpfs : -ENOENT;
}

static int files_identity(void *ctx UNUSED, const char *path, struct env_identity *out)
{
    const struct node *node = memory_node_of(path);

    if (!node)
        return -ENOENT;
    *out = (struct env_identity){.ino = node->ino}; /* a number is used once */
    return 0;
}

static int64_t files_free_bytes(void *ctx UNUSED, const char *path UNUSED, int64_t *out_total_bytes)
{
    *out_total_bytes = INT64_C(1) << 40;
    return INT64_C(1) << 39;
}

const struct env_file *memory_files(void)
{
    static const struct env_file files = {.open = files_open,
                                          .close = files_close,
                                          .pread = files_pread,
                                          .pwrite = files_pwrite,
                                          .fsync = files_sync,
                                          .fdatasync = files_sync,
                                          .ftruncate = files_ftruncate,
                                          .fallocate = files_fallocate,
                                          .fstat = files_fstat,
                                          .stat = files_stat,
                                          .lstat = files_stat,
                                          .set_mtime = files_set_mtime,
                                          .rename = files_rename,
                                          .rename_noreplace = files_rename_noreplace,
                                          .link = files_link,
                                          .unlink = files_unlink,
                                          .mkdir = files_mkdir,
                                          .list_folder = files_list_folder,
                                          .fchown = files_fchown,
                                          .fchmod = files_fchmod,
                                          .free_bytes = files_free_bytes,
                                          .lock = memory_lock,
                                          .resolve = files_resolve,
                                          .fs_magic = files_fs_magic,
                                          .identity = files_identity,
                                          .watch = memory_watch};
    return &files;
}

void memory_files_begin(const char *doubles)
{
    memory_files_end();
    memory_doubles_begin(doubles);
    the_files.last_ino = 0;
    name_add("/", node_new(S_IFDIR | 0755));
    name_add(MEMORY_FILES_HOME, node_new(S_IFDIR | 0755));
    name_add("/tmp", node_new(S_IFDIR | 0777));
}

void memory_files_end(void)
{
    for (size_t i = 0; i < MEMORY_FILES_FDS_MAX; i++)
        assert_null(the_files.descriptors[i]);
    while (the_files.name_count > 0)
        name_remove(&the_files.names[the_files.name_count - 1]);
    memory_doubles_end();
}
