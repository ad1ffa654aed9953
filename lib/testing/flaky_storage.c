/*
 * The misbehaving store. An operation of ours has one of the real store inside, once that was
 * started:
 *
 *   NEW --fault decided--> WAITING (fail, delay: a timer; hold: flaky_release())
 *    |                        |
 *    +--------> INSIDE <------+    the real store has it
 *                  |
 *                  +--> ANSWERED (hold answer: flaky_release())
 *                  |
 *                  +--> done
 *
 * Cancelling ends a waiting operation by its timer, so that done never runs inside the call.
 */
#include "lib/testing/flaky_storage.h"

#include <stdlib.h>
#include <string.h>

#include "lib/storage/driver.h"
#include "lib/testing/test.h"

enum {
    FLAKY_PARTS_MAX = 10000,
};

enum flaky_state {
    FLAKY_OP_WAITING, /* the real store was not asked yet */
    FLAKY_OP_INSIDE,
    FLAKY_OP_ANSWERED, /* the real store has answered; the answer waits */
};

struct flaky_storage {
    struct storage base;          /* first: the driver's contract */
    struct storage_driver driver; /* our functions under the real store's type */
    struct storage *inner;
    struct flaky *flaky;
    bool is_freed; /* nothing can be held any more */
};

struct flaky_op {
    struct storage_op_base base; /* first: the driver's contract */
    struct flaky_storage *st;
    struct flaky_op *next;
    enum storage_op_kind kind;
    enum flaky_state state;
    struct flaky_rule rule; /* what it suffers */
    bool is_held;
    bool is_canceled;
    bool is_doomed; /* the timer ends it with err instead of asking the real store */
    struct loop_timer timer;
    struct storage_op *inner_op;
    storage_done_fn *done;
    void *arg;
    char key[STORAGE_KEY_BYTES_MAX + 1];
    char start_after[STORAGE_KEY_BYTES_MAX + 1];
    enum flaky_step step;
    struct flaky_upload *upload;
    struct storage_part part;
    struct blob joined;  /* of a complete */
    bool is_looking;     /* complete, of an upload that is gone: a HEAD is inside */
    bool is_effect_done; /* of a step that the real store knows nothing of: the timer tells */
    struct storage_put put;
    struct storage_get get;
    struct storage_list list;
    struct storage_delete del;
    struct error err;
    struct storage_result result;
};

struct flaky_upload {
    struct storage_upload base; /* first: the driver's contract */
    uint64_t id;                /* 0: not begun */
    uint64_t timestamp_ns;
    char key[STORAGE_KEY_BYTES_MAX + 1];
};

static struct flaky_storage *flaky_of(struct storage *st)
{
    return CONTAINER_OF(st, struct flaky_storage, base);
}

static void op_unlink(struct flaky_op *op)
{
    for (struct flaky_op **at = &op->st->flaky->ops; *at; at = &(*at)->next) {
        if (*at == op) {
            *at = op->next;
            return;
        }
    }
}

static void op_end(struct flaky_op *op)
{
    bool is_untried_delete = op->kind == STORAGE_OP_DELETE && op->state == FLAKY_OP_WAITING;

    for (size_t i = 0; is_untried_delete && op->del.on_key && i < op->del.key_count; i++)
        op->del.on_key(op->arg, i, &op->err);
    op_unlink(op);
    loop_timer_stop(&op->timer);
    op->result.err = &op->err;
    if (op->err.code != ERR_NONE)
        op->st->base.counters.op[op->kind].errors++;
    blob_destroy(&op->joined);
    op->done(op->arg, &op->result);
    free(op);
}

static void op_doom(struct flaky_op *op, enum error_code code)
{
    (void)error_set(&op->err, code, 0, "%s %s: flaky store", storage_op_name(op->kind), op->key);
    op->is_held = false;
    op->is_doomed = true;
    loop_timer_start(&op->timer, 0);
}

/* ---- the real store ---- */

