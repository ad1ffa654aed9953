/*
 * Two halves. An *op* is the client's: it lives in the process's loop, which holds its deadline,
 * and ends when an answer has come, the deadline has passed, or it is cancelled. A *request* is the
 * network's: it lives in the world's loop and goes on when its op has ended.
 *
 *   op started --> request --latency--> arrives: effect --latency--> answer --> op's done
 *                     |                                    |
 *                     +-- never (lost request)             +-- never (lost answer)
 *
 * The effects are in sim_storage_effect.c. A calm process has no network: its op has its effect at once and answers on the next turn.
 */
#include "lib/testing/sim_storage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/driver.h"
#include "lib/testing/sim_storage_internal.h"
#include "lib/testing/test.h"

static const uint64_t deadline_default_ns = 30 * NS_PER_SEC;
static const uint64_t object_bytes_max = UINT64_C(1) << 40;

enum {
    PART_BYTES = 2048,
    PARTS_MAX = 1000,
};

struct sim_storage {
    struct storage base; /* first: the driver's contract */
    struct sim_store *store;
    struct sim_process *p;
    struct sim_op *ops;
};

struct sim_client_upload {
    struct storage_upload base; /* first: the driver's contract */
    uint64_t id;                /* 0: not begun */
    char key[STORAGE_KEY_BYTES_MAX + 1];
    uint64_t timestamp_ns;
};

struct sim_op {
    struct storage_op_base base; /* first: the driver's contract */
    struct sim_op *next;
    struct sim_storage *st;
    struct sim_request *request;
    struct loop_timer timer; /* of the process: the deadline, or the end that is decided */
    bool has_answer;         /* the request's is the end */
    struct error err;        /* else this is; ERR_NONE: the deadline passes */
    storage_done_fn *done;
    void *arg;
    struct storage_get get;
    struct storage_list list;
    struct storage_delete del;
    struct sim_client_upload *begun; /* gets its id */
};

/* ---- the client's end ---- */

static struct storage_object object_answer(const struct sim_request *r, const struct sim_object *o)
{
    bool is_exact = r->store->is_file_like || r->want_timestamps || r->kind != STORAGE_OP_LIST;

    return (struct storage_object){
        .key = o->key, .bytes = o->n, .timestamp_ns = is_exact ? o->timestamp_ns : o->uploaded_ns};
}

static void answer_deliver(struct sim_op *op, struct sim_request *r, struct error *err)
{
    int rc = 0;

    if (r->kind == STORAGE_OP_GET && err->code == ERR_NONE) {
        size_t half = r->wanted / 2; /* in two pieces: nobody may rely on one */
        if (half > 0)
            rc = op->get.on_data(op->arg, slice_of(r->found[0].bytes, half), err);
        if (rc == 0) {
            IGNORE(op->get.on_data(op->arg, slice_of(r->found[0].bytes + half, r->wanted - half),
                                   err)); /* err tells */
        }
    }
    for (size_t i = 0; r->kind == STORAGE_OP_LIST && err->code == ERR_NONE && i < r->found_count;
         i++) {
        const struct storage_object o = object_answer(r, &r->found[i]);
        IGNORE(op->list.on_object(op->arg, &o, err)); /* err tells, and ends it */
    }
    for (size_t i = 0; r->kind == STORAGE_OP_DELETE && op->del.on_key && i < r->key_count; i++)
        op->del.on_key(op->arg, i, err);
}

static void request_free(struct sim_request *r)
{
    struct sim_request **at = &r->store->requests;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    loop_timer_stop(&r->timer);
    sim_found_drop(r);
    for (size_t i = 0; i < r->key_count; i++)
        free(r->keys[i]);
    free(r->keys);
    free(r->body);
    free(r);
}

/* Ends the op with the request's answer, or with its own error. The request goes on if it can still
 * have an effect. */
