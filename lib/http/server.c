/*
 * The server's listeners and its life with libwebsockets.
 *
 * We open, bind and accept ourselves, and hand accepted sockets to libwebsockets: so that a socket
 * file in use is an error instead of being unlinked, its mode is set, a full house can make room,
 * and running out of descriptors pauses instead of spinning. One libwebsockets context serves all
 * listeners; each has a "vhost", which carries its certificate and leads connections back to it.
 *
 * Start: context (loads the libuv plug-in at run time; without it there is no server), then for
 * each listener its vhost, its socket, and a poll handle in our loop.
 *
 * End: stop accepting, remove socket files, close every connection, then close the handles that
 * libwebsockets made in our loop when its context was created (we counted them). The context itself
 * stays for the life of the process, about 50 KB and two descriptors: lws_context_destroy() of
 * libwebsockets 4.1 closes its eventfd twice, the second time a turn of the loop later and by
 * number (measured: lws_destroy_event_pipe(), then __lws_close_free_wsi_final()). In between
 * another thread may have opened something under that number, say a database with its locks.
 *
 * libwebsockets ignores SIGPIPE for the whole process when it starts, as it must for TLS.
 */
#include "lib/http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/http/server_internal.h"

enum {
    SERVER_BACKLOG = 128,
    SERVER_SPARE_DESCRIPTORS = 16, /* in libwebsockets' table, beyond connections */
};

#define SERVER_ACCEPT_PAUSE_NS (100 * NS_PER_MS)

/* ---- what libwebsockets says ---- */

/* It has one log for the process. owner: loop thread. */
static const struct log *lws_log;
static char lws_last_line[160];

static void lws_on_log(int level UNUSED, const char *line)
{
    const char *text = strstr(line, "] ");

    text = text ? text + 2 : line;
    (void)snprintf(lws_last_line, sizeof(lws_last_line), "%.*s", (int)strcspn(text, "\n"),
                   text); /* cut when long */
    if (lws_log)
        LOG_DEBUG(lws_log, "libwebsockets", LOG_STR("text", lws_last_line));
}

/* ---- the handles that libwebsockets makes ---- */

/* Visits the handles of a loop in the order of their making. */
static void handle_visit(uv_handle_t *handle, void *arg)
{
    struct http_server *server = arg;

    if (server->handles_to_skip > 0) {
        server->handles_to_skip--;
        return;
    }
    ASSERT(server->lws_handle_count < ARRAY_LEN(server->lws_handles));
    server->lws_handles[server->lws_handle_count++] = handle;
}

static void handle_count(uv_handle_t *handle UNUSED, void *arg)
{
    size_t *count = arg;

    (*count)++;
}

/* ---- sockets ---- */

static void listener_pause(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        (void)uv_poll_stop(&server->listeners[i].poll); /* never fails */
    loop_timer_start(&server->accept_pause, SERVER_ACCEPT_PAUSE_NS);
}

/* A full house that nobody leaves: tell the newcomer and close. */
static void listener_turn_away(const struct server_listener *listener, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n";

    /* Best effort: the buffer of a new socket is empty, so this is written or the peer is gone. */
    if (!listener_has_tls(&listener->config))
        (void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd); /* nothing of ours is lost */
}

static void listener_on_readable(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct server_listener *listener = poll->data;
    struct http_server *server = listener->server;

    for (int i = 0; i < HTTP_SERVER_ACCEPTS_MAX; i++) {
        int on = 1;
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            if (!server_connection_evict(server))
                listener_pause(server);
            return;
        }
        if (fd < 0)
            return; /* nobody is waiting, or he has left already */
        if (!listener->config.unix_path)
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only slower */
        if (server->connection_count >= server->config.connections_max &&
            !server_connection_evict(server))
            listener_turn_away(listener, fd);
        else
            server_connection_open(listener, fd);
    }
}

static void listener_watch(struct server_listener *listener)
{
    int rc = uv_poll_start(&listener->poll, UV_READABLE, listener_on_readable);

    ASSERT(rc == 0);
}

