/*
 * The schedule of fetching.
 *
 *   1. Objects are begun newest first; each is made into units. At most `parallelism` units exist,
 *      so memory is bounded by that many buffers.
 *   2. A unit is fetched by one GET, all of them beside each other.
 *   3. Units claim in the order in which they were made, each as soon as all before it have: so a
 *      page always goes to the newest object that has it. Claiming looks at frame headers only.
 *   4. A job decodes the unit and writes what it claimed. Jobs run beside each other: no two have
 *      claimed the same page.
 *   5. When the last unit of an object is done, its file checksum is proven.
 *
 * Once every page is claimed (by a newer object that has all of them), older objects are abandoned.
 *
 * An object that cannot be had matters only when its turn to claim comes: by then it may have been
 * abandoned, and of several the newest is told. Then everything ends: requests and jobs are
 * canceled, and fetch_run() returns when the last of them has answered.
 */
#include "sidecar/restore/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "sidecar/restore/fetch_internal.h"

enum {
    CLAIM_BYTES_MAX = 1 << 20, /* a bit a frame: more than the longest unit can hold */
};

/* ---- units ---- */

/* One of the spare buffers, or a new one. What is too small is given back, so that there are never
 * more than units at a time. */
static int raw_take(struct fetch *f, uint64_t bytes, struct raw_buffer *out, struct error *err)
{
    struct raw_buffer raw = {.p = NULL};
    bool is_large = bytes >= f->args.unit_bytes / 2; /* will do for any unit of a large object */

    if (f->spare_count > 0)
        raw = f->spare[--f->spare_count];
    if (raw.bytes < bytes) {
        free(raw.p);
        raw.bytes = is_large && bytes < f->args.unit_bytes ? f->args.unit_bytes : bytes;
        raw.p = malloc((size_t)raw.bytes);
    }
    if (!raw.p) {
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a buffer of %llu bytes",
                         (unsigned long long)bytes);
    }
    *out = raw;
    return 0;
}

/* Small ones cost nothing to make anew, and would only be too small for the next unit. */
static void raw_give_back(struct fetch *f, struct raw_buffer *raw)
{
    if (raw->bytes >= f->args.unit_bytes / 2 && f->spare_count < ARRAY_LEN(f->spare))
        f->spare[f->spare_count++] = *raw;
    else
        free(raw->p);
    *raw = (struct raw_buffer){.p = NULL};
}

static void unit_free(struct unit *u)
{
    buf_destroy(&u->claims);
    page_run_destroy(&u->run);
    raw_give_back(u->fetch, &u->raw);
    free(u);
}

static void unit_remove(struct fetch *f, struct unit *u)
{
    size_t at = 0;

    while (f->units[at] != u)
        at++;
    if (at < f->claimed_count)
        f->claimed_count--;
    f->unit_count--;
    for (; at < f->unit_count; at++)
        f->units[at] = f->units[at + 1];
    unit_free(u);
}

static int unit_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct unit *u = arg;
    const struct fetch_args *args = &u->fetch->args;

    if (args->is_canceled && atomic_load(args->is_canceled))
        return error_set(err, ERR_CANCELED, 0, "canceled");
    if (chunk.n > u->raw_max - u->raw_n) {
        u->is_vanished = true;
        return error_set(err, ERR_CORRUPT, 0, "has more than the %llu bytes it was listed with",
                         (unsigned long long)u->object->named->bytes);
    }
    memcpy(u->raw.p + u->raw_n, chunk.p, chunk.n);
    u->raw_n += chunk.n;
    u->fetch->result.bytes += chunk.n;
    if (args->on_progress)
        args->on_progress(args->arg, u->fetch->result.bytes);
    return 0;
}

