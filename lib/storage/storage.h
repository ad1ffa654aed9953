/*
 * The one interface to every object store: create-if-absent, put, get range, list, delete, head.
 *
 * A `struct storage` is one destination: a driver (s3/, file/, ...) bound to a bucket and a key
 * prefix. Keys passed here are relative to that prefix ("0000/0000000000000001-...ltx"), never
 * begin with '/', never contain "..", and are printable ASCII.
 *
 * All operations are asynchronous. X_start() never calls back before it returns; done is called
 * exactly once on the loop thread, also after storage_cancel() (with ERR_CANCELED). Drivers retry
 * what is retryable (error_is_retryable) with full jitter, honouring Retry-After, until the
 * deadline; the error then tells the first and last cause and the number of tries. What done
 * receives is valid only during the call. For code that does one thing after the other see
 * storage_wait.h. Large objects can be sent while they are made: upload.h.
 *
 * What every driver promises (and storage_conformance.h tests on each):
 *   - an object appears whole or not at all, and what was acknowledged is durable
 *   - STORAGE_PUT_CREATE never replaces an object: ERR_EXISTS, if caps.can_create
 *   - list is in ascending key order, complete, and each object once
 *   - get of a range answers exactly these bytes; beyond the end it is ERR_CORRUPT
 *   - get or head of a missing object is ERR_NOT_FOUND, deleting a missing object is success
 *   - a missing bucket, refused credentials and an empty prefix are three different answers:
 *     ERR_NOT_FOUND (from list: the bucket), ERR_ACCESS, and success with no object
 *
 * Threads: all functions on the loop thread.
 */
#ifndef WALFERRY_LIB_STORAGE_STORAGE_H
#define WALFERRY_LIB_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/blob.h"
#include "lib/io/loop.h"

enum {
    STORAGE_KEY_BYTES_MAX = 512 /* of a relative key, without terminator */
};

struct storage;
struct storage_op; /* an operation under way; gone once its done was called */

/* How LTX objects are named below the prefix, see object_name.h. */
enum storage_layout {
    STORAGE_LAYOUT_HEX, /* "%04x/<min>-<max>.ltx": s3, oss */
    STORAGE_LAYOUT_LTX, /* "ltx/%d/<min>-<max>.ltx": everything else */
};

struct storage_caps {
    enum storage_layout layout;
    bool can_create;     /* create-if-absent is atomic; false: HEAD before PUT (weaker fencing) */
    bool has_timestamps; /* list answers the timestamps that put was given */
    uint64_t object_bytes_max;
    uint64_t part_bytes; /* of an object that is sent while it is made (upload.h); 0: cannot */
    unsigned parts_max;  /* of such an object */
};

/* What is known of an object. Borrowed: valid during the callback that got it. */
struct storage_object {
    const char *key; /* relative to the prefix */
    uint64_t bytes;
    uint64_t timestamp_ns; /* as given to put if has_timestamps (or from head), else modified */
};

/* The outcome of an operation. */
struct storage_result {
    const struct error *err;      /* code ERR_NONE on success; never NULL */
    struct storage_object object; /* head and get: the object (get: bytes = whole object) */
    uint64_t bytes;               /* payload moved over the wire by this operation, with retries */
    unsigned tries;               /* requests made for it, at least 1 once one was sent */
};

typedef void storage_done_fn(void *arg, const struct storage_result *result);

enum storage_put_mode {
    STORAGE_PUT_CREATE,    /* ERR_EXISTS if the key is taken */
    STORAGE_PUT_OVERWRITE, /* leases and probes only: LTX objects are created, never replaced */
};

struct storage_put {
    const char *key;
    struct blob *body; /* borrowed until done; read by retries */
    enum storage_put_mode mode;
    uint64_t timestamp_ns; /* kept beside the object (litestream-timestamp, mtime) */
    uint64_t deadline_ns;  /* for the whole operation from now on; 0: the driver's default */
};

struct storage_get {
    const char *key;
    uint64_t offset;
    uint64_t bytes; /* 0: to the end of the object */
    /*
     * Receives the bytes in order, each once, also across retries (the driver resumes at the
     * offset). Answering -1 with err filled ends the operation with that error.
     */
    int (*on_data)(void *arg, struct slice chunk, struct error *err);
    uint64_t deadline_ns; /* without progress; 0: the driver's default */
};

