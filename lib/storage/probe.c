/*
 * The probe: a table of actions, run one after the other. Each row says whether it applies, starts
 * one operation, and judges its outcome; the row's step is where that is reported.
 *
 *   row           applies if                      judged good if
 *   create        unless it is only read          created; or ERR_EXISTS, since the name is random:
 *                                                 our own, whose first answer was lost
 *   create plain  create answered ERR_UNSUPPORTED created, with can_create off
 *   create again  created by the first row        ERR_EXISTS; an acceptance is noted, no failure
 *   head          created                         size is right
 *   read, range   created                         bytes are right
 *   list          always                          canary there once, if created
 *   delete        created                         success
 *   gone          delete was good                 head answers ERR_NOT_FOUND
 *
 * Two contents of equal length, A and B, tell which create won. The probe goes on to the next row
 * from the done callback of the last; nothing is ever called back from inside a start.
 */
#include "lib/storage/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/driver.h"
#include "lib/storage/storage_wait.h"

enum {
    CANARY_KEY_BYTES = sizeof(STORAGE_PROBE_PREFIX) + 16,
    CANARY_BYTES = 32,
    RANGE_OFFSET = 9,
    RANGE_BYTES = 5,
    STALE_MAX = 16, /* canaries of dead probes removed at a time */
};

static const char content_a[] = "walferry probe A, may be removed";
static const char content_b[] = "walferry probe B, may be removed";
static_assert(sizeof(content_a) - 1 == CANARY_BYTES, "contents of equal length");
static_assert(sizeof(content_b) - 1 == CANARY_BYTES, "contents of equal length");

static const uint64_t stale_ns = NS_PER_DAY;
static const uint64_t deadline_ns = 30 * NS_PER_SEC;

struct storage_probe {
    struct storage *st;
    storage_probe_done_fn *done;
    void *arg;
    struct storage_op *op; /* under way, or NULL */
    size_t row;            /* of the table, the one that op belongs to */
    bool is_canceled;
    bool is_created;     /* the canary is there */
    bool is_unsupported; /* the store does not know create-if-absent */
    bool is_deleted;
    const char *content; /* what the canary holds */
    struct blob body;    /* of the put under way */
    uint64_t timestamp_ns;
    char key[CANARY_KEY_BYTES];
    struct buf got; /* of read and range */
    size_t seen;    /* how often list showed the canary */
    char stale[STALE_MAX][CANARY_KEY_BYTES];
    size_t stale_count;
    const char *keys[1 + STALE_MAX]; /* for delete */
    struct storage_probe_report report;
};

const char *storage_probe_step_name(enum storage_probe_step step)
{
    static const char *const names[STORAGE_PROBE_STEPS] = {
        [STORAGE_PROBE_CREATE] = "create", [STORAGE_PROBE_CREATE_AGAIN] = "create again",
        [STORAGE_PROBE_HEAD] = "head",     [STORAGE_PROBE_READ] = "read",
        [STORAGE_PROBE_RANGE] = "range",   [STORAGE_PROBE_LIST] = "list",
        [STORAGE_PROBE_DELETE] = "delete",
    };

    ASSERT(step < STORAGE_PROBE_STEPS);
    return names[step];
}

static void probe_on_done(void *arg, const struct storage_result *result);

/* ---- create ---- */

static int put_start(struct storage_probe *p, const char *content, struct error *err)
{
    blob_destroy(&p->body);
    p->body = (struct blob)BLOB_INIT;
    if (blob_of_slice(loop_env(p->st->loop), slice_of(content, CANARY_BYTES), &p->body, err) < 0)
        return -1;
    const struct storage_put args = {.key = p->key,
                                     .body = &p->body,
                                     .mode = STORAGE_PUT_CREATE,
                                     .timestamp_ns = p->timestamp_ns,
                                     .deadline_ns = deadline_ns};
    return storage_put_start(p->st, &args, probe_on_done, p, &p->op, err);
}

static bool always(const struct storage_probe *p UNUSED)
{
    return true;
}

static bool may_write(const struct storage_probe *p)
{
    return !p->report.is_read_only;
}

static bool has_canary(const struct storage_probe *p)
{
    return p->is_created;
}

static int create_start(struct storage_probe *p, struct error *err)
{
    storage_set_can_create(p->st, true); /* what an earlier probe found may have been mended */
    return put_start(p, content_a, err);
}