static void unit_on_done(void *arg, const struct storage_result *result)
{
    struct unit *u = arg;
    struct fetch *f = u->fetch;

    u->op = NULL;
    u->state = UNIT_FETCHED;
    u->err = *result->err;
    if (u->err.code == ERR_NONE && u->raw_n != u->raw_max) {
        u->is_vanished = true;
        (void)error_set(&u->err, ERR_CORRUPT, 0, "ends after %llu bytes, was listed with %llu",
                        (unsigned long long)(u->offset + u->raw_n),
                        (unsigned long long)u->object->named->bytes);
    }
    if (f->has_failed || u->object->is_abandoned)
        unit_remove(f, u);
    fetch_advance(f);
}

/* Makes the next unit of an object and starts its request. */
static int unit_start(struct fetch_object *o, struct error *err)
{
    struct fetch *f = o->fetch;
    struct split_range range = fetch_object_range(o, o->units_made);
    struct unit *u = mem_new(1, sizeof(*u), err);

    if (!u)
        return -1;
    u->fetch = f;
    u->object = o;
    u->idx = o->units_made;
    u->offset = range.offset;
    u->raw_max = range.bytes;
    u->claims = (struct buf)BUF_INIT(CLAIM_BYTES_MAX);
    if (raw_take(f, range.bytes, &u->raw, err) < 0) {
        unit_free(u);
        return -1;
    }
    /* A whole object is read to its end, so that one that has grown is noticed. */
    struct storage_get get = {.key = o->key,
                              .offset = range.offset,
                              .bytes = o->is_split ? range.bytes : 0,
                              .on_data = unit_on_data};
    if (storage_get_start(f->args.storage, &get, unit_on_done, u, &u->op, err) < 0) {
        unit_free(u);
        return -1;
    }
    f->units[f->unit_count++] = u;
    o->units_made++;
    return 0;
}

/* ---- claiming ---- */

/* The newest object tells the size of the database: the output begins. */
static int output_open(struct fetch_object *o, struct error *err)
{
    struct fetch *f = o->fetch;

    f->result.tip = o->header;
    if (output_begin(f->args.output, o->header.page_size, o->header.commit, err) < 0) {
        f->result.is_local = true;
        return -1;
    }
    return 0;
}

/* Claims the page of one frame. */
static int frame_claim(struct unit *u, uint32_t pgno, struct error *err)
{
    bool is_ours = false;

    if (pgno > u->object->header.commit) {
        return error_set(err, ERR_CORRUPT, 0, "page %u in a database of %u pages", pgno,
                         u->object->header.commit);
    }
    if (output_claim(u->fetch->args.output, pgno, &is_ours, err) < 0 ||
        (u->frame_count % 8 == 0 && buf_append_byte(&u->claims, 0, err) < 0))
        return -1;
    if (is_ours)
        u->claims.p[u->frame_count / 8] |= (uint8_t)(1 << u->frame_count % 8);
    u->frame_count++;
    return 0;
}

static int frames_claim(struct unit *u, struct error *err)
{
    bool is_whole = !u->object->is_split;
    size_t at = is_whole ? LTX_HEADER_BYTES : 0;
    uint32_t last = 0;

    while (at < u->raw_n) {
        struct slice rest = slice_of(u->raw.p + at, (size_t)u->raw_n - at);
        uint32_t pgno = 0;
        size_t n = 0;
        int rc = frame_peek(rest, &pgno, &n, err);
        if (rc == 0 && is_whole)
            return 0;
        if (rc == 0 || (rc > 0 && pgno <= last))
            rc = error_set(err, ERR_CORRUPT, 0, "page %u after page %u", pgno, last);
        if (rc < 0 || frame_claim(u, pgno, err) < 0)
            return error_wrap(err, "offset %llu", (unsigned long long)(u->offset + at));
        last = pgno;
        at += n;
    }
    return is_whole ? error_set(err, ERR_CORRUPT, 0, "no end of the frames before the end of file")
                    : 0;
}

