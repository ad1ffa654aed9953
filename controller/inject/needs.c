/*
 * From a store to volumes and mounts, by one list of needs.
 */
#include "controller/inject/needs.h"

#include <stdio.h>

#include "controller/inject/inject_internal.h"

/* What a destination needs in the pod. */
struct need {
    const char *kind;   /* of the volume: "credentials", "ca", "sse", "file" */
    const char *folder; /* where it is mounted, below the destination's name */
    const char *secret; /* one of these three */
    const char *config_map;
    const char *claim;
    const char *sub_path; /* of the claim */
};

static size_t needs_of(const struct api_store *s, struct need out[static NEEDS_MAX])
{
    size_t n = 0;

    if (s->credentials_secret) {
        out[n++] = (struct need){.kind = "credentials",
                                 .folder = API_CREDENTIAL_FOLDER,
                                 .secret = s->credentials_secret};
    }
    if (s->ca_secret || s->ca_config_map) {
        out[n++] = (struct need){.kind = "ca",
                                 .folder = API_CA_FOLDER,
                                 .secret = s->ca_secret,
                                 .config_map = s->ca_config_map};
    }
    if (s->sse_secret)
        out[n++] = (struct need){.kind = "sse", .folder = API_SSE_FOLDER, .secret = s->sse_secret};
    if (s->claim) {
        out[n++] = (struct need){
            .kind = "file", .folder = API_FILE_FOLDER, .claim = s->claim, .sub_path = s->sub_path};
    }
    return n;
}

/* "walferry-ca-1": by number, since names of destinations may be as long as names of volumes. */
static const char *need_volume(const struct need *need, size_t destination_idx, char out[static 64])
{
    (void)snprintf(out, 64, VOLUME_PREFIX "%s-%zu", need->kind, destination_idx);
    return out;
}

static void put_need_mount(struct json_writer *w, const struct need *need, bool is_read_only,
                           const char *volume, const char *destination)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "name", volume);
    json_writer_strf(w, "mountPath", "%s/%s", need->folder, destination);
    if (need->sub_path)
        json_writer_str(w, "subPath", need->sub_path);
    if (!need->claim || is_read_only)
        json_writer_bool(w, "readOnly", true);
    json_writer_end(w);
}

void needs_write_source(struct json_writer *w, const char *kind, const char *name_key,
                        const char *name)
{
    json_writer_object(w, kind);
    json_writer_str(w, name_key, name);
    json_writer_u64(w, "defaultMode", 0444);
    json_writer_end(w);
}

void needs_write_mounts(const struct api_store *store, bool is_read_only, size_t destination_idx,
                        const char *destination, struct json_writer *w)
{
    struct need needs[NEEDS_MAX];
    size_t count = needs_of(store, needs);
    char volume[64];

    for (size_t i = 0; i < count; i++) {
        put_need_mount(w, &needs[i], is_read_only, need_volume(&needs[i], destination_idx, volume),
                       destination);
    }
}

static int need_volume_write(const struct need *need, const char *name, struct buf *out,
                             struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "name", name);
    if (need->secret) {
        needs_write_source(&w, "secret", "secretName", need->secret);
    } else if (need->config_map) {
        needs_write_source(&w, "configMap", "name", need->config_map);
    } else {
        json_writer_object(&w, "persistentVolumeClaim");
        json_writer_str(&w, "claimName", need->claim);
        json_writer_end(&w);
    }
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

int needs_write_volumes(const struct api_store *store, size_t destination_idx, struct buf *out,
                        size_t out_max, size_t *out_count, struct error *err)
{
    struct need needs[NEEDS_MAX];
    size_t count = needs_of(store, needs);
    char volume[64];

    ASSERT(count <= out_max);
    for (size_t i = 0; i < count; i++) {
        if (need_volume_write(&needs[i], need_volume(&needs[i], destination_idx, volume), &out[i],
                              err) < 0)
            return -1;
    }
    *out_count = count;
    return 0;
}
