/*
 * The first object of a destination: every page, sent while it is encoded.
 *
 * Staging it in a file beside the database costs more than anything else that a first copy does: the
 * bytes are written, read twice and thrown away. A store that takes objects in parts
 * (lib/storage/upload.h) gets them from memory instead:
 *
 *   1. The state is pinned (follow.h). No pin, no such store, a small database: the object is encoded
 *      as any other (encode.c).
 *   2. Steps of a task encode one part after the other, with the next map beside it. After the first
 *      step the header is known, and the upload is begun. The first part stays here: its header gets
 *      the database checksum, which is known last. The others go to the store, COPY_SLOTS at a time,
 *      each from its own memory, which the encoding then uses again. While all are on their way the
 *      encoding waits, and so does the log.
 *   3. The *way back*: when the log has grown by log_bytes_max meanwhile, or all the waiting by
 *      wait_ns_max, the rest is encoded without a pause into a temporary file, and sent from there.
 *   4. With the last page the pin goes. What is left is sent, the first part at the end. Until now
 *      nothing is to be seen in the bucket. The next map is published: it proves whose object it is.
 *   5. chain->out has the upload instead of a blob, and ship.c completes it, which is what creates
 *      the object.
 *
 * A part that is not accepted is sent again and again, from the same memory: the store may be away
 * for hours (step 3). An upload that is gone, and whatever fails on this side, ends the copy: all of
 * it begins anew, with another object, which is safe because this one can never appear.
 *
 * Memory: COPY_SLOTS + 2 parts. Once an object of this attachment was accepted none is sent in this
 * way: what could not be shipped must be there as a blob when we are fenced.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/page_codec.h"
#include "lib/ltx/writer.h"
#include "lib/sqlite/db_header.h"
#include "lib/storage/upload.h"
#include "sidecar/engine/engine_internal.h"

enum {
    COPY_SLOTS = 2,           /* parts on their way */
    COPY_PARTS_MIN = 2,       /* smaller ones are encoded at once */
    COPY_RUN_BYTES = 1 << 17, /* read from the database at a time */
    COPY_ENTRIES_MAX = 1024,  /* of the next map, written at a time */
    COPY_SLACK_BYTES = 1 << 18,
    COPY_INDEX_ENTRY_BYTES_MAX = 20,
};

static_assert(COPY_RUN_BYTES / DB_PAGE_BYTES_MIN <= COPY_ENTRIES_MAX, "a run's entries fit");

static const uint64_t log_bytes_max = 64 << 20;
static const uint64_t wait_ns_max = 5 * NS_PER_MIN;
static const uint64_t wait_look_ns = NS_PER_SEC;
static const uint64_t part_deadline_base_ns = 4 * NS_PER_SEC;
static const uint64_t part_bytes_per_second = 64 * 1024; /* of the slowest link that is served */

/* A part on its way. Owner: loop. */
struct copy_slot {
    struct full_copy *copy;
    struct buf memory;
    struct blob blob; /* a view of memory */
    struct storage_part part;
    struct storage_op *op;
    struct loop_timer retry;
    unsigned failures;
    bool is_busy;
};

struct full_copy {
    struct chain *c;
    uint64_t part_bytes;
    uint64_t started_ns; /* monotonic */
    bool is_ending;      /* loop: it came to an end, but for what is under way */
    bool is_ours;        /* loop: the end is a fault of the database's side */
    struct error err;    /* loop: why */

    /* The encoding. Owner: task. */
    bool is_open;
    bool is_spilling; /* step 3; set by the loop when no task runs */
    bool is_encoded;
    bool has_first;
    struct log_end end;
    struct ltx_header header;
    struct blob_writer file;
    struct ltx_writer writer;
    struct page_map next;
    uint8_t *pages;
    struct map_entry *entries; /* of the next map, not yet in it */
    size_t entry_count;
    uint32_t run_pages;
    uint32_t next_pgno;
    uint64_t db_checksum;
    uint64_t file_checksum;
    struct buf made; /* a part, or memory for the next one */
    struct error step_err;