/* Whether the unit is there and fits; if it is of the newest object, the output begins. */
static int unit_open(struct unit *u, struct error *err)
{
    struct fetch_object *o = u->object;
    struct output *output = u->fetch->args.output;

    if (u->err.code != ERR_NONE) {
        *err = u->err;
        u->fetch->result.is_vanished |= u->is_vanished;
        return fetch_object_give_up(o, err);
    }
    if (!o->has_header &&
        fetch_object_take_header(o, slice_of(u->raw.p, (size_t)u->raw_n), err) < 0)
        return fetch_object_error(o, err);
    if (output->page_size == 0)
        return output_open(o, err);
    if (o->header.page_size == output->page_size)
        return 0;
    (void)error_set(err, ERR_CORRUPT, 0, "page size is %u, newer objects have %u and lack pages",
                    o->header.page_size, output->page_size);
    return fetch_object_error(o, err);
}

/* Step 3 for the unit whose turn it is. */
static int unit_claim(struct unit *u, struct error *err)
{
    struct fetch_object *o = u->object;

    if (unit_open(u, err) < 0)
        return -1;
    if (frames_claim(u, err) < 0)
        return fetch_object_error(o, err);
    if (++o->units_claimed == o->unit_count)
        output_claimed_object(u->fetch->args.output, o->header.commit);
    return 0;
}

/* ---- after the job ---- */

static void object_remove(struct fetch *f, struct fetch_object *o)
{
    for (size_t i = 0; i < f->object_count; i++) {
        if (f->objects[i] != o)
            continue;
        f->objects[i] = f->objects[--f->object_count];
        break;
    }
    fetch_object_free(o);
}

/* Adds the results of a unit to its object; step 5 after the last. */
static int unit_collect(struct unit *u, struct error *err)
{
    struct fetch *f = u->fetch;
    struct fetch_object *o = u->object;

    if (u->err.code != ERR_NONE) {
        *err = u->err;
        f->result.is_local = u->is_local;
        return u->is_local ? -1 : fetch_object_error(o, err);
    }
    output_count(f->args.output, &u->run);
    if (o->is_split)
        o->parts[u->idx] = u->part;
    else if (o->plan_idx + 1 == f->args.plan->object_count)
        f->result.tip_trailer = u->trailer;
    if (++o->units_done < o->unit_count)
        return 0;
    if (fetch_object_prove(o, err) < 0)
        return -1;
    object_remove(f, o);
    return 0;
}

static void unit_on_worked(struct job *job)
{
    struct unit *u = CONTAINER_OF(job, struct unit, job);
    struct fetch *f = u->fetch;
    struct error err = ERROR_INIT;

    int rc = f->has_failed ? 0 : unit_collect(u, &err);
    unit_remove(f, u);
    if (f->args.on_progress)
        f->args.on_progress(f->args.arg, f->result.bytes);
    if (rc < 0)
        fetch_fail(f, &err);
    else
        fetch_advance(f);
}

/* ---- the schedule ---- */

/* The first unwanted unit of which nothing is under way or whose request can be ended; NULL: none.
 */
static struct unit *unit_to_end(struct fetch *f)
{
    for (size_t i = 0; i < f->unit_count; i++) {
        struct unit *u = f->units[i];
        bool is_unwanted = f->has_failed || u->object->is_abandoned;
        if (is_unwanted && (u->state == UNIT_FETCHED || u->op))
            return u;
    }
    return NULL;
}

/* Ends what is under way for units that nobody wants. */
static void units_end(struct fetch *f)
{
    struct unit *u = NULL;

    /* Canceling may call back at once, and that removes the unit: look again each time. */
    while ((u = unit_to_end(f))) {
        struct storage_op *op = TAKE(u->op);
        if (op)
            storage_cancel(op);
        else
            unit_remove(f, u);
    }
}

/* Every page is claimed: objects whose turn has not come have nothing to add. */
static void objects_abandon(struct fetch *f)
{
    f->is_full = true;
    f->object_next = 0;
    for (size_t i = 0; i < f->object_count; i++) {
        struct fetch_object *o = f->objects[i];
        o->is_abandoned = o->units_claimed == 0;
        if (o->is_abandoned && f->making == o)
            f->making = NULL;
    }
    for (size_t i = 0; i < f->object_count; i++) {
        if (f->objects[i]->is_abandoned)
            fetch_object_cancel(f->objects[i]);
    }
    units_end(f);
}

