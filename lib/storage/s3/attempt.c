/*
 * A try of a request. Every header that we set is signed; what libcurl adds (Content-Length,
 * User-Agent, Accept) is not, since proxies change such things. The host is signed as libcurl will
 * send it: as it stands in the URL, which never names a scheme's own port.
 */
#include "lib/storage/s3/attempt.h"

void attempt_destroy(struct attempt *a)
{
    buf_destroy(&a->url);
    buf_destroy(&a->authorization);
}

static void attempt_add(struct attempt *a, const char *name, const char *value)
{
    if (!value)
        return;
    ASSERT(a->count < HTTP_HEADERS_MAX);
    a->headers[a->count++] = (struct http_header){name, value};
}

/* All headers that are signed, but for the host. */
static void attempt_headers(struct attempt *a, const struct s3_store *store,
                            const struct attempt_spec *spec)
{
    const struct http_header *of_provider = &store->target.provider->header;

    for (size_t i = 0; i < spec->header_count; i++)
        attempt_add(a, spec->headers[i].name, spec->headers[i].value);
    for (size_t i = 0; i < store->extra_count; i++)
        attempt_add(a, store->extra[i].name, store->extra[i].value);
    if (of_provider->name)
        attempt_add(a, of_provider->name, of_provider->value);
    attempt_add(a, "range", spec->range);
    attempt_add(a, "if-match", spec->if_match);
    attempt_add(a, "x-amz-date", a->date);
    attempt_add(a, "x-amz-content-sha256", spec->payload_hash);
    attempt_add(a, "x-amz-security-token", spec->credentials->session_token);
}

int attempt_make(struct attempt *a, struct s3_store *store, const struct attempt_spec *spec,
                 struct error *err)
{
    CLEANUP(buf_destroy) struct buf host = BUF_INIT(ATTEMPT_URL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(ATTEMPT_URL_BYTES_MAX);
    const struct sigv4_scope scope = {.region = store->target.region,
                                      .service = "s3",
                                      .wall_ns = env_wall_ns(loop_env(store->st.loop))};

    (void)time_format_amz(scope.wall_ns, a->date); /* answers its argument */
    if (s3_target_host(&store->target, &host, err) < 0 ||
        s3_target_path(&store->target, spec->key, &path, err) < 0 ||
        buf_printf(&a->url, err, "%s://%s%s%s%s", store->target.is_tls ? "https" : "http",
                   buf_str(&host), buf_str(&path), spec->query[0] ? "?" : "", spec->query) < 0)
        return -1;
    attempt_headers(a, store, spec);
    size_t sent_count = a->count;
    attempt_add(a, "host", buf_str(&host));
    const struct sigv4_request sig = {.method = spec->method,
                                      .path = buf_str(&path),
                                      .query = spec->query,
                                      .headers = a->headers,
                                      .header_count = a->count,
                                      .payload_hash = spec->payload_hash,
                                      .path_mode = SIGV4_PATH_AS_IS};
    if (sigv4_authorization(&store->key, &scope, spec->credentials->access_key_id,
                            spec->credentials->secret, &sig, &a->authorization, err) < 0)
        return -1;
    a->count = sent_count;
    attempt_add(a, "Authorization", buf_str(&a->authorization));
    return 0;
}
