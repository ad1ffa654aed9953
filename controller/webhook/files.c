/*
 * Looking by reading: two small files, compared with what is served. Between the two reads the
 * mounted Secret may change; then they are no pair, and the next look finds the new ones.
 */
#include "controller/webhook/files.h"

#include <stdlib.h>

#include "lib/io/file_read.h"

struct files {
    struct loop *loop;
    struct files_config config;
    struct loop_timer timer;
    struct buf cert; /* what is served */
    struct log_repeat repeat;
};

static int look(struct files *f, struct error *err)
{
    const struct env *env = loop_env(f->loop);
    CLEANUP(buf_destroy) struct buf cert = BUF_INIT(TLS_PEM_BYTES_MAX);
    CLEANUP(buf_destroy_secret) struct buf key = BUF_INIT(TLS_PEM_BYTES_MAX);
    struct tls_keypair *k = NULL;
    char expires[TIME_TEXT_BYTES];

    if (file_read(env, f->config.cert_path, &cert, err) < 0)
        return -1;
    if (slice_eq(buf_slice(&cert), buf_slice(&f->cert)))
        return 0;
    if (file_read(env, f->config.key_path, &key, err) < 0)
        return -1;
    if (tls_keypair_parse(buf_slice(&cert), buf_slice(&key), &k, err) < 0)
        return error_wrap(err, "%s and %s", f->config.cert_path, f->config.key_path);
    LOG_INFO(f->config.log, "serving a new certificate", LOG_STR("file", f->config.cert_path),
             LOG_STR("expires", time_format_rfc3339(tls_keypair_not_after_ns(k), expires)));
    tls_identity_set(f->config.identity, k);
    buf_destroy(&f->cert);
    f->cert = buf_take(&cert);
    return 0;
}

static void on_timer(void *arg)
{
    struct files *f = arg;
    struct error err = ERROR_INIT;
    uint64_t count = 0;

    if (look(f, &err) == 0)
        (void)log_repeat_end(&f->repeat); /* the next failure is news again */
    else if (log_repeat_is_due(&f->repeat, &err, env_monotonic_ns(loop_env(f->loop)), &count)) {
        LOG_WARN(f->config.log, "certificate of the webhook", LOG_ERR(&err),
                 LOG_U64("count", count));
    }
    loop_timer_start(&f->timer, f->config.look_ns ? f->config.look_ns : FILES_LOOK_NS);
}

int files_start(struct loop *loop, const struct files_config *config, struct files **out,
                struct error *err)
{
    struct files *f = mem_new(1, sizeof(*f), err);

    if (!f)
        return -1;
    f->loop = loop;
    f->config = *config;
    f->cert = (struct buf)BUF_INIT(TLS_PEM_BYTES_MAX);
    loop_timer_init(&f->timer, loop, on_timer, f);
    on_timer(f);
    *out = f;
    return 0;
}

void files_free(struct files *f)
{
    if (!f)
        return;
    loop_timer_stop(&f->timer);
    buf_destroy(&f->cert);
    free(f);
}
