/*
 * One object, written field by field.
 */
#include "controller/replica/config_map.h"

#include "controller/api/api.h"
#include "controller/inject/job.h"
#include "lib/json/json.h"
#include "lib/ltx/crc64.h"

int config_map_body(const struct api_meta *owner, const char *owner_kind, const char *name,
                    struct slice config, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "apiVersion", "v1");
    json_writer_str(&w, "kind", "ConfigMap");
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "namespace", owner->namespace_name);
    json_writer_str(&w, "name", name);
    json_writer_object(&w, "labels");
    json_writer_str(&w, INJECT_JOB_LABEL_MANAGER, "walferry");
    json_writer_end(&w);
    api_owner_write(&w, owner_kind, owner->name, owner->uid);
    json_writer_end(&w);
    json_writer_object(&w, "data");
    json_writer_slice(&w, API_CONFIG_KEY, config);
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

uint64_t config_map_sum(struct slice config, const char *owner_uid)
{
    uint64_t sum = crc64(crc64(0, slice_of_str(owner_uid)), config);

    return sum ? sum : 1;
}