    /* The sending. Owner: loop, but for the header of `first`. */
    struct storage_upload *upload;
    struct storage_op *begin_op;
    bool is_begun;
    struct buf first;
    bool is_first_sent;
    struct blob rest;
    uint64_t rest_sent;
    unsigned part_count; /* numbers given so far */
    struct copy_slot slot[COPY_SLOTS];
    uint64_t commits_total; /* of the database, at the state that is copied */
    uint64_t bytes;
    struct loop_timer wait_timer;
    uint64_t wait_since_ns; /* monotonic; 0: the encoding does not wait */
    uint64_t waited_ns;
};

/* ---- life ---- */

static void copy_free(struct full_copy *copy)
{
    if (!copy)
        return;
    for (size_t i = 0; i < COPY_SLOTS; i++) {
        loop_timer_stop(&copy->slot[i].retry);
        buf_destroy(&copy->slot[i].memory);
    }
    loop_timer_stop(&copy->wait_timer);
    ltx_writer_close(&copy->writer);
    blob_writer_destroy(&copy->file);
    page_map_close(&copy->next);
    free(copy->pages);
    free(copy->entries);
    buf_destroy(&copy->made);
    buf_destroy(&copy->first);
    blob_destroy(&copy->rest);
    storage_upload_free(copy->upload);
    free(copy);
}

static bool has_requests(const struct full_copy *copy)
{
    bool has = copy->begin_op;

    for (size_t i = 0; i < COPY_SLOTS; i++)
        has = has || copy->slot[i].op;
    return has;
}

bool full_copy_is_busy(const struct chain *c)
{
    return task_is_pending(&c->copy_task) || (c->copy && has_requests(c->copy));
}

/* The end of one that came to nothing, once nothing of it is under way. */
static void end_if_idle(struct chain *c)
{
    struct full_copy *copy = c->copy;

    if (!copy || !copy->is_ending || full_copy_is_busy(c))
        return;
    struct error err = copy->err;
    bool is_ours = copy->is_ours;
    c->copy = NULL;
    copy_free(copy);
    if (c->db->pin_holder == c)
        task_queue_push(&c->db->queue, &c->unpin_task);
    if (c->state == CHAIN_FOLLOWING && err.code != ERR_CANCELED)
        ship_copy_failed(c, &err, is_ours);
    engine_check_waits(c->db->engine);
}

static void copy_end(struct full_copy *copy, const struct error *err, bool is_ours)
{
    struct chain *c = copy->c;

    if (!copy->is_ending) {
        copy->is_ending = true;
        copy->is_ours = is_ours;
        copy->err = *err;
        loop_timer_stop(&copy->wait_timer);
        if (copy->begin_op)
            storage_cancel(copy->begin_op);
        for (size_t i = 0; i < COPY_SLOTS; i++) {
            loop_timer_stop(&copy->slot[i].retry);
            if (copy->slot[i].op)
                storage_cancel(copy->slot[i].op);
        }
    }
    end_if_idle(c);
}

void full_copy_stop(struct chain *c)
{
    struct error err = ERROR_INIT;

    if (!c->copy)
        return;
    (void)error_set(&err, ERR_CANCELED, 0, "stopped"); /* becomes the outcome */
    copy_end(c->copy, &err, false);
}

void full_copy_destroy(struct chain *c)
{
    copy_free(TAKE(c->copy));
}

/* ---- step 2: the task ---- */

bool full_copy_is_possible(const struct chain *c, const struct log_end *end)
{
    const struct storage_caps *caps = storage_caps(c->storage);
    uint64_t page_bytes =
        page_block_bytes_max(end->page_size) + LTX_FRAME_HEADER_BYTES + COPY_INDEX_ENTRY_BYTES_MAX;
    uint64_t bytes_max = page_bytes * end->page_count + COPY_SLACK_BYTES;

    return caps->part_bytes > 0 && caps->can_create && !c->has_accepted && !c->must_stage &&
           !c->is_pin_wanted &&
           (uint64_t)end->page_count * end->page_size > COPY_PARTS_MIN * caps->part_bytes &&
           bytes_max / caps->part_bytes + 1 < caps->parts_max;
}

