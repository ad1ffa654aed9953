/*
 * Dispatch: what is the same for every driver, done once. Keys are checked here, so that no driver
 * meets one that could leave its prefix or mean two objects at once; then the driver's table is
 * called.
 *
 * A key is 1..512 bytes of printable ASCII (0x20..0x7e), made of parts between single slashes. It
 * has no slash at either end and no two in a row, no part "." and nowhere "..": URLs and file
 * systems fold such names, and two keys would then name one object. The prefix of a list may be
 * empty and may end in a slash or within a part; otherwise it obeys the same rules.
 */
#include "lib/storage/storage.h"

#include <stdlib.h>
#include <string.h>

#include "lib/storage/driver.h"

/* Making and housekeeping where the driver has none: it only waits for the next turn of the loop. */
struct storage_idle_op {
    struct storage_op_base base; /* first, as in every operation */
    struct storage_idle_op *next;
    struct loop_timer timer;
    storage_done_fn *done;
    void *arg;
    struct error err;
};

/* NULL, or what is wrong with the bytes of a key or prefix. */
static const char *bytes_fault(const char *key)
{
    size_t n = strlen(key);

    if (n > STORAGE_KEY_BYTES_MAX)
        return "is longer than 512 bytes";
    for (size_t i = 0; i < n; i++) {
        if (key[i] < 0x20 || key[i] > 0x7e)
            return "has a byte that is not printable ASCII";
    }
    if (key[0] == '/')
        return "begins with a slash";
    if (strstr(key, ".."))
        return "contains \"..\"";
    if (strstr(key, "//"))
        return "has two slashes in a row";
    if (strncmp(key, "./", 2) == 0 || strstr(key, "/./"))
        return "has a part \".\"";
    return NULL;
}

static const char *key_fault(const char *key)
{
    size_t n = strlen(key);

    if (n == 0)
        return "is empty";
    if (key[n - 1] == '/')
        return "ends in a slash";
    if (strcmp(key, ".") == 0 || (n >= 2 && strcmp(key + n - 2, "/.") == 0))
        return "has a part \".\"";
    return bytes_fault(key);
}

static int key_check(const struct storage *st, const char *key, struct error *err)
{
    const char *fault = key_fault(key);

    return fault ? error_set(err, ERR_USAGE, 0, "%s: key \"%.200s\" %s", st->url, key, fault) : 0;
}

static int prefix_check(const struct storage *st, const char *prefix, struct error *err)
{
    const char *fault = bytes_fault(prefix);

    return fault ? error_set(err, ERR_USAGE, 0, "%s: prefix \"%.200s\" %s", st->url, prefix, fault)
                 : 0;
}

static int write_check(const struct storage *st, struct error *err)
{
    return st->is_read_only
               ? error_set(err, ERR_ACCESS, 0, "%s is only read: nothing is written to it", st->url)
               : 0;
}

int storage_put_start(struct storage *st, const struct storage_put *args, storage_done_fn *done,
                      void *arg, struct storage_op **out_op, struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done && args->body);
    if (write_check(st, err) < 0 || key_check(st, args->key, err) < 0)
        return -1;
    return st->driver->put(st, args, done, arg, out_op, err);
}

int storage_get_start(struct storage *st, const struct storage_get *args, storage_done_fn *done,
                      void *arg, struct storage_op **out_op, struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done && args->on_data);
    if (key_check(st, args->key, err) < 0)
        return -1;
    return st->driver->get(st, args, done, arg, out_op, err);
}

int storage_list_start(struct storage *st, const struct storage_list *args, storage_done_fn *done,
                       void *arg, struct storage_op **out_op, struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done && args->on_object);
    if (prefix_check(st, args->prefix, err) < 0 ||
        (args->start_after && prefix_check(st, args->start_after, err) < 0))
        return -1;
    return st->driver->list(st, args, done, arg, out_op, err);
}

int storage_delete_start(struct storage *st, const struct storage_delete *args,
                         storage_done_fn *done, void *arg, struct storage_op **out_op,
                         struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done);
    if (write_check(st, err) < 0)
        return -1;
    for (size_t i = 0; i < args->key_count; i++) {
        if (key_check(st, args->keys[i], err) < 0)
            return -1;
    }
    return st->driver->del(st, args, done, arg, out_op, err);
}

int storage_head_start(struct storage *st, const char *key, storage_done_fn *done, void *arg,
                       struct storage_op **out_op, struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done);
    if (key_check(st, key, err) < 0)
        return -1;
    return st->driver->head(st, key, done, arg, out_op, err);
}

/* ---- objects that are sent while they are made ---- */

int storage_upload_begin_start(struct storage *st, const struct storage_upload_args *args,
                               storage_done_fn *done, void *arg, struct storage_upload **out_upload,
                               struct storage_op **out_op, struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done && st->caps.part_bytes > 0);
    if (key_check(st, args->key, err) < 0)
        return -1;
    return st->driver->upload_begin(st, args, done, arg, out_upload, out_op, err);
}

