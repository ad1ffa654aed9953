/*
 * Listing, on a worker: a walk below the root in ascending order of keys, a batch of objects a job.
 *
 * The order of keys is bytewise over the whole key, so within a folder a folder sorts as if its
 * name ended in '/': "a-b" (0x2d) comes before "a/..." (0x2f), "a0" (0x30) after it.
 *
 *   1. The stack holds the folders from the root to where the walk is, each read as a whole and
 *      sorted: 32 bytes an entry plus its name, at most FILE_FOLDER_ENTRIES_MAX entries a folder.
 *   2. Entries that cannot lead to a wanted key (prefix, start_after) are dropped when the folder
 * is read, before anything is asked about them. So are names that are no keys, temporary files, and
 * what vanishes between readdir and lstat.
 *   3. A job takes entries from the deepest folder until its batch is full: a file joins the batch,
 *      a folder is read and pushed, an exhausted folder is popped.
 *
 * An object that is there from beginning to end of the walk is found, and once: readdir promises it
 * for a folder, and no folder is read twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/file/file_internal.h"

enum {
    ENTRIES_FIRST = 64,
    FOLDERS_FIRST = 8,
    CANCEL_LOOK_EACH = 1024, /* entries between two looks whether to go on */
};

struct file_entry {
    size_t name_at; /* offset in file_folder.names */
    uint64_t bytes;
    uint64_t timestamp_ns;
    bool is_folder;
};

static void folder_destroy(struct file_folder *folder)
{
    free(folder->entry);
    buf_destroy(&folder->names);
}

void file_list_destroy(struct file_list *list)
{
    for (size_t i = 0; i < list->folder_count; i++)
        folder_destroy(&list->folder[i]);
    free(list->folder);
    free(list->found);
    buf_destroy(&list->keys);
}

/* ---- step 2: which entries are wanted ---- */

/* Whether text (n bytes) and prefix agree as far as both go. */
static bool prefix_meets(const char *prefix, const char *text, size_t n)
{
    size_t prefix_n = strlen(prefix);

    return memcmp(prefix, text, prefix_n < n ? prefix_n : n) == 0;
}

/* key has n bytes and ends in '/' for a folder. */
static bool key_is_wanted(const struct file_list *list, const char *key, size_t n, bool is_folder)
{
    if (!prefix_meets(list->prefix, key, n) || (!is_folder && n < strlen(list->prefix)))
        return false;
    if (is_folder && prefix_meets(list->start_after, key, n) && strlen(list->start_after) >= n)
        return true;
    return strcmp(key, list->start_after) > 0;
}

static bool name_is_key_part(const struct file_list *list, const char *name)
{
    for (const char *p = name; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            return false;
    }
    return !strstr(name, "..") && !file_temp_is(name) &&
           !(list->key[0] == '\0' && strcmp(name, "lost+found") == 0);
}

struct reading {
    struct file_op *op;
    struct file_folder *folder;
    char path[PATH_MAX]; /* of the entry */
    size_t path_bytes;   /* of the folder's path in it, with its slash */
};

static struct file_entry *entry_new(struct file_folder *folder, struct error *err)
{
    if (folder->entry_count == FILE_FOLDER_ENTRIES_MAX) {
        (void)error_set(err, ERR_LIMIT, 0, "more than %d entries in one folder",
                        FILE_FOLDER_ENTRIES_MAX);
        return NULL;
    }
    if (folder->entry_count == folder->entry_cap) {
        size_t cap = folder->entry_cap ? folder->entry_cap * 2 : ENTRIES_FIRST;
        struct file_entry *grown = realloc(folder->entry, cap * sizeof(struct file_entry));
        if (!grown) {
            (void)error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu names", cap);
            return NULL;
        }
        folder->entry = grown;
        folder->entry_cap = cap;
    }
    return &folder->entry[folder->entry_count];
}

/* Step 1 for an entry whose key is wanted as a file or as a folder. */
static int entry_keep(struct reading *r, const char *name, bool as_file, bool as_folder,
                      struct error *err)
{
    struct stat st;