/* Step 1, the database's side. */
static int copy_open(struct full_copy *copy, struct error *err)
{
    struct chain *c = copy->c;
    struct database *db = c->db;
    const struct env *env = db->engine->env;

    if (encode_advance(c, err) < 0)
        return -1;
    if (follower_end(db->follower)->page_count == 0)
        return error_set(err, ERR_WRONG_STATE, 0, "%s: the database has no pages yet", db->path);
    ASSERT(!c->has_pin);
    if (follower_pin(db->follower, &copy->end, err) < 0)
        return -1;
    c->has_pin = true;
    page_set_clear(&c->dirty); /* all of it comes now; chain->needs_all stays until it is there */
    c->needs_difference = false;
    copy->header = encode_header_of_l0(c, &copy->end);
    copy->run_pages = COPY_RUN_BYTES / copy->end.page_size;
    copy->pages = mem_new(copy->run_pages, copy->end.page_size, err);
    copy->entries = copy->pages ? mem_new(COPY_ENTRIES_MAX, sizeof(*copy->entries), err) : NULL;
    if (!copy->entries ||
        page_map_create(env, c->next_map_path, db->path, copy->end.page_size, &copy->next, err) < 0)
        return -1;
    copy->next_pgno = 1;
    copy->db_checksum = LTX_CHECKSUM_FLAG;
    blob_writer_init(&copy->file, env, db->work_folder, copy->part_bytes + COPY_SLACK_BYTES);
    const struct ltx_writer_args args = {.header = copy->header, .out = &copy->file};
    /* All the memory of a part at once: one that grows leaves its smaller selves behind in the heap. */
    if (blob_writer_cut(&copy->file, 0, &copy->made, err) < 0)
        return -1;
    copy->is_open = true;
    return ltx_writer_open(&copy->writer, &args, err);
}

/* The application's disk space goes first: the log, which is held back, and in step 3 the file. */
static int space_check(const struct full_copy *copy, struct error *err)
{
    const struct database *db = copy->c->db;
    uint64_t wanted = copy->is_spilling ? (uint64_t)LEVEL_STEP_PAGES * copy->end.page_size : 0;
    uint64_t free_bytes;
    uint64_t total;

    if (env_free_bytes(db->engine->env, db->path, &free_bytes, &total, err) < 0)
        return -1;
    if (free_bytes >= db->opt.reserve_bytes && free_bytes - db->opt.reserve_bytes >= wanted)
        return 0;
    (void)error_set(err, ERR_NO_SPACE, 0,
                    "disk space near %s is down to the reserve of %" PRIu64
                    " bytes, and the log grows while the store is slow: the first copy is put off",
                    db->path, db->opt.reserve_bytes);
    return error_hint(err, "free disk space, or set meta-path to a folder on a larger disk");
}

static int entries_write(struct full_copy *copy, struct error *err)
{
    size_t n = copy->entry_count;

    copy->entry_count = 0;
    return page_map_write(&copy->next, copy->entries, n, err);
}

/* The next pages. */
static int run_encode(struct full_copy *copy, struct error *err)
{
    uint32_t left = copy->end.page_count - copy->next_pgno + 1;
    uint32_t count = left < copy->run_pages ? left : copy->run_pages;
    uint32_t lock_pgno = db_lock_pgno(copy->end.page_size);

    if (copy->entry_count + count > COPY_ENTRIES_MAX && entries_write(copy, err) < 0)
        return -1;
    if (follower_run_read_pinned(copy->c->db->follower, copy->next_pgno, count, copy->pages, err) <
        0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pgno = copy->next_pgno + i;
        struct slice page =
            slice_of(copy->pages + (size_t)i * copy->end.page_size, copy->end.page_size);
        if (pgno == lock_pgno)
            continue;
        uint64_t page_crc = crc64(0, page);
        uint64_t checksum = ltx_page_checksum_of_crc(pgno, page_crc, &copy->writer.page_length);
        copy->db_checksum = ltx_db_checksum_toggle(copy->db_checksum, checksum);
        copy->entries[copy->entry_count++] = (struct map_entry){.pgno = pgno, .checksum = checksum};
        if (ltx_writer_page_summed(&copy->writer, pgno, page, page_crc, err) < 0)
            return -1;
    }
    copy->next_pgno += count;
    return 0;
}

static struct map_state state_of(const struct full_copy *copy)
{
    const struct chain *c = copy->c;

    return (struct map_state){
        .page_size = copy->end.page_size,
        .page_count = copy->end.page_count,
        .txid = copy->header.max_txid,
        .file_checksum = copy->file_checksum,
        .db_checksum = copy->db_checksum,
        .epoch = c->epoch,
        .owner = c->owner,
        .end = copy->end,
        .file_id = c->db->file_id,
    };
}