int storage_upload_part_start(struct storage_upload *u, const struct storage_part *part,
                              storage_done_fn *done, void *arg, struct storage_op **out_op,
                              struct error *err)
{
    loop_assert_owner(u->st->loop);
    ASSERT(done && part->number >= 1 && part->number <= u->st->caps.parts_max);
    ASSERT(part->bytes > 0 && part->bytes <= u->st->caps.part_bytes);
    return u->st->driver->upload_part(u, part, done, arg, out_op, err);
}

int storage_upload_complete_start(struct storage_upload *u, uint64_t deadline_ns,
                                  storage_done_fn *done, void *arg, struct storage_op **out_op,
                                  struct error *err)
{
    loop_assert_owner(u->st->loop);
    ASSERT(done);
    return u->st->driver->upload_complete(u, deadline_ns, done, arg, out_op, err);
}

void storage_upload_free(struct storage_upload *u)
{
    if (!u)
        return;
    loop_assert_owner(u->st->loop);
    u->st->driver->upload_free(u);
}

/* ---- making, housekeeping ---- */

/* The operation is in no list any more. */
static void idle_finish(struct storage_idle_op *op)
{
    const struct storage_result result = {.err = &op->err};

    loop_timer_stop(&op->timer);
    op->done(op->arg, &result);
    free(op);
}

static void idle_end(void *arg)
{
    struct storage_idle_op *op = arg;
    struct storage_idle_op **at = &op->base.st->idle_ops;

    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    idle_finish(op);
}

static int idle_start(struct storage *st, storage_done_fn *done, void *arg,
                      struct storage_op **out_op, struct error *err)
{
    struct storage_idle_op *op = mem_new(1, sizeof(*op), err);

    if (!op)
        return -1;
    op->base.st = st;
    op->done = done;
    op->arg = arg;
    op->next = st->idle_ops;
    st->idle_ops = op;
    loop_timer_init(&op->timer, st->loop, idle_end, op);
    loop_timer_start(&op->timer, 0);
    if (out_op)
        *out_op = (void *)op;
    return 0;
}

/* The operation, if it is one of ours; NULL: the driver's. */
static struct storage_idle_op *idle_find(const struct storage *st, const struct storage_op *op)
{
    struct storage_idle_op *idle = st->idle_ops;

    while (idle && (const void *)idle != (const void *)op)
        idle = idle->next;
    return idle;
}

int storage_make_start(struct storage *st, storage_done_fn *done, void *arg,
                       struct storage_op **out_op, struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done);
    if (write_check(st, err) < 0)
        return -1;
    return st->driver->make ? st->driver->make(st, done, arg, out_op, err)
                            : idle_start(st, done, arg, out_op, err);
}

int storage_housekeep_start(struct storage *st, uint64_t older_than_ns, storage_done_fn *done,
                            void *arg, struct storage_op **out_op, struct error *err)
{
    loop_assert_owner(st->loop);
    ASSERT(done);
    if (!st->driver->housekeep || st->is_read_only)
        return idle_start(st, done, arg, out_op, err);
    return st->driver->housekeep(st, older_than_ns, done, arg, out_op, err);
}

/* ---- what every operation has ---- */

void storage_cancel(struct storage_op *op)
{
    const struct storage_op_base *base = (const void *)op; /* every driver's op begins with it */

    loop_assert_owner(base->st->loop);
    struct storage_idle_op *idle = idle_find(base->st, op);
    if (idle) {
        (void)error_set(&idle->err, ERR_CANCELED, 0, "canceled"); /* idle_end() tells it */
        return;
    }
    base->st->driver->cancel(op);
}

const struct storage_caps *storage_caps(const struct storage *st)
{
    return &st->caps;
}

const char *storage_url(const struct storage *st)
{
    return st->url;
}

const char *storage_type(const struct storage *st)
{
    return st->driver->type;
}

void storage_set_can_create(struct storage *st, bool can_create)
{
    loop_assert_owner(st->loop);
    st->caps.can_create = can_create;
}

void storage_set_read_only(struct storage *st, bool is_read_only)
{
    loop_assert_owner(st->loop);
    st->is_read_only = is_read_only;
}

bool storage_is_read_only(const struct storage *st)
{
    return st->is_read_only;
}

const struct storage_counters *storage_counters(const struct storage *st)
{
    return &st->counters;
}

const char *storage_op_name(enum storage_op_kind kind)
{
    static const char *const names[STORAGE_OP_KINDS] = {
        [STORAGE_OP_PUT] = "PUT",       [STORAGE_OP_GET] = "GET",   [STORAGE_OP_LIST] = "LIST",
        [STORAGE_OP_DELETE] = "DELETE", [STORAGE_OP_HEAD] = "HEAD",
    };

    ASSERT(kind < STORAGE_OP_KINDS);
    return names[kind];
}

void storage_free(struct storage *st)
{
    if (!st)
        return;
    loop_assert_owner(st->loop);
    while (st->idle_ops) {
        struct storage_idle_op *op = st->idle_ops;
        st->idle_ops = op->next;
        (void)error_set(&op->err, ERR_CANCELED, 0, "canceled"); /* as above */
        idle_finish(op);
    }
    st->driver->free(st);
}