static void op_end(struct sim_op *op)
{
    struct sim_request *r = op->request;
    struct sim_storage *st = op->st;
    struct error err = op->has_answer ? r->err : op->err;
    struct storage_result result = {.err = &err, .tries = r->is_retried ? 2 : 1};
    struct sim_op **at = &st->ops;

    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    loop_timer_stop(&op->timer);
    if (op->has_answer || r->kind == STORAGE_OP_DELETE)
        answer_deliver(op, r, &err);
    if (err.code == ERR_NONE && (r->kind == STORAGE_OP_GET || r->kind == STORAGE_OP_HEAD)) {
        result.object = object_answer(r, &r->found[0]);
        result.object.key = r->key;
    }
    result.bytes = r->kind == STORAGE_OP_GET ? r->wanted : r->body_n;
    st->base.counters.op[r->kind].bytes += result.bytes;
    st->base.counters.op[r->kind].errors += err.code != ERR_NONE;
    if (!st->p->is_calm && !st->p->is_dead) {
        sim_trace(st->p->sim, "%s %s: %s", storage_op_name(r->kind), r->key,
                  err.code == ERR_NONE ? "ok" : err.text);
    }
    if (op->begun && err.code == ERR_NONE)
        op->begun->id = r->upload_id;
    op->done(op->arg, &result);
    r->op = NULL;
    if (r->has_arrived)
        request_free(r);
    free(op);
}

static void op_on_timer(void *arg)
{
    struct sim_op *op = arg;
    const struct sim_request *r = op->request;

    if (!op->has_answer && op->err.code == ERR_NONE) {
        enum error_code code = r->is_answer_lost && r->has_arrived ? ERR_UNAVAILABLE : ERR_TIMEOUT;
        (void)error_set(&op->err, code, 0, "%s %s: no answer", storage_op_name(r->kind), r->key);
    }
    op_end(op);
}

/* ---- the network ---- */

static uint64_t latency(const struct sim_store *st)
{
    return sim_luck(st->sim, st->network.latency_ns_max + 1);
}

/* The answer reaches the process; its loop takes it up when it runs. */
static void request_answer(struct sim_request *r)
{
    if (!r->op) {
        request_free(r);
        return;
    }
    if (r->is_answer_lost || r->store->is_away)
        return; /* the op's own timer has the word */
    r->op->has_answer = true;
    loop_timer_start(&r->op->timer, 0);
}

/* The request reaches the store. */
static void request_arrive(struct sim_request *r)
{
    struct sim_store *st = r->store;

    if (st->is_away || (!r->op && st->creation != SIM_CREATES)) {
        r->has_arrived = true; /* in no other way than this */
        r->is_answer_lost = true;
        request_answer(r);
        return;
    }
    if (r->is_create && !r->may_replace && st->creation == SIM_REFUSES_TO) {
        (void)error_set(&r->err, ERR_UNSUPPORTED, 501, "PUT %s: 501 not implemented", r->key);
    } else if (r->is_refused) {
        (void)error_set(&r->err, ERR_UNAVAILABLE, 503, "%s %s: 503 slow down",
                        storage_op_name(r->kind), r->key);
    } else {
        if (sim_effect(st, r, st->network.page_keys) || (r->is_look && r->err.code == ERR_NONE)) {
            r->is_look = false;
            loop_timer_start(&r->timer,
                             latency(st)); /* the next page, or the put proper, follows */
            return;
        }
        if (r->is_retried && r->kind == STORAGE_OP_PUT) {
            r->is_look = r->is_create && st->creation != SIM_CREATES;
            sim_effect_put(st, r); /* its first answer was lost: the second try's is told */
        }
    }
    r->has_arrived = true;
    loop_timer_start(&r->timer, r->answer_after_ns);
}

static void request_on_timer(void *arg)
{
    struct sim_request *r = arg;

    if (r->has_arrived)
        request_answer(r);
    else
        request_arrive(r);
}

/* A put that arrives once more, when nobody thinks of it any more. */
static void request_copy_late(const struct sim_request *r, uint64_t after_ns)
{
    struct sim_request *copy = calloc(1, sizeof(*copy));

    assert_non_null(copy);
    *copy = *r;
    copy->op = NULL;
    copy->is_refused = false;
    copy->is_retried = false;
    copy->body = malloc(r->body_n + 1);
    assert_non_null(copy->body);
    if (r->body_n > 0)
        memcpy(copy->body, r->body, r->body_n);
    copy->next = r->store->requests;
    r->store->requests = copy;
    loop_timer_init(&copy->timer, r->store->sim->world.loop, request_on_timer, copy);
    loop_timer_start(&copy->timer, after_ns);
}

