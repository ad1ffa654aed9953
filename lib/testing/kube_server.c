/*
 * Connections of the API server for tests: one thread accepts, one thread a connection reads
 * HTTP/1.1 requests and answers them. Threads are detached; the server counts them by its list of
 * connections and ends when the list is empty.
 */
#include "lib/testing/kube_server.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/testing/kube_server_internal.h"
#include "lib/testing/test.h"

enum {
    HEAD_BYTES_MAX = 65536
};

/* ---- bytes ---- */

bool kube_send_bytes(struct kube_connection *c, const void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = c->ssl ? SSL_write(c->ssl, (const char *)p + done, (int)(n - done))
                             : send(c->fd, (const char *)p + done, n - done, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static ssize_t receive(struct kube_connection *c, void *p, size_t n)
{
    return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

bool kube_read_until_close(struct kube_connection *c)
{
    char rest[4096];

    while (recv(c->fd, rest, sizeof(rest), 0) > 0) {
    }
    return false;
}

/* Reads head and body; false at the end of the connection. */
static bool http_read(struct kube_http *r)
{
    size_t n = 0;
    char *end = NULL;

    r->head = calloc(1, HEAD_BYTES_MAX);
    while (!end) {
        ssize_t got = n + 1 < HEAD_BYTES_MAX
                          ? receive(r->connection, r->head + n, HEAD_BYTES_MAX - 1 - n)
                          : 0;
        if (got <= 0)
            return false;
        n += (size_t)got;
        end = strstr(r->head, "\r\n\r\n");
    }
    size_t head_n = (size_t)(end - r->head) + 4;
    const char *length = strcasestr(r->head, "\r\ncontent-length:");
    size_t body_n = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    size_t have = n - head_n;
    r->body = calloc(1, body_n + 1);
    memcpy(r->body, r->head + head_n, have);
    r->head[head_n] = '\0';
    while (have < body_n) {
        ssize_t got = receive(r->connection, r->body + have, body_n - have);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    r->target = calloc(1, head_n);
    if (sscanf(r->head, "%15s %s", r->method, r->target) != 2)
        return false;
    size_t path_n = strcspn(r->target, "?");
    r->path = strndup(r->target, path_n);
    r->query = r->target + path_n + (r->target[path_n] ? 1 : 0);
    return true;
}

static void http_clear(struct kube_http *r)
{
    free(r->head);
    free(r->body);
    free(r->target);
    free(r->path);
    *r = (struct kube_http){.connection = r->connection};
}

/* The subject of the certificate that the client has shown. */
static void peer_name(const struct kube_connection *c, char out[static 256])
{
    X509 *certificate = c->ssl ? SSL_get1_peer_certificate(c->ssl) : NULL;

    out[0] = '\0';
    if (certificate)
        (void)X509_NAME_oneline(X509_get_subject_name(certificate), out, 256);
    X509_free(certificate);
}

static void request_log(struct kube_server *s, const struct kube_http *r)
{
    size_t n = strlen(r->method) + strlen(r->target) + 2;

    (void)pthread_mutex_lock(&s->mu);
    s->requests = kube_grow(s->requests, (s->request_count + 1) * sizeof(char *));
    s->requests[s->request_count] = calloc(1, n);
    (void)snprintf(s->requests[s->request_count++], n, "%s %s", r->method, r->target);
    free(s->last_head);
    s->last_head = strdup(r->head);
    peer_name(r->connection, s->last_peer);
    (void)pthread_mutex_unlock(&s->mu);
}

/* ---- connections ---- */

static void *connection_run(void *arg)
{
    struct kube_connection *c = arg;
    struct kube_server *s = c->server;
    struct kube_http r = {.connection = c};
    bool is_open = !c->ssl || SSL_accept(c->ssl) == 1;

    while (is_open && http_read(&r)) {
        request_log(s, &r);
        is_open = kube_api_answer(&r);
        http_clear(&r);
    }
    http_clear(&r);
    (void)pthread_mutex_lock(&s->mu);
    struct kube_connection **at = &s->connections;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    (void)shutdown(c->fd, SHUT_RDWR);
    SSL_free(c->ssl);
    (void)close(c->fd);
    free(c);
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->mu);
    return NULL;
}

static void connection_start(struct kube_server *s, int fd)
{
    struct kube_connection *c = calloc(1, sizeof(*c));
    pthread_attr_t detached;
    pthread_t thread;
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    *c = (struct kube_connection){.server = s, .fd = fd};
    if (s->ctx) {
        c->ssl = SSL_new(s->ctx);
        (void)SSL_set_fd(c->ssl, fd);
    }
    (void)pthread_mutex_lock(&s->mu);
    c->next = s->connections;
    s->connections = c;
    s->accepted++;
    (void)pthread_mutex_unlock(&s->mu);
    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &detached, connection_run, c);
    ASSERT(rc == 0);
    (void)pthread_attr_destroy(&detached);
}

static void *acceptor_run(void *arg)
{
    struct kube_server *s = arg;

    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        connection_start(s, fd);
    }
}

/* ---- life ---- */

static void tls_make(struct kube_server *s, const char *folder)
{
    static const unsigned char sessions[] = "kube_server";

    test_tls_make(&s->tls, folder);
    s->ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(s->ctx);
    assert_int_equal(
        SSL_CTX_use_certificate_file(s->ctx, s->tls.server_cert_path, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(s->ctx, s->tls.server_key_path, SSL_FILETYPE_PEM),
                     1);
    assert_int_equal(SSL_CTX_load_verify_locations(s->ctx, s->tls.ca_path, NULL), 1);
    SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL); /* asked for, not required */
    /* Without it OpenSSL refuses every client that resumes a session. */
    assert_int_equal(SSL_CTX_set_session_id_context(s->ctx, sessions, sizeof(sessions)), 1);
}

struct kube_server *kube_server_start(bool is_https, const char *folder)
{
    struct kube_server *s = calloc(1, sizeof(*s));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(address);
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->mu, NULL);
    (void)pthread_cond_init(&s->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    kube_store_init(&s->store);
    s->is_https = is_https;
    if (is_https)
        tls_make(s, folder);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(s->fd >= 0);
    assert_int_equal(bind(s->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &bytes), 0);
    s->port = ntohs(address.sin_port);
    (void)snprintf(s->url, sizeof(s->url), "http%s://127.0.0.1:%u", is_https ? "s" : "", s->port);
    assert_int_equal(pthread_create(&s->acceptor, NULL, acceptor_run, s), 0);
    return s;
}

/* With mu held. */
static void connections_cut(struct kube_server *s)
{
    s->drop_count++;
    for (struct kube_connection *c = s->connections; c; c = c->next)
        (void)shutdown(c->fd, SHUT_RDWR);
    (void)pthread_cond_broadcast(&s->changed);
}

void kube_server_drop_connections(struct kube_server *s)
{
    (void)pthread_mutex_lock(&s->mu);
    connections_cut(s);
    (void)pthread_mutex_unlock(&s->mu);
}

void kube_server_stop(struct kube_server *s)
{
    if (!s)
        return;
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->acceptor, NULL);
    (void)close(s->fd);
    (void)pthread_mutex_lock(&s->mu);
    s->is_stopping = true;
    connections_cut(s);
    while (s->connections)
        (void)pthread_cond_wait(&s->changed, &s->mu);
    (void)pthread_mutex_unlock(&s->mu);
    SSL_CTX_free(s->ctx);
    kube_store_destroy(&s->store);
    for (size_t i = 0; i < s->request_count; i++)
        free(s->requests[i]);
    free(s->requests);
    for (size_t i = 0; i < s->page_count; i++) {
        free(s->pages[i].method);
        free(s->pages[i].path);
        free(s->pages[i].part);
        free(s->pages[i].text);
    }
    free(s->pages);
    free(s->last_head);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->mu);
    free(s);
}

