/*
 * One request at a time:
 *
 *   LOOK    list the numbers --none--> CREATE 1
 *             | some
 *           READ the newest --ours--> CREATE newest + 1
 *             | another's, alive --> wait, LOOK again
 *             | another's, dead  --> CREATE newest + 1
 *   CREATE  --created--> held; delete what is older; renew later: CREATE number + 1
 *           --taken----> LOOK
 *
 * A holder that slept could create a number that was used and deleted in the meantime. So it creates
 * the next one only while its lease cannot have been taken over (BUCKET_LEASE_NS since it asked for
 * the last one, by the clock that goes on in sleep), both before and after the request; else it looks
 * first.
 */
#include "sidecar/engine/bucket_lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/engine/lease_record.h"

enum {
    OLDER_MAX = 16, /* older numbers deleted at a time */
};

static const uint64_t renew_ns = BUCKET_LEASE_NS / 3;
static const uint64_t wait_ns = BUCKET_LEASE_NS / 6; /* between two looks at another's */
static const uint64_t retry_ns = 2 * NS_PER_SEC;

struct bucket_lease {
    struct bucket_lease_args args;
    const struct env *env;
    struct loop_timer timer;
    struct storage_op *op;
    uint64_t number;       /* ours, the newest; 0: none */
    uint64_t held_boot_ns; /* when it was asked for */
    uint64_t asked_boot_ns;
    bool was_held;   /* as on_change was told last */
    bool has_failed; /* and so was on_fault, since then */
    bool is_ending;
    bool is_given_up;
    void (*done)(void *arg);
    void *done_arg;

    /* What LOOK found. */
    uint64_t newest;
    uint64_t older[OLDER_MAX]; /* these go, ours of the past among them */
    size_t older_count;
    char names[OLDER_MAX][LEASE_KEY_BYTES]; /* of a delete under way, and the table of them */
    const char *keys[OLDER_MAX];
    uint64_t seen_number; /* another's, and since when it is the newest. Monotonic */
    uint64_t seen_since_ns;
    char holder[LEASE_HOLDER_BYTES + 32];
    struct buf reply;
    struct blob body;
};

static void look(struct bucket_lease *l);
static void create(struct bucket_lease *l, uint64_t number);

static void lease_free(struct bucket_lease *l)
{
    void (*done)(void *arg) = l->done;
    void *arg = l->done_arg;

    loop_timer_stop(&l->timer);
    blob_destroy(&l->body);
    buf_destroy(&l->reply);
    free(l);
    done(arg);
}

bool bucket_lease_is_held(const struct bucket_lease *l)
{
    return l->number > 0 && !l->is_ending &&
           env_boot_ns(l->env) - l->held_boot_ns < BUCKET_LEASE_NS;
}

const char *bucket_lease_holder(const struct bucket_lease *l)
{
    return l->holder;
}

static void tell(struct bucket_lease *l)
{
    bool is_held = bucket_lease_is_held(l);

    if (is_held == l->was_held && !(is_held ? l->has_failed : l->holder[0]))
        return;
    l->was_held = is_held;
    l->has_failed = false;
    l->args.on_change(l->args.arg);
}

/* ---- the end ---- */

static void deleted_on_done(void *arg, const struct storage_result *result UNUSED)
{
    struct bucket_lease *l = arg;
    l->op = NULL;
    lease_free(l); /* if it is still there, the next writer waits for it to expire */
}

static int older_delete_start(struct bucket_lease *l, storage_done_fn *done)
{
    const struct storage_delete args = {.keys = l->keys, .key_count = l->older_count};
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < l->older_count; i++)
        l->keys[i] = lease_key_format(l->older[i], l->names[i]);
    return storage_delete_start(l->args.storage, &args, done, l, &l->op, &err);
}

/* More than OLDER_MAX: the next LOOK finds them. */
static void older_add(struct bucket_lease *l, uint64_t number)
{
    size_t i = 0;

    while (i < l->older_count && l->older[i] != number)
        i++;
    if (number && i == l->older_count && i < OLDER_MAX)
        l->older[l->older_count++] = number;
}

/* Ours goes, with those before it: the next writer would wait for whichever is left. */
static void end(struct bucket_lease *l)
{
    if (l->older_count == OLDER_MAX)
        l->older_count--; /* ours first */
    older_add(l, l->number);
    if (!l->is_given_up || l->number == 0 || older_delete_start(l, deleted_on_done) < 0)
        lease_free(l);
}

