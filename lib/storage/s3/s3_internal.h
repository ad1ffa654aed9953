/*
 * Inside the S3 driver: the store, its operations, and what files of this room share.
 *
 * An operation (struct s3_op) is one call of storage.h; it makes requests (request.h), several at a
 * time perhaps. s3_op_end() decides its outcome; `done` runs when the last request is gone. So a
 * buffer that the caller lent is never used after done.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_S3_INTERNAL_H
#define WALFERRY_LIB_STORAGE_S3_S3_INTERNAL_H

#include "lib/storage/driver.h"
#include "lib/storage/s3/answers.h"
#include "lib/storage/s3/credentials.h"
#include "lib/storage/s3/gate.h"
#include "lib/storage/s3/provider.h"
#include "lib/storage/s3/s3.h"
#include "lib/storage/s3/sigv4.h"

#define S3_TIMESTAMP_HEADER "x-amz-meta-litestream-timestamp"

enum {
    S3_PARTS_MAX = 10000,
    S3_HEADS_PARALLEL = 16,   /* of a list with timestamps */
    S3_DELETES_PARALLEL = 16, /* of keys where there is no batch */
    S3_LIST_PAGE_KEYS = 1000,
};

struct s3_request;
struct s3_answer;

/* How the server encrypts: headers made once. */
struct s3_encryption {
    bool has_customer_key;
    char customer_key[48];     /* base64 */
    char customer_key_md5[32]; /* base64 */
    char *kms_key_id;          /* owned; NULL: none */
};

struct s3_store {
    struct storage st; /* first: storage.c knows this part only */
    struct s3_target target;
    struct http_client *http; /* these three are shared with other stores: shared.h */
    struct s3_gate *gate;
    struct s3_credentials_chain *credentials;
    struct sigv4_key key;
    char *prefix; /* "" or "a/b/" */
    char *storage_class;
    struct s3_encryption encryption;
    struct http_header extra[S3_EXTRA_HEADERS_MAX]; /* texts owned */
    size_t extra_count;
    bool signs_payload;
    bool sends_content_md5;
    bool has_batch_delete; /* until the server says that it has none */
    bool is_closing;
    uint64_t part_bytes;
    unsigned concurrency;
    const struct retry_policy *retry;
    struct s3_op *ops; /* under way */
};

struct s3_op {
    struct storage_op_base base; /* first: storage.c knows this part only */
    struct s3_store *store;
    struct s3_op *prev, *next;
    struct s3_request *requests; /* under way */
    storage_done_fn *done;       /* NULL: an operation of our own that nobody waits for */
    void *arg;
    void (*free)(struct s3_op *op); /* frees the struct and all in it but what is listed here */
    struct loop_timer timer;        /* ends an operation that has no request under way */
    bool is_ending;                 /* err is the outcome; only requests are waited for */
    struct error err;
    uint64_t deadline_ns; /* by the clock that goes on in sleep; 0: none */
    uint64_t bytes;
    unsigned tries;
    struct storage_object object;
    char key[S3_KEY_BYTES_MAX + 1]; /* in the bucket: prefix and relative key */
};

static inline struct s3_store *s3_store_of(struct storage *st)
{
    return CONTAINER_OF(st, struct s3_store, st);
}

/* An operation as storage.h knows it: a struct of its own kind behind the driver's contract. */
static inline struct storage_op *s3_op_public(struct s3_op *op)
{
    return (struct storage_op *)op;
}

/* ---- operations: driver.c ---- */

/*
 * Prepares an operation and links it to its store. key is relative, NULL for none. After a failure
 * nothing was linked and the caller frees op. ERR_USAGE (key too long), ERR_WRONG_STATE (closing).
 */
MUST_USE int s3_op_init(struct s3_op *op, struct storage *st, const char *key,
                        storage_done_fn *done, void *arg, void (*free_op)(struct s3_op *op),
                        struct error *err);

/*
 * Decides the outcome (err NULL: success) unless it is decided already, and cancels the requests
 * under way. done runs later, when the last of them is gone.
 */
void s3_op_end(struct s3_op *op, const struct error *err);

/* For request.c: a request of op is gone; ends the operation if that was the last. */
void s3_op_request_gone(struct s3_op *op);

/* Sets the deadline of all that follows; 0: none. */
void s3_op_set_deadline(struct s3_op *op, uint64_t deadline_ns);

/* What is left of it, at least 1; 0 if there is none. */
uint64_t s3_op_remaining_ns(const struct s3_op *op);