/* Sends it on its way, with its fate. */
static void request_send(struct sim_request *r, uint64_t deadline_ns)
{
    struct sim_store *st = r->store;
    const struct sim_network *n = &st->network;
    uint64_t arrive_ns = latency(st);

    r->answer_after_ns = latency(st);
    r->is_refused = sim_chance(st->sim, n->fails);
    r->is_retried = sim_chance(st->sim, n->retried);
    r->is_answer_lost = sim_chance(st->sim, n->lost_answer);
    if (sim_chance(st->sim, n->slow)) {
        uint64_t more = sim_luck(st->sim, deadline_ns);
        *(sim_luck(st->sim, 2) ? &arrive_ns : &r->answer_after_ns) += more;
    }
    if (arrive_ns > deadline_ns)
        arrive_ns = deadline_ns;
    if (r->kind == STORAGE_OP_PUT && r->is_create && st->creation == SIM_CREATES &&
        sim_chance(st->sim, n->late_copy))
        request_copy_late(r, sim_between(st->sim, arrive_ns, deadline_ns));
    if (sim_chance(st->sim, n->lost_request)) {
        r->has_arrived = true; /* in no other way than this */
        return;
    }
    loop_timer_start(&r->timer, arrive_ns);
}

/* ---- the driver's functions ---- */

static struct sim_storage *storage_of(struct storage *st)
{
    return CONTAINER_OF(st, struct sim_storage, base);
}

static struct sim_op *op_new(struct storage *base, enum storage_op_kind kind, const char *key,
                             storage_done_fn *done, void *arg)
{
    struct sim_storage *st = storage_of(base);
    struct sim_op *op = calloc(1, sizeof(*op));
    struct sim_request *r = calloc(1, sizeof(*r));

    assert_true(op && r);
    op->base.st = base;
    op->st = st;
    op->request = r;
    op->done = done;
    op->arg = arg;
    op->next = st->ops;
    st->ops = op;
    loop_timer_init(&op->timer, base->loop, op_on_timer, op);
    r->store = st->store;
    r->op = op;
    r->kind = kind;
    (void)snprintf(r->key, sizeof(r->key), "%s", key);
    r->next = st->store->requests;
    st->store->requests = r;
    loop_timer_init(&r->timer, st->store->sim->world.loop, request_on_timer, r);
    return op;
}

static int op_start(struct sim_op *op, uint64_t deadline_ns, struct storage_op **out_op)
{
    struct sim_request *r = op->request;
    struct sim_process *p = op->st->p;

    op->st->base.counters.op[r->kind].requests++;
    if (out_op)
        *out_op = (void *)op;
    if (deadline_ns == 0)
        deadline_ns = deadline_default_ns;
    if (!sim_step(p)) {
        r->has_arrived = true; /* in no other way than this */
        (void)error_set(&op->err, ERR_UNAVAILABLE, 0, "dead");
        loop_timer_start(&op->timer, 0);
        return 0;
    }
    if (p->is_calm) {
        (void)sim_effect(r->store, r, SIZE_MAX); /* a listing of one page has no other */
        r->has_arrived = true;
        op->has_answer = true;
        loop_timer_start(&op->timer, 0);
        return 0;
    }
    loop_timer_start(&op->timer, deadline_ns);
    request_send(r, deadline_ns);
    if (r->is_answer_lost && sim_luck(p->sim, 2)) {
        /* The connection breaks, maybe before the store has seen the request. */
        (void)error_set(&op->err, ERR_UNAVAILABLE, 0, "%s %s: connection reset",
                        storage_op_name(r->kind), r->key);
        loop_timer_start(&op->timer, sim_luck(p->sim, deadline_ns));
    }
    return 0;
}

static int sim_put(struct storage *st, const struct storage_put *args, storage_done_fn *done,
                   void *arg, struct storage_op **out_op, struct error *err)
{
    struct sim_op *op = op_new(st, STORAGE_OP_PUT, args->key, done, arg);
    struct sim_request *r = op->request;

    r->body_n = (size_t)args->body->bytes;
    r->body = malloc(r->body_n + 1);
    assert_non_null(r->body);
    r->is_create = args->mode == STORAGE_PUT_CREATE;
    r->may_replace = r->is_create && !storage_caps(st)->can_create;
    r->is_look = r->may_replace;
    r->timestamp_ns = args->timestamp_ns;
    if (r->body_n > 0 && blob_read(args->body, 0, r->body, r->body_n, err) < 0)
        (void)error_set(&op->err, ERR_IO, 0, "PUT %s: body cannot be read", r->key);
    if (op->err.code == ERR_NONE)
        return op_start(op, args->deadline_ns, out_op);
    r->has_arrived = true; /* in no other way than this */
    loop_timer_start(&op->timer, 0);
    if (out_op)
        *out_op = (void *)op;
    return 0;
}