static int create_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                        struct error *err)
{
    if (err->code == ERR_UNSUPPORTED) {
        storage_set_can_create(p->st, false);
        p->is_unsupported = true;
        p->report.why_no_create = *err;
        error_clear(err);
        return 0;
    }
    if (err->code != ERR_NONE && err->code != ERR_EXISTS)
        return -1;
    error_clear(err);
    p->is_created = true;
    p->content = content_a;
    return 0;
}

static bool create_plain_applies(const struct storage_probe *p)
{
    return p->is_unsupported;
}

static int create_plain_start(struct storage_probe *p, struct error *err)
{
    return put_start(p, content_a, err);
}

static int create_plain_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                              struct error *err)
{
    if (err->code != ERR_NONE && err->code != ERR_EXISTS)
        return -1;
    error_clear(err);
    p->is_created = true;
    p->content = content_a;
    return 0;
}

static bool create_again_applies(const struct storage_probe *p)
{
    return p->is_created && !p->is_unsupported;
}

static int create_again_start(struct storage_probe *p, struct error *err)
{
    return put_start(p, content_b, err);
}

static int create_again_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                              struct error *err)
{
    struct error *why = &p->report.why_no_create;

    if (err->code == ERR_EXISTS) {
        error_clear(err);
        p->report.can_create = true;
        return 0;
    }
    if (err->code != ERR_NONE)
        return -1;
    p->content = content_b;
    storage_set_can_create(p->st, false);
    (void)error_set(why, ERR_UNSUPPORTED, 0, "the store accepted a second create of %s", p->key);
    (void)error_hint(why, "two writers on this prefix can only be told apart by looking before "
                          "writing; let no more than one run");
    return 0;
}

/* ---- head, read, range ---- */

static int head_start(struct storage_probe *p, struct error *err)
{
    return storage_head_start(p->st, p->key, probe_on_done, p, &p->op, err);
}

static int head_judge(struct storage_probe *p, const struct storage_object *object,
                      struct error *err)
{
    if (err->code != ERR_NONE)
        return -1;
    if (object->bytes != CANARY_BYTES) {
        return error_set(err, ERR_CORRUPT, 0, "%s has %llu bytes, %d were put", p->key,
                         (unsigned long long)object->bytes, CANARY_BYTES);
    }
    p->report.keeps_timestamps = object->timestamp_ns == p->timestamp_ns;
    return 0;
}

static int read_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct storage_probe *p = arg;

    return buf_append_slice(&p->got, chunk, err);
}

static int get_start(struct storage_probe *p, uint64_t offset, uint64_t bytes, struct error *err)
{
    const struct storage_get args = {.key = p->key,
                                     .offset = offset,
                                     .bytes = bytes,
                                     .on_data = read_on_data,
                                     .deadline_ns = deadline_ns};

    buf_clear(&p->got);
    return storage_get_start(p->st, &args, probe_on_done, p, &p->op, err);
}

static int get_judge(struct storage_probe *p, size_t offset, size_t bytes, struct error *err)
{
    if (err->code != ERR_NONE)
        return -1;
    if (!slice_eq(buf_slice(&p->got), slice_of(p->content + offset, bytes))) {
        return error_set(err, ERR_CORRUPT, 0,
                         "%s: %zu bytes at offset %zu were asked for, other bytes came (%zu)",
                         p->key, bytes, offset, p->got.n);
    }
    return 0;
}

static int read_start(struct storage_probe *p, struct error *err)
{
    return get_start(p, 0, 0, err);
}

static int read_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                      struct error *err)
{
    return get_judge(p, 0, CANARY_BYTES, err);
}

static int range_start(struct storage_probe *p, struct error *err)
{
    return get_start(p, RANGE_OFFSET, RANGE_BYTES, err);
}

static int range_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                       struct error *err)
{
    return get_judge(p, RANGE_OFFSET, RANGE_BYTES, err);
}

/* ---- list, delete ---- */

static int list_on_object(void *arg, const struct storage_object *object, struct error *err UNUSED)
{
    struct storage_probe *p = arg;
    uint64_t now_ns = env_wall_ns(loop_env(p->st->loop));

    if (strcmp(object->key, p->key) == 0)
        p->seen++;
    else if (strlen(object->key) == CANARY_KEY_BYTES - 1 && p->stale_count < STALE_MAX &&
             now_ns > object->timestamp_ns && now_ns - object->timestamp_ns > stale_ns)
        memcpy(p->stale[p->stale_count++], object->key, CANARY_KEY_BYTES);
    return 0;
}

