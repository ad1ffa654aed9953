/*
 * The S3 store: configuration made into a struct that cannot be wrong, the table of operations, and
 * their common life.
 *
 * An operation is linked in its store from s3_op_init() to op_finish(). It ends in two steps: its
 * outcome is decided (s3_op_end(): by its own code, or by storage_cancel()), which cancels what is
 * under way, and when the last request is gone, done is called and it is freed. An operation
 * without requests is ended by its timer, so that done never runs within the call that caused it.
 *
 * A store that is freed takes all requests away at once. Client, credentials and gate are shared
 * with other stores of the loop (shared.h) and outlive it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/request.h"
#include "lib/storage/s3/s3.h"
#include "lib/storage/s3/shared.h"

static const uint64_t object_bytes_max = UINT64_C(5) << 40; /* S3 User Guide, "Quotas" */

enum {
    S3_STREAM_PART_BYTES_MAX = 8 << 20, /* of a part that is sent from memory */
    S3_PREFIX_BYTES_MAX = S3_KEY_BYTES_MAX - STORAGE_KEY_BYTES_MAX
};

/* ---- operations ---- */

static void op_unlink(struct s3_op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        op->store->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
}

static void op_finish(struct s3_op *op)
{
    const struct storage_result result = {
        .err = &op->err, .object = op->object, .bytes = op->bytes, .tries = op->tries};

    ASSERT(!op->requests);
    loop_timer_stop(&op->timer);
    op_unlink(op);
    if (op->done)
        op->done(op->arg, &result);
    op->free(op);
}

static void op_on_timer(void *arg)
{
    struct s3_op *op = arg;

    if (op->is_ending && !op->requests)
        op_finish(op);
}

int s3_op_init(struct s3_op *op, struct storage *st, const char *key, storage_done_fn *done,
               void *arg, void (*free_op)(struct s3_op *op), struct error *err)
{
    struct s3_store *store = s3_store_of(st);

    loop_assert_owner(st->loop);
    if (store->is_closing)
        return error_set(err, ERR_WRONG_STATE, 0, "%s is being closed", st->url);
    if (key) {
        (void)snprintf(op->key, sizeof(op->key), "%s%s", store->prefix,
                       key); /* fits: both are bounded, see S3_PREFIX_BYTES_MAX */
    }
    op->base.st = st;
    op->store = store;
    op->done = done;
    op->arg = arg;
    op->free = free_op;
    loop_timer_init(&op->timer, st->loop, op_on_timer, op);
    op->next = store->ops;
    if (op->next)
        op->next->prev = op;
    store->ops = op;
    return 0;
}

void s3_op_end(struct s3_op *op, const struct error *err)
{
    if (op->is_ending)
        return;
    op->is_ending = true;
    if (err)
        op->err = *err;
    for (struct s3_request *r = op->requests; r; r = s3_request_next(r))
        s3_request_cancel(r);
    if (!op->requests)
        loop_timer_start(&op->timer, 0);
}

void s3_op_request_gone(struct s3_op *op)
{
    if (op->is_ending && !op->requests)
        op_finish(op);
}

void s3_op_set_deadline(struct s3_op *op, uint64_t deadline_ns)
{
    uint64_t now_ns = env_boot_ns(loop_env(op->store->st.loop));

    if (deadline_ns > 0 && !checked_add_u64(now_ns, deadline_ns, &op->deadline_ns))
        op->deadline_ns = 0; /* further away than the clock reaches */
}

uint64_t s3_op_remaining_ns(const struct s3_op *op)
{
    uint64_t now_ns = env_boot_ns(loop_env(op->store->st.loop));

    if (op->deadline_ns == 0)
        return 0;
    return op->deadline_ns > now_ns ? op->deadline_ns - now_ns : 1;
}

static void s3_cancel(struct storage_op *base)
{
    struct s3_op *op = (struct s3_op *)base; /* its first member is the base */
    struct error err = ERROR_INIT;

    (void)error_set(&err, ERR_CANCELED, 0, "canceled"); /* becomes the outcome */
    s3_op_end(op, &err);
}

const char *s3_key_relative(const struct s3_store *store, const char *key)
{
    size_t n = strlen(store->prefix);

    ASSERT(strncmp(key, store->prefix, n) == 0);
    return key + n;
}

/* ---- headers ---- */

void s3_headers_add(struct s3_headers *headers, const char *name, const char *value)
{
    ASSERT(headers->count < ARRAY_LEN(headers->h));
    headers->h[headers->count++] = (struct http_header){name, value};
}