/* ---- uploads ---- */

static int upload_step(struct sim_client_upload *u, struct sim_op *op, enum sim_step step,
                       uint64_t deadline_ns, struct storage_op **out_op)
{
    op->request->step = step;
    op->request->upload_id = u->id;
    op->request->timestamp_ns = u->timestamp_ns;
    return op_start(op, deadline_ns, out_op);
}

static int sim_upload_begin_start(struct storage *st, const struct storage_upload_args *args,
                                  storage_done_fn *done, void *arg,
                                  struct storage_upload **out_upload, struct storage_op **out_op,
                                  struct error *err UNUSED)
{
    struct sim_client_upload *u = calloc(1, sizeof(*u));
    struct sim_op *op = op_new(st, STORAGE_OP_PUT, args->key, done, arg);

    assert_non_null(u);
    u->base.st = st;
    u->timestamp_ns = args->timestamp_ns;
    (void)snprintf(u->key, sizeof(u->key), "%s", args->key);
    op->begun = u;
    *out_upload = &u->base;
    return upload_step(u, op, SIM_UPLOAD_BEGIN, args->deadline_ns, out_op);
}

static struct sim_client_upload *upload_of(struct storage_upload *upload)
{
    return CONTAINER_OF(upload, struct sim_client_upload, base);
}

static int sim_upload_part_start(struct storage_upload *upload, const struct storage_part *part,
                                 storage_done_fn *done, void *arg, struct storage_op **out_op,
                                 struct error *err)
{
    struct sim_client_upload *u = upload_of(upload);
    struct sim_op *op = op_new(upload->st, STORAGE_OP_PUT, u->key, done, arg);
    struct sim_request *r = op->request;

    r->number = part->number;
    r->body_n = (size_t)part->bytes;
    r->body = malloc(r->body_n);
    assert_non_null(r->body);
    assert_int_equal(blob_read(part->blob, part->offset, r->body, r->body_n, err), 0);
    return upload_step(u, op, SIM_UPLOAD_PART, part->deadline_ns, out_op);
}

static int sim_upload_complete_start(struct storage_upload *upload, uint64_t deadline_ns,
                                     storage_done_fn *done, void *arg, struct storage_op **out_op,
                                     struct error *err UNUSED)
{
    struct sim_client_upload *u = upload_of(upload);
    struct sim_op *op = op_new(upload->st, STORAGE_OP_PUT, u->key, done, arg);

    op->request->is_create = true;
    return upload_step(u, op, SIM_UPLOAD_COMPLETE, deadline_ns, out_op);
}

static void upload_on_aborted(void *arg UNUSED, const struct storage_result *result UNUSED)
{
}

static void sim_upload_free(struct storage_upload *upload)
{
    struct sim_client_upload *u = upload_of(upload);

    if (u->id > 0) {
        IGNORE(upload_step(u, op_new(upload->st, STORAGE_OP_PUT, u->key, upload_on_aborted, NULL),
                           SIM_UPLOAD_ABORT, 0, NULL));
    }
    free(u);
}

static int sim_get(struct storage *st, const struct storage_get *args, storage_done_fn *done,
                   void *arg, struct storage_op **out_op, struct error *err UNUSED)
{
    struct sim_op *op = op_new(st, STORAGE_OP_GET, args->key, done, arg);

    op->get = *args;
    op->request->offset = args->offset;
    op->request->wanted = args->bytes;
    return op_start(op, args->deadline_ns, out_op);
}

static int sim_list(struct storage *st, const struct storage_list *args, storage_done_fn *done,
                    void *arg, struct storage_op **out_op, struct error *err UNUSED)
{
    struct sim_op *op = op_new(st, STORAGE_OP_LIST, args->prefix, done, arg);

    op->list = *args;
    op->request->want_timestamps = args->want_timestamps;
    if (args->start_after) {
        (void)snprintf(op->request->after, sizeof(op->request->after), "%s", args->start_after);
    }
    return op_start(op, 0, out_op);
}

