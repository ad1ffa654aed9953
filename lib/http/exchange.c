/*
 * One HTTP exchange: the settings of its libcurl handle, the callbacks through which bytes pass,
 * and what a result of libcurl means to us.
 *
 * How an exchange ends is decided by the first of:
 *   - x->err was filled by ourselves: canceled, deadline, stall, a limit, on_data refused, the body
 *     could not be read. The handle is then taken from libcurl whatever it thinks.
 *   - libcurl reports its result, which result_error() translates.
 *
 * Two clocks run. The deadline begins with http_start(), waiting for a free connection included.
 * The stall clock begins when the request is about to be sent (PREREQ callback; connecting has its
 * own limit) and is set back by every byte in or out. So that "out" means the network and not a
 * megabyte of kernel memory, sockets are told to keep little unsent data (TCP_NOTSENT_LOWAT).
 *
 * Header table. header_text holds "name\0value\0" for each header of the last answer; an interim
 * answer (100, 103) is forgotten when the next status line comes.
 */
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "lib/http/exchange_internal.h"

enum {
    EXCHANGE_ANSWER_BYTES_DEFAULT = 1024 * 1024,
    EXCHANGE_HEADER_BYTES_MAX = 64 * 1024, /* of all headers of an answer */
    EXCHANGE_BUFFER_BYTES = 64 * 1024,     /* libcurl's receive buffer */
    EXCHANGE_SEND_BYTES = 256 * 1024,      /* its send buffer for bodies as large; else 64 KiB */
    EXCHANGE_UNSENT_BYTES_MAX = 256 * 1024,
    EXCHANGE_KEEPALIVE_S = 30,             /* a silent connection is asked whether it lives */
    LIBCURL_NUMBER_WHOLE_HTTP2 = 0x080e01, /* 8.14.1, as libcurl writes it */
};

static const uint64_t stall_ns_default = 30 * NS_PER_SEC;

/* ---- the two clocks ---- */

static void on_deadline(void *arg)
{
    struct http_exchange *x = arg;
    char text[TIME_TEXT_BYTES];

    (void)error_set(&x->err, ERR_TIMEOUT, 0, "not done within %s",
                    duration_format(x->deadline_ns, text));
    exchange_on_timeout(x);
}

/* The machine slept over the deadline: what was not sent by then must not be sent any more, whoever
 * asked for it knows nothing of the world of now. The timer above does not count sleep. */
static bool has_slept_too_long(struct http_exchange *x)
{
    char text[TIME_TEXT_BYTES];

    if (x->deadline_ns == 0 ||
        env_boot_ns(loop_env(x->deadline.loop)) - x->began_boot_ns < x->deadline_ns)
        return false;
    (void)error_set(&x->err, ERR_TIMEOUT, 0, "not sent within %s",
                    duration_format(x->deadline_ns, text)); /* becomes the outcome */
    return true;
}

static void on_stall(void *arg)
{
    struct http_exchange *x = arg;
    char text[TIME_TEXT_BYTES];

    (void)error_set(&x->err, ERR_TIMEOUT, 0, "no byte for %s", duration_format(x->stall_ns, text));
    exchange_on_timeout(x);
}

/* A byte went in or out. */
static void stall_restart(struct http_exchange *x)
{
    if (x->state == EXCHANGE_RUNNING)
        loop_timer_start(&x->stall, x->stall_ns);
}

/* ---- libcurl's callbacks. All run inside curl_multi_socket_action(). ---- */