static void accept_on_pause_over(void *arg)
{
    struct http_server *server = arg;

    for (size_t i = 0; i < server->listener_count; i++)
        listener_watch(&server->listeners[i]);
}

/* Whether somebody accepts connections at this socket file. */
static bool unix_is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return true; /* not known: then nothing is removed */
    bool is_alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                    errno != ECONNREFUSED;
    (void)close(fd); /* nothing was written */
    return is_alive;
}

/* Removes a socket file that nobody listens on. */
static int unix_remove_stale(struct server_listener *listener, const struct sockaddr_un *address,
                             struct error *err)
{
    const struct env *env = loop_env(listener->server->loop);
    const char *path = listener->config.unix_path;
    struct stat st;

    if (env_stat(env, path, &st, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, ERR_EXISTS, EADDRINUSE, "%s is not a socket", path);
    if (unix_is_alive(address)) {
        (void)error_set(err, ERR_EXISTS, EADDRINUSE, "%s is in use by another process", path);
        return error_hint(err, "only one process can serve a control socket; set another path");
    }
    return env_unlink(env, path, err);
}

static int listener_bind_unix(struct server_listener *listener, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = listener->config.unix_path;
    mode_t mode = listener->config.unix_mode ? listener->config.unix_mode : 0600;
    struct stat st;

    if (strlen(path) >= sizeof(address.sun_path)) {
        return error_set(err, ERR_USAGE, 0, "%s: longer than the %zu bytes of a socket path", path,
                         sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path, strlen(path));
    if (unix_remove_stale(listener, &address, err) < 0)
        return -1;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return error_set_errno(err, errno, "socket for %s", path);
    /* Linux gives the file the mode of the descriptor, so it is never open to more than these;
     * chmod() then gives back what the umask has taken. */
    if (fchmod(listener->fd, mode) < 0 ||
        bind(listener->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, mode) < 0)
        return error_set_errno(err, errno, "bind %s", path);
    if (env_stat(loop_env(listener->server->loop), path, &st, err) < 0)
        return -1;
    listener->unix_inode = st.st_ino;
    return 0;
}

static int tcp_address(const struct http_listener *config, struct sockaddr_storage *out,
                       socklen_t *out_bytes, struct error *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    const char *text = config->address && config->address[0] ? config->address : "::";

    *out = (struct sockaddr_storage){0};
    if (config->port > 65535)
        return error_set(err, ERR_USAGE, 0, "port %u is not below 65536", config->port);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)config->port);
        *out_bytes = sizeof(*v4);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)config->port);
        *out_bytes = sizeof(*v6);
        return 0;
    }
    (void)error_set(err, ERR_USAGE, 0, "%s is not an IP address", text);
    return error_hint(err, "write the address in digits, like 127.0.0.1, or leave it out");
}

