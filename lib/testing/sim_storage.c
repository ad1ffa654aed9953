/*
 * Two halves. An *op* is the client's: it lives in the process's loop, which holds its deadline,
 * and ends when an answer has come, the deadline has passed, or it is cancelled. A *request* is the
 * network's: it lives in the world's loop and goes on when its op has ended.
 *
 *   op started --> request --latency--> arrives: effect --latency--> answer --> op's done
 *                     |                                    |
 *                     +-- never (lost request)             +-- never (lost answer)
 *
 * A calm process has no network: its op has its effect at once and answers on the next turn.
 */
#include "lib/testing/sim_storage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/driver.h"
#include "lib/testing/test.h"

static const uint64_t deadline_default_ns = 30 * NS_PER_SEC;
static const uint64_t object_bytes_max = UINT64_C(1) << 40;

struct sim_storage {
    struct storage base; /* first: the driver's contract */
    struct sim_store *store;
    struct sim_process *p;
    struct sim_op *ops;
};

/* What was asked for, and what comes of it. */
struct sim_request {
    struct sim_request *next; /* of the store */
    struct sim_store *store;
    struct sim_op *op; /* NULL: nobody waits for the answer (any more) */
    enum storage_op_kind kind;
    struct loop_timer timer; /* of the world: arrival, then answer */
    bool has_arrived;        /* or never will */
    bool is_refused;         /* the store answers an error and does nothing */
    bool is_answer_lost;
    bool is_retried;
    uint64_t answer_after_ns;
    char key[STORAGE_KEY_BYTES_MAX + 1];   /* or the prefix of a list */
    char after[STORAGE_KEY_BYTES_MAX + 1]; /* of a list: where its next page begins */
    char **keys;                           /* of a delete */
    size_t key_count;
    uint8_t *body; /* of a put */
    size_t body_n;
    bool is_create;
    bool may_replace; /* of a create: its driver looks before it writes */
    bool is_look;     /* that look */
    uint64_t timestamp_ns;
    uint64_t offset, wanted; /* of a get */
    bool want_timestamps;
    /* The answer. */
    struct error err;
    struct sim_object *found; /* copies: the object, or what a list found */
    size_t found_count;
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
};

/* ---- objects ---- */

