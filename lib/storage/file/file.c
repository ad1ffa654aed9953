/*
 * The file driver's loop side: operations from start to done.
 *
 *   1. start      copies the arguments, puts the operation on the store's list, submits a job
 *   2. worker     marks the operation as running, runs the step of its kind, marks it as ended
 *   3. job done   on the loop: hands on what the step produced (a chunk, a batch of objects, keys
 *                 that are gone); then submits the next job, or ends the operation
 *   4. end        takes the operation off the list, calls done, frees it
 *
 * Cancelling sets a flag that the step looks at and that step 3 turns into ERR_CANCELED. Put and
 * head are decided by their one step: if that succeeded, the cancel came too late.
 *
 * Freeing the store with operations under way calls their done at once, which gives the caller back
 * what they borrowed, so no worker may still use it: a step that runs is waited for, one that has
 * not begun is marked as abandoned and will not begin. The operation itself stays until its job
 * comes back to the loop, and keeps the store's memory (user_count).
 */
#include "lib/storage/file/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/file/file_internal.h"

static struct file_store *store_of(struct storage *st)
{
    return CONTAINER_OF(st, struct file_store, base);
}

/* ---- the store's memory ---- */

static void store_unuse(struct file_store *store)
{
    ASSERT(store->user_count > 0);
    if (--store->user_count > 0)
        return;
    for (size_t i = 0; i < FILE_FOLDERS_KNOWN_MAX; i++)
        free(store->known[i]);
    (void)pthread_cond_destroy(&store->job_ended); /* cannot fail: nobody waits */
    (void)pthread_mutex_destroy(&store->mu);       /* cannot fail: nobody holds it */
    free(store->root);
    free(store->base.url);
    free(store);
}

static void mutex_lock(struct file_store *store)
{
    int rc = pthread_mutex_lock(&store->mu);
    ASSERT(rc == 0);
}

static void mutex_unlock(struct file_store *store)
{
    int rc = pthread_mutex_unlock(&store->mu);
    ASSERT(rc == 0);
}

/* ---- folders that a put need not create, sweep and fsync again ---- */

static bool folder_is_known(const struct file_store *store, const char *folder)
{
    for (size_t i = 0; i < FILE_FOLDERS_KNOWN_MAX; i++) {
        if (store->known[i] && strcmp(store->known[i], folder) == 0)
            return true;
    }
    return false;
}

/* Remembers the folder of an object that was put. */
static void folder_learn(struct file_store *store, const char *path)
{
    char folder[PATH_MAX];

    file_path_parent(path, folder);
    if (folder_is_known(store, folder))
        return;
    char *copy = strdup(folder);
    if (!copy)
        return; /* then the next put looks again */
    free(store->known[store->known_next]);
    store->known[store->known_next] = copy;
    store->known_next = (store->known_next + 1) % FILE_FOLDERS_KNOWN_MAX;
}

/* ---- operations ---- */

static void op_free(struct file_op *op)
{
    if (op->kind == STORAGE_OP_GET) {
        env_close_quietly(op->store->env, op->get.fd);
        free(op->get.chunk);
    }
    if (op->kind == STORAGE_OP_LIST)
        file_list_destroy(&op->list);
    store_unuse(op->store);
    free(op);
}

/* An operation that nobody knows of yet. NULL with err filled. key may be NULL. */
static struct file_op *op_new(struct storage *st, enum storage_op_kind kind, const char *key,
                              storage_done_fn *done, void *arg, struct error *err)
{
    struct file_store *store = store_of(st);
    struct file_op *op = mem_new(1, sizeof(*op), err);

    if (!op)
        return NULL;
    op->base.st = st;
    op->store = store;
    op->kind = kind;
    op->done = done;
    op->arg = arg;
    store->user_count++;
    if (key) {
        memcpy(op->key, key, strlen(key) + 1); /* storage.c has checked its length */
        file_path_of(store, key, op->path);
    }
    return op;
}

static void op_link(struct file_op *op)
{
    struct file_store *store = op->store;

    op->next = store->first_op;
    if (op->next)
        op->next->prev = op;
    store->first_op = op;
}

static void op_unlink(struct file_op *op)
{
    if (op->next)
        op->next->prev = op->prev;
    if (op->prev)
        op->prev->next = op->next;
    else
        op->store->first_op = op->next;
    op->next = NULL;
    op->prev = NULL;
}

