/*
 * ObjectMeta of Kubernetes, the fields that matter here.
 */
#include "controller/api/meta.h"

#include "controller/api/api.h"
#include "controller/api/field_internal.h"

#define AT(field) offsetof(struct api_meta, field)

static const struct field rows[] = {
    {.way = "metadata.name", .kind = FIELD_TEXT, .is_required = true, .offset = AT(name)},
    {.way = "metadata.namespace", .kind = FIELD_TEXT, .offset = AT(namespace_name)},
    {.way = "metadata.uid", .kind = FIELD_TEXT, .offset = AT(uid)},
    {.way = "metadata.resourceVersion", .kind = FIELD_TEXT, .offset = AT(resource_version)},
    {.way = "metadata.generation", .kind = FIELD_COUNT, .offset = AT(generation)},
};

/* A text that is never NULL. */
static int text_fill(char **text, struct error *err)
{
    if (!*text)
        *text = str_dup("", err);
    return *text ? 0 : -1;
}

int api_meta_parse(struct jsonval resource, struct api_meta *out, struct error *err)
{
    struct jsonval created = jsonval_way(resource, "metadata.creationTimestamp");
    const char *text = NULL;

    *out = (struct api_meta){0};
    if (field_table_read(FIELD_TABLE(rows), resource, out, err) < 0 ||
        text_fill(&out->namespace_name, err) < 0 || text_fill(&out->uid, err) < 0 ||
        text_fill(&out->resource_version, err) < 0 ||
        jsonval_str_or(created, NULL, &text, err) < 0 ||
        (text && time_parse_rfc3339(text, &out->created_ns, err) < 0)) {
        api_meta_destroy(out);
        return -1;
    }
    out->is_deleted = !jsonval_is_null(jsonval_way(resource, "metadata.deletionTimestamp"));
    return 0;
}

void api_meta_destroy(struct api_meta *meta)
{
    field_table_destroy(FIELD_TABLE(rows), meta);
}

void api_owner_write(struct json_writer *w, const char *kind, const char *name, const char *uid)
{
    json_writer_array(w, "ownerReferences");
    json_writer_object(w, NULL);
    json_writer_str(w, "apiVersion", API_GROUP "/" API_VERSION);
    json_writer_str(w, "kind", kind);
    json_writer_str(w, "name", name);
    json_writer_str(w, "uid", uid);
    json_writer_bool(w, "controller", true);
    json_writer_bool(w, "blockOwnerDeletion", false);
    json_writer_end(w);
    json_writer_end(w);
}