/* Step 4: index, trailer, and at last the header. */
static int copy_finish(struct full_copy *copy, struct error *err)
{
    struct ltx_trailer trailer;
    int rc = copy->has_first ? ltx_writer_amend_db_checksum(&copy->writer, copy->db_checksum,
                                                            copy->first.p, err)
                             : ltx_writer_set_db_checksum(&copy->writer, copy->db_checksum, err);

    if (rc < 0 || entries_write(copy, err) < 0)
        return -1;
    copy->header = copy->writer.header;
    if (ltx_writer_finish(&copy->writer, 0, &trailer, err) < 0)
        return -1;
    copy->bytes = blob_writer_bytes(&copy->file);
    copy->file_checksum = trailer.file_checksum;
    struct map_state state = state_of(copy);
    if (blob_writer_finish(&copy->file, &copy->rest, err) < 0 ||
        page_map_publish(&copy->next, &state, err) < 0)
        return -1;
    copy->is_encoded = true;
    return 0;
}

static int copy_step(struct full_copy *copy, struct task *task, struct error *err)
{
    if (!copy->is_open && copy_open(copy, err) < 0)
        return -1;
    if (space_check(copy, err) < 0)
        return -1;
    uint32_t stop_pgno = copy->next_pgno + LEVEL_STEP_PAGES;
    while (copy->next_pgno <= copy->end.page_count &&
           (copy->is_spilling ? copy->next_pgno < stop_pgno
                              : blob_writer_memory_bytes(&copy->file) < copy->part_bytes)) {
        if (task_is_canceled(task))
            return error_set(err, ERR_CANCELED, 0, "stopped");
        if (run_encode(copy, err) < 0)
            return -1;
    }
    if (!copy->is_spilling && blob_writer_memory_bytes(&copy->file) >= copy->part_bytes) {
        copy->has_first = true;
        return blob_writer_cut(&copy->file, (size_t)copy->part_bytes, &copy->made, err);
    }
    return copy->next_pgno > copy->end.page_count ? copy_finish(copy, err) : 0;
}

static void copy_work(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, copy_task);
    struct full_copy *copy = c->copy;

    error_clear(&copy->step_err);
    if (!c->db->follower || c->db->is_released || (copy->is_open && !c->has_pin))
        (void)error_set(&copy->step_err, ERR_CANCELED, 0, "the database is not followed now");
    else
        IGNORE(copy_step(copy, task, &copy->step_err)); /* done() looks at it */
}

/* ---- steps 2 to 4: the loop ---- */

static void go_on(struct full_copy *copy);

static struct copy_slot *free_slot(struct full_copy *copy)
{
    for (size_t i = 0; i < COPY_SLOTS; i++) {
        if (!copy->slot[i].is_busy)
            return &copy->slot[i];
    }
    return NULL;
}

static void slot_start(void *arg);

static void slot_on_done(void *arg, const struct storage_result *result)
{
    struct copy_slot *s = arg;
    struct full_copy *copy = s->copy;
    struct chain *c = copy->c;

    s->op = NULL;
    if (copy->is_ending) {
        end_if_idle(c);
        return;
    }
    if (result->err->code == ERR_NONE) {
        s->failures = 0;
        s->is_busy = false;
        go_on(copy);
        return;
    }
    if (result->err->code == ERR_NOT_FOUND || result->err->code == ERR_UNSUPPORTED) {
        copy_end(copy, result->err, false);
        return;
    }
    fault_note(c->db->engine, &c->fault, "part of the first copy not accepted", c->db->path,
               c->name, result->err);
    s->failures++;
    loop_timer_start(&s->retry, ship_backoff_ns(c->db->engine, s->failures));
    engine_check_waits(c->db->engine);
}

static void slot_start(void *arg)
{
    struct copy_slot *s = arg;
    struct full_copy *copy = s->copy;
    struct error err = ERROR_INIT;

    if (!copy->is_begun)
        return; /* begin_on_done() comes back to it */
    s->part.deadline_ns =
        part_deadline_base_ns + s->part.bytes / part_bytes_per_second * NS_PER_SEC;
    if (storage_upload_part_start(copy->upload, &s->part, slot_on_done, s, &s->op, &err) < 0) {
        s->op = NULL;
        copy_end(copy, &err, false);
    }
}