static void end_on_timer(void *arg)
{
    end(arg);
}

void bucket_lease_end(struct bucket_lease *l, bool is_given_up, void (*done)(void *arg), void *arg)
{
    ASSERT(!l->is_ending);
    l->is_given_up = is_given_up && bucket_lease_is_held(l);
    l->is_ending = true;
    l->done = done;
    l->done_arg = arg;
    loop_timer_stop(&l->timer);
    if (l->op) {
        storage_cancel(l->op); /* its done goes on */
        return;
    }
    loop_timer_init(&l->timer, l->args.loop, end_on_timer, l);
    loop_timer_start(&l->timer, 0);
}

/* For the done() of each request: false if the lease ends, or the request failed. */
static bool goes_on(struct bucket_lease *l, const struct error *err)
{
    l->op = NULL;
    if (l->is_ending) {
        end(l);
        return false;
    }
    if (err->code == ERR_NONE)
        return true;
    tell(l); /* it may have run out meanwhile */
    l->has_failed = true;
    l->args.on_fault(l->args.arg, err);
    loop_timer_start(&l->timer, retry_ns);
    return false;
}

static void begin_failed(struct bucket_lease *l, const struct error *err)
{
    l->args.on_fault(l->args.arg, err);
    loop_timer_start(&l->timer, retry_ns);
}

/* ---- held ---- */

static void cleaned_on_done(void *arg, const struct storage_result *result)
{
    struct bucket_lease *l = arg;
    const struct error none =
        ERROR_INIT; /* what could not be deleted is tried again with the next */

    if (result->err->code == ERR_NONE)
        l->older_count = 0;
    if (goes_on(l, &none))
        loop_timer_start(&l->timer, renew_ns);
}

/* What is older than ours goes. */
static void clean(struct bucket_lease *l)
{
    if (l->older_count == 0 || older_delete_start(l, cleaned_on_done) < 0)
        loop_timer_start(&l->timer, renew_ns);
}

static void take(struct bucket_lease *l, uint64_t number)
{
    older_add(l, l->number);
    l->number = number;
    l->held_boot_ns = l->asked_boot_ns;
    l->holder[0] = '\0';
    tell(l);
    clean(l);
}

static void created_on_done(void *arg, const struct storage_result *result)
{
    struct bucket_lease *l = arg;
    bool was_quick = env_boot_ns(l->env) - l->asked_boot_ns < BUCKET_LEASE_NS;
    struct error err = *result->err;
    bool is_taken = err.code == ERR_EXISTS;

    blob_destroy(&l->body);
    if (is_taken)
        error_clear(&err);
    if (!goes_on(l, &err))
        return;
    if (is_taken || !was_quick)
        look(l); /* perhaps it is ours: an answer that was lost */
    else
        take(l, l->newest);
}

static int record_make(struct bucket_lease *l, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(LEASE_RECORD_BYTES_MAX);
    struct lease_record record = {
        .owner = l->args.owner,
        .expires_ms = (env_wall_ns(l->env) + BUCKET_LEASE_NS) / NS_PER_MS,
    };

    if (gethostname(record.holder, sizeof(record.holder)) < 0)
        record.holder[0] = '\0'; /* for people only */
    record.holder[sizeof(record.holder) - 1] = '\0';
    if (lease_record_write(&record, &text, err) < 0)
        return -1;
    return blob_of_slice(l->env, buf_slice(&text), &l->body, err);
}

static void create(struct bucket_lease *l, uint64_t number)
{
    char key[LEASE_KEY_BYTES];
    struct error err = ERROR_INIT;
    const struct storage_put put = {
        .key = lease_key_format(number, key),
        .body = &l->body,
        .mode = STORAGE_PUT_CREATE,
        .timestamp_ns = env_wall_ns(l->env),
        .deadline_ns = BUCKET_LEASE_NS / 2,
    };

    l->newest = number;
    l->asked_boot_ns = env_boot_ns(l->env);
    if (record_make(l, &err) < 0 ||
        storage_put_start(l->args.storage, &put, created_on_done, l, &l->op, &err) < 0) {
        blob_destroy(&l->body);
        begin_failed(l, &err);
    }
}

