/*
 * The document of snapshots_json.h, from the inventories that the engine keeps.
 */
#include "sidecar/control/snapshots_json.h"

#include "lib/json/json.h"
#include "lib/ltx/ltx.h"

static void put_destination(struct json_writer *w, const struct status_destination *d)
{
    char txid[LTX_TXID_TEXT_BYTES];

    json_writer_object(w, NULL);
    json_writer_str(w, "name", d->name);
    json_writer_str(w, "url", d->url);
    json_writer_array(w, "snapshots");
    for (size_t i = 0; i < d->snapshot_count && i < SNAPSHOTS_JSON_MAX; i++) {
        const struct inventory_object *o = &d->snapshots[d->snapshot_count - 1 - i];
        json_writer_object(w, NULL);
        json_writer_str(w, "txid", ltx_txid_format(o->max_txid, txid));
        json_writer_time(w, "at", o->timestamp_ns);
        json_writer_u64(w, "bytes", o->bytes);
        json_writer_end(w);
    }
    json_writer_end(w);
    json_writer_end(w);
}

int snapshots_json_write(const struct status_process *s, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_u64(&w, "schema", 1);
    json_writer_array(&w, "databases");
    for (size_t i = 0; i < s->db_count; i++) {
        json_writer_object(&w, NULL);
        json_writer_str(&w, "path", s->dbs[i].path);
        json_writer_str(&w, "name", s->dbs[i].name);
        json_writer_array(&w, "destinations");
        for (size_t k = 0; k < s->dbs[i].destination_count; k++)
            put_destination(&w, &s->dbs[i].destinations[k]);
        json_writer_end(&w);
        json_writer_end(&w);
    }
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}
