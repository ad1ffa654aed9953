/*
 * Scans a folder for databases.
 *
 *   1. read the names of the folder and sort them
 *   2. each name: a folder (no link) is looked through in the same way if the entry is recursive
 *   3. a file whose name fits, regular, and not known to the caller: read its first 16 bytes
 *   4. sort what was found by file (device, inode) and drop second names of one file
 *   5. sort by path, derive a database's configuration from the entry for each
 */
#include "lib/config/dir_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/config_internal.h"
#include "lib/config/path.h"

enum {
    HEADER_BYTES = 16,
    NAMES_FIRST = 64,
};

static const char header_magic[HEADER_BYTES] = "SQLite format 3";
static const char *const side_suffixes[] = {"-wal", "-shm", "-journal"};
static const char *const state_suffixes[] = {"-litestream", "-walferry"};

/* A candidate that proved to be a database. */
struct found {
    char *path;
    dev_t dev;
    ino_t ino;
    bool is_link;
};

struct scan {
    const struct env *env;
    const struct config_db *entry;
    const struct dir_scan_guard *guard;
    struct found *rows;
    size_t count, cap;
    size_t entry_count; /* looked at */
    size_t known_count;
    unsigned depth;
};

/* The names of one folder. */
struct names {
    struct scan *scan;
    char **texts;
    size_t count, cap;
};

static void scan_destroy(struct scan *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->rows[i].path);
    free(s->rows);
}

static void names_destroy(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->texts[i]);
    free(n->texts);
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text);
    size_t suffix_bytes = strlen(suffix);

    return n > suffix_bytes && strcmp(text + n - suffix_bytes, suffix) == 0;
}

bool dir_scan_name_fits(const struct config_db *entry, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(side_suffixes); i++) {
        if (has_suffix(name, side_suffixes[i]))
            return false;
    }
    return fnmatch(entry->pattern, name, 0) == 0;
}

static bool is_state_folder(const char *name)
{
    return has_suffix(name, state_suffixes[0]) || has_suffix(name, state_suffixes[1]);
}

/* Doubles an array of elements when it is full. */
static int array_grow(void **p, size_t count, size_t *cap, size_t size, struct error *err)
{
    if (count < *cap)
        return 0;
    size_t wanted = *cap ? *cap * 2 : NAMES_FIRST;
    void *grown = reallocarray(*p, wanted, size);
    if (!grown)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu names", wanted);
    *p = grown;
    *cap = wanted;
    return 0;
}

/* Step 1, for each name. */
static int name_add(void *arg, const char *name, struct error *err)
{
    struct names *n = arg;
    void *texts = n->texts;

    if (++n->scan->entry_count > DIR_SCAN_ENTRIES_MAX)
        return error_set(err, ERR_LIMIT, 0, "more than %d files", DIR_SCAN_ENTRIES_MAX);
    int rc = array_grow(&texts, n->count, &n->cap, sizeof(char *), err);
    n->texts = texts;
    if (rc < 0)
        return -1;
    n->texts[n->count] = str_dup(name, err);
    if (!n->texts[n->count])
        return -1;
    n->count++;
    return 0;
}

static int name_compare(const void *a, const void *b)
{
    const char *const *na = a;
    const char *const *nb = b;
    return strcmp(*na, *nb);
}

/* Whether the first bytes are a database's; 0 also for a file that vanished. */
static int header_check(const struct env *env, const char *path, bool *out_is_db, struct error *err)
{
    char header[HEADER_BYTES];
    size_t n = 0;
    int fd;

    *out_is_db = false;
    if (env_open(env, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, &fd, err) < 0)
        return err->code == ERR_NOT_FOUND ? 0 : -1;
    int rc = env_pread(env, fd, header, sizeof(header), 0, path, &n, err);
    env_close_quietly(env, fd);
    if (rc < 0)
        return -1;
    *out_is_db = n == sizeof(header) && memcmp(header, header_magic, sizeof(header)) == 0;
    return 0;
}

/* Takes path when it is a database. */
static int found_add(struct scan *s, char **path, const struct stat *st, bool is_link,
                     struct error *err)
{
    void *rows = s->rows;