/* Sends what blob has from offset on, as the part of that number. */
static void slot_send(struct copy_slot *s, unsigned number, struct blob *blob, uint64_t offset)
{
    uint64_t left = blob->bytes - offset;
    uint64_t part_bytes = s->copy->part_bytes;

    s->is_busy = true;
    s->part = (struct storage_part){.number = number,
                                    .blob = blob,
                                    .offset = offset,
                                    .bytes = left < part_bytes ? left : part_bytes};
    slot_start(s);
}

/* Takes a part's memory over and sends it from there; *memory gets what the slot had before: buffers
 * that are made anew again and again leave holes in the heap. */
static void slot_send_memory(struct copy_slot *s, unsigned number, struct buf *memory)
{
    struct buf before = s->memory;

    s->memory = *memory;
    *memory = before;
    buf_clear(memory);
    s->blob = (struct blob){
        .env = s->copy->c->db->engine->env, .p = s->memory.p, .fd = -1, .bytes = s->memory.n};
    slot_send(s, number, &s->blob, 0);
}

/* The log that came since the state was pinned. */
static uint64_t log_growth(const struct full_copy *copy)
{
    const struct log_end *now = &copy->c->db->end_seen;
    bool is_same =
        memcmp(now->salt, copy->end.salt, sizeof(now->salt)) == 0 && now->frame >= copy->end.frame;

    return (uint64_t)(is_same ? now->frame - copy->end.frame : now->frame) * now->page_size;
}

/* Step 3, asked while the encoding waits. */
static void wait_on_timer(void *arg)
{
    struct full_copy *copy = arg;
    uint64_t now = env_monotonic_ns(copy->c->db->engine->env);

    copy->waited_ns += now - copy->wait_since_ns;
    copy->wait_since_ns = now;
    copy->is_spilling =
        copy->is_open && (log_growth(copy) > log_bytes_max || copy->waited_ns > wait_ns_max);
    go_on(copy);
}

static void wait_begin(struct full_copy *copy)
{
    if (!copy->wait_since_ns)
        copy->wait_since_ns = env_monotonic_ns(copy->c->db->engine->env);
    if (!loop_timer_is_armed(&copy->wait_timer))
        loop_timer_start(&copy->wait_timer, wait_look_ns);
}

static void wait_end(struct full_copy *copy)
{
    loop_timer_stop(&copy->wait_timer);
    if (copy->wait_since_ns)
        copy->waited_ns += env_monotonic_ns(copy->c->db->engine->env) - copy->wait_since_ns;
    copy->wait_since_ns = 0;
}

/* The next step of the encoding, if there is a place for what it makes. */
static void encoding_go_on(struct full_copy *copy)
{
    struct copy_slot *s = free_slot(copy);

    if (!s && !copy->is_spilling) {
        wait_begin(copy);
        return;
    }
    wait_end(copy);
    if (s && !copy->made.p)
        copy->made = buf_take(&s->memory);
    buf_clear(&copy->made);
    task_queue_push(&copy->c->db->queue, &copy->c->copy_task);
}

/* Everything is at the store but the end: step 5. */
static void copy_done(struct full_copy *copy)
{
    struct chain *c = copy->c;
    struct outgoing *out = &c->out;

    out->has_every_page = true;
    out->header = copy->header;
    out->file_checksum = copy->file_checksum;
    out->end = copy->end;
    out->db_checksum = copy->db_checksum;
    out->commits_total = copy->commits_total;
    out->bytes = copy->bytes;
    out->page_count = copy->end.page_count;
    out->put_started_ns = copy->started_ns;
    out->upload = TAKE(copy->upload);
    out->is_full = true;
    c->copy = NULL;
    copy_free(copy);
    ship_start(c);
}

/* Step 4: what is left. */
static void rest_go_on(struct full_copy *copy)
{
    struct copy_slot *s;

    while (copy->rest_sent < copy->rest.bytes && (s = free_slot(copy)) && !copy->is_ending) {
        uint64_t offset = copy->rest_sent;
        uint64_t left = copy->rest.bytes - offset;
        copy->rest_sent += left < copy->part_bytes ? left : copy->part_bytes;
        slot_send(s, ++copy->part_count, &copy->rest, offset);
    }
    if (copy->is_ending || copy->rest_sent < copy->rest.bytes)
        return;
    if (copy->has_first && !copy->is_first_sent && (s = free_slot(copy))) {
        copy->is_first_sent = true;
        slot_send_memory(s, 1, &copy->first);
    }
    bool is_waiting = copy->has_first && !copy->is_first_sent;
    for (size_t i = 0; i < COPY_SLOTS; i++)
        is_waiting = is_waiting || copy->slot[i].is_busy;
    if (!is_waiting && !copy->is_ending)
        copy_done(copy);
}

