/*
 * Any JSON as an AdmissionReview, to both paths: no crash; an answer is JSON, echoes the uid, and
 * carries a patch only where it allows; a pod without the label never gets one.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/webhook/decide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char replica_text[] =
    "{\"metadata\":{\"name\":\"app\",\"namespace\":\"prod\"},\"spec\":{\"databases\":["
    "{\"name\":\"main\",\"path\":\"/data/app.db\"}],\"destination\":{\"s3\":{\"bucket\":\"b\"}},"
    "\"sidecar\":{\"runAsUser\":7}}}";

static const struct inject_options options = {.image = "walferry:1", .version = "1"};

static const struct webhook_source source = {.ctx = NULL};

static struct api_replica *replica_make(void)
{
    static struct api_replica *replica; /* the same for every input */
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;

    if (replica)
        return replica;
    ASSERT(jsonval_parse(&doc, "replica", slice_of_str(replica_text), &err) == 0);
    ASSERT(api_replica_parse(jsonval_root(&doc), &replica, &err) == 0);
    return replica;
}

static void answer_check(const struct review *r, const struct inject_result *result,
                         const char *name)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(REVIEW_ANSWER_BYTES_MAX);
    struct error err = ERROR_INIT;
    const char *uid = NULL;
    bool is_allowed = false;

    ASSERT(review_answer(r->uid, result, name, &out, &err) == 0);
    ASSERT(jsonval_parse(&doc, "answer", buf_slice(&out), &err) == 0);
    struct jsonval response = jsonval_get(jsonval_root(&doc), "response");
    ASSERT(jsonval_str(jsonval_get(response, "uid"), &uid, &err) == 0);
    ASSERT(strcmp(uid, r->uid) == 0);
    ASSERT(jsonval_bool(jsonval_get(response, "allowed"), &is_allowed, &err) == 0);
    bool has_patch = jsonval_exists(jsonval_get(response, "patch"));
    ASSERT(!has_patch || (is_allowed && name));
}

/* As admission.c finds it, with "app" for whatever is named elsewhere. */
static const char *name_of(const struct review *r, enum decide_path path)
{
    const char *kind = NULL;
    const char *target = decide_target(r, path, &kind);
    const char *name = target ? "" : decide_replica_name(r, path);

    return name && !name[0] ? "app" : name;
}

static void path_ask(const struct review *r, enum decide_path path, bool only_warns)
{
    CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
    const struct webhook_subject subject = {.replica = replica_make()};
    struct error err = ERROR_INIT;

    const struct decide_case c = {.review = r,
                                  .path = path,
                                  .name = name_of(r, path),
                                  .subject = &subject,
                                  .source = &source,
                                  .options = &options,
                                  .only_warns = only_warns};
    if (decide(&c, &result, &err) < 0)
        return;
    if (result.is_denied && only_warns)
        inject_soften(&result);
    answer_check(r, &result, c.name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct review r;

    if (jsonval_parse(&doc, "fuzz", slice_of(data, n), &err) < 0 ||
        review_parse(jsonval_root(&doc), &r, &err) < 0)
        return 0;
    for (enum decide_path path = DECIDE_MUTATE; path < DECIDE_PATHS; path++) {
        path_ask(&r, path, false);
        path_ask(&r, path, true);
    }
    return 0;
}
