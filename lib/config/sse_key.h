/*
 * Keys for S3's server-side encryption with customer keys (SSE-C): 32 bytes, written as base64,
 * in the configuration or in a file (white space around it does not count).
 */
#ifndef WALFERRY_LIB_CONFIG_SSE_KEY_H
#define WALFERRY_LIB_CONFIG_SSE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/config/config.h"

enum {
    SSE_KEY_BYTES = 32,
    SSE_KEY_FILE_BYTES_MAX = 4096,
};

/*
 * Decodes base64. md5 is the key's MD5 as base64, or NULL. ERR_USAGE: not 32 bytes, or another
 * MD5; the key never stands in the text.
 */
MUST_USE int sse_key_decode(const char *base64, const char *md5, uint8_t out[static SSE_KEY_BYTES],
                            struct error *err);

/*
 * The key of a destination; *out_has_key is false if it uses none. Reads the key file, which may
 * have changed since the configuration was read. The caller wipes out. Codes of sse_key_decode()
 * and of opening a file.
 */
MUST_USE int sse_key_load(const struct env *env, const struct config_s3 *s3, bool *out_has_key,
                          uint8_t out[static SSE_KEY_BYTES], struct error *err);

#endif