static int list_start(struct storage_probe *p, struct error *err)
{
    const struct storage_list args = {.prefix = STORAGE_PROBE_PREFIX, .on_object = list_on_object};

    return storage_list_start(p->st, &args, probe_on_done, p, &p->op, err);
}

static int list_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                      struct error *err)
{
    if (err->code != ERR_NONE)
        return -1;
    if (p->is_created && p->seen != 1) {
        (void)error_set(err, ERR_CORRUPT, 0, "%s was created and is listed %zu times", p->key,
                        p->seen);
        return error_hint(err, "listings of this store lag behind: a restore could miss objects");
    }
    return 0;
}

static int delete_start(struct storage_probe *p, struct error *err)
{
    size_t count = 0;

    p->keys[count++] = p->key;
    for (size_t i = 0; i < p->stale_count; i++)
        p->keys[count++] = p->stale[i];
    const struct storage_delete args = {.keys = p->keys, .key_count = count};
    return storage_delete_start(p->st, &args, probe_on_done, p, &p->op, err);
}

static int delete_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                        struct error *err)
{
    p->is_deleted = err->code == ERR_NONE;
    return p->is_deleted ? 0 : -1;
}

static bool gone_applies(const struct storage_probe *p)
{
    return p->is_deleted;
}

static int gone_judge(struct storage_probe *p, const struct storage_object *object UNUSED,
                      struct error *err)
{
    if (err->code == ERR_NOT_FOUND) {
        error_clear(err);
        return 0;
    }
    if (err->code != ERR_NONE)
        return -1;
    return error_set(err, ERR_CORRUPT, 0, "%s was deleted and is still there", p->key);
}

static const struct probe_row {
    enum storage_probe_step step;
    bool (*applies)(const struct storage_probe *p);
    int (*start)(struct storage_probe *p, struct error *err);
    /* err is the outcome; -1 with err as the step's failure, 0 if the row is good. */
    int (*judge)(struct storage_probe *p, const struct storage_object *object, struct error *err);
} table[] = {
    {STORAGE_PROBE_CREATE, may_write, create_start, create_judge},
    {STORAGE_PROBE_CREATE, create_plain_applies, create_plain_start, create_plain_judge},
    {STORAGE_PROBE_CREATE_AGAIN, create_again_applies, create_again_start, create_again_judge},
    {STORAGE_PROBE_HEAD, has_canary, head_start, head_judge},
    {STORAGE_PROBE_READ, has_canary, read_start, read_judge},
    {STORAGE_PROBE_RANGE, has_canary, range_start, range_judge},
    {STORAGE_PROBE_LIST, always, list_start, list_judge},
    {STORAGE_PROBE_DELETE, has_canary, delete_start, delete_judge},
    {STORAGE_PROBE_DELETE, gone_applies, head_start, gone_judge},
};

/* ---- running the table ---- */

static void probe_end(struct storage_probe *p)
{
    p->done(p->arg, &p->report);
    blob_destroy(&p->body);
    buf_destroy(&p->got);
    free(p);
}

/* Takes the outcome of the current row. True if the probe shall go on. */
static bool probe_judge(struct storage_probe *p, const struct storage_object *object,
                        struct error *err)
{
    const struct probe_row *row = &table[p->row];
    struct storage_probe_report *report = &p->report;

    if (p->is_canceled && err->code == ERR_NONE)
        (void)error_set(err, ERR_CANCELED, 0, "canceled");
    enum error_code answered = err->code;
    report->step[row->step].was_tried = true;
    if (!p->is_canceled && row->judge(p, object, err) == 0) {
        report->step[row->step].is_ok = true;
        return true;
    }
    report->step[row->step].is_ok = false;
    if (report->first.code == ERR_NONE) {
        report->first_step = row->step;
        report->first = *err;
        (void)error_wrap(&report->first, "probe %s: %s", storage_url(p->st),
                         storage_probe_step_name(row->step));
        if (err->code == ERR_ACCESS && err->hint[0] == '\0') {
            (void)error_hint(&report->first, "the credentials need permission to %s here",
                             storage_probe_step_name(row->step));
        }
    }
    return !p->is_canceled && answered != ERR_UNAVAILABLE && answered != ERR_TIMEOUT;
}