struct storage_list {
    const char *prefix;      /* relative; "" for everything */
    const char *start_after; /* only keys greater than this one; NULL: from the start */
    bool want_timestamps;    /* fetch timestamps even if that costs a request an object */
    /* Called for each object in ascending key order. -1 with err filled ends the operation. */
    int (*on_object)(void *arg, const struct storage_object *object, struct error *err);
};

struct storage_delete {
    const char *const *keys; /* borrowed until done */
    size_t key_count;        /* any number; drivers batch */
    /* Called once a key; err->code ERR_NONE when it is gone (or was never there). May be NULL. */
    void (*on_key)(void *arg, size_t key_idx, const struct error *err);
};

/*
 * Each starts an operation. arg goes to done and to the callbacks of args; args itself is copied,
 * what it points at (key is copied too) stays as noted above. *out_op (may be NULL) is for
 * storage_cancel(). -1 only for ERR_NO_MEMORY, a bad key (ERR_USAGE), and what would write to a
 * destination that is only read (ERR_ACCESS); done is not called then.
 */
MUST_USE int storage_put_start(struct storage *st, const struct storage_put *args,
                               storage_done_fn *done, void *arg, struct storage_op **out_op,
                               struct error *err);
MUST_USE int storage_get_start(struct storage *st, const struct storage_get *args,
                               storage_done_fn *done, void *arg, struct storage_op **out_op,
                               struct error *err);
MUST_USE int storage_list_start(struct storage *st, const struct storage_list *args,
                                storage_done_fn *done, void *arg, struct storage_op **out_op,
                                struct error *err);
/* done's error is that of the first key that failed; the others were tried all the same. */
MUST_USE int storage_delete_start(struct storage *st, const struct storage_delete *args,
                                  storage_done_fn *done, void *arg, struct storage_op **out_op,
                                  struct error *err);
MUST_USE int storage_head_start(struct storage *st, const char *key, storage_done_fn *done,
                                void *arg, struct storage_op **out_op, struct error *err);

/*
 * Makes what the destination lies in, where it is missing: the bucket, in the region that is
 * configured. Success also if it is there and ours. ERR_EXISTS: the name is somebody else's. A driver
 * that needs nothing made (folders come with their first object) succeeds at once, on a later turn
 * of the loop.
 */
MUST_USE int storage_make_start(struct storage *st, storage_done_fn *done, void *arg,
                                struct storage_op **out_op, struct error *err);

/*
 * Clears away what dead processes left below the prefix, and what costs money without being an
 * object: multipart uploads begun before older_than_ns (a moment, since 1970) that nobody finished.
 * A driver that knows no such thing succeeds at once, on a later turn of the loop. done's result
 * counts in `bytes` what was cleared away. Errors are those of a list; callers may ignore them.
 */
MUST_USE int storage_housekeep_start(struct storage *st, uint64_t older_than_ns,
                                     storage_done_fn *done, void *arg, struct storage_op **out_op,
                                     struct error *err);

/* Ends an operation soon; its done is called with ERR_CANCELED unless it was already decided. */
void storage_cancel(struct storage_op *op);

/* What the store can do. Borrowed; changes only by storage_set_can_create(). */
const struct storage_caps *storage_caps(const struct storage *st);

/* For people and logs: "s3://bucket/prefix", "file:///backups/app"; never a credential. */
const char *storage_url(const struct storage *st);

/* Short type for labels and JSON: "s3", "file". */
const char *storage_type(const struct storage *st);

/* Records what a probe found (storage_probe.h): whether create-if-absent is really refused. */
void storage_set_can_create(struct storage *st, bool can_create);

/*
 * Whether puts, deletes and making are refused with ERR_ACCESS before any request is made, and
 * housekeeping clears nothing away: the destination is somebody else's, and only restored from.
 */
void storage_set_read_only(struct storage *st, bool is_read_only);
bool storage_is_read_only(const struct storage *st);

/* Requests and bytes since the start, by operation; for metrics. */
enum storage_op_kind {
    STORAGE_OP_PUT,
    STORAGE_OP_GET,
    STORAGE_OP_LIST,
    STORAGE_OP_DELETE,
    STORAGE_OP_HEAD,
    STORAGE_OP_KINDS
};
struct storage_counters {
    struct {
        uint64_t requests, bytes, errors;
    } op[STORAGE_OP_KINDS];
};
const struct storage_counters *storage_counters(const struct storage *st);
const char *storage_op_name(enum storage_op_kind kind); /* "PUT", "GET", ... */

/* Cancels what is under way (their done runs first) and closes. Accepts NULL. */
void storage_free(struct storage *st);

#endif