static int listener_bind_tcp(struct server_listener *listener, struct error *err)
{
    struct sockaddr_storage address;
    const struct http_listener *config = &listener->config;
    const char *name = config->address ? config->address : "";
    socklen_t bytes = 0;
    int on = 1, off = 0;

    if (tcp_address(config, &address, &bytes, err) < 0)
        return -1;
    listener->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 && errno == EAFNOSUPPORT && !name[0]) {
        /* A host without IPv6: "every address" is IPv4's then. */
        struct http_listener v4 = *config;
        v4.address = "0.0.0.0";
        if (tcp_address(&v4, &address, &bytes, err) < 0)
            return -1;
        listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (listener->fd < 0)
        return error_set_errno(err, errno, "socket for %s port %u", name, config->port);
    if (setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (address.ss_family == AF_INET6 &&
         setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0))
        return error_set_errno(err, errno, "socket options for port %u", config->port);
    if (bind(listener->fd, (const struct sockaddr *)&address, bytes) < 0) {
        int bind_errno = errno;
        (void)error_set_errno(err, bind_errno, "listen on %s port %u", name, config->port);
        if (bind_errno == EADDRINUSE)
            err->code = ERR_EXISTS;
        return -1;
    }
    if (getsockname(listener->fd, (struct sockaddr *)&address, &bytes) < 0)
        return error_set_errno(err, errno, "getsockname");
    listener->port = address.ss_family == AF_INET
                         ? ntohs(((struct sockaddr_in *)&address)->sin_port)
                         : ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

/* ---- listeners ---- */

static int vhost_create(struct server_listener *listener, size_t idx, struct error *err)
{
    struct http_server *server = listener->server;
    struct lws_context_creation_info info = {0};
    char name[24];

    (void)snprintf(name, sizeof(name), "%zu", idx); /* the largest has 20 digits */
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.vhost_name = name;
    info.protocols = server->protocols;
    info.user = listener;
    if (listener->config.cert_path) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = listener->config.cert_path;
        info.ssl_private_key_filepath = listener->config.key_path;
        info.alpn = "http/1.1";
    } else if (listener->config.identity) {
        /* The callback of connections then gets the SSL_CTX, see server_connection_callback(). */
        info.options |=
            LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
        info.alpn = "http/1.1";
    }
    lws_last_line[0] = '\0';
    listener->vhost = lws_create_vhost(server->context, &info);
    if (listener->vhost)
        return 0;
    if (listener->config.cert_path) {
        return error_set(err, ERR_USAGE, 0, "certificate %s with key %s: %s",
                         listener->config.cert_path, listener->config.key_path, lws_last_line);
    }
    return error_set(err, ERR_NO_MEMORY, 0, "libwebsockets: %s", lws_last_line);
}

static int listener_open(struct server_listener *listener, size_t idx, struct error *err)
{
    struct loop *loop = listener->server->loop;
    bool is_unix = listener->config.unix_path != NULL;

    ASSERT(!listener->config.cert_path == !listener->config.key_path);
    ASSERT(!(is_unix && listener_has_tls(&listener->config)));
    ASSERT(!(listener->config.cert_path && listener->config.identity));
    ASSERT(listener->config.route_count <= HTTP_SERVER_ROUTES_MAX);
    if (vhost_create(listener, idx, err) < 0)
        return -1;
    if ((is_unix ? listener_bind_unix(listener, err) : listener_bind_tcp(listener, err)) < 0)
        return -1;
    if (listen(listener->fd, SERVER_BACKLOG) < 0)
        return error_set_errno(err, errno, "listen");
    int rc = uv_poll_init(loop_uv(loop), &listener->poll, listener->fd);
    if (rc < 0)
        return error_set_errno(err, -rc, "watch the listening socket");
    listener->has_poll = true;
    listener->poll.data = listener;
    listener_watch(listener);
    return 0;
}

static void listener_close(struct server_listener *listener)
{
    struct error ignored = ERROR_INIT;
    const struct env *env = loop_env(listener->server->loop);
    struct stat st;

    if (listener->has_poll)
        uv_close((uv_handle_t *)&listener->poll, NULL);
    if (listener->fd >= 0)
        (void)close(listener->fd); /* a listening socket holds nothing that could be lost */
    listener->fd = -1;
    /* Only our own file: a newer process may have replaced it. What is left is found stale. */
    if (listener->unix_inode != 0 &&
        env_stat(env, listener->config.unix_path, &st, &ignored) == 0 &&
        st.st_ino == listener->unix_inode &&
        env_unlink(env, listener->config.unix_path, &ignored) < 0)
        error_clear(&ignored);
    listener->unix_inode = 0;
}

/* ---- the server ---- */

static void config_fill(struct http_server_config *config)
{
    ASSERT(config->listener_count <= HTTP_SERVER_LISTENERS_MAX);
    ASSERT(config->connections_max <= HTTP_SERVER_CONNECTIONS_MAX);
    if (config->head_bytes_max == 0)
        config->head_bytes_max = 8192;
    if (config->body_bytes_max == 0)
        config->body_bytes_max = 65536;
    if (config->connections_max == 0)
        config->connections_max = 256;
    if (config->request_timeout_ns == 0)
        config->request_timeout_ns = 10 * NS_PER_SEC;
    if (config->idle_timeout_ns == 0)
        config->idle_timeout_ns = 90 * NS_PER_SEC;
    if (config->first_timeout_ns == 0)
        config->first_timeout_ns = config->request_timeout_ns;
    if (config->write_timeout_ns == 0)
        config->write_timeout_ns = 30 * NS_PER_SEC;
}