static void inner_on_done(void *arg, const struct storage_result *result)
{
    struct flaky_op *op = arg;

    op->inner_op = NULL;
    op->err = *result->err;
    op->result = *result;
    op->st->base.counters.op[op->kind].bytes += result->bytes;
    op->result.object.key = op->key;
    if (op->is_looking && op->err.code == ERR_NONE)
        (void)error_set(&op->err, ERR_EXISTS, 0, "PUT %s: no such upload", op->key);
    if (op->step == FLAKY_UPLOAD_COMPLETE && op->err.code == ERR_NONE)
        sim_upload_end(&op->st->flaky->uploads, op->upload->id);
    if (op->err.code == ERR_NONE && op->rule.fault == FLAKY_LOSE_ANSWER) {
        (void)error_set(&op->err, op->rule.code, 0, "%s %s: answer lost", storage_op_name(op->kind),
                        op->key);
    }
    if (op->rule.fault == FLAKY_HOLD_ANSWER && !op->is_canceled && !op->st->is_freed) {
        op->state = FLAKY_OP_ANSWERED;
        op->is_held = true;
        return;
    }
    op_end(op);
}

static int inner_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct flaky_op *op = arg;
    return op->get.on_data(op->arg, chunk, err);
}

static int inner_on_object(void *arg, const struct storage_object *object, struct error *err)
{
    struct flaky_op *op = arg;
    return op->list.on_object(op->arg, object, err);
}

static void inner_on_key(void *arg, size_t key_idx, const struct error *err)
{
    struct flaky_op *op = arg;
    if (op->del.on_key)
        op->del.on_key(op->arg, key_idx, err);
}

/* Begin and part, which are ours alone. */
static void upload_effect(struct flaky_op *op)
{
    struct sim_uploads *all = &op->st->flaky->uploads;
    CLEANUP(mem_free) uint8_t *bytes = malloc(op->part.bytes + 1);

    assert_non_null(bytes);
    if (op->step == FLAKY_UPLOAD_BEGIN) {
        op->upload->id = sim_upload_begin(all);
    } else if (blob_read(op->part.blob, op->part.offset, bytes, op->part.bytes, &op->err) == 0 &&
               !sim_upload_part(all, op->upload->id, op->part.number,
                                slice_of(bytes, op->part.bytes))) {
        (void)error_set(&op->err, ERR_NOT_FOUND, 0, "PUT %s: no such upload", op->key);
    }
    op->is_effect_done = true;
    loop_timer_start(&op->timer, 0);
}

/* Complete: an object as any other, once the parts are one. Was the upload completed before, a look
 * at the object tells. */
static int complete_start(struct flaky_op *op, struct storage_put *put, struct error *err)
{
    uint8_t *bytes = NULL;
    size_t n = 0;

    if (!sim_upload_join(&op->st->flaky->uploads, op->upload->id, &bytes, &n)) {
        op->is_looking = true;
        return storage_head_start(op->st->inner, op->key, inner_on_done, op, &op->inner_op, err);
    }
    op->joined = (struct blob){.env = env_real(), .p = bytes, .fd = -1, .bytes = n};
    put->key = op->key;
    put->body = &op->joined;
    return storage_put_start(op->st->inner, put, inner_on_done, op, &op->inner_op, err);
}

