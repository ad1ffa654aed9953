/*
 * Refusals of the API server. The reason in the body decides where the HTTP status leaves two ways
 * open (409: exists or conflict; 504: a timeout, or a version that is not there yet).
 */
#include "controller/kube/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SHOWN_BYTES_MAX = 200, /* of a body that is no Status */
};

static const struct {
    const char *text;
    enum kube_reason reason;
} reasons[] = {
    {"NotFound", KUBE_REASON_NOT_FOUND},
    {"AlreadyExists", KUBE_REASON_ALREADY_EXISTS},
    {"Conflict", KUBE_REASON_CONFLICT},
    {"Gone", KUBE_REASON_EXPIRED},
    {"Expired", KUBE_REASON_EXPIRED},
    {"Invalid", KUBE_REASON_INVALID},
    {"Forbidden", KUBE_REASON_FORBIDDEN},
    {"Unauthorized", KUBE_REASON_UNAUTHORIZED},
    {"TooManyRequests", KUBE_REASON_TOO_MANY_REQUESTS},
    {"BadRequest", KUBE_REASON_BAD_REQUEST},
};

static const char too_large_cause[] = "ResourceVersionTooLarge";

/* ---- reading; what is missing or of another type stays empty ---- */

/* The text at v, "" if there is none. */
static const char *text_of(struct jsonval v)
{
    const char *text = "";
    struct error ignored = ERROR_INIT;

    return jsonval_str(v, &text, &ignored) == 0 ? text : "";
}

static uint64_t number_of(struct jsonval v)
{
    uint64_t number = 0;
    struct error ignored = ERROR_INIT;

    return jsonval_u64(v, &number, &ignored) == 0 ? number : 0;
}

static void text_copy(char *out, size_t out_bytes, const char *text)
{
    (void)snprintf(out, out_bytes, "%s", text); /* cut if need be: it is for people */
}

static enum kube_reason reason_of(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (strcmp(reasons[i].text, text) == 0)
            return reasons[i].reason;
    }
    return KUBE_REASON_OTHER;
}

static void causes_read(struct kube_status *s, struct jsonval causes)
{
    for (struct jsonval v = jsonval_first(causes);
         jsonval_exists(v) && s->cause_count < KUBE_CAUSES_MAX; v = jsonval_next(v)) {
        struct kube_cause *c = &s->causes[s->cause_count++];
        text_copy(c->reason, sizeof(c->reason), text_of(jsonval_get(v, "reason")));
        text_copy(c->field, sizeof(c->field), text_of(jsonval_get(v, "field")));
        text_copy(c->message, sizeof(c->message), text_of(jsonval_get(v, "message")));
        if (strcmp(c->reason, too_large_cause) == 0)
            s->reason = KUBE_REASON_VERSION_TOO_LARGE;
    }
}

static void status_fill(struct kube_status *s, int http_status, struct jsonval object)
{
    *s = (struct kube_status){.http_status = http_status};
    if (strcmp(text_of(jsonval_get(object, "kind")), "Status") != 0)
        return;
    if (http_status == 0)
        s->http_status = (int)(number_of(jsonval_get(object, "code")) % 1000);
    s->reason = reason_of(text_of(jsonval_get(object, "reason")));
    text_copy(s->message, sizeof(s->message), text_of(jsonval_get(object, "message")));
    struct jsonval details = jsonval_get(object, "details");
    causes_read(s, jsonval_get(details, "causes"));
    uint64_t seconds = number_of(jsonval_get(details, "retryAfterSeconds"));
    s->retry_after_ns = (seconds < 3600 ? seconds : 3600) * NS_PER_SEC;
    /* Servers before 1.20 said it in words only (client-go apierrors.IsResourceVersionTooLarge). */
    if (strstr(s->message, "Too large resource version"))
        s->reason = KUBE_REASON_VERSION_TOO_LARGE;
}

/* ---- as struct error ---- */

static enum error_code code_of_reason(enum kube_reason reason)
{
    switch (reason) {
    case KUBE_REASON_NOT_FOUND:
        return ERR_NOT_FOUND;
    case KUBE_REASON_ALREADY_EXISTS:
        return ERR_EXISTS;
    case KUBE_REASON_CONFLICT:
        return ERR_CONFLICT;
    case KUBE_REASON_EXPIRED:
    case KUBE_REASON_VERSION_TOO_LARGE:
        return ERR_EXPIRED;
    case KUBE_REASON_INVALID:
    case KUBE_REASON_BAD_REQUEST:
        return ERR_USAGE;
    case KUBE_REASON_FORBIDDEN:
    case KUBE_REASON_UNAUTHORIZED:
        return ERR_ACCESS;
    case KUBE_REASON_TOO_MANY_REQUESTS:
        return ERR_UNAVAILABLE;
    case KUBE_REASON_NONE:
    case KUBE_REASON_OTHER:
    default:
        return ERR_NONE; /* the HTTP status decides */
    }
}

static enum error_code code_of_http(int status)
{
    switch (status) {
    case 401:
    case 403:
        return ERR_ACCESS;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 410:
        return ERR_EXPIRED;
    case 408:
    case 504:
        return ERR_TIMEOUT;
    case 429:
        return ERR_UNAVAILABLE;
    default:
        return status >= 400 && status < 500 ? ERR_USAGE : ERR_UNAVAILABLE;
    }
}

static void hint_add(const struct kube_status *s, struct error *err)
{
    if (s->reason == KUBE_REASON_FORBIDDEN)
        (void)error_hint(err, "the account needs a Role or ClusterRole that allows this");
    else if (s->http_status == 401)
        (void)error_hint(err, "the server does not know these credentials: expired token?");
}

/* Fills err from what was read; shown is the body of an answer that is no Status. */
static int status_error(const struct kube_status *s, const char *shown, struct error *err)
{
    enum error_code code = code_of_reason(s->reason);
    const char *message = s->reason != KUBE_REASON_NONE ? s->message : shown;

    if (code == ERR_NONE)
        code = code_of_http(s->http_status);
    (void)error_set(err, code, s->http_status, "%d%s%s", s->http_status, *message ? " " : "",
                    message);
    hint_add(s, err);
    return -1;
}

int kube_status_of(int http_status, struct jsonval object, struct kube_status *out,
                   struct error *err)
{
    status_fill(out, http_status, object);
    return status_error(out, "", err);
}

int kube_status_read(int http_status, struct slice body, struct kube_status *out, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error ignored = ERROR_INIT;
    char shown[SHOWN_BYTES_MAX];
    size_t n = body.n < sizeof(shown) - 1 ? body.n : sizeof(shown) - 1;

    if (jsonval_parse(&doc, "answer", body, &ignored) == 0) {
        status_fill(out, http_status, jsonval_root(&doc));
        if (out->reason != KUBE_REASON_NONE)
            return status_error(out, "", err);
    }
    *out = (struct kube_status){.http_status = http_status};
    if (n > 0)
        memcpy(shown, body.p, n);
    for (size_t i = 0; i < n; i++) {
        if (shown[i] < 0x20 || shown[i] > 0x7e)
            shown[i] = ' ';
    }
    while (n > 0 && shown[n - 1] == ' ')
        n--;
    shown[n] = '\0';
    return status_error(out, shown, err);
}