void s3_headers_add_customer_key(struct s3_headers *headers, const struct s3_store *store)
{
    const struct s3_encryption *e = &store->encryption;

    if (!e->has_customer_key)
        return;
    s3_headers_add(headers, "x-amz-server-side-encryption-customer-algorithm", "AES256");
    s3_headers_add(headers, "x-amz-server-side-encryption-customer-key", e->customer_key);
    s3_headers_add(headers, "x-amz-server-side-encryption-customer-key-md5", e->customer_key_md5);
}

void s3_headers_add_object(struct s3_headers *headers, const struct s3_store *store,
                           uint64_t timestamp_ns)
{
    s3_headers_add(headers, "content-type", "application/octet-stream");
    if (timestamp_ns > 0) {
        s3_headers_add(headers, S3_TIMESTAMP_HEADER,
                       time_format_rfc3339(timestamp_ns, headers->timestamp));
    }
    if (store->storage_class)
        s3_headers_add(headers, "x-amz-storage-class", store->storage_class);
    if (store->encryption.kms_key_id) {
        s3_headers_add(headers, "x-amz-server-side-encryption", "aws:kms");
        s3_headers_add(headers, "x-amz-server-side-encryption-aws-kms-key-id",
                       store->encryption.kms_key_id);
    }
    s3_headers_add_customer_key(headers, store);
}

/* ---- configuration ---- */

