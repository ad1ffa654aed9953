/*
 * SSE-C keys: base64 (RFC 4648, with padding) by OpenSSL, and MD5 for the check that S3 defines.
 */
#include "lib/config/sse_key.h"

#include <ctype.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>

enum {
    MD5_BYTES = 16,
    KEY_BASE64_BYTES = 44, /* of 32 bytes, with padding */
    MD5_BASE64_BYTES = 24,
};

static int key_error(struct error *err)
{
    return error_set(err, ERR_USAGE, 0, "the key is not the base64 form of %d bytes",
                     SSE_KEY_BYTES);
}

int sse_key_decode(const char *base64, const char *md5, uint8_t out[static SSE_KEY_BYTES],
                   struct error *err)
{
    uint8_t key[SSE_KEY_BYTES + 4]; /* OpenSSL writes the padding, too */
    uint8_t digest[MD5_BYTES];
    char digest_base64[MD5_BASE64_BYTES + 1];
    size_t digest_bytes = 0;

    if (strlen(base64) != KEY_BASE64_BYTES || base64[KEY_BASE64_BYTES - 1] != '=' ||
        base64[KEY_BASE64_BYTES - 2] == '=' ||
        EVP_DecodeBlock(key, (const uint8_t *)base64, KEY_BASE64_BYTES) < 0)
        return key_error(err);
    if (md5) {
        bool has_digest =
            EVP_Q_digest(NULL, "MD5", NULL, key, SSE_KEY_BYTES, digest, &digest_bytes) == 1;
        if (!has_digest) {
            explicit_bzero(key, sizeof(key));
            return error_set(err, ERR_UNSUPPORTED, 0, "OpenSSL has no MD5 to check the key by");
        }
        (void)EVP_EncodeBlock((uint8_t *)digest_base64, digest, MD5_BYTES); /* fixed length */
        if (strcmp(digest_base64, md5) != 0) {
            explicit_bzero(key, sizeof(key));
            return error_set(err, ERR_USAGE, 0, "the key's MD5 is %s, not %.32s", digest_base64,
                             md5);
        }
    }
    memcpy(out, key, SSE_KEY_BYTES);
    explicit_bzero(key, sizeof(key));
    return 0;
}

/* Reads the file into text, terminated and without white space around. */
static int key_file_read(const struct env *env, const char *path,
                         char text[static SSE_KEY_FILE_BYTES_MAX + 1], const char **out,
                         struct error *err)
{
    size_t n = 0;
    int fd;

    if (env_open(env, path, O_RDONLY, 0, &fd, err) < 0)
        return -1;
    int rc = env_pread(env, fd, text, SSE_KEY_FILE_BYTES_MAX, 0, path, &n, err);
    env_close_quietly(env, fd);
    if (rc < 0)
        return -1;
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    text[n] = '\0';
    *out = text + strspn(text, " \t\r\n");
    return 0;
}

int sse_key_load(const struct env *env, const struct config_s3 *s3, bool *out_has_key,
                 uint8_t out[static SSE_KEY_BYTES], struct error *err)
{
    char text[SSE_KEY_FILE_BYTES_MAX + 1];
    const char *base64;

    *out_has_key = false;
    if (s3->sse_customer_key) {
        if (sse_key_decode(s3->sse_customer_key, s3->sse_customer_key_md5, out, err) < 0)
            return error_wrap(err, "sse-customer-key");
        *out_has_key = true;
    } else if (s3->sse_customer_key_path) {
        int rc = key_file_read(env, s3->sse_customer_key_path, text, &base64, err);
        if (rc == 0)
            rc = sse_key_decode(base64, s3->sse_customer_key_md5, out, err);
        explicit_bzero(text, sizeof(text));
        if (rc < 0)
            return error_wrap(err, "sse-customer-key-path %s", s3->sse_customer_key_path);
        *out_has_key = true;
    }
    return 0;
}