    if (s->count >= DIR_SCAN_DBS_MAX)
        return error_set(err, ERR_LIMIT, 0, "more than %d databases", DIR_SCAN_DBS_MAX);
    int rc = array_grow(&rows, s->count, &s->cap, sizeof(*s->rows), err);
    s->rows = rows;
    if (rc < 0)
        return -1;
    s->rows[s->count++] = (struct found){
        .path = TAKE(*path), .dev = st->st_dev, .ino = st->st_ino, .is_link = is_link};
    return 0;
}

/* Step 3. st is that of the file, not of a link to it. */
static int file_look(struct scan *s, char **path, const struct stat *st, bool is_link,
                     struct error *err)
{
    bool is_db;

    if (s->guard && s->guard->is_known(s->guard->arg, *path, st)) {
        s->known_count++;
        return 0;
    }
    if (header_check(s->env, *path, &is_db, err) < 0)
        return -1;
    return is_db ? found_add(s, path, st, is_link, err) : 0;
}

static int folder_look(struct scan *s, const char *folder, struct error *err);

/* Steps 2 and 3 for one name. */
static int name_look(struct scan *s, const char *folder, const char *name, struct error *err)
{
    CLEANUP(mem_free) char *path = path_join(folder, name, err);
    struct stat st;

    if (!path)
        return -1;
    if (env_lstat(s->env, path, &st, err) < 0)
        return err->code == ERR_NOT_FOUND ? 0 : -1;
    if (S_ISDIR(st.st_mode)) {
        if (!s->entry->is_recursive || is_state_folder(name))
            return 0;
        return folder_look(s, path, err);
    }
    if (!dir_scan_name_fits(s->entry, name))
        return 0;
    bool is_link = S_ISLNK(st.st_mode);
    if (is_link && env_stat(s->env, path, &st, err) < 0)
        return err->code == ERR_NOT_FOUND ? 0 : -1; /* a link to nothing */
    return S_ISREG(st.st_mode) ? file_look(s, &path, &st, is_link, err) : 0;
}

static int folder_look(struct scan *s, const char *folder, struct error *err)
{
    CLEANUP(names_destroy) struct names names = {.scan = s};
    bool is_top = s->depth == 0;

    if (s->depth >= DIR_SCAN_DEPTH_MAX) {
        return error_set(err, ERR_LIMIT, 0, "%s: folders nested deeper than %d", folder,
                         DIR_SCAN_DEPTH_MAX);
    }
    if (env_list_folder(s->env, folder, name_add, &names, err) < 0)
        return err->code == ERR_NOT_FOUND && !is_top ? 0 : -1;
    if (names.count > 0)
        qsort(names.texts, names.count, sizeof(char *), name_compare);
    s->depth++;
    for (size_t i = 0; i < names.count; i++) {
        if (name_look(s, folder, names.texts[i], err) < 0)
            return -1;
    }
    s->depth--;
    return 0;
}

/* By file; names of one file: real ones before links, then by path. */
static int file_compare(const void *a, const void *b)
{
    const struct found *fa = a;
    const struct found *fb = b;

    if (fa->dev != fb->dev)
        return fa->dev < fb->dev ? -1 : 1;
    if (fa->ino != fb->ino)
        return fa->ino < fb->ino ? -1 : 1;
    if (fa->is_link != fb->is_link)
        return fa->is_link ? 1 : -1;
    return strcmp(fa->path, fb->path);
}

static int path_compare(const void *a, const void *b)
{
    const struct found *fa = a;
    const struct found *fb = b;
    return strcmp(fa->path, fb->path);
}

/* Step 4, and the first half of 5. */
static void found_order(struct scan *s)
{
    size_t kept = 0;

    if (s->count == 0)
        return;
    qsort(s->rows, s->count, sizeof(*s->rows), file_compare);
    for (size_t i = 0; i < s->count; i++) {
        bool is_second = kept > 0 && s->rows[kept - 1].dev == s->rows[i].dev &&
                         s->rows[kept - 1].ino == s->rows[i].ino;
        if (is_second)
            free(s->rows[i].path);
        else
            s->rows[kept++] = s->rows[i];
    }
    s->count = kept;
    qsort(s->rows, s->count, sizeof(*s->rows), path_compare);
}

