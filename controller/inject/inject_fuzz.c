/*
 * Any JSON as a pod, as a workload and as a scale: no crash; a patch fits the document it was made
 * for; and the pod that comes out is injected, so that a second call changes nothing.
 */
#include "controller/inject/inject.h"

#include <stdlib.h>
#include <string.h>

#include "lib/testing/json_patch_apply.h"

enum {
    OUT_BYTES_MAX = 64 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char replica_text[] =
    "{\"metadata\":{\"name\":\"app\",\"namespace\":\"prod\"},\"spec\":{\"databases\":["
    "{\"name\":\"main\",\"path\":\"/data/app.db\"}],\"destination\":{\"s3\":{\"bucket\":\"b\","
    "\"credentialsSecretRef\":{\"name\":\"keys\"}}},\"sidecar\":{\"runAsUser\":7}}}";

static const char *const kinds[] = {"Deployment", "StatefulSet", "DaemonSet",
                                    "ReplicaSet", "Job",         "CronJob"};

static const struct inject_options options = {.image = "walferry:1", .version = "1"};

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

static void pod_inject(struct inject_request *request, struct slice text, bool is_second)
{
    CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf after = BUF_INIT(OUT_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (jsonval_parse(&doc, "fuzz", text, &err) < 0) {
        ASSERT(!is_second);
        return;
    }
    request->object = jsonval_root(&doc);
    if (inject_pod(request, &result, &err) < 0) {
        ASSERT(!is_second);
        return;
    }
    ASSERT(!is_second || (!result.is_denied && result.patch.n == 0));
    if (result.is_denied || result.patch.n == 0)
        return;
    ASSERT(json_patch_apply(text, buf_slice(&result.patch), &after, &err) == 0);
    pod_inject(request, buf_slice(&after), true);
}

static void workload_check(struct inject_request *request, struct slice text)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;

    if (jsonval_parse(&doc, "fuzz", text, &err) < 0)
        return;
    request->object = jsonval_root(&doc);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
        request->kind = kinds[i];
        (void)inject_replica_name(request->object, kinds[i]);
        if (inject_workload(request, &result, &err) < 0)
            error_clear(&err); /* what is no workload is an error, and no more */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct inject_request request = {
        .namespace_name = "prod", .kind = "Pod", .replica = replica_make(), .options = &options};

    pod_inject(&request, slice_of(data, n), false);
    workload_check(&request, slice_of(data, n));
    return 0;
}