static int on_request(void *arg, char *to_ip UNUSED, char *from_ip UNUSED, int to_port UNUSED,
                      int from_port UNUSED)
{
    struct http_exchange *x = arg;

    x->is_parkable = false;
    stall_restart(x);
    if (x->has_socket)
        exchange_on_connection(x);
    return has_slept_too_long(x) ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose UNUSED)
{
    struct http_exchange *x = arg;
    int bytes = EXCHANGE_UNSENT_BYTES_MAX;
    /* Refused by a Unix socket: then the stall clock is coarser, nothing else. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
    x->has_socket = true;
    x->is_parkable = false;
    return CURL_SOCKOPT_OK;
}

static size_t on_body_wanted(char *p, size_t size, size_t count, void *arg)
{
    struct http_exchange *x = arg;
    uint64_t left = x->body_bytes - x->body_at;
    size_t n = size * count;

    if (x->state != EXCHANGE_RUNNING || has_slept_too_long(x))
        return CURL_READFUNC_ABORT;
    if (n > left)
        n = (size_t)left;
    stall_restart(x);
    if (x->body_blob) {
        if (blob_read(x->body_blob, x->body_offset + x->body_at, p, n, &x->err) < 0)
            return CURL_READFUNC_ABORT;
    } else if (n > 0) {
        memcpy(p, x->body_copy + x->body_at, n);
    }
    x->body_at += n;
    return n;
}

/* A kept connection turned out to be dead: libcurl sends the request again on a new one. */
static int on_body_rewind(void *arg, curl_off_t offset, int origin)
{
    struct http_exchange *x = arg;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->body_bytes)
        return CURL_SEEKFUNC_FAIL;
    x->body_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int status_of(const struct http_exchange *x)
{
    long status = 0;
    /* Fails only for a name that this libcurl does not know. */
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* Adds to the kept body. -1 ends the exchange. */
static int answer_keep(struct http_exchange *x, struct slice chunk, bool is_success)
{
    if (!is_success) {
        size_t room =
            x->answer.n < HTTP_ERROR_BODY_BYTES_MAX ? HTTP_ERROR_BODY_BYTES_MAX - x->answer.n : 0;
        x->is_answer_cut = chunk.n > room;
        chunk = slice_sub(chunk, 0, room);
    } else if (chunk.n > x->answer_bytes_max - x->answer.n) {
        return error_set(&x->err, ERR_LIMIT, 0, "answer is larger than %zu bytes",
                         x->answer_bytes_max);
    }
    if (buf_append_slice(&x->answer, chunk, &x->err) < 0)
        return -1;
    return x->is_answer_cut ? -1 : 0;
}

static size_t on_answer(char *p, size_t size, size_t count, void *arg)
{
    struct http_exchange *x = arg;
    struct slice chunk = slice_of(p, size * count);
    int status = status_of(x);
    bool is_success = status >= 200 && status < 300;

    if (x->state != EXCHANGE_RUNNING)
        return 0;
    stall_restart(x);
    if (is_success && x->on_data)
        return x->on_data(x->arg, chunk, &x->err) < 0 ? 0 : chunk.n;
    return answer_keep(x, chunk, is_success) < 0 ? 0 : chunk.n;
}

static struct slice trimmed(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_sub(s, 1, s.n);
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

static int header_keep(struct http_exchange *x, struct slice name, struct slice value)
{
    struct error *err = &x->err;

    if (x->header_count == HTTP_RESPONSE_HEADERS_MAX) {
        return error_set(err, ERR_LIMIT, 0, "answer has more than %d headers",
                         HTTP_RESPONSE_HEADERS_MAX);
    }
    if (buf_append_slice(&x->header_text, name, err) < 0 ||
        buf_append_byte(&x->header_text, 0, err) < 0 ||
        buf_append_slice(&x->header_text, trimmed(value), err) < 0 ||
        buf_append_byte(&x->header_text, 0, err) < 0)
        return error_wrap(err, "headers of the answer");
    x->header_count++;
    return 0;
}

static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    struct http_exchange *x = arg;
    struct slice line = slice_of(p, size * count);
    const uint8_t *colon = line.n ? memchr(line.p, ':', line.n) : NULL;

    if (x->state != EXCHANGE_RUNNING)
        return 0;
    stall_restart(x);
    if (slice_starts_with(line, SLICE_LIT("HTTP/"))) {
        buf_clear(&x->header_text);
        x->header_count = 0;
        x->has_head = false;
        return line.n;
    }
    if (!colon) {
        x->has_head = x->has_head || line.p[0] == '\r' || line.p[0] == '\n';
        return line.n; /* the empty line at the end */
    }
    if (memchr(line.p, '\0', line.n)) {
        (void)error_set(&x->err, ERR_CORRUPT, 0, "header of the answer holds a zero byte");
        return 0;
    }
    size_t name_n = (size_t)(colon - line.p);
    struct slice value = slice_sub(line, name_n + 1, line.n);
    return header_keep(x, slice_sub(line, 0, name_n), value) < 0 ? 0 : line.n;
}

/* ---- the handle ---- */

/*
 * Options of a handle. The first failure sticks (in x->set_result), so that a column of options is
 * asked about once, by set_check().
 */
static void set_long(struct http_exchange *x, CURLoption option, long value)
{
    if (x->set_result == CURLE_OK)
        x->set_result = curl_easy_setopt(x->easy, option, value);
}

static void set_str(struct http_exchange *x, CURLoption option, const char *value)
{
    if (x->set_result == CURLE_OK)
        x->set_result = curl_easy_setopt(x->easy, option, value);
}

static void set_pointer(struct http_exchange *x, CURLoption option, void *value)
{
    if (x->set_result == CURLE_OK)
        x->set_result = curl_easy_setopt(x->easy, option, value);
}

static void set_function(struct http_exchange *x, CURLoption option, void (*value)(void))
{
    if (x->set_result == CURLE_OK)
        x->set_result = curl_easy_setopt(x->easy, option, value);
}

/* A PEM text; libcurl copies it. */
static void set_pem(struct http_exchange *x, CURLoption option, char *pem)
{
    struct curl_blob blob = {.data = pem, .len = strlen(pem), .flags = CURL_BLOB_COPY};

    if (x->set_result == CURLE_OK)
        x->set_result = curl_easy_setopt(x->easy, option, &blob);
}

static int set_check(const struct http_exchange *x, struct error *err)
{
    if (x->set_result == CURLE_OK)
        return 0;
    enum error_code code = x->set_result == CURLE_OUT_OF_MEMORY ? ERR_NO_MEMORY : ERR_UNSUPPORTED;
    return error_set(err, code, (int)x->set_result, "libcurl %s: %s", LIBCURL_VERSION,
                     curl_easy_strerror(x->set_result));
}

static long ms_of(uint64_t ns)
{
    uint64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms < INT_MAX ? (long)ms : INT_MAX;
}

static void set_connection(struct http_exchange *x, const struct exchange_settings *settings,
                           const char *unix_socket)
{
    set_str(x, CURLOPT_USERAGENT, settings->user_agent);
    set_long(x, CURLOPT_NOSIGNAL, 1);
    set_str(x, CURLOPT_PROTOCOLS_STR, "http,https");
    set_long(x, CURLOPT_FOLLOWLOCATION, 0);
    set_long(x, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    set_long(x, CURLOPT_SSL_VERIFYPEER, settings->skip_verify ? 0 : 1);
    set_long(x, CURLOPT_SSL_VERIFYHOST, settings->skip_verify ? 0 : 2);
    if (settings->ca_file)
        set_str(x, CURLOPT_CAINFO, settings->ca_file);
    if (settings->ca_pem)
        set_pem(x, CURLOPT_CAINFO_BLOB, settings->ca_pem);
    if (settings->cert_pem) {
        set_pem(x, CURLOPT_SSLCERT_BLOB, settings->cert_pem);
        set_pem(x, CURLOPT_SSLKEY_BLOB, settings->key_pem);
    }
    if (settings->proxy_url)
        set_str(x, CURLOPT_PROXY, settings->proxy_url);
    if (settings->accepts_gzip)
        set_str(x, CURLOPT_ACCEPT_ENCODING, "gzip");
    set_long(x, CURLOPT_PIPEWAIT, settings->shares_connection ? 1 : 0);
    x->is_parkable = settings->shares_connection;
    set_long(x, CURLOPT_CONNECTTIMEOUT_MS, ms_of(settings->connect_timeout_ns));
    set_long(x, CURLOPT_TCP_KEEPALIVE, 1);
    set_long(x, CURLOPT_TCP_KEEPIDLE, EXCHANGE_KEEPALIVE_S);
    set_long(x, CURLOPT_TCP_KEEPINTVL, EXCHANGE_KEEPALIVE_S);
    set_function(x, CURLOPT_SOCKOPTFUNCTION, (void (*)(void))on_socket_made);
    set_pointer(x, CURLOPT_SOCKOPTDATA, x);
    if (unix_socket) {
        set_str(x, CURLOPT_UNIX_SOCKET_PATH, unix_socket);
        set_str(x, CURLOPT_PROXY, ""); /* a local socket is never behind HTTP_PROXY */
    }
}

static void set_callbacks(struct http_exchange *x)
{
    set_pointer(x, CURLOPT_PRIVATE, x);
    set_pointer(x, CURLOPT_ERRORBUFFER, x->curl_text);
    set_long(x, CURLOPT_BUFFERSIZE, EXCHANGE_BUFFER_BYTES);
    set_function(x, CURLOPT_PREREQFUNCTION, (void (*)(void))on_request);
    set_pointer(x, CURLOPT_PREREQDATA, x);
    set_function(x, CURLOPT_HEADERFUNCTION, (void (*)(void))on_header);
    set_pointer(x, CURLOPT_HEADERDATA, x);
    set_function(x, CURLOPT_WRITEFUNCTION, (void (*)(void))on_answer);
    set_pointer(x, CURLOPT_WRITEDATA, x);
    set_function(x, CURLOPT_READFUNCTION, (void (*)(void))on_body_wanted);
    set_pointer(x, CURLOPT_READDATA, x);
    set_function(x, CURLOPT_SEEKFUNCTION, (void (*)(void))on_body_rewind);
    set_pointer(x, CURLOPT_SEEKDATA, x);
}

/* A header of the request in libcurl's form: an empty value is written "Name;". */
static int header_add(struct http_exchange *x, const char *name, const char *value,
                      struct error *err)
{
    if (!*name || strpbrk(name, ": \t\r\n") || strpbrk(value, "\r\n")) {
        return error_set(err, ERR_USAGE, 0, "header \"%.100s\" cannot be sent: bad characters",
                         name);
    }
    CLEANUP(mem_free)
    char *line = *value ? str_printf(err, "%s: %s", name, value) : str_printf(err, "%s;", name);
    if (!line)
        return -1;
    struct curl_slist *longer = curl_slist_append(x->headers, line);
    if (!longer)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for headers");
    x->headers = longer;
    return 0;
}

static int set_headers(struct http_exchange *x, const struct http_request *req, struct error *err)
{
    ASSERT(req->header_count <= HTTP_HEADERS_MAX);
    for (size_t i = 0; i < req->header_count; i++) {
        if (header_add(x, req->headers[i].name, req->headers[i].value, err) < 0)
            return -1;
    }
    /* Without a value libcurl leaves its own header out: no waiting for "100 Continue". */
    struct curl_slist *longer = curl_slist_append(x->headers, "Expect:");
    if (!longer)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for headers");
    x->headers = longer;
    set_pointer(x, CURLOPT_HTTPHEADER, x->headers);
    return 0;
}

static int set_method(struct http_exchange *x, const struct http_request *req, struct error *err)
{
    if (!*req->method || req->method[strspn(req->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0')
        return error_set(err, ERR_USAGE, 0, "\"%.40s\" is not an HTTP method", req->method);
    if (req->has_body) {
        set_long(x, CURLOPT_UPLOAD, 1);
        if (x->set_result == CURLE_OK) {
            x->set_result =
                curl_easy_setopt(x->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body_bytes);
        }
        if (x->body_bytes >= EXCHANGE_SEND_BYTES)
            set_long(x, CURLOPT_UPLOAD_BUFFERSIZE, EXCHANGE_SEND_BYTES);
    } else if (strcmp(req->method, "HEAD") == 0) {
        set_long(x, CURLOPT_NOBODY, 1);
        return 0;
    }
    set_str(x, CURLOPT_CUSTOMREQUEST, req->method);
    return 0;
}

static int set_body(struct http_exchange *x, const struct http_request *req, struct error *err)
{
    if (!req->has_body)
        return 0;
    if (req->body_blob) {
        ASSERT(req->body_offset <= req->body_blob->bytes);
        ASSERT(req->body_bytes <= req->body_blob->bytes - req->body_offset);
        x->body_blob = req->body_blob;
        x->body_offset = req->body_offset;
        x->body_bytes = req->body_bytes;
        return 0;
    }
    x->body_copy = mem_new(req->body_slice.n + 1, 1, err);
    if (!x->body_copy)
        return -1;
    if (req->body_slice.n > 0)
        memcpy(x->body_copy, req->body_slice.p, req->body_slice.n);
    x->body_bytes = req->body_slice.n;
    return 0;
}

/*
 * With a tls_server_name the URL that libcurl sees has that name as its host (SNI, verification),
 * connections go to where the real host is, and the Host header names the real one.
 */
static int set_server_name(struct http_exchange *x, struct url *parts, const char *name,
                           struct error *err)
{
    CLEANUP(buf_destroy) struct buf url = BUF_INIT(URL_BYTES_MAX);
    char port[8] = "";

    if (parts->port)
        (void)snprintf(port, sizeof(port), ":%u", parts->port);
    CLEANUP(mem_free) char *host = str_printf(err, "%s%s", parts->host, port);
    CLEANUP(mem_free)
    char *route = str_printf(err, "::%s:%u", parts->host, parts->port ? parts->port : 443U);
    char *renamed = str_dup(name, err);
    if (!renamed)
        return -1;
    free(parts->host);
    parts->host = renamed;
    if (!host || !route || url_build(parts, &url, err) < 0 || header_add(x, "Host", host, err) < 0)
        return -1;
    x->connect_to = curl_slist_append(NULL, route);
    if (!x->connect_to)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a route");
    set_pointer(x, CURLOPT_CONNECT_TO, x->connect_to);
    set_str(x, CURLOPT_URL, buf_str(&url));
    return 0;
}

static int set_url(struct http_exchange *x, const char *url, const char *tls_server_name,
                   struct error *err)
{
    CLEANUP(url_destroy) struct url parts = URL_INIT;

    if (url_parse(url, &parts, err) < 0)
        return -1;
    bool is_tls = strcmp(parts.scheme, "https") == 0;
    if (!is_tls && strcmp(parts.scheme, "http") != 0)
        return error_set(err, ERR_USAGE, 0, "the URL is neither http nor https");
    set_str(x, CURLOPT_URL, url);
    set_long(x, CURLOPT_PATH_AS_IS, 1); /* what was signed is what is sent */
    return is_tls && tls_server_name ? set_server_name(x, &parts, tls_server_name, err) : 0;
}

bool http_client_writes_over_http2(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num >= LIBCURL_NUMBER_WHOLE_HTTP2;
}

/* Whether libcurl shall not use HTTP/2 for what it could have it for. */
static bool avoids_http2(const struct http_request *req)
{
    bool is_write = strcmp(req->method, "PUT") == 0 || strcmp(req->method, "DELETE") == 0;

    return is_write && !http_client_writes_over_http2() && strncasecmp(req->url, "https:", 6) == 0;
}

static const char *request_url_shown(const struct http_request *req)
{
    return req->shown_url ? req->shown_url : req->url;
}

static int exchange_prepare(struct http_exchange *x, struct loop *loop,
                            const struct exchange_settings *settings,
                            const struct http_request *req, struct error *err)
{
    x->answer_bytes_max =
        req->body_bytes_max ? (size_t)req->body_bytes_max : EXCHANGE_ANSWER_BYTES_DEFAULT;
    x->answer.max = x->answer_bytes_max > HTTP_ERROR_BODY_BYTES_MAX ? x->answer_bytes_max
                                                                    : HTTP_ERROR_BODY_BYTES_MAX;
    x->header_text.max = EXCHANGE_HEADER_BYTES_MAX;
    x->deadline_ns = req->deadline_ns;
    x->began_boot_ns = env_boot_ns(loop_env(loop));
    x->stall_ns = req->stall_ns ? req->stall_ns : stall_ns_default;
    x->on_data = req->on_data;
    (void)url_redact(request_url_shown(req), x->shown_url); /* answers its argument */
    loop_timer_init(&x->deadline, loop, on_deadline, x);
    loop_timer_init(&x->stall, loop, on_stall, x);
    x->method = str_dup(req->method, err);
    x->easy = curl_easy_init();
    if (!x->method)
        return -1;
    if (!x->easy)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a request");
    set_connection(x, settings, req->unix_socket);
    set_callbacks(x);
    x->is_apart = avoids_http2(req);
    set_long(x, CURLOPT_HTTP_VERSION, x->is_apart ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS);
    if (set_url(x, req->url, settings->tls_server_name, err) < 0 || set_body(x, req, err) < 0 ||
        set_headers(x, req, err) < 0 || set_method(x, req, err) < 0)
        return -1;
    return set_check(x, err);
}

int exchange_new(struct loop *loop, const struct exchange_settings *settings,
                 const struct http_request *req, struct http_exchange **out, struct error *err)
{
    char shown[URL_REDACTED_BYTES];
    struct http_exchange *x = mem_new(1, sizeof(*x), err);

    if (!x)
        return -1;
    if (exchange_prepare(x, loop, settings, req, err) < 0) {
        exchange_free(x);
        return error_wrap(err, "%s %s", req->method, url_redact(request_url_shown(req), shown));
    }
    *out = x;
    return 0;
}

void exchange_free(struct http_exchange *x)
{
    ASSERT(!x->queue);
    loop_timer_stop(&x->deadline);
    loop_timer_stop(&x->stall);
    curl_easy_cleanup(x->easy); /* accepts NULL */
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->connect_to);
    buf_destroy(&x->answer);
    buf_destroy(&x->header_text);
    free(x->body_copy);
    free(x->method);
    free(x);
}

/* ---- what it came to ---- */

static enum error_code result_code(CURLcode result)
{
    switch ((int)result) { /* an int: the list of libcurl grows with each version */
    case CURLE_OUT_OF_MEMORY:
        return ERR_NO_MEMORY;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CERTPROBLEM:
        return ERR_ACCESS;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
        return ERR_USAGE;
    case CURLE_FILESIZE_EXCEEDED:
        return ERR_LIMIT;
    default: /* cannot resolve or connect, reset, cut, TLS alert, not HTTP */
        return ERR_UNAVAILABLE;
    }
}

static void result_error(struct http_exchange *x, CURLcode result)
{
    if (x->err.code != ERR_NONE || x->is_answer_cut)
        return;
    if (result == CURLE_OK) {
        /* libcurl takes a connection that ends among the headers for a whole answer. */
        if (!x->has_head)
            (void)error_set(&x->err, ERR_UNAVAILABLE, 0, "the answer ended among its headers");
        return;
    }
    const char *text = *x->curl_text ? x->curl_text : curl_easy_strerror(result);
    (void)error_set(&x->err, result_code(result), (int)result, "%s", text);
    if (result == CURLE_PEER_FAILED_VERIFICATION) {
        (void)error_hint(&x->err, "is the authority that signed the server's certificate among "
                                  "the trusted ones (CA file)?");
    }
}

void exchange_finish(struct http_exchange *x, CURLcode result)
{
    curl_off_t sent = 0;
    curl_off_t received = 0;

    ASSERT(!x->queue);
    ASSERT(x->state != EXCHANGE_DONE);
    x->state = EXCHANGE_DONE;
    loop_timer_stop(&x->deadline);
    loop_timer_stop(&x->stall);
    result_error(x, result);
    /* Both fail only for names that this libcurl does not know. */
    (void)curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    (void)curl_easy_getinfo(x->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    if (x->err.code != ERR_NONE)
        (void)error_wrap(&x->err, "%s %s", x->method, x->shown_url);
    struct http_response response = {
        .status = status_of(x),
        .body = buf_slice(&x->answer),
        .err = &x->err,
        .exchange = x,
        .sent_bytes = (uint64_t)sent,
        .received_bytes = (uint64_t)received,
    };
    x->done(x->arg, &response);
    exchange_free(x);
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    const struct http_exchange *x = response->exchange;
    const char *at = buf_str(&x->header_text);
    const char *found = NULL;

    for (size_t i = 0; i < x->header_count; i++) {
        const char *value = at + strlen(at) + 1;
        if (strcasecmp(at, name) == 0)
            found = value;
        at = value + strlen(value) + 1;
    }
    return found;
}