static int sim_delete(struct storage *st, const struct storage_delete *args, storage_done_fn *done,
                      void *arg, struct storage_op **out_op, struct error *err UNUSED)
{
    struct sim_op *op =
        op_new(st, STORAGE_OP_DELETE, args->key_count ? args->keys[0] : "", done, arg);
    struct sim_request *r = op->request;

    op->del = *args;
    r->keys = calloc(args->key_count + 1, sizeof(*r->keys));
    assert_non_null(r->keys);
    for (; r->key_count < args->key_count; r->key_count++) {
        r->keys[r->key_count] = strdup(args->keys[r->key_count]);
        assert_non_null(r->keys[r->key_count]);
    }
    return op_start(op, 0, out_op);
}

static int sim_head(struct storage *st, const char *key, storage_done_fn *done, void *arg,
                    struct storage_op **out_op, struct error *err UNUSED)
{
    return op_start(op_new(st, STORAGE_OP_HEAD, key, done, arg), 0, out_op);
}

static void sim_cancel(struct storage_op *storage_op)
{
    struct sim_op *op = (void *)storage_op;

    op->has_answer = false;
    (void)error_set(&op->err, ERR_CANCELED, 0, "canceled");
    loop_timer_start(&op->timer, 0);
}

static void sim_free(struct storage *base)
{
    struct sim_storage *st = storage_of(base);

    while (st->ops) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): op_end() unlinks what it frees */
        st->ops->has_answer = false;
        (void)error_set(&st->ops->err, ERR_CANCELED, 0, "canceled");
        op_end(st->ops);
    }
    free(base->url);
    free(st);
}

static const struct storage_driver file_like_driver = {
    .type = "file",
    .put = sim_put,
    .get = sim_get,
    .list = sim_list,
    .del = sim_delete,
    .head = sim_head,
    .cancel = sim_cancel,
    .free = sim_free,
};

static const struct storage_driver s3_like_driver = {
    .type = "s3",
    .put = sim_put,
    .get = sim_get,
    .list = sim_list,
    .del = sim_delete,
    .head = sim_head,
    .upload_begin = sim_upload_begin_start,
    .upload_part = sim_upload_part_start,
    .upload_complete = sim_upload_complete_start,
    .upload_free = sim_upload_free,
    .cancel = sim_cancel,
    .free = sim_free,
};

struct storage *sim_storage_new(struct sim_store *store, struct sim_process *p)
{
    struct sim_storage *st = calloc(1, sizeof(*st));

    assert_non_null(st);
    st->store = store;
    st->p = p;
    st->base.driver = store->is_file_like ? &file_like_driver : &s3_like_driver;
    st->base.loop = p->loop;
    st->base.caps = (struct storage_caps){
        .layout = store->is_file_like ? STORAGE_LAYOUT_LTX : STORAGE_LAYOUT_HEX,
        .can_create = true,
        .has_timestamps = store->is_file_like,
        .object_bytes_max = object_bytes_max,
        .part_bytes = store->is_file_like ? 0 : PART_BYTES,
        .parts_max = PARTS_MAX,
    };
    st->base.url = malloc(64);
    assert_non_null(st->base.url);
    (void)snprintf(st->base.url, 64, "%s://%s/app", store->is_file_like ? "file" : "s3",
                   store->name);
    return &st->base;
}

/* ---- the store ---- */

void sim_store_begin(struct sim_store *st, struct sim *sim, const char *name)
{
    *st = (struct sim_store){.sim = sim, .network = {.page_keys = 1000}};
    (void)snprintf(st->name, sizeof(st->name), "%s", name);
}

void sim_store_end(struct sim_store *st)
{
    while (st->requests)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): request_free() unlinks what it frees */
        request_free(st->requests);
    for (size_t i = 0; i < st->count; i++)
        sim_object_destroy(&st->objects[i]);
    free(st->objects);
    sim_uploads_destroy(&st->uploads);
}

bool sim_store_is_quiet(const struct sim_store *st)
{
    return !st->requests;
}