static int context_create(struct http_server *server, struct error *err)
{
    struct lws_context_creation_info info = {0};
    void *foreign_loops[1] = {loop_uv(server->loop)};
    size_t read_bytes = SERVER_READ_BYTES;

    /* What OpenSSL has decrypted and we have not read makes no socket readable, and in a loop of
     * ours libwebsockets 4.1 does not come back for it: so each read must take a whole record. */
    for (size_t i = 0; i < server->listener_count; i++) {
        if (listener_has_tls(&server->listeners[i].config)) {
            read_bytes = SERVER_RECORD_BYTES;
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        }
    }

    server->protocols[0] = (struct lws_protocols){
        .name = "walferry-http",
        .callback = server_connection_callback,
        .per_session_data_size = sizeof(struct server_connection),
        .rx_buffer_size = read_bytes,
        .tx_packet_size = SERVER_WRITE_BYTES,
    };
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = server->protocols;
    info.foreign_loops = foreign_loops;
    info.options |= LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                    LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN;
    info.fd_limit_per_thread = server->config.connections_max + SERVER_SPARE_DESCRIPTORS;
    info.pt_serv_buf_size = (unsigned)read_bytes + LWS_PRE;
    info.max_http_header_pool = 1;
    lws_log = server->config.log;
    lws_last_line[0] = '\0';
    lws_set_log_level(LLL_ERR | LLL_WARN, lws_on_log);
    uv_walk(loop_uv(server->loop), handle_count, &server->handles_to_skip);
    server->context = lws_create_context(&info);
    if (server->context) {
        uv_walk(loop_uv(server->loop), handle_visit, server);
        return 0;
    }
    (void)error_set(err, ERR_UNSUPPORTED, 0, "libwebsockets does not start: %s",
                    lws_last_line[0] ? lws_last_line : "no reason given");
    return error_hint(err, "its libuv plug-in is a package of its own: libwebsockets-evlib-uv");
}

void http_server_free(struct http_server *server)
{
    static struct http_server *retired; /* list; owner: loop thread. See "End" above */

    if (!server)
        return;
    loop_assert_owner(server->loop);
    loop_timer_stop(&server->accept_pause);
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(&server->listeners[i]);
    server_connection_close_all(server);
    ASSERT(server->connection_count == 0);
    for (size_t i = 0; i < server->lws_handle_count; i++)
        uv_close(server->lws_handles[i], NULL);
    server->next_retired = retired;
    retired = server;
}

int http_server_new(struct loop *loop, const struct http_server_config *config,
                    struct http_server **out, struct error *err)
{
    struct http_server *server = mem_new(1, sizeof(*server), err);

    loop_assert_owner(loop);
    if (!server)
        return error_wrap(err, "HTTP server");
    server->loop = loop;
    server->config = *config;
    config_fill(&server->config);
    loop_timer_init(&server->accept_pause, loop, accept_on_pause_over, server);
    server->listener_count = config->listener_count;
    for (size_t i = 0; i < server->listener_count; i++) {
        server->listeners[i] =
            (struct server_listener){.server = server, .config = config->listeners[i], .fd = -1};
    }
    int rc = context_create(server, err);
    for (size_t i = 0; rc == 0 && i < server->listener_count; i++)
        rc = listener_open(&server->listeners[i], i, err);
    if (rc < 0) {
        http_server_free(server);
        return error_wrap(err, "HTTP server");
    }
    *out = server;
    return 0;
}

unsigned http_server_port(const struct http_server *server, size_t listener_idx)
{
    ASSERT(listener_idx < server->listener_count);
    return server->listeners[listener_idx].port;
}

unsigned http_server_connection_count(const struct http_server *server)
{
    return server->connection_count;
}
