/*
 * One list of pods, by the label that Kubernetes gives to the pods of a Job.
 */
#include "controller/replica/job_result.h"

#include <stdlib.h>
#include <string.h>

/* One that is under way. */
struct asked {
    job_result_fn *done;
    void *arg;
    struct kube_request *request;
};

/* Reads how the first container of a pod ended; 1 if it did, 0 if not. */
static int ending_read(struct jsonval pod, struct job_result *out, struct error *err)
{
    struct jsonval status = jsonval_first(jsonval_way(pod, "status.containerStatuses"));
    struct jsonval ended = jsonval_way(status, "state.terminated");

    if (!jsonval_exists(ended))
        return 0;
    if (jsonval_i64(jsonval_get(ended, "exitCode"), &out->exit_code, err) < 0 ||
        jsonval_str_or(jsonval_get(ended, "message"), "", &out->message, err) < 0)
        return -1;
    return 1;
}

/* RFC 3339 in UTC, as the API server writes it, sorts as text. */
static int newest_read(struct jsonval items, struct job_result *out, struct error *err)
{
    const char *newest = "";

    for (struct jsonval pod = jsonval_first(items); jsonval_exists(pod); pod = jsonval_next(pod)) {
        struct job_result found = {.exit_code = -1};
        const char *created;
        if (jsonval_str(jsonval_way(pod, "metadata.creationTimestamp"), &created, err) < 0)
            return -1;
        int rc = ending_read(pod, &found, err);
        if (rc < 0)
            return -1;
        if (rc == 0 || strcmp(created, newest) < 0)
            continue;
        newest = created;
        out->message = found.message;
        out->exit_code = found.exit_code;
    }
    return 0;
}

static void on_pods(void *arg, const struct kube_answer *answer)
{
    struct asked *r = arg;
    struct error err = *answer->err;
    struct job_result result = {.err = &err, .message = "", .exit_code = -1};

    if (err.code == ERR_NONE)
        IGNORE(newest_read(jsonval_get(answer->object, "items"), &result, &err)); /* err tells */
    r->done(r->arg, &result);
    free(r);
}

int job_result_start(struct kube_client *client, const char *namespace_name, const char *job_name,
                     job_result_fn *done, void *arg, struct error *err)
{
    CLEANUP(buf_destroy) struct buf selector = BUF_INIT(512);
    struct asked *r = mem_new(1, sizeof(*r), err);

    if (!r)
        return -1;
    *r = (struct asked){.done = done, .arg = arg};
    if (buf_printf(&selector, err, "batch.kubernetes.io/job-name=%s", job_name) < 0) {
        free(r);
        return -1;
    }
    const struct kube_call call = {
        .verb = KUBE_LIST,
        .resource = &kube_pods,
        .namespace_name = namespace_name,
        .label_selector = buf_str(&selector),
    };
    if (kube_start(client, &call, on_pods, r, &r->request, err) < 0) {
        free(r);
        return -1;
    }
    return 0;
}