/* Starts the next row that applies, from p->row on, or ends the probe. */
static void probe_go_on(struct storage_probe *p)
{
    static const struct storage_object nothing = {.key = NULL};

    for (; p->row < ARRAY_LEN(table); p->row++) {
        struct error err = ERROR_INIT;
        if (!table[p->row].applies(p))
            continue;
        if (table[p->row].start(p, &err) == 0)
            return;
        if (!probe_judge(p, &nothing, &err))
            break;
    }
    probe_end(p);
}

static void probe_on_done(void *arg, const struct storage_result *result)
{
    struct storage_probe *p = arg;
    struct error err = *result->err;

    p->op = NULL;
    if (!probe_judge(p, &result->object, &err)) {
        probe_end(p);
        return;
    }
    p->row++;
    probe_go_on(p);
}

int storage_probe_start(struct storage *st, storage_probe_done_fn *done, void *arg,
                        struct storage_probe **out_probe, struct error *err)
{
    const struct env *env = loop_env(st->loop);
    uint64_t random;
    struct storage_probe *p = mem_new(1, sizeof(*p), err);

    if (!p)
        return -1;
    p->st = st;
    p->done = done;
    p->arg = arg;
    p->body = (struct blob)BLOB_INIT;
    p->got = (struct buf)BUF_INIT((size_t)CANARY_BYTES * 2);
    /* Whole milliseconds: what LTX headers have and every store can keep. */
    p->timestamp_ns = env_wall_ns(env) / NS_PER_MS * NS_PER_MS;
    env_random_fill(env, &random, sizeof(random));
    (void)snprintf(p->key, sizeof(p->key), STORAGE_PROBE_PREFIX "%016" PRIx64, random);
    p->report.is_read_only = storage_is_read_only(st);
    while (!table[p->row].applies(p)) /* the listing always does */
        p->row++;
    if (table[p->row].start(p, err) < 0) {
        blob_destroy(&p->body);
        free(p);
        return -1;
    }
    if (out_probe)
        *out_probe = p;
    return 0;
}

void storage_probe_cancel(struct storage_probe *p)
{
    p->is_canceled = true;
    if (p->op)
        storage_cancel(p->op);
}

struct probe_waiting {
    bool is_done;
    struct storage_probe_report *out;
};

static void probe_waiting_on_done(void *arg, const struct storage_probe_report *report)
{
    struct probe_waiting *w = arg;

    *w->out = *report;
    w->is_done = true;
}

static int probe_once_wait(struct storage *st, struct storage_probe_report *out, struct error *err)
{
    struct probe_waiting w = {.out = out};

    if (storage_probe_start(st, probe_waiting_on_done, &w, NULL, err) < 0)
        return -1;
    bool was_done = loop_run_until(st->loop, &w.is_done);
    ASSERT(was_done);
    return 0;
}

int storage_probe_wait(struct storage *st, bool makes, struct storage_probe_report *out,
                       struct error *err)
{
    struct error cause = ERROR_INIT;

    if (probe_once_wait(st, out, err) < 0)
        return -1;
    if (!makes || out->first.code != ERR_NOT_FOUND)
        return 0;
    if (storage_make_wait(st, &cause) < 0) {
        IGNORE(error_wrap(&cause, "create bucket %s", storage_url(st))); /* it is the finding */
        out->first = cause;
        return 0;
    }
    if (probe_once_wait(st, out, err) < 0)
        return -1;
    out->has_made = true;
    return 0;
}

/* ---- in one word ---- */

static bool says(const struct error *err, const char *part)
{
    return strstr(err->text, part) != NULL;
}

static const char *access_reason(const struct storage_probe_report *r)
{
    if (says(&r->first, "RequestTimeTooSkewed") || says(&r->first, "RequestExpired"))
        return "ClockSkew";
    if (says(&r->first, "certificate") || says(&r->first, "SSL"))
        return "TLSError";
    /* Steps that were not made for the want of others are no permissions that are there. */
    if (r->first_step == STORAGE_PROBE_CREATE && r->step[STORAGE_PROBE_LIST].is_ok)
        return "ReadOnly";
    return r->first_step == STORAGE_PROBE_DELETE ? "DeleteDenied" : "AuthFailed";
}

const char *storage_probe_reason(const struct storage_probe_report *r)
{
    switch ((int)r->first.code) {
    case ERR_NONE:
        return r->is_read_only ? "ReadOnly" : "Available";
    case ERR_ACCESS:
        return access_reason(r);
    case ERR_NOT_FOUND:
        return "BucketMissing";
    case ERR_EXISTS:
        return "BucketNameTaken";
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return "Unreachable";
    default:
        return "Failed";
    }
}