    if (env_lstat(r->op->store->env, r->path, &st, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    if (S_ISLNK(st.st_mode))
        return file_link_refuse(r->path, err);
    bool is_folder = S_ISDIR(st.st_mode);
    if (is_folder ? !as_folder : !as_file || !S_ISREG(st.st_mode))
        return 0;
    struct file_entry *entry = entry_new(r->folder, err);
    if (!entry)
        return -1;
    *entry = (struct file_entry){.name_at = r->folder->names.n,
                                 .bytes = (uint64_t)st.st_size,
                                 .timestamp_ns = file_timestamp_ns(&st),
                                 .is_folder = is_folder};
    if (buf_append(&r->folder->names, name, strlen(name) + 1, err) < 0)
        return -1;
    r->folder->entry_count++;
    return 0;
}

static int reading_on_name(void *arg, const char *name, struct error *err)
{
    struct reading *r = arg;
    const struct file_list *list = &r->op->list;
    char key[STORAGE_KEY_BYTES_MAX + 2];
    size_t name_n = strlen(name);
    size_t n = r->folder->key_bytes + name_n;

    if (r->folder->entry_count % CANCEL_LOOK_EACH == 0 && job_is_canceled(&r->op->job))
        return error_set(err, ERR_CANCELED, 0, "canceled");
    if (n > STORAGE_KEY_BYTES_MAX || !name_is_key_part(list, name))
        return 0;
    memcpy(key, list->key, r->folder->key_bytes);
    memcpy(key + r->folder->key_bytes, name, name_n + 1);
    bool as_file = key_is_wanted(list, key, n, false);
    memcpy(key + n, "/", 2);
    bool as_folder = key_is_wanted(list, key, n + 1, true);
    if (!as_file && !as_folder)
        return 0;
    if (r->path_bytes + name_n >= sizeof(r->path))
        return 0; /* cannot be: FILE_ROOT_BYTES_MAX leaves room for every key */
    memcpy(r->path + r->path_bytes, name, name_n + 1);
    return entry_keep(r, name, as_file, as_folder, err);
}

/* Order of keys below the folder; a folder's name counts with its slash. */
static int entry_compare(const void *a, const void *b, void *names)
{
    const struct file_entry *entry[2] = {a, b};
    const unsigned char *p[2];
    unsigned char end[2];

    for (int i = 0; i < 2; i++) {
        p[i] = (const unsigned char *)names + entry[i]->name_at;
        end[i] = entry[i]->is_folder ? '/' : '\0';
    }
    while (*p[0] && *p[0] == *p[1]) {
        p[0]++;
        p[1]++;
    }
    return (*p[0] ? *p[0] : end[0]) - (*p[1] ? *p[1] : end[1]);
}

/* ---- steps 1 and 3: the walk ---- */

/* Reads the folder whose key (with its slash) stands in list->key and puts it on the stack. */
static int walk_push(struct file_op *op)
{
    struct file_list *list = &op->list;
    struct reading r = {.op = op};
    char path[PATH_MAX];

    if (list->folder_count == list->folder_cap) {
        size_t cap = list->folder_cap ? list->folder_cap * 2 : FOLDERS_FIRST;
        struct file_folder *grown = realloc(list->folder, cap * sizeof(struct file_folder));
        if (!grown)
            return error_set(&op->err, ERR_NO_MEMORY, 0, "out of memory for %zu folders", cap);
        list->folder = grown;
        list->folder_cap = cap;
    }
    r.folder = &list->folder[list->folder_count++];
    *r.folder = (struct file_folder){
        .names = BUF_INIT((size_t)FILE_FOLDER_ENTRIES_MAX * 256),
        .key_bytes = strlen(list->key),
    };
    file_path_of(op->store, list->key, path);
    r.path_bytes = strlen(path);
    memcpy(r.path, path, r.path_bytes + 1);
    if (env_list_folder(op->store->env, path, reading_on_name, &r, &op->err) < 0) {
        if (op->err.code != ERR_NOT_FOUND)
            return -1;
        error_clear(&op->err); /* gone since we saw it, with all below */
    }
    if (r.folder->entry_count > 0) {
        qsort_r(r.folder->entry, r.folder->entry_count, sizeof(struct file_entry), entry_compare,
                r.folder->names.p);
    }
    return 0;
}

static void walk_pop(struct file_list *list)
{
    folder_destroy(&list->folder[--list->folder_count]);
    if (list->folder_count > 0)
        list->key[list->folder[list->folder_count - 1].key_bytes] = '\0';
}

static int batch_add(struct file_op *op, const struct file_entry *entry, const char *name)
{
    struct file_list *list = &op->list;
    struct file_found *found = &list->found[list->found_count];

    *found = (struct file_found){
        .key_at = list->keys.n, .bytes = entry->bytes, .timestamp_ns = entry->timestamp_ns};
    if (buf_append_str(&list->keys, list->key, &op->err) < 0 ||
        buf_append(&list->keys, name, strlen(name) + 1, &op->err) < 0)
        return -1;
    list->found_count++;
    return 0;
}

/* Step 3: one entry of the deepest folder. */
static int walk_entry(struct file_op *op, struct file_folder *folder)
{
    struct file_list *list = &op->list;
    const struct file_entry *entry = &folder->entry[folder->at++];
    const char *name = (const char *)folder->names.p + entry->name_at;

    if (!entry->is_folder)
        return batch_add(op, entry, name);
    size_t name_n = strlen(name);
    if (folder->key_bytes + name_n + 1 > STORAGE_KEY_BYTES_MAX)
        return 0; /* nothing below it can be a key */
    memcpy(list->key + folder->key_bytes, name, name_n);
    memcpy(list->key + folder->key_bytes + name_n, "/", 2);
    return walk_push(op);
}

/* The first job: whether there is a root, and memory for the batch. */
static int walk_begin(struct file_op *op, bool *out_exists)
{
    struct file_list *list = &op->list;
    char probe[PATH_MAX];

    list->has_begun = true;
    list->keys = (struct buf)BUF_INIT((size_t)FILE_LIST_BATCH_MAX * (STORAGE_KEY_BYTES_MAX + 1));
    list->found = mem_new(FILE_LIST_BATCH_MAX, sizeof(struct file_found), &op->err);
    if (!list->found)
        return -1;
    file_path_of(op->store, "x", probe); /* any object right below the root */
    if (file_folder_look(op->store, probe, out_exists, &op->err) < 0)
        return -1;
    atomic_store(&op->store->has_root, *out_exists);
    return *out_exists ? walk_push(op) : 0;
}

int file_list_step(struct file_op *op)
{
    struct file_list *list = &op->list;
    bool exists = false;

    if (!list->has_begun && walk_begin(op, &exists) < 0)
        return -1;
    list->found_count = 0;
    buf_clear(&list->keys);
    while (list->folder_count > 0 && list->found_count < FILE_LIST_BATCH_MAX) {
        struct file_folder *folder = &list->folder[list->folder_count - 1];
        if (folder->at == folder->entry_count)
            walk_pop(list);
        else if (walk_entry(op, folder) < 0)
            return -1;
    }
    op->is_finished = list->folder_count == 0;
    return 0;
}
