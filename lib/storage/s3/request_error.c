/*
 * What an answer of S3 means for us.
 *
 * The code in the <Error> document decides, where there is one that we know; else the HTTP status.
 * HEAD answers and proxies send no document, and some servers invent codes of their own, so both
 * tables are needed. Codes: Amazon S3 API Reference, "Error responses"; those of others as noted.
 */
#include <stdio.h>
#include <string.h>

#include "lib/storage/s3/request.h"

static const struct code_row {
    const char *s3_code;
    enum error_code code;
} code_rows[] = {
    {"NoSuchKey", ERR_NOT_FOUND},
    {"NoSuchBucket", ERR_NOT_FOUND},
    {"NoSuchUpload", ERR_NOT_FOUND},
    {"NotFound", ERR_NOT_FOUND},
    {"PreconditionFailed", ERR_EXISTS},
    {"BucketAlreadyOwnedByYou", ERR_EXISTS},
    {"BucketAlreadyExists", ERR_EXISTS},
    {"ConditionalRequestConflict", ERR_BUSY},
    {"OperationAborted", ERR_BUSY},
    {"AccessDenied", ERR_ACCESS},
    {"AccountProblem", ERR_ACCESS},
    {"AllAccessDisabled", ERR_ACCESS},
    {"ExpiredToken", ERR_ACCESS},
    {"InvalidAccessKeyId", ERR_ACCESS},
    {"InvalidSecurity", ERR_ACCESS},
    {"InvalidToken", ERR_ACCESS},
    {"NotSignedUp", ERR_ACCESS},
    {"RequestTimeTooSkewed", ERR_ACCESS},
    {"RequestExpired", ERR_ACCESS},
    {"SignatureDoesNotMatch", ERR_ACCESS},
    {"TokenRefreshRequired", ERR_ACCESS},
    {"UnauthorizedAccess", ERR_ACCESS},
    {"AuthorizationHeaderMalformed", ERR_USAGE},
    {"PermanentRedirect", ERR_USAGE},
    {"TemporaryRedirect", ERR_USAGE},
    {"Redirect", ERR_USAGE},
    {"IllegalLocationConstraintException", ERR_USAGE},
    {"SlowDown", ERR_UNAVAILABLE},
    {"SlowDownRead", ERR_UNAVAILABLE},  /* MinIO */
    {"SlowDownWrite", ERR_UNAVAILABLE}, /* MinIO */
    {"Throttling", ERR_UNAVAILABLE},
    {"ThrottlingException", ERR_UNAVAILABLE},
    {"TooManyRequests", ERR_UNAVAILABLE},
    {"RequestLimitExceeded", ERR_UNAVAILABLE},
    {"ServiceUnavailable", ERR_UNAVAILABLE},
    {"InternalError", ERR_UNAVAILABLE},
    {"RequestTimeout", ERR_UNAVAILABLE},
    /* Damaged on the way there: sent again it may arrive whole. */
    {"BadDigest", ERR_UNAVAILABLE},
    {"IncompleteBody", ERR_UNAVAILABLE},
    {"XAmzContentSHA256Mismatch", ERR_UNAVAILABLE},
    {"InvalidRange", ERR_CORRUPT},
    {"EntityTooLarge", ERR_LIMIT},
    {"NotImplemented", ERR_UNSUPPORTED},
    {"MethodNotAllowed", ERR_UNSUPPORTED},
    {"QuotaExceeded", ERR_NO_SPACE},
    {"XMinioStorageFull", ERR_NO_SPACE},
};

static enum error_code code_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return ERR_ACCESS;
    case 404:
        return ERR_NOT_FOUND;
    case 405:
    case 501:
        return ERR_UNSUPPORTED;
    case 409:
        return ERR_BUSY;
    case 412:
        return ERR_EXISTS;
    case 413:
        return ERR_LIMIT;
    case 416:
        return ERR_CORRUPT;
    case 507:
        return ERR_NO_SPACE;
    case 408:
    case 425:
    case 429:
        return ERR_UNAVAILABLE;
    default:
        return status >= 500 ? ERR_UNAVAILABLE : ERR_USAGE;
    }
}

bool s3_code_is_expiry(const char *code)
{
    return strcmp(code, "ExpiredToken") == 0 || strcmp(code, "InvalidToken") == 0 ||
           strcmp(code, "ExpiredTokenException") == 0 ||
           strcmp(code, "TokenRefreshRequired") == 0 || strcmp(code, "InvalidAccessKeyId") == 0;
}

