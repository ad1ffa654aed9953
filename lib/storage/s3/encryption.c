/*
 * How the server encrypts objects, from the configuration.
 *
 *   SSE-C    the customer's key goes with every PUT, part, GET and HEAD: base64 of its 32 bytes and
 *            base64 of their MD5. It travels, so only over TLS (or to the local host).
 *   SSE-KMS  the id of a key goes with every PUT and with the beginning of a multipart upload.
 *
 * Source: Amazon S3 User Guide, "Using server-side encryption with customer-provided keys".
 */
#include <openssl/evp.h>

#include "lib/storage/s3/s3_internal.h"

int s3_encryption_set(struct s3_store *store, const struct storage_s3_config *config,
                      struct error *err)
{
    struct s3_encryption *e = &store->encryption;
    uint8_t md5[16];

    if (config->sse_c_key && config->sse_kms_key_id) {
        return error_set(err, ERR_USAGE, 0,
                         "sse-customer-key and sse-kms-key-id exclude each "
                         "other");
    }
    if (config->sse_kms_key_id) {
        e->kms_key_id = str_dup(config->sse_kms_key_id, err);
        if (!e->kms_key_id)
            return -1;
    }
    if (!config->sse_c_key)
        return 0;
    if (!store->target.is_tls && !s3_host_is_loopback(store->target.host)) {
        return error_set(err, ERR_USAGE, 0,
                         "sse-customer-key would travel unencrypted: endpoint http://%s must be "
                         "https",
                         store->target.host);
    }
    if (!EVP_Digest(config->sse_c_key, S3_SSE_KEY_BYTES, md5, NULL, EVP_md5(), NULL))
        return error_set(err, ERR_UNSUPPORTED, 0, "sse-customer-key: MD5 is not available");
    (void)EVP_EncodeBlock((unsigned char *)e->customer_key, config->sse_c_key, S3_SSE_KEY_BYTES);
    (void)EVP_EncodeBlock((unsigned char *)e->customer_key_md5, md5, sizeof(md5));
    e->has_customer_key = true;
    return 0;
}