/* Key without the store's prefix; key must begin with it. */
const char *s3_key_relative(const struct s3_store *store, const char *key);

/* ---- headers that several operations send: driver.c ---- */

struct s3_headers {
    struct http_header h[16];
    size_t count;
    char timestamp[TIME_TEXT_BYTES];
};

/* Adds a header; both texts are borrowed until the request is sent. */
void s3_headers_add(struct s3_headers *headers, const char *name, const char *value);
/* Metadata, class and encryption of a new object. */
void s3_headers_add_object(struct s3_headers *headers, const struct s3_store *store,
                           uint64_t timestamp_ns);
/* The customer's key, which parts and reads need as well. */
void s3_headers_add_customer_key(struct s3_headers *headers, const struct s3_store *store);

/* ---- the operations, one file each; as in driver.h ---- */

/* The operations of the driver table, as storage.h describes them; each in the file of its name. */
MUST_USE int s3_put(struct storage *st, const struct storage_put *args, storage_done_fn *done,
                    void *arg, struct storage_op **out_op, struct error *err);
/* See get.c. */
MUST_USE int s3_get(struct storage *st, const struct storage_get *args, storage_done_fn *done,
                    void *arg, struct storage_op **out_op, struct error *err);
/* See list.c. */
MUST_USE int s3_list(struct storage *st, const struct storage_list *args, storage_done_fn *done,
                     void *arg, struct storage_op **out_op, struct error *err);
/* See delete.c. */
MUST_USE int s3_delete(struct storage *st, const struct storage_delete *args, storage_done_fn *done,
                       void *arg, struct storage_op **out_op, struct error *err);
/* See get.c. */
MUST_USE int s3_head(struct storage *st, const char *key, storage_done_fn *done, void *arg,
                     struct storage_op **out_op, struct error *err);

/* See make.c. */
MUST_USE int s3_make(struct storage *st, storage_done_fn *done, void *arg,
                     struct storage_op **out_op, struct error *err);

/* See stream.c. */
MUST_USE int s3_stream_begin(struct storage *st, const struct storage_upload_args *args,
                             storage_done_fn *done, void *arg, struct storage_upload **out_upload,
                             struct storage_op **out_op, struct error *err);
/* See stream.c. */
MUST_USE int s3_stream_part(struct storage_upload *upload, const struct storage_part *part,
                            storage_done_fn *done, void *arg, struct storage_op **out_op,
                            struct error *err);
/* See stream.c. */
MUST_USE int s3_stream_complete(struct storage_upload *upload, uint64_t deadline_ns,
                                storage_done_fn *done, void *arg, struct storage_op **out_op,
                                struct error *err);
/* See stream.c. */
void s3_stream_free(struct storage_upload *upload);

/* ---- put.c and multipart.c ---- */

struct s3_upload;

struct s3_put_op {
    struct s3_op op; /* first */
    struct blob *body;
    enum storage_put_mode mode;
    uint64_t timestamp_ns;
    bool is_conditional; /* If-None-Match is sent */
    /* Of a put in parts. */
    struct s3_upload *upload; /* NULL: sent by one PUT */
    uint64_t part_bytes;
    unsigned part_next; /* the next one to send, from 0 */
    unsigned parts_done;
};

/* Begins a multipart upload of op's body; ends op. */
void s3_multipart_begin(struct s3_put_op *put);

/* Aborts what was begun, in an operation of its own that nobody waits for. */
void s3_multipart_abandon(struct s3_put_op *put);

/* Frees the upload. */
void s3_multipart_destroy(struct s3_put_op *put);

/* ---- encryption.c ---- */

/* Fills store->encryption; after the target is known. ERR_USAGE, ERR_NO_MEMORY. */
MUST_USE int s3_encryption_set(struct s3_store *store, const struct storage_s3_config *config,
                               struct error *err);

/* ---- get.c ---- */

/* Size and moment of the object that an answer to GET or HEAD describes. */
void s3_object_of_answer(const struct http_response *http, struct storage_object *out);

/* Starts a HEAD request of op. ERR_NO_MEMORY. */
MUST_USE int s3_head_request(struct s3_op *op, const char *key,
                             void (*done)(struct s3_op *op, void *arg,
                                          const struct s3_answer *answer),
                             void *arg, struct error *err);

/* ---- uploads.c ---- */

/* Aborts an upload as an operation of its own. done may be NULL. ERR_NO_MEMORY, ERR_WRONG_STATE. */
MUST_USE int s3_upload_abort(struct s3_store *store, const char *key, const char *upload_id,
                             struct error *err);

#endif