/* Whether an error is a fault of the store rather than an answer. */
static bool error_is_fault(enum error_code code)
{
    return code != ERR_NONE && code != ERR_NOT_FOUND && code != ERR_EXISTS && code != ERR_CANCELED;
}

/* Step 4 up to done: the operation is off the list afterwards, and still there. */
static void op_answer(struct file_op *op)
{
    struct file_store *store = op->store;
    struct storage_result result = {.err = &op->err, .bytes = op->moved_bytes, .tries = 1};

    op_unlink(op);
    if (op->kind == STORAGE_OP_PUT && op->err.code == ERR_NONE)
        folder_learn(store, op->path);
    if (op->err.code != ERR_NONE) {
        (void)error_wrap(&op->err, "%s %s", storage_op_name(op->kind),
                         op->kind == STORAGE_OP_LIST || op->kind == STORAGE_OP_DELETE
                             ? store->base.url
                             : op->key);
    } else if (op->kind == STORAGE_OP_GET || op->kind == STORAGE_OP_HEAD) {
        result.object = (struct storage_object){
            .key = op->key, .bytes = op->object_bytes, .timestamp_ns = op->object_timestamp_ns};
    }
    store->base.counters.op[op->kind].bytes += op->moved_bytes;
    if (error_is_fault(op->err.code))
        store->base.counters.op[op->kind].errors++;
    op->done(op->arg, &result);
}

static int op_step(struct file_op *op)
{
    switch (op->kind) {
    case STORAGE_OP_PUT:
        return file_put_step(op);
    case STORAGE_OP_GET:
        return file_get_step(op);
    case STORAGE_OP_LIST:
        return file_list_step(op);
    case STORAGE_OP_DELETE:
        return file_delete_step(op);
    case STORAGE_OP_HEAD:
        return file_head_step(op);
    case STORAGE_OP_KINDS:
        break;
    }
    ASSERT(false);
    return -1;
}

/* Step 2, on a worker. */
static void op_on_work(struct job *job)
{
    struct file_op *op = CONTAINER_OF(job, struct file_op, job);
    struct file_store *store = op->store;

    mutex_lock(store);
    bool is_abandoned = op->state == FILE_JOB_ABANDONED;
    if (!is_abandoned)
        op->state = FILE_JOB_RUNNING;
    mutex_unlock(store);
    if (is_abandoned)
        return;
    if (op_step(op) == 0)
        error_clear(&op->err); /* of what was tried on the way */
    mutex_lock(store);
    op->state = FILE_JOB_ENDED;
    int rc = pthread_cond_broadcast(&store->job_ended);
    ASSERT(rc == 0);
    mutex_unlock(store);
}

static void op_on_job_done(struct job *job);

static void op_submit(struct file_op *op)
{
    op->state = FILE_JOB_QUEUED; /* no job is under way: nobody else looks */
    job_submit(op->base.st->loop, &op->job, op_on_work, op_on_job_done);
}

/* ---- step 3: handing on ---- */

/* Whether the caller still wants the rest: it may cancel, or free the store, in its callback. */
static bool op_is_wanted(const struct file_op *op)
{
    return !op->is_canceled && !op->is_orphan;
}

static int get_hand_on(struct file_op *op)
{
    if (op->get.chunk_bytes == 0)
        return 0;
    return op->get.on_data(op->arg, slice_of(op->get.chunk, op->get.chunk_bytes), &op->err);
}

static int list_hand_on(struct file_op *op)
{
    const struct file_list *list = &op->list;

    for (size_t i = 0; i < list->found_count && op_is_wanted(op); i++) {
        const struct file_found *found = &list->found[i];
        struct storage_object object = {.key = (const char *)list->keys.p + found->key_at,
                                        .bytes = found->bytes,
                                        .timestamp_ns = found->timestamp_ns};
        if (list->on_object(op->arg, &object, &op->err) < 0)
            return -1;
    }
    return 0;
}

static void delete_hand_on(struct file_op *op)
{
    static const struct error none = ERROR_INIT;
    struct file_delete *d = &op->del;
    size_t count = d->gone_count + d->failed_count;

    if (d->failed_count > 0 && d->first.code == ERR_NONE) {
        d->first = d->failed;
        (void)error_wrap(&d->first, "%s", d->keys[d->key_idx + d->gone_count]);
    }
    for (size_t i = 0; i < count && d->on_key && !op->is_orphan; i++)
        d->on_key(op->arg, d->key_idx + i, i < d->gone_count ? &none : &d->failed);
    d->key_idx += count;
    if (op->is_finished)
        op->err = d->first;
}