/* "a//b/" and "/a/b" become "a/b/". */
static int prefix_normalize(const char *prefix, char **out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf b = BUF_INIT(S3_PREFIX_BYTES_MAX);
    const char *at = prefix ? prefix : "";

    while (*at) {
        size_t n = strcspn(at, "/");
        if ((n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.')) {
            return error_set(err, ERR_USAGE, 0, "path \"%.200s\" has a part \"%.*s\"", prefix,
                             (int)n, at);
        }
        if (n > 0 && (buf_append(&b, at, n, err) < 0 || buf_append_byte(&b, '/', err) < 0)) {
            if (err->code == ERR_LIMIT) {
                return error_set(err, ERR_USAGE, 0, "path \"%.80s...\" is longer than %d bytes",
                                 prefix, S3_PREFIX_BYTES_MAX - 1);
            }
            return -1;
        }
        at += n + (at[n] == '/');
    }
    *out = str_dup(buf_str(&b), err);
    return *out ? 0 : -1;
}

static int part_bytes_set(struct s3_store *store, uint64_t part_bytes, struct error *err)
{
    store->part_bytes = part_bytes ? part_bytes : S3_PART_BYTES_MIN;
    if (store->part_bytes < S3_PART_BYTES_MIN || store->part_bytes > S3_PART_BYTES_MAX) {
        return error_set(err, ERR_USAGE, 0,
                         "part-size of %llu bytes: S3 takes parts from 5 MiB to 5 GiB",
                         (unsigned long long)part_bytes);
    }
    bool is_large = store->part_bytes > S3_STREAM_PART_BYTES_MAX;
    store->st.caps.part_bytes = is_large ? S3_STREAM_PART_BYTES_MAX : store->part_bytes;
    store->st.caps.parts_max = S3_PARTS_MAX;
    return 0;
}

static int extra_headers_set(struct s3_store *store, const struct storage_s3_config *config,
                             struct error *err)
{
    if (config->extra_header_count > S3_EXTRA_HEADERS_MAX)
        return error_set(err, ERR_USAGE, 0, "more than %d extra headers", S3_EXTRA_HEADERS_MAX);
    for (size_t i = 0; i < config->extra_header_count; i++) {
        struct http_header *to = &store->extra[store->extra_count++];
        to->name = str_dup(config->extra_headers[i].name, err);
        to->value = to->name ? str_dup(config->extra_headers[i].value, err) : NULL;
        if (!to->value)
            return -1;
    }
    return 0;
}

static int clients_take(struct s3_store *store, const struct storage_s3_config *config,
                        struct error *err)
{
    struct loop *loop = store->st.loop;
    const struct s3_client_config client = {.ca_file = config->ca_file,
                                            .skip_verify = config->skip_verify};
    const struct s3_credentials_config credentials = {.access_key_id = config->access_key_id,
                                                      .secret_access_key =
                                                          config->secret_access_key,
                                                      .session_token = config->session_token,
                                                      .folder = config->credentials_path,
                                                      .region = store->target.region};

    if (s3_shared_credentials_take(loop, &credentials, &store->credentials, err) < 0 ||
        s3_shared_gate_take(loop, store->target.host, &store->gate, err) < 0)
        return -1;
    return s3_shared_client_take(loop, &client, &store->http, err);
}

static int url_set(struct s3_store *store, const struct storage_s3_config *config,
                   struct error *err)
{
    int prefix_n = (int)strlen(store->prefix);
    const char *bucket = store->target.is_access_point ? config->bucket : store->target.bucket;

    store->st.url = str_printf(err, "s3://%s%s%.*s", bucket, prefix_n ? "/" : "",
                               prefix_n ? prefix_n - 1 : 0, store->prefix);
    return store->st.url ? 0 : -1;
}

static int storage_class_set(struct s3_store *store, const struct storage_s3_config *config,
                             struct error *err)
{
    if (!config->storage_class || !*config->storage_class)
        return 0;
    store->storage_class = str_dup(config->storage_class, err);
    return store->storage_class ? 0 : -1;
}

static bool choice(enum s3_choice choice, bool otherwise)
{
    return choice == S3_CHOICE_AUTO ? otherwise : choice == S3_CHOICE_YES;
}

static int store_configure(struct s3_store *store, const struct storage_s3_config *config,
                           struct error *err)
{
    if (s3_target_resolve(config, &store->target, err) < 0 ||
        prefix_normalize(config->prefix, &store->prefix, err) < 0 ||
        part_bytes_set(store, config->part_bytes, err) < 0 ||
        s3_encryption_set(store, config, err) < 0 || extra_headers_set(store, config, err) < 0 ||
        storage_class_set(store, config, err) < 0 || url_set(store, config, err) < 0)
        return -1;
    const struct s3_provider *provider = store->target.provider;
    store->concurrency = config->concurrency ? config->concurrency : provider->concurrency;
    if (store->concurrency > S3_CONCURRENCY_MAX) {
        return error_set(err, ERR_USAGE, 0, "concurrency of %u is more than %d", store->concurrency,
                         S3_CONCURRENCY_MAX);
    }
    store->signs_payload = choice(config->sign_payload, true);
    store->sends_content_md5 = choice(config->require_content_md5, provider->wants_content_md5);
    store->has_batch_delete = provider->has_batch_delete;
    store->retry = config->retry ? config->retry : &retry_policy_default;
    return clients_take(store, config, err);
}

/* ---- the store ---- */

static void op_close(struct s3_op *op)
{
    bool has_requests = op->requests != NULL;
    struct s3_request *next;

    if (!op->is_ending) {
        op->is_ending = true;
        (void)error_set(&op->err, ERR_CANCELED, 0, "canceled"); /* becomes the outcome */
    }
    if (!has_requests) {
        op_finish(op);
        return;
    }
    /* The last request that goes takes op with it. */
    for (struct s3_request *r = op->requests; r; r = next) {
        next = s3_request_next(r);
        s3_request_cancel_now(r);
    }
}

static void s3_free(struct storage *st)
{
    struct s3_store *store = s3_store_of(st);
    struct s3_op *next;

    store->is_closing = true;
    for (struct s3_op *op = store->ops; op; op = next) {
        next = op->next;
        op_close(op);
    }
    ASSERT(!store->ops);
    s3_shared_client_drop(store->http);
    s3_shared_gate_drop(store->gate);
    s3_shared_credentials_drop(store->credentials);
    sigv4_key_destroy(&store->key);
    for (size_t i = 0; i < store->extra_count; i++) {
        free((char *)store->extra[i].name);
        free((char *)store->extra[i].value);
    }
    free(store->encryption.kms_key_id);
    free(store->storage_class);
    free(store->prefix);
    free(store->st.url);
    explicit_bzero(store, sizeof(*store));
    free(store);
}

static const struct storage_driver s3_driver = {
    .type = "s3",
    .put = s3_put,
    .get = s3_get,
    .list = s3_list,
    .del = s3_delete,
    .head = s3_head,
    .make = s3_make,
    .housekeep = storage_s3_abort_stale_uploads_start,
    .upload_begin = s3_stream_begin,
    .upload_part = s3_stream_part,
    .upload_complete = s3_stream_complete,
    .upload_free = s3_stream_free,
    .cancel = s3_cancel,
    .free = s3_free,
};

int storage_s3_new(struct loop *loop, const struct storage_s3_config *config, struct storage **out,
                   struct error *err)
{
    struct s3_store *store = mem_new(1, sizeof(*store), err);

    loop_assert_owner(loop);
    if (!store)
        return -1;
    store->st.driver = &s3_driver;
    store->st.loop = loop;
    store->st.caps = (struct storage_caps){
        .layout = STORAGE_LAYOUT_HEX, .can_create = true, .object_bytes_max = object_bytes_max};
    if (store_configure(store, config, err) < 0) {
        s3_free(&store->st);
        return error_wrap(err, "s3 bucket %.80s", config->bucket ? config->bucket : "(none)");
    }
    *out = &store->st;
    return 0;
}