static void go_on(struct full_copy *copy)
{
    if (copy->is_ending || task_is_pending(&copy->c->copy_task))
        return; /* copy_step_done() comes back to it */
    if (!copy->is_encoded)
        encoding_go_on(copy);
    else if (copy->is_begun)
        rest_go_on(copy);
}

/* ---- steps 1 and 2: the loop ---- */

static void begin_on_done(void *arg, const struct storage_result *result)
{
    struct full_copy *copy = arg;
    struct chain *c = copy->c;

    copy->begin_op = NULL;
    if (copy->is_ending) {
        end_if_idle(c);
        return;
    }
    if (result->err->code != ERR_NONE) {
        c->must_stage = result->err->code == ERR_UNSUPPORTED;
        copy_end(copy, result->err, false);
        return;
    }
    copy->is_begun = true;
    for (size_t i = 0; i < COPY_SLOTS && c->copy == copy && !copy->is_ending; i++) {
        if (copy->slot[i].is_busy)
            slot_start(&copy->slot[i]);
    }
    if (c->copy == copy)
        go_on(copy);
}

static int copy_begin(struct full_copy *copy, struct error *err)
{
    struct chain *c = copy->c;
    char key[STORAGE_KEY_BYTES_MAX];
    const struct object_name name = {.level = LTX_LEVEL_RAW,
                                     .min_txid = copy->header.min_txid,
                                     .max_txid = copy->header.max_txid};
    const struct storage_upload_args args = {
        .key = object_name_format(storage_caps(c->storage)->layout, &name, key),
        .timestamp_ns = ltx_header_time_ns(&copy->header),
        .deadline_ns = part_deadline_base_ns,
    };

    return storage_upload_begin_start(c->storage, &args, begin_on_done, copy, &copy->upload,
                                      &copy->begin_op, err);
}

/* A step has ended: what it made is sent. */
static void copy_step_done(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, copy_task);
    struct full_copy *copy = c->copy;

    database_refresh(c->db);
    if (copy->is_ending) {
        end_if_idle(c);
        return;
    }
    if (copy->step_err.code != ERR_NONE) {
        struct error err = copy->step_err;
        copy_end(copy, &err, true);
        return;
    }
    if (!copy->upload) {
        struct error err = ERROR_INIT;
        copy->commits_total = c->db->commits_total;
        if (copy_begin(copy, &err) < 0) {
            copy_end(copy, &err, false);
            return;
        }
    }
    if (copy->is_encoded && c->db->pin_holder == c)
        task_queue_push(&c->db->queue, &c->unpin_task);
    if (copy->made.n > 0) {
        if (++copy->part_count == 1)
            copy->first = buf_take(&copy->made);
        else
            slot_send_memory(free_slot(copy), copy->part_count, &copy->made);
    }
    if (c->copy == copy)
        go_on(copy);
}

bool full_copy_start(struct chain *c)
{
    struct error err = ERROR_INIT;
    struct loop *loop = c->db->engine->loop;
    struct full_copy *copy = c->db->pin_holder ? NULL : mem_new(1, sizeof(*copy), &err);

    if (!copy)
        return false;
    copy->c = c;
    copy->part_bytes = storage_caps(c->storage)->part_bytes;
    copy->started_ns = env_monotonic_ns(c->db->engine->env);
    copy->file.fd = -1;
    copy->next.fd = -1;
    copy->rest.fd = -1;
    loop_timer_init(&copy->wait_timer, loop, wait_on_timer, copy);
    for (size_t i = 0; i < COPY_SLOTS; i++) {
        copy->slot[i].copy = copy;
        loop_timer_init(&copy->slot[i].retry, loop, slot_start, &copy->slot[i]);
    }
    c->copy = copy;
    c->db->pin_holder = c;
    task_queue_push(&c->db->queue, &c->copy_task);
    return true;
}

void full_copy_init(struct chain *c)
{
    c->copy_task =
        (struct task){.work = copy_work, .done = copy_step_done, .urgency = TASK_BACKGROUND};
}