void fetch_fail(struct fetch *f, const struct error *err)
{
    if (f->has_failed)
        return;
    f->has_failed = true;
    f->err = *err;
    units_end(f);
    for (size_t i = 0; i < f->unit_count; i++) {
        if (f->units[i]->state == UNIT_WORKING)
            job_cancel(&f->units[i]->job);
    }
    for (size_t i = 0; i < f->object_count; i++)
        fetch_object_cancel(f->objects[i]);
    fetch_advance(f);
}

/* Whether no request and no job is under way. */
static bool fetch_is_quiet(const struct fetch *f)
{
    if (f->unit_count > 0)
        return false;
    for (size_t i = 0; i < f->object_count; i++) {
        if (f->objects[i]->op_count > 0)
            return false;
    }
    return true;
}

/* Steps 3 and 4: all units whose turn it is. */
static int claims_advance(struct fetch *f, struct error *err)
{
    while (f->claimed_count < f->unit_count) {
        struct unit *u = f->units[f->claimed_count];
        if (u->state != UNIT_FETCHED)
            return 0;
        if (unit_claim(u, err) < 0)
            return -1;
        u->state = UNIT_WORKING;
        f->claimed_count++;
        job_submit(f->args.loop, &u->job, unit_work, unit_on_worked);
        if (!f->is_full && output_is_full(f->args.output))
            objects_abandon(f);
    }
    return 0;
}

/* Steps 1 and 2: units while there is room. */
static int units_advance(struct fetch *f, struct error *err)
{
    while (f->unit_count < f->args.parallelism) {
        struct fetch_object *o = f->making;
        if (!o) {
            if (f->object_next == 0)
                return 0;
            o = fetch_object_begin(f, --f->object_next, err);
            if (!o)
                return -1;
        }
        if (o->state == OBJECT_BROKEN && f->claimed_count == f->unit_count) {
            *err = o->err;
            return fetch_object_give_up(o, err);
        }
        if (o->state != OBJECT_OPEN)
            return 0;
        if (unit_start(o, err) < 0)
            return -1;
        if (o->units_made == o->unit_count)
            f->making = NULL;
    }
    return 0;
}

void fetch_advance(struct fetch *f)
{
    struct error err = ERROR_INIT;

    if (!f->has_failed && f->args.is_canceled && atomic_load(f->args.is_canceled))
        (void)error_set(&err, ERR_CANCELED, 0, "canceled");
    if (!f->has_failed && err.code == ERR_NONE && claims_advance(f, &err) == 0 &&
        units_advance(f, &err) == 0)
        f->is_done = fetch_is_quiet(f); /* nothing could be begun: it is finished */
    if (err.code != ERR_NONE)
        fetch_fail(f, &err);
    else if (f->has_failed)
        f->is_done = fetch_is_quiet(f);
}

int fetch_run(const struct fetch_args *args, struct fetch_result *out, struct error *err)
{
    struct fetch *f = mem_new(1, sizeof(*f), err);

    loop_assert_owner(args->loop);
    ASSERT(args->plan->object_count > 0);
    ASSERT(args->parallelism >= 1 && args->parallelism <= RESTORE_PARALLELISM_MAX);
    ASSERT(args->unit_bytes >= LTX_FILE_BYTES_MIN);
    if (!f)
        return -1;
    f->args = *args;
    f->object_next = args->plan->object_count;
    fetch_advance(f);
    while (!f->is_done) {
        bool is_done = loop_run_until(args->loop, &f->is_done);
        ASSERT(is_done); /* requests or jobs are under way, and they answer */
    }
    for (size_t i = 0; i < f->object_count; i++)
        fetch_object_free(f->objects[i]);
    while (f->spare_count > 0)
        free(f->spare[--f->spare_count].p);
    *out = f->result;
    int rc = 0;
    if (f->has_failed) {
        *err = f->err;
        rc = -1;
    }
    free(f);
    return rc;
}