static int inner_start(struct flaky_op *op, struct error *err)
{
    struct storage *inner = op->st->inner;
    struct storage_put put = op->put;
    struct storage_get get = op->get;
    struct storage_list list = op->list;
    struct storage_delete del = op->del;

    op->state = FLAKY_OP_INSIDE;
    switch (op->kind) {
    case STORAGE_OP_PUT:
        if (op->step == FLAKY_UPLOAD_BEGIN || op->step == FLAKY_UPLOAD_PART) {
            upload_effect(op);
            return 0;
        }
        if (op->step == FLAKY_UPLOAD_COMPLETE)
            return complete_start(op, &put, err);
        put.key = op->key;
        storage_set_can_create(inner, op->st->base.caps.can_create);
        return storage_put_start(inner, &put, inner_on_done, op, &op->inner_op, err);
    case STORAGE_OP_GET:
        get.key = op->key;
        get.on_data = inner_on_data;
        return storage_get_start(inner, &get, inner_on_done, op, &op->inner_op, err);
    case STORAGE_OP_LIST:
        list.prefix = op->key;
        list.start_after = op->list.start_after ? op->start_after : NULL;
        list.on_object = inner_on_object;
        return storage_list_start(inner, &list, inner_on_done, op, &op->inner_op, err);
    case STORAGE_OP_DELETE:
        del.on_key = inner_on_key;
        return storage_delete_start(inner, &del, inner_on_done, op, &op->inner_op, err);
    case STORAGE_OP_HEAD:
        return storage_head_start(inner, op->key, inner_on_done, op, &op->inner_op, err);
    case STORAGE_OP_KINDS:
        break;
    }
    ASSERT(false);
    return -1;
}

/* A wait is over. */
static void op_go_on(void *arg)
{
    struct flaky_op *op = arg;

    op->is_held = false;
    if (op->is_effect_done && !op->is_doomed && op->state == FLAKY_OP_INSIDE) {
        const struct storage_result result = {.err = &op->err, .bytes = op->part.bytes, .tries = 1};
        inner_on_done(op, &result);
        return;
    }
    if (op->is_doomed || op->state == FLAKY_OP_ANSWERED || inner_start(op, &op->err) < 0)
        op_end(op);
}

/* ---- the fault ---- */

static bool rule_fits(const struct flaky_rule *rule, const struct flaky_op *op)
{
    return rule->fault != FLAKY_NONE && (!rule->step || rule->step == op->step) &&
           (!rule->key_part || strstr(op->key, rule->key_part));
}

/* What this operation suffers; uses up the rule. */
static struct flaky_rule fault_take(struct flaky *f, const struct flaky_op *op)
{
    struct flaky_rule *rule = &f->rule[op->kind];
    struct flaky_rule taken = {.fault = FLAKY_NONE};

    f->started[op->kind]++;
    f->started_total++;
    if (op->kind == STORAGE_OP_PUT)
        f->steps[op->step]++;
    if (f->strike_at && f->started_total == f->strike_at) {
        taken = f->strike;
    } else if (rule_fits(rule, op)) {
        if (rule->pass_count > 0) {
            rule->pass_count--;
        } else {
            taken = *rule;
            if (rule->times > 0 && --rule->times == 0)
                rule->fault = FLAKY_NONE;
        }
    }
    if (taken.code == ERR_NONE)
        taken.code = ERR_UNAVAILABLE;
    f->suffered += taken.fault != FLAKY_NONE;
    return taken;
}

static int op_start(struct flaky_op *op, struct storage_op **out_op, struct error *err)
{
    struct flaky_storage *st = op->st;

    op->rule = fault_take(st->flaky, op);
    op->next = st->flaky->ops;
    st->flaky->ops = op;
    st->base.counters.op[op->kind].requests++;
    switch (op->rule.fault) {
    case FLAKY_FAIL:
        op_doom(op, op->rule.code);
        break;
    case FLAKY_DELAY:
        loop_timer_start(&op->timer, op->rule.delay_ns);
        break;
    case FLAKY_HOLD:
        op->is_held = true;
        break;
    case FLAKY_NONE:
    case FLAKY_LOSE_ANSWER:
    case FLAKY_HOLD_ANSWER:
        if (inner_start(op, err) < 0) {
            op_unlink(op);
            free(op);
            return -1;
        }
        break;
    }
    if (out_op)
        *out_op = (void *)op;
    return 0;
}

/* ---- the driver's functions ---- */

static struct flaky_op *op_new(struct storage *st, enum storage_op_kind kind, const char *key,
                               storage_done_fn *done, void *arg)
{
    struct flaky_op *op = calloc(1, sizeof(*op));

    assert_non_null(op);
    op->base.st = st;
    op->st = flaky_of(st);
    op->joined.fd = -1;
    op->kind = kind;
    op->done = done;
    op->arg = arg;
    (void)snprintf(op->key, sizeof(op->key), "%s", key);
    loop_timer_init(&op->timer, st->loop, op_go_on, op);
    return op;
}