int dir_scan(const struct env *env, const struct config_db *entry,
             const struct dir_scan_guard *guard, struct dir_scan *out, struct error *err)
{
    CLEANUP(scan_destroy) struct scan s = {.env = env, .entry = entry, .guard = guard};
    CLEANUP(dir_scan_destroy) struct dir_scan result = {0};

    ASSERT(entry->dir);
    *out = (struct dir_scan){0};
    if (folder_look(&s, entry->dir, err) < 0)
        return error_wrap(err, "looking for databases in %s", entry->dir);
    found_order(&s);
    result.known_count = s.known_count;
    if (s.count > 0 && !(result.dbs = mem_new(s.count, sizeof(*result.dbs), err)))
        return -1;
    for (size_t i = 0; i < s.count; i++) {
        if (dir_scan_derive(entry, s.rows[i].path, &result.dbs[i], err) < 0)
            return -1;
        result.db_count++;
    }
    *out = result;
    result = (struct dir_scan){0};
    return 0;
}

void dir_scan_destroy(struct dir_scan *s)
{
    for (size_t i = 0; i < s->db_count; i++)
        config_db_destroy(&s->dbs[i]);
    free(s->dbs);
    *s = (struct dir_scan){0};
}

/* The folder of state for the database at relative path below the entry's dir. */
static char *meta_path_derive(const struct config_db *entry, const char *path, const char *relative,
                              struct error *err)
{
    if (entry->meta_dir)
        return str_printf(err, "%s/%s-walferry", entry->meta_dir, relative);
    if (!entry->meta_path)
        return config_meta_path_default(path, err);
    CLEANUP(mem_free) char *below = path_join(entry->meta_path, relative, err);
    return below ? config_meta_path_default(below, err) : NULL;
}

/* Adds the relative path to that of a replica, cleaned; a leading slash stays if there was one. */
static int replica_path_extend(struct config_replica *replica, const char *relative,
                               struct error *err)
{
    bool is_rooted = replica->path[0] == '/';
    char *path = str_printf(err, "/%s/%s", replica->path, relative);

    if (!path)
        return -1;
    path_clean(path);
    if (!is_rooted)
        memmove(path, path + 1, strlen(path));
    free(replica->path);
    replica->path = path;
    return config_replica_url_make(replica, err);
}

/* Turns a copy of the entry into the configuration of one database. */
static int db_specialize(const struct config_db *entry, struct config_db *db, const char *path,
                         const char *relative, struct error *err)
{
    struct setting_table table = config_db_table();

    free(TAKE(db->dir));
    free(TAKE(db->pattern));
    free(TAKE(db->meta_dir));
    free(TAKE(db->meta_path));
    db->is_recursive = false;
    db->is_watched = false;
    db->path = str_dup(path, err);
    db->meta_path = db->path ? meta_path_derive(entry, path, relative, err) : NULL;
    if (!db->meta_path)
        return -1;
    db->origin[config_row(table, "path")] = CONFIG_ORIGIN_DERIVED;
    db->origin[config_row(table, "meta-path")] = CONFIG_ORIGIN_DERIVED;
    for (size_t i = 0; i < db->replica_count; i++) {
        if (replica_path_extend(&db->replicas[i], relative, err) < 0)
            return -1;
    }
    return 0;
}

int dir_scan_derive(const struct config_db *entry, const char *path, struct config_db *out,
                    struct error *err)
{
    size_t n = strlen(entry->dir);

    *out = (struct config_db){0};
    if (n == 1) /* "/" */
        n = 0;
    if (strncmp(path, entry->dir, n) != 0 || path[n] != '/' || !path[n + 1])
        return error_set(err, ERR_USAGE, 0, "%s is not below %s", path, entry->dir);
    if (config_db_copy(entry, out, err) < 0)
        return -1;
    if (db_specialize(entry, out, path, path + n + 1, err) < 0) {
        config_db_destroy(out);
        return -1;
    }
    return 0;
}
