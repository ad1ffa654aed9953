/*
 * An HTTP server inside the test process, which answers well or badly as the path says:
 *
 *   /hello            200 "hello", headers "X-Test: a b" and "x-test: last"
 *   /chunked          200 "abcdefg" in two chunks
 *   /redirect         302 to /hello          /refused         403 "forbidden"
 *   /interim          103, then an empty 200 /head            headers of a body of 12345 bytes
 *   /echo             200 with the body of the request; .../request with its head
 *   /big/N            200 with N bytes       /bad/N           500 with N bytes
 *   /headers/N        200 with N+1 headers
 *   /drip/N           200 with N bytes, one each 10 ms
 *   /signs/N          N interim answers (102), one each 10 ms, then /hello
 *   /signs-then-silence/N and /signs-then-end/N   the same, and then no answer
 *   /stall            200, the first byte of 9, then silence
 *   /silence          no answer              /closed          closes instead of answering
 *   /truncated        10 bytes of 100        /truncated-chunk 3 bytes of a chunk of 100
 *   /half-head        ends among the headers
 *   /garbage          not HTTP               /hello-and-bye   200, then closes without a word
 *
 * Failures of the server itself fail the test.
 */
#ifndef WALFERRY_LIB_TESTING_HTTP_PEER_H
#define WALFERRY_LIB_TESTING_HTTP_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    HTTP_PEER_CONNECTIONS_MAX = 64 /* in its whole life */
};

struct http_peer {
    int fd;
    uint16_t port; /* of 127.0.0.1 */
    pthread_t acceptor;
    pthread_t threads[HTTP_PEER_CONNECTIONS_MAX];
    int fds[HTTP_PEER_CONNECTIONS_MAX];
    atomic_uint accepted; /* connections so far */
    atomic_uint requests; /* requests so far */
};

/* Listens on a port from the kernel. peer must stay where it is. */
void http_peer_start(struct http_peer *peer);

/* Listens on a Unix socket that is made at path. */
void http_peer_start_unix(struct http_peer *peer, const char *path);

/* Cuts all connections and ends the threads. */
void http_peer_stop(struct http_peer *peer);

#endif