static int op_hand_on(struct file_op *op)
{
    switch (op->kind) {
    case STORAGE_OP_GET:
        return get_hand_on(op);
    case STORAGE_OP_LIST:
        return list_hand_on(op);
    case STORAGE_OP_DELETE:
        delete_hand_on(op);
        return 0;
    case STORAGE_OP_PUT:
    case STORAGE_OP_HEAD:
    case STORAGE_OP_KINDS:
        break;
    }
    return 0;
}

/* Step 3. True when the operation is over, its outcome in op->err. */
static bool op_go_on(struct file_op *op)
{
    bool is_multi_step = op->kind == STORAGE_OP_GET || op->kind == STORAGE_OP_LIST;

    if (op->err.code != ERR_NONE)
        return true;
    if (op->is_canceled && is_multi_step) {
        (void)error_set(&op->err, ERR_CANCELED, 0, "canceled");
        return true;
    }
    if (op_hand_on(op) < 0 || op->is_finished)
        return true;
    if (op->is_canceled)
        (void)error_set(&op->err, ERR_CANCELED, 0, "canceled");
    return op->is_canceled;
}

static void op_on_job_done(struct job *job)
{
    struct file_op *op = CONTAINER_OF(job, struct file_op, job);

    if (!op->is_orphan && !op_go_on(op) && !op->is_orphan) {
        op_submit(op);
        return;
    }
    if (!op->is_orphan)
        op_answer(op);
    op_free(op);
}

/* ---- step 1: the driver's functions ---- */

static int op_start(struct file_op *op, struct storage_op **out_op)
{
    op->store->base.counters.op[op->kind].requests++;
    op_link(op);
    op_submit(op);
    if (out_op)
        *out_op = (void *)op;
    return 0;
}

static int file_put(struct storage *st, const struct storage_put *args, storage_done_fn *done,
                    void *arg, struct storage_op **out_op, struct error *err)
{
    struct file_store *store = store_of(st);
    char folder[PATH_MAX];

    if (file_key_check(args->key, err) < 0)
        return -1;
    struct file_op *op = op_new(st, STORAGE_OP_PUT, args->key, done, arg, err);
    if (!op)
        return -1;
    op->put = (struct file_put){
        .body = args->body,
        .mode = args->mode,
        .timestamp_ns = args->timestamp_ns,
        .can_create = st->caps.can_create,
    };
    if (args->deadline_ns == 0 ||
        !checked_add_u64(env_boot_ns(store->env), args->deadline_ns, &op->put.deadline_ns))
        op->put.deadline_ns = UINT64_MAX;
    file_path_parent(op->path, folder);
    op->put.is_folder_known = folder_is_known(store, folder);
    return op_start(op, out_op);
}

static int file_get(struct storage *st, const struct storage_get *args, storage_done_fn *done,
                    void *arg, struct storage_op **out_op, struct error *err)
{
    if (file_key_check(args->key, err) < 0)
        return -1;
    struct file_op *op = op_new(st, STORAGE_OP_GET, args->key, done, arg, err);
    if (!op)
        return -1;
    op->get = (struct file_get){
        .on_data = args->on_data, .offset = args->offset, .rest = args->bytes, .fd = -1};
    return op_start(op, out_op);
}

static int file_list(struct storage *st, const struct storage_list *args, storage_done_fn *done,
                     void *arg, struct storage_op **out_op, struct error *err)
{
    const char *start_after = args->start_after ? args->start_after : "";
    struct file_op *op = op_new(st, STORAGE_OP_LIST, NULL, done, arg, err);

    if (!op)
        return -1;
    op->list = (struct file_list){.on_object = args->on_object};
    memcpy(op->list.prefix, args->prefix, strlen(args->prefix) + 1);
    memcpy(op->list.start_after, start_after, strlen(start_after) + 1);
    return op_start(op, out_op);
}

static int file_delete(struct storage *st, const struct storage_delete *args, storage_done_fn *done,
                       void *arg, struct storage_op **out_op, struct error *err)
{
    for (size_t i = 0; i < args->key_count; i++) {
        if (file_key_check(args->keys[i], err) < 0)
            return -1;
    }
    struct file_op *op = op_new(st, STORAGE_OP_DELETE, NULL, done, arg, err);
    if (!op)
        return -1;
    op->del = (struct file_delete){
        .keys = args->keys, .key_count = args->key_count, .on_key = args->on_key};
    return op_start(op, out_op);
}