/* ---- what tests do and ask ---- */

const char *kube_server_url(const struct kube_server *s)
{
    return s->url;
}

const char *kube_server_ca(const struct kube_server *s)
{
    return s->tls.ca_path;
}

const char *kube_server_client_cert(const struct kube_server *s)
{
    return s->tls.server_cert_path;
}

const char *kube_server_client_key(const struct kube_server *s)
{
    return s->tls.server_key_path;
}

void kube_server_faults(struct kube_server *s, const struct kube_faults *faults)
{
    (void)pthread_mutex_lock(&s->mu);
    s->faults = *faults;
    s->has_said_too_large = false;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->mu);
}

void kube_server_put(struct kube_server *s, const char *path, const char *json)
{
    struct kube_target target;
    struct cJSON *body = cJSON_Parse(json);

    assert_true(kube_target_parse(path, &target));
    assert_non_null(body);
    (void)pthread_mutex_lock(&s->mu);
    (void)kube_store_put(&s->store, &target, body);
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->mu);
}

void kube_server_delete(struct kube_server *s, const char *path)
{
    struct kube_target target;

    assert_true(kube_target_parse(path, &target));
    (void)pthread_mutex_lock(&s->mu);
    bool was_there = kube_store_delete(&s->store, &target);
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->mu);
    assert_true(was_there);
}