static const char *permission_of(enum storage_op_kind kind)
{
    switch (kind) {
    case STORAGE_OP_PUT:
        return "s3:PutObject (and s3:AbortMultipartUpload)";
    case STORAGE_OP_LIST:
        return "s3:ListBucket";
    case STORAGE_OP_DELETE:
        return "s3:DeleteObject";
    case STORAGE_OP_GET:
    case STORAGE_OP_HEAD:
    case STORAGE_OP_KINDS:
    default:
        return "s3:GetObject, and s3:ListBucket: without it S3 answers 403 for what is missing";
    }
}

/* "local clock is 17m3s behind the server's". */
static void skew_explain(const struct s3_failure *f, struct error *err)
{
    uint64_t server_ns = f->date_ns;
    struct error ignored = ERROR_INIT;
    char text[TIME_TEXT_BYTES];

    if (f->error->server_time[0] &&
        time_parse_rfc3339(f->error->server_time, &server_ns, &ignored) < 0)
        server_ns = f->date_ns;
    if (server_ns == 0)
        return;
    bool is_behind = f->wall_ns < server_ns;
    uint64_t skew_ns = is_behind ? server_ns - f->wall_ns : f->wall_ns - server_ns;
    skew_ns -= skew_ns % NS_PER_SEC;
    (void)error_set(err, ERR_ACCESS, f->status,
                    "%d RequestTimeTooSkewed: the clock here is %s %s the server's", f->status,
                    duration_format(skew_ns, text), is_behind ? "behind" : "ahead of");
    (void)error_hint(err, "set the clock (NTP); signatures are valid for 15 minutes");
}

static void region_explain(const struct s3_failure *f, struct error *err)
{
    const char *region = f->bucket_region ? f->bucket_region : f->error->region;
    char printable[S3_REGION_BYTES_MAX];

    if (!region[0]) {
        (void)error_hint(err, "the bucket lives at another endpoint or region; redirects are not "
                              "followed: correct endpoint or region");
        return;
    }
    s3_text_copy(printable, sizeof(printable), slice_of_str(region));
    (void)error_set(err, ERR_USAGE, f->status, "%d %s: the bucket is in region %s, not %s",
                    f->status, f->error->code[0] ? f->error->code : "redirect", printable,
                    f->target->region);
    (void)error_hint(err, "set region: %s", printable);
}

static void access_explain(const struct s3_failure *f, struct error *err)
{
    const char *code = f->error->code;

    if (strcmp(code, "RequestTimeTooSkewed") == 0 || strcmp(code, "RequestExpired") == 0)
        skew_explain(f, err);
    else if (strcmp(code, "InvalidAccessKeyId") == 0)
        (void)error_hint(err, "the access key id is unknown to this endpoint");
    else if (strcmp(code, "SignatureDoesNotMatch") == 0) {
        (void)error_hint(err,
                         "the secret access key does not belong to the access key id, or the "
                         "region (%s) is not the endpoint's",
                         f->target->region);
    } else if (s3_code_is_expiry(code))
        (void)error_hint(err, "the session token is no longer valid: get new credentials");
    else
        (void)error_hint(err, "the credentials need %s", permission_of(f->kind));
}

int s3_failure_explain(const struct s3_failure *f, struct error *err)
{
    enum error_code code = code_of_status(f->status);
    const char *s3_code = f->error->code;
    bool is_redirect = f->status >= 300 && f->status < 400;

    for (size_t i = 0; i < ARRAY_LEN(code_rows); i++) {
        if (strcmp(code_rows[i].s3_code, s3_code) == 0)
            code = code_rows[i].code;
    }
    /* A 200 with an unknown error in its body: nothing was done, and nothing tells why. */
    if (f->status < 300 && code == ERR_USAGE && !is_redirect)
        code = ERR_UNAVAILABLE;
    (void)error_set(err, code, f->status, "%d%s%s%s%s", f->status, s3_code[0] ? " " : "", s3_code,
                    f->error->message[0] ? ": " : "", f->error->message);
    if (code == ERR_ACCESS)
        access_explain(f, err);
    else if (is_redirect || strcmp(s3_code, "AuthorizationHeaderMalformed") == 0)
        region_explain(f, err);
    else if (strcmp(s3_code, "NoSuchBucket") == 0) {
        (void)error_hint(err,
                         "bucket %s does not exist at %s: create it, or correct bucket, "
                         "endpoint or region",
                         f->target->bucket, f->target->host);
    } else if (code == ERR_CORRUPT && f->status == 416)
        (void)error_hint(err, "the object is shorter than what was asked for");
    return -1;
}