static int flaky_put(struct storage *st, const struct storage_put *args, storage_done_fn *done,
                     void *arg, struct storage_op **out_op, struct error *err)
{
    struct flaky_op *op = op_new(st, STORAGE_OP_PUT, args->key, done, arg);
    op->put = *args;
    op->st->flaky->put_deadline_ns = args->deadline_ns;
    return op_start(op, out_op, err);
}

static int flaky_get(struct storage *st, const struct storage_get *args, storage_done_fn *done,
                     void *arg, struct storage_op **out_op, struct error *err)
{
    struct flaky_op *op = op_new(st, STORAGE_OP_GET, args->key, done, arg);
    op->get = *args;
    return op_start(op, out_op, err);
}

static int flaky_list(struct storage *st, const struct storage_list *args, storage_done_fn *done,
                      void *arg, struct storage_op **out_op, struct error *err)
{
    struct flaky_op *op = op_new(st, STORAGE_OP_LIST, args->prefix, done, arg);
    op->list = *args;
    if (args->start_after)
        (void)snprintf(op->start_after, sizeof(op->start_after), "%s", args->start_after);
    return op_start(op, out_op, err);
}

static int flaky_delete(struct storage *st, const struct storage_delete *args,
                        storage_done_fn *done, void *arg, struct storage_op **out_op,
                        struct error *err)
{
    const char *first = args->key_count ? args->keys[0] : "";
    struct flaky_op *op = op_new(st, STORAGE_OP_DELETE, first, done, arg);
    op->del = *args;
    return op_start(op, out_op, err);
}

static int flaky_head(struct storage *st, const char *key, storage_done_fn *done, void *arg,
                      struct storage_op **out_op, struct error *err)
{
    return op_start(op_new(st, STORAGE_OP_HEAD, key, done, arg), out_op, err);
}

/* ---- uploads ---- */

static struct flaky_op *upload_op_new(struct flaky_upload *u, enum flaky_step step,
                                      storage_done_fn *done, void *arg)
{
    struct flaky_op *op = op_new(u->base.st, STORAGE_OP_PUT, u->key, done, arg);

    op->step = step;
    op->upload = u;
    op->put = (struct storage_put){.mode = STORAGE_PUT_CREATE, .timestamp_ns = u->timestamp_ns};
    return op;
}

static int flaky_upload_begin(struct storage *st, const struct storage_upload_args *args,
                              storage_done_fn *done, void *arg, struct storage_upload **out_upload,
                              struct storage_op **out_op, struct error *err)
{
    struct flaky_upload *u = calloc(1, sizeof(*u));

    assert_non_null(u);
    u->base.st = st;
    u->timestamp_ns = args->timestamp_ns;
    (void)snprintf(u->key, sizeof(u->key), "%s", args->key);
    *out_upload = &u->base;
    return op_start(upload_op_new(u, FLAKY_UPLOAD_BEGIN, done, arg), out_op, err);
}

static struct flaky_upload *upload_of(struct storage_upload *upload)
{
    return CONTAINER_OF(upload, struct flaky_upload, base);
}

static int flaky_upload_part(struct storage_upload *upload, const struct storage_part *part,
                             storage_done_fn *done, void *arg, struct storage_op **out_op,
                             struct error *err)
{
    struct flaky_op *op = upload_op_new(upload_of(upload), FLAKY_UPLOAD_PART, done, arg);

    op->part = *part;
    return op_start(op, out_op, err);
}

static int flaky_upload_complete(struct storage_upload *upload, uint64_t deadline_ns,
                                 storage_done_fn *done, void *arg, struct storage_op **out_op,
                                 struct error *err)
{
    struct flaky_op *op = upload_op_new(upload_of(upload), FLAKY_UPLOAD_COMPLETE, done, arg);

    op->put.deadline_ns = deadline_ns;
    return op_start(op, out_op, err);
}

