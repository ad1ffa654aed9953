/*
 * Where the keys come from. The chain asks its sources in this order and stays with the first that
 * is configured; a source that is configured and fails is an error, never a reason to go on with
 * somebody else's identity.
 *
 *   1. static          access-key-id and secret-access-key of the configuration
 *   2. folder          credentials-path of the configuration: files that are read again, so that a
 *                      mounted Secret can change
 *   3. profile         if AWS_PROFILE is set: that section of the shared files
 *   4. environment     AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN;
 *                      LITESTREAM_ACCESS_KEY_ID, LITESTREAM_SECRET_ACCESS_KEY
 *   5. web identity    AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN: STS AssumeRoleWithWebIdentity
 *   6. shared files    section "default" of AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE
 *   7. container       AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (ECS, EKS Pod Identity)
 *   8. EC2 metadata    IMDSv2, unless AWS_EC2_METADATA_DISABLED=true
 *
 * Credentials that expire are fetched again S3_CREDENTIALS_EARLY_NS before they do; requests that
 * come meanwhile share one refresh. If that fails the old ones serve until their end. Token files
 * are read at every refresh. Secrets are wiped when replaced and never stand in an error.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers"; botocore,
 * credentials.py; litestream, main.go (LITESTREAM_*).
 */
#ifndef WALFERRY_LIB_STORAGE_S3_CREDENTIALS_H
#define WALFERRY_LIB_STORAGE_S3_CREDENTIALS_H

#include "lib/base/base.h"
#include "lib/io/loop.h"

#define S3_CREDENTIALS_EARLY_NS (5 * NS_PER_MIN)

/* How often the files of a folder are read again, while there are requests. */
#define S3_CREDENTIALS_FOLDER_NS NS_PER_MIN

enum {
    S3_CREDENTIAL_BYTES_MAX = 8192, /* of one field; session tokens reach 2 KiB */
    S3_CREDENTIAL_FILE_BYTES_MAX = 1 << 20,
};

struct s3_credentials {
    char *access_key_id;
    char *secret;
    char *session_token; /* NULL: none */
    uint64_t expires_ns; /* moment; 0: never */
    const char *source;  /* "environment", for messages; a literal */
};

/* Wipes and frees the fields. Accepts zeroed. */
void s3_credentials_destroy(struct s3_credentials *c);

/* Fills out with copies. ERR_NO_MEMORY. session_token may be NULL. */
MUST_USE int s3_credentials_set(struct s3_credentials *out, const char *source,
                                const char *access_key_id, const char *secret,
                                const char *session_token, uint64_t expires_ns, struct error *err);

struct s3_credentials_config {
    const char *access_key_id; /* NULL or "": not static */
    const char *secret_access_key;
    const char *session_token;
    const char *folder; /* of files with the keys; NULL or "": none */
    const char *region; /* of STS, when AWS_REGION does not tell */
};

struct s3_credentials_chain;

/* config is copied. ERR_NO_MEMORY, ERR_USAGE (half a key pair). Loop thread, as all here. */
MUST_USE int s3_credentials_chain_new(struct loop *loop, const struct s3_credentials_config *config,
                                      struct s3_credentials_chain **out, struct error *err);

/* Ends a refresh under way; nobody may be waiting any more (asserted). Accepts NULL. */
void s3_credentials_chain_free(struct s3_credentials_chain *chain);

/* Credentials that are good now, borrowed until the loop's next turn; NULL: s3_credentials_get().
 */
const struct s3_credentials *s3_credentials_peek(struct s3_credentials_chain *chain);

/* One who waits for credentials, embedded in him. Zeroed: not waiting. */
struct s3_credentials_wait {
    struct s3_credentials_wait *next;
    struct s3_credentials_chain *chain; /* NULL: not waiting */
    /*
     * credentials are borrowed for the call and NULL on failure; err is never NULL:
     *   ERR_ACCESS       no source has any, or one was refused
     *   ERR_UNAVAILABLE, ERR_TIMEOUT  a source did not answer: worth another try
     *   ERR_UNSUPPORTED  the profile asks for something this version does not do
     */
    void (*fn)(void *arg, const struct s3_credentials *credentials, const struct error *err);
    void *arg;
};

/* Looks the credentials up; fn runs later, never within this call. */
void s3_credentials_get(struct s3_credentials_chain *chain, struct s3_credentials_wait *wait,
                        void (*fn)(void *arg, const struct s3_credentials *credentials,
                                   const struct error *err),
                        void *arg);

/* Stops waiting; fn will not run. Harmless if not waiting. */
void s3_credentials_get_cancel(struct s3_credentials_wait *wait);

/*
 * The service said that these credentials have expired. True if asking again can help (they come
 * from a source that refreshes): the next peek answers NULL.
 */
bool s3_credentials_reject(struct s3_credentials_chain *chain);

#endif
