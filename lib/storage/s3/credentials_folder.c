/*
 * Keys as files of a folder, the way Kubernetes mounts a Secret. Its keys are usually called as the
 * environment variables are; names that a file system would choose do as well.
 *
 * A Secret changes all its files at once, by one rename of a link, but we read them one by one: a
 * pair of an old and a new key is refused by the store, and read again then.
 */
#include <stdio.h>

#include "lib/storage/s3/credentials_internal.h"

static const char *const names[][2] = {
    {"AWS_ACCESS_KEY_ID", "access-key-id"},
    {"AWS_SECRET_ACCESS_KEY", "secret-access-key"},
    {"AWS_SESSION_TOKEN", "session-token"},
};

enum {
    KEY_ID,
    SECRET,
    TOKEN,
};

/* 1 found, 0 neither file is there. */
static int value_read(const struct env *env, const char *folder, int which, struct buf *out,
                      struct error *err)
{
    char path[4096];

    for (size_t i = 0; i < ARRAY_LEN(names[which]); i++) {
        int n = snprintf(path, sizeof(path), "%s/%s", folder, names[which][i]);
        if (n < 0 || (size_t)n >= sizeof(path))
            return error_set(err, ERR_USAGE, 0, "path of the credentials is too long");
        if (credentials_token_read(env, path, out, err) == 0)
            return 1;
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
    }
    return 0;
}

int s3_credentials_folder_read(const struct env *env, const char *folder,
                               struct s3_credentials *out, struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf id = BUF_INIT(S3_CREDENTIAL_BYTES_MAX);
    CLEANUP(buf_destroy_secret) struct buf secret = BUF_INIT(S3_CREDENTIAL_BYTES_MAX);
    CLEANUP(buf_destroy_secret) struct buf token = BUF_INIT(S3_CREDENTIAL_BYTES_MAX);
    uint64_t expires_ns = env_wall_ns(env) + S3_CREDENTIALS_EARLY_NS + S3_CREDENTIALS_FOLDER_NS;

    int has_id = value_read(env, folder, KEY_ID, &id, err);
    int has_secret = has_id < 0 ? -1 : value_read(env, folder, SECRET, &secret, err);
    if (has_secret < 0 || value_read(env, folder, TOKEN, &token, err) < 0)
        return -1;
    if (has_id == 0 || has_secret == 0) {
        int which = has_id == 0 ? KEY_ID : SECRET;
        (void)error_set(err, ERR_ACCESS, 0, "%s has neither a file %s nor %s", folder,
                        names[which][0], names[which][1]);
        return error_hint(err, "in Kubernetes these are the keys of the Secret");
    }
    return s3_credentials_set(out, "credentials-path", buf_str(&id), buf_str(&secret),
                              token.n ? buf_str(&token) : NULL, expires_ns, err);
}
