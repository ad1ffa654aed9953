/*
 * lib/http: HTTP in both directions, on the event loop.
 *
 *   client.h          requests: libcurl's multi interface, connections shared and kept
 *   retry.h           when to try again: back-off with jitter, Retry-After, one deadline
 *   url.h             URLs in parts, percent encoding, what of a URL may be shown
 *   server.h          listening sockets: routes, handlers, the answers the server gives itself
 *   server_request.h  the grammar of requests as the server reads them
 *
 * Outgoing and incoming share nothing but the loop. Who talks to an object store takes client.h
 * and retry.h; who serves metrics or health takes server.h. Protocols are HTTP/1.1, HTTP/2 for the
 * client where the server has it, and TLS through OpenSSL on both sides (RFC 9110, 9112, 9113).
 */
#ifndef WALFERRY_LIB_HTTP_HTTP_H
#define WALFERRY_LIB_HTTP_HTTP_H

#include "lib/http/client.h"
#include "lib/http/retry.h"
#include "lib/http/server.h"
#include "lib/http/server_request.h"
#include "lib/http/url.h"

#endif