static int file_head(struct storage *st, const char *key, storage_done_fn *done, void *arg,
                     struct storage_op **out_op, struct error *err)
{
    if (file_key_check(key, err) < 0)
        return -1;
    struct file_op *op = op_new(st, STORAGE_OP_HEAD, key, done, arg, err);
    return op ? op_start(op, out_op) : -1;
}

static void file_cancel(struct storage_op *storage_op)
{
    struct file_op *op = (void *)storage_op;

    op->is_canceled = true;
    job_cancel(&op->job);
}

/* Takes an operation from its worker and answers it. Its job still comes back, or is being looked
 * at further up this very call (a callback freed the store): that frees it. */
static void op_orphan(struct file_op *op)
{
    struct file_store *store = op->store;

    job_cancel(&op->job);
    mutex_lock(store);
    bool has_begun = op->state != FILE_JOB_QUEUED;
    if (!has_begun)
        op->state = FILE_JOB_ABANDONED;
    while (op->state == FILE_JOB_RUNNING) {
        int rc = pthread_cond_wait(&store->job_ended, &store->mu);
        ASSERT(rc == 0);
    }
    mutex_unlock(store);
    op->is_orphan = true;
    bool is_decided = has_begun && (op->kind == STORAGE_OP_PUT || op->kind == STORAGE_OP_HEAD ||
                                    op->err.code != ERR_NONE);
    if (!is_decided)
        (void)error_set(&op->err, ERR_CANCELED, 0, "canceled");
    op_answer(op);
}

static void file_free(struct storage *st)
{
    struct file_store *store = store_of(st);

    while (store->first_op)
        op_orphan(store->first_op);
    store_unuse(store);
}

static const struct storage_driver file_driver = {
    .type = "file",
    .put = file_put,
    .get = file_get,
    .list = file_list,
    .del = file_delete,
    .head = file_head,
    .cancel = file_cancel,
    .free = file_free,
};

/* ---- the constructor ---- */

static int root_check(const struct env *env, const char *root_path, struct error *err)
{
    struct error ignored = ERROR_INIT;
    struct stat st;

    if (root_path[0] != '/') {
        return error_set(err, ERR_USAGE, 0, "\"%.200s\": the path of a file replica is absolute",
                         root_path);
    }
    if (strlen(root_path) > FILE_ROOT_BYTES_MAX) {
        return error_set(err, ERR_USAGE, 0, "\"%.200s...\": path is longer than %d bytes",
                         root_path, FILE_ROOT_BYTES_MAX);
    }
    /* What cannot be looked at now is reported by the first operation. */
    bool is_there = env_stat(env, root_path, &st, &ignored) == 0;
    if (is_there ? !S_ISDIR(st.st_mode) : ignored.origin == ENOTDIR) {
        (void)error_set(err, ERR_USAGE, ENOTDIR, "%s: is not a folder, or lies below a file",
                        root_path);
        return error_hint(err, "choose another path for the replica");
    }
    return 0;
}

int storage_file_new(struct loop *loop, const struct env *env, const char *root_path,
                     struct storage **out, struct error *err)
{
    loop_assert_owner(loop);
    if (root_check(env, root_path, err) < 0)
        return -1;
    size_t n = strlen(root_path);
    while (n > 0 && root_path[n - 1] == '/')
        n--;
    struct file_store *store = mem_new(1, sizeof(*store), err);
    if (!store)
        return -1;
    int rc = pthread_mutex_init(&store->mu, NULL) | pthread_cond_init(&store->job_ended, NULL);
    ASSERT(rc == 0); /* Linux allocates nothing for them */
    store->user_count = 1;
    store->env = env;
    store->base = (struct storage){
        .driver = &file_driver,
        .loop = loop,
        .caps = {.layout = STORAGE_LAYOUT_LTX,
                 .can_create = true,
                 .has_timestamps = true,
                 .object_bytes_max = INT64_MAX},
    };
    store->root = str_printf(err, "%.*s", (int)n, root_path);
    store->base.url = store->root ? str_printf(err, "file://%s", n ? store->root : "/") : NULL;
    if (!store->base.url) {
        store_unuse(store);
        return -1;
    }
    *out = &store->base;
    return 0;
}
