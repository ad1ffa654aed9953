/*
 * Endpoints of object stores as text: "localhost:9000", "https://s3.example.com".
 */
#ifndef WALFERRY_LIB_CONFIG_ENDPOINT_H
#define WALFERRY_LIB_CONFIG_ENDPOINT_H

#include <stdbool.h>

#include "lib/base/base.h"

/*
 * Brings an endpoint into its normal form: scheme in front ("http" for what endpoint_is_local(),
 * else "https"), lower-case host, no slash at the end; a path is kept (Supabase has one). The
 * caller frees *out. ERR_USAGE for other schemes and anything with a user, query or fragment;
 * ERR_NO_MEMORY.
 */
MUST_USE int endpoint_normalize(const char *text, char **out, struct error *err);

/*
 * Whether an endpoint, with or without scheme, is near enough for plain http: localhost, loopback,
 * private IPv4 addresses, names in .local and .localhost.
 */
bool endpoint_is_local(const char *endpoint);

#endif