char *kube_server_get(struct kube_server *s, const char *path)
{
    struct kube_target target;

    assert_true(kube_target_parse(path, &target));
    (void)pthread_mutex_lock(&s->mu);
    const struct kube_stored *object = kube_store_find(&s->store, &target);
    char *json = object ? cJSON_PrintUnformatted(object->body) : NULL;
    (void)pthread_mutex_unlock(&s->mu);
    return json;
}

unsigned kube_server_count(struct kube_server *s, const char *collection)
{
    struct kube_target target;
    unsigned count = 0;

    assert_true(kube_target_parse(collection, &target));
    (void)pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->store.count; i++)
        count += kube_store_matches(&target, &s->store.objects[i].target, NULL, NULL) ? 1 : 0;
    (void)pthread_mutex_unlock(&s->mu);
    return count;
}

void kube_server_page(struct kube_server *s, const char *method, const char *path, const char *part,
                      int status, const char *text)
{
    (void)pthread_mutex_lock(&s->mu);
    s->pages = kube_grow(s->pages, (s->page_count + 1) * sizeof(*s->pages));
    s->pages[s->page_count++] = (struct kube_page){.method = strdup(method),
                                                   .path = strdup(path),
                                                   .part = part ? strdup(part) : NULL,
                                                   .text = strdup(text),
                                                   .status = status};
    (void)pthread_mutex_unlock(&s->mu);
}

void kube_server_compact(struct kube_server *s)
{
    (void)pthread_mutex_lock(&s->mu);
    s->store.compacted = s->store.version;
    (void)pthread_mutex_unlock(&s->mu);
}

unsigned kube_server_requests(struct kube_server *s, const char *part)
{
    unsigned count = 0;

    (void)pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->request_count; i++)
        count += strstr(s->requests[i], part) ? 1 : 0;
    (void)pthread_mutex_unlock(&s->mu);
    return count;
}

unsigned kube_server_gzipped(struct kube_server *s)
{
    (void)pthread_mutex_lock(&s->mu);
    unsigned count = s->gzipped;
    (void)pthread_mutex_unlock(&s->mu);
    return count;
}

unsigned kube_server_connections(struct kube_server *s)
{
    (void)pthread_mutex_lock(&s->mu);
    unsigned accepted = s->accepted;
    (void)pthread_mutex_unlock(&s->mu);
    return accepted;
}

void kube_server_last_peer(struct kube_server *s, char out[static 256])
{
    (void)pthread_mutex_lock(&s->mu);
    (void)snprintf(out, 256, "%s", s->last_peer);
    (void)pthread_mutex_unlock(&s->mu);
}

void kube_server_last_header(struct kube_server *s, const char *name, char out[static 512])
{
    char part[128];

    (void)snprintf(part, sizeof(part), "\r\n%s: ", name);
    out[0] = '\0';
    (void)pthread_mutex_lock(&s->mu);
    const char *at = s->last_head ? strcasestr(s->last_head, part) : NULL;
    if (at) {
        at += strlen(part);
        (void)snprintf(out, 512, "%.*s", (int)strcspn(at, "\r"), at);
    }
    (void)pthread_mutex_unlock(&s->mu);
}
