/*
 * Inside the chain of credentials: environment, profile files, and sources that are asked over
 * HTTP.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_CREDENTIALS_INTERNAL_H
#define WALFERRY_LIB_STORAGE_S3_CREDENTIALS_INTERNAL_H

#include "lib/http/client.h"
#include "lib/storage/s3/credentials.h"

/* The value of an environment variable; NULL if it is not set or empty. */
const char *credentials_env(const char *name);

/* ---- credentials_file.c ---- */

/* What a profile says, all of it owned; NULL where it says nothing. */
struct s3_profile {
    bool is_found;
    char *access_key_id;
    char *secret;
    char *session_token;
    char *role_arn;
    char *role_session_name;
    char *web_identity_token_file;
    char *refused; /* a setting that asks for what this version does not do */
};

/* Wipes and frees. Accepts a zeroed one. */
void s3_profile_destroy(struct s3_profile *p);

/*
 * Reads the section of a profile out of the text of a shared file. What *out holds already stays:
 * the credentials file is read first. is_config: sections are called "profile NAME".
 * ERR_CORRUPT (zero bytes), ERR_NO_MEMORY.
 */
MUST_USE int s3_profile_parse(struct slice text, const char *name, bool is_config,
                              struct s3_profile *out, struct error *err);

/* Reads both shared files. A file that is not there is empty. ERR_IO, ERR_ACCESS, ERR_LIMIT. */
MUST_USE int s3_profile_load(const struct env *env, const char *name, struct s3_profile *out,
                             struct error *err);

/* Reads a token from a file, without the white space at its end. ERR_NOT_FOUND, ERR_USAGE. */
MUST_USE int credentials_token_read(const struct env *env, const char *path, struct buf *out,
                                    struct error *err);

/* ---- credentials_folder.c ---- */

/*
 * Reads the keys from files of a folder: AWS_ACCESS_KEY_ID or access-key-id,
 * AWS_SECRET_ACCESS_KEY or secret-access-key, and, if there is one, AWS_SESSION_TOKEN or
 * session-token. They serve until S3_CREDENTIALS_FOLDER_NS from now; if they cannot be read again
 * then, S3_CREDENTIALS_EARLY_NS longer.
 * ERR_ACCESS names the files that are missing; ERR_IO, ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int s3_credentials_folder_read(const struct env *env, const char *folder,
                                        struct s3_credentials *out, struct error *err);

/* ---- credentials_fetch.c ---- */

enum credentials_fetch_kind {
    CREDENTIALS_FETCH_WEB_IDENTITY,
    CREDENTIALS_FETCH_CONTAINER,
    CREDENTIALS_FETCH_METADATA,
};

/* What a fetch needs to know; copied. */
struct credentials_fetch_config {
    enum credentials_fetch_kind kind;
    const char *role_arn; /* web identity */
    const char *role_session_name;
    const char *token_file;
    const char *region;
};

struct credentials_fetch;

/* credentials: NULL on failure; may be moved out. err is never NULL. */
typedef void credentials_fetch_fn(void *arg, struct s3_credentials *credentials,
                                  const struct error *err);

/*
 * Asks a source. fn runs once, never within this call. -1 only when nothing was started:
 * ERR_NO_MEMORY, ERR_USAGE (environment that makes no sense), ERR_ACCESS (no token file).
 */
MUST_USE int credentials_fetch_start(struct loop *loop, struct http_client *http,
                                     const struct credentials_fetch_config *config,
                                     credentials_fetch_fn *fn, void *arg,
                                     struct credentials_fetch **out, struct error *err);

/* fn will not run. The HTTP client must be freed afterwards, before the loop. */
void credentials_fetch_abandon(struct credentials_fetch *f);

/* ---- what the sources answer, pure ---- */

/* The JSON of container and metadata endpoints. ERR_CORRUPT, ERR_ACCESS (a Code that is not
 * Success), ERR_NO_MEMORY. */
MUST_USE int credentials_json_parse(struct slice body, const char *source,
                                    struct s3_credentials *out, struct error *err);

/* STS' AssumeRoleWithWebIdentityResponse. ERR_CORRUPT, ERR_NO_MEMORY. */
MUST_USE int credentials_sts_parse(struct slice body, struct s3_credentials *out,
                                   struct error *err);

#endif