static void flaky_upload_free(struct storage_upload *upload)
{
    struct flaky_upload *u = upload_of(upload);

    sim_upload_end(&flaky_of(upload->st)->flaky->uploads, u->id);
    free(u);
}

static int flaky_housekeep(struct storage *st, uint64_t older_than_ns, storage_done_fn *done,
                           void *arg, struct storage_op **out_op, struct error *err)
{
    struct flaky_storage *fs = flaky_of(st);

    fs->flaky->housekept++;
    return storage_housekeep_start(fs->inner, older_than_ns, done, arg, out_op, err);
}

static int flaky_make(struct storage *st, storage_done_fn *done, void *arg,
                      struct storage_op **out_op, struct error *err)
{
    return storage_make_start(flaky_of(st)->inner, done, arg, out_op, err);
}

static void flaky_cancel(struct storage_op *storage_op)
{
    struct flaky_op *op = (void *)storage_op;

    op->is_canceled = true;
    if (op->state == FLAKY_OP_INSIDE && op->inner_op)
        storage_cancel(op->inner_op);
    else
        op_doom(op, ERR_CANCELED);
}

static void flaky_free(struct storage *st)
{
    struct flaky_storage *fs = flaky_of(st);
    struct flaky_op *op = fs->flaky->ops;

    fs->is_freed = true;
    while (op) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): op_end() unlinks what it frees */
        struct flaky_op *next = op->next;
        if (op->st == fs && op->state != FLAKY_OP_INSIDE) {
            (void)error_set(&op->err, ERR_CANCELED, 0, "flaky store: freed");
            op_end(op);
            next = fs->flaky->ops; /* done may have changed the list */
        }
        op = next;
    }
    storage_free(fs->inner); /* answers what is inside */
    free(fs->base.url);
    free(fs);
}

struct storage *flaky_storage_new(struct loop *loop, struct storage *inner, struct flaky *flaky)
{
    struct flaky_storage *fs = calloc(1, sizeof(*fs));

    assert_non_null(fs);
    fs->driver = (struct storage_driver){
        .type = storage_type(inner),
        .put = flaky_put,
        .get = flaky_get,
        .list = flaky_list,
        .del = flaky_delete,
        .head = flaky_head,
        .make = flaky_make,
        .housekeep = flaky_housekeep,
        .upload_begin = flaky_upload_begin,
        .upload_part = flaky_upload_part,
        .upload_complete = flaky_upload_complete,
        .upload_free = flaky_upload_free,
        .cancel = flaky_cancel,
        .free = flaky_free,
    };
    fs->inner = inner;
    fs->flaky = flaky;
    fs->base.driver = &fs->driver;
    fs->base.loop = loop;
    fs->base.caps = *storage_caps(inner);
    fs->base.caps.part_bytes = flaky->part_bytes;
    fs->base.caps.parts_max = FLAKY_PARTS_MAX;
    fs->base.url = strdup(storage_url(inner));
    assert_non_null(fs->base.url);
    return &fs->base;
}

/* ---- orders ---- */

void flaky_set(struct flaky *flaky, enum storage_op_kind kind, const struct flaky_rule *rule)
{
    for (unsigned k = 0; k < STORAGE_OP_KINDS; k++) {
        if (kind == STORAGE_OP_KINDS || k == kind)
            flaky->rule[k] = rule ? *rule : (struct flaky_rule){.fault = FLAKY_NONE};
    }
}

void flaky_release(struct flaky *flaky)
{
    for (struct flaky_op *op = flaky->ops; op; op = op->next) {
        if (op->is_held)
            loop_timer_start(&op->timer, 0);
        else if (op->rule.fault == FLAKY_HOLD_ANSWER)
            op->rule.fault = FLAKY_NONE; /* its answer is still to come */
    }
}

size_t flaky_held_count(const struct flaky *flaky)
{
    size_t count = 0;

    for (const struct flaky_op *op = flaky->ops; op; op = op->next)
        count += op->is_held && !loop_timer_is_armed(&op->timer);
    return count;
}