/* ---- LOOK, READ ---- */

static int reply_collect(void *arg, struct slice chunk, struct error *err)
{
    struct bucket_lease *l = arg;
    return buf_append_slice(&l->reply, chunk, err);
}

/* The newest is another's: has it died? */
static bool is_dead(struct bucket_lease *l, const struct lease_record *record)
{
    uint64_t now_ns = env_monotonic_ns(l->env);
    uint64_t now_ms = env_wall_ns(l->env) / NS_PER_MS;

    if (l->seen_number != l->newest) {
        l->seen_number = l->newest;
        l->seen_since_ns = now_ns;
    }
    return now_ns - l->seen_since_ns >= BUCKET_LEASE_NS ||
           (record && record->expires_ms < now_ms &&
            now_ms - record->expires_ms > BUCKET_LEASE_NS / NS_PER_MS);
}

static void read_on_done(void *arg, const struct storage_result *result)
{
    struct bucket_lease *l = arg;
    struct lease_record record = {.owner = 0};
    struct error err = *result->err;
    bool is_gone = err.code == ERR_NOT_FOUND; /* renewed or given up just now */

    if (is_gone)
        error_clear(&err);
    if (!goes_on(l, &err))
        return;
    if (is_gone) {
        loop_timer_start(&l->timer, retry_ns);
        return;
    }
    bool is_sound = lease_record_parse(buf_slice(&l->reply), &record, &err) == 0;
    if (is_sound && record.owner == l->args.owner) {
        /* Nobody took it over; but how long it still holds is not known (a lost answer, a store that
         * was away): the next number begins anew. */
        older_add(l, l->newest);
        create(l, l->newest + 1);
        return;
    }
    l->number = 0;
    if (is_dead(l, is_sound ? &record : NULL)) {
        older_add(l, l->newest);
        create(l, l->newest + 1);
        return;
    }
    (void)snprintf(l->holder, sizeof(l->holder), "held by %s (%08" PRIx32 ")",
                   is_sound && record.holder[0] ? record.holder : "another writer", record.owner);
    tell(l);
    loop_timer_start(&l->timer, wait_ns);
}

static int number_collect(void *arg, const struct storage_object *object, struct error *err UNUSED)
{
    struct bucket_lease *l = arg;
    uint64_t number;

    if (!lease_key_parse(object->key, &number))
        return 0;
    older_add(l, l->newest); /* ascending order: what was the newest so far is not */
    l->newest = number;
    return 0;
}

static void listed_on_done(void *arg, const struct storage_result *result)
{
    struct bucket_lease *l = arg;
    struct error err = ERROR_INIT;
    char key[LEASE_KEY_BYTES];

    if (!goes_on(l, result->err))
        return;
    if (l->newest == 0) {
        create(l, 1);
        return;
    }
    const struct storage_get get = {.key = lease_key_format(l->newest, key),
                                    .on_data = reply_collect};
    buf_clear(&l->reply);
    if (storage_get_start(l->args.storage, &get, read_on_done, l, &l->op, &err) < 0)
        begin_failed(l, &err);
}

static void look(struct bucket_lease *l)
{
    struct error err = ERROR_INIT;
    const struct storage_list list = {.prefix = LEASE_PREFIX, .on_object = number_collect};

    l->newest = 0;
    l->older_count = 0;
    if (storage_list_start(l->args.storage, &list, listed_on_done, l, &l->op, &err) < 0)
        begin_failed(l, &err);
}

static void lease_go(void *arg)
{
    struct bucket_lease *l = arg;

    if (bucket_lease_is_held(l)) {
        create(l, l->number + 1);
        return;
    }
    tell(l);
    look(l);
}

int bucket_lease_new(const struct bucket_lease_args *args, struct bucket_lease **out,
                     struct error *err)
{
    struct bucket_lease *l = mem_new(1, sizeof(*l), err);

    if (!l)
        return -1;
    l->args = *args;
    l->env = loop_env(args->loop);
    l->reply = (struct buf)BUF_INIT(LEASE_RECORD_BYTES_MAX);
    l->body = (struct blob)BLOB_INIT;
    loop_timer_init(&l->timer, args->loop, lease_go, l);
    loop_timer_start(&l->timer, 0);
    *out = l;
    return 0;
}
