/*
 * One document of sidecar/command/probe.c, or the text that stands where there is none.
 */
#include "controller/replica/finding.h"

#include <string.h>

static int step_read(struct jsonval steps, const char *name, bool *out, struct error *err)
{
    const char *word;

    if (jsonval_str_or(jsonval_get(steps, name), "", &word, err) < 0)
        return -1;
    *out = strcmp(word, "ok") == 0;
    return 0;
}

static int document_read(struct jsonval d, struct finding *f, struct error *err)
{
    struct jsonval steps = jsonval_get(d, "steps");

    if (jsonval_bool(jsonval_get(d, "is_available"), &f->is_available, err) < 0 ||
        jsonval_bool_or(jsonval_get(d, "has_made_bucket"), false, &f->has_made_bucket, err) < 0 ||
        jsonval_bool_or(jsonval_get(d, "can_create"), false, &f->can_create, err) < 0 ||
        jsonval_str(jsonval_get(d, "reason"), &f->reason, err) < 0 ||
        jsonval_str_or(jsonval_get(d, "error"), "", &f->error, err) < 0 ||
        step_read(steps, "create", &f->can_write, err) < 0)
        return -1;
    return step_read(steps, "delete", &f->can_delete, err);
}

void finding_read(struct jsonval_doc *doc, const char *message, struct finding *out)
{
    struct error ignored = ERROR_INIT; /* no document: the message itself is what there is to say */
    struct finding f = {.is_there = true};

    if (jsonval_parse(doc, "probe", slice_of_str(message), &ignored) < 0 ||
        document_read(jsonval_first(jsonval_root(doc)), &f, &ignored) < 0) {
        f = (struct finding){.reason = "ProbeFailed",
                             .error = *message ? message : "The Job ended without an answer."};
    }
    *out = f;
}