static size_t object_idx(const struct sim_store *st, const char *key, bool *out_is_there)
{
    size_t low = 0;
    size_t high = st->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(st->objects[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *out_is_there = low < st->count && strcmp(st->objects[low].key, key) == 0;
    return low;
}

static void object_destroy(struct sim_object *o)
{
    free(o->key);
    free(o->bytes);
}

static struct sim_object object_copy(const struct sim_object *o, size_t offset, size_t n)
{
    struct sim_object copy = *o;

    copy.key = strdup(o->key);
    copy.bytes = malloc(n + 1);
    assert_true(copy.key && copy.bytes);
    if (n > 0)
        memcpy(copy.bytes, o->bytes + offset, n);
    return copy;
}

/* What a request has found so far. */
static void found_add(struct sim_request *r, struct sim_object copy)
{
    struct sim_object *grown = realloc(r->found, (r->found_count + 1) * sizeof(copy));

    assert_non_null(grown);
    r->found = grown;
    r->found[r->found_count++] = copy;
}

static void found_drop(struct sim_request *r)
{
    for (size_t i = 0; i < r->found_count; i++)
        object_destroy(&r->found[i]);
    free(r->found);
    r->found = NULL;
    r->found_count = 0;
}

/* ---- effects, at the store ---- */

static void effect_put(struct sim_store *st, struct sim_request *r)
{
    bool is_there = false;
    size_t idx = object_idx(st, r->key, &is_there);
    struct sim_object o = {.timestamp_ns = r->timestamp_ns,
                           .uploaded_ns = env_wall_ns(&st->sim->world.env),
                           .n = r->body_n};

    bool is_conditional = r->is_create && st->creation == SIM_CREATES;
    if (is_there && (is_conditional || r->is_look)) {
        (void)error_set(&r->err, ERR_EXISTS, 0, "PUT %s: 412 exists", r->key);
        return;
    }
    if (r->is_look)
        return;
    o.key = strdup(r->key);
    o.bytes = malloc(r->body_n + 1);
    assert_true(o.key && o.bytes);
    memcpy(o.bytes, r->body, r->body_n);
    if (is_there) {
        object_destroy(&st->objects[idx]);
        st->objects[idx] = o;
        if (st->on_create)
            st->on_create(st->arg, &st->objects[idx]);
        return;
    }
    if (st->count == st->cap) {
        st->cap = st->cap ? st->cap * 2 : 64;
        struct sim_object *grown = realloc(st->objects, st->cap * sizeof(o));
        assert_non_null(grown);
        st->objects = grown;
    }
    memmove(st->objects + idx + 1, st->objects + idx, (st->count - idx) * sizeof(o));
    st->objects[idx] = o;
    st->count++;
    if (st->on_create)
        st->on_create(st->arg, &st->objects[idx]);
}

static void effect_get(struct sim_store *st, struct sim_request *r)
{
    bool is_there = false;
    size_t idx = object_idx(st, r->key, &is_there);

    if (!is_there) {
        (void)error_set(&r->err, ERR_NOT_FOUND, 0, "GET %s: 404", r->key);
        return;
    }
    const struct sim_object *o = &st->objects[idx];
    uint64_t wanted = r->wanted ? r->wanted : o->n - (r->offset < o->n ? r->offset : o->n);
    if (r->offset + wanted > o->n) {
        (void)error_set(&r->err, ERR_CORRUPT, 0, "GET %s: range beyond the end", r->key);
        return;
    }
    r->wanted = wanted;
    found_add(r, object_copy(o, r->offset, wanted));
}

static void effect_head(struct sim_store *st, struct sim_request *r)
{
    bool is_there = false;
    size_t idx = object_idx(st, r->key, &is_there);

    if (is_there)
        found_add(r, object_copy(&st->objects[idx], 0, 0));
    else
        (void)error_set(&r->err, ERR_NOT_FOUND, 0, "HEAD %s: 404", r->key);
}

static void effect_delete(struct sim_store *st, struct sim_request *r)
{
    for (size_t i = 0; i < r->key_count; i++) {
        bool is_there = false;
        size_t idx = object_idx(st, r->keys[i], &is_there);
        if (!is_there)
            continue;
        if (st->on_delete)
            st->on_delete(st->arg, &st->objects[idx]);
        object_destroy(&st->objects[idx]);
        st->count--;
        memmove(st->objects + idx, st->objects + idx + 1,
                (st->count - idx) * sizeof(st->objects[0]));
    }
}

/* One page of a listing; true if there are more. */
static bool effect_list(struct sim_store *st, struct sim_request *r, size_t page_keys)
{
    bool is_there = false;
    const char *from = r->after[0] ? r->after : r->key;
    size_t idx = object_idx(st, from, &is_there);

    if (is_there && r->after[0])
        idx++;
    for (size_t n = 0; idx < st->count; idx++) {
        const struct sim_object *o = &st->objects[idx];
        int rel = strncmp(o->key, r->key, strlen(r->key));
        if (rel < 0)
            continue;
        if (rel > 0)
            return false;
        if (n++ == page_keys)
            return true;
        found_add(r, object_copy(o, 0, 0));
        (void)snprintf(r->after, sizeof(r->after), "%s", o->key);
    }
    return false;
}

/* True if the request has to come again. */
static bool effect(struct sim_store *st, struct sim_request *r, size_t page_keys)
{
    switch (r->kind) {
    case STORAGE_OP_PUT:
        effect_put(st, r);
        return false;
    case STORAGE_OP_GET:
        effect_get(st, r);
        return false;
    case STORAGE_OP_LIST:
        return effect_list(st, r, page_keys);
    case STORAGE_OP_DELETE:
        effect_delete(st, r);
        return false;
    case STORAGE_OP_HEAD:
        effect_head(st, r);
        return false;
    case STORAGE_OP_KINDS:
        break;
    }
    ASSERT(false);
    return false;
}

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
    found_drop(r);
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
        if (effect(st, r, st->network.page_keys) || (r->is_look && r->err.code == ERR_NONE)) {
            r->is_look = false;
            loop_timer_start(&r->timer,
                             latency(st)); /* the next page, or the put proper, follows */
            return;
        }
        if (r->is_retried && r->kind == STORAGE_OP_PUT) {
            r->is_look = r->is_create && st->creation != SIM_CREATES;
            effect_put(st, r); /* its first answer was lost: the second try's is told */
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
        (void)effect(r->store, r, SIZE_MAX); /* a listing of one page has no other */
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
        object_destroy(&st->objects[i]);
    free(st->objects);
}

bool sim_store_is_quiet(const struct sim_store *st)
{
    return !st->requests;
}
