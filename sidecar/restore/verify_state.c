/*
 * The database checksum and the page map.
 *
 * The map is published after the swap, never before: a map that describes a database that is not
 * there would let whatever the application makes instead pass for its descendant. In between (the
 * process died) there is a whole database and an older map or none, and replication finds by its
 * content that it is the newest state, or refuses.
 */
#include "sidecar/restore/verify_state.h"

int verify_state_checksum(const struct output *o, const struct ltx_header *tip,
                          const struct ltx_trailer *tip_trailer, bool *out_is_recorded,
                          struct error *err)
{
    uint64_t recorded = tip->has_ext ? tip->db_checksum : tip_trailer->post_apply_checksum;

    *out_is_recorded = recorded != 0;
    if (recorded == 0 || recorded == o->db_checksum)
        return 0;
    return error_set(err, ERR_CORRUPT, 0,
                     "the restored database has checksum %016llx, the newest object recorded "
                     "%016llx: the objects do not belong together",
                     (unsigned long long)o->db_checksum, (unsigned long long)recorded);
}

int verify_state_publish(struct output *o, const struct ltx_header *identity,
                         const struct ltx_trailer *identity_trailer, uint64_t tip_txid,
                         struct error *err)
{
    struct map_state state = {
        .page_size = o->page_size,
        .page_count = o->page_count,
        .txid = identity->max_txid,
        .file_checksum = identity_trailer->file_checksum,
        .db_checksum = o->db_checksum,
        .epoch = identity->epoch,
        .owner = identity->owner,
        .is_rewind = identity->max_txid < tip_txid,
        .rewind_tip_txid = identity->max_txid < tip_txid ? tip_txid : 0,
    };

    ASSERT(o->is_finished && o->map_path);
    if (page_map_file_id(o->guard->env, o->guard->path, &state.file_id, err) < 0 ||
        page_map_publish(&o->map, &state, err) < 0) {
        (void)error_wrap(err, "%s is restored, but not its page map", o->guard->path);
        return error_hint(err, "replication will compare the whole database when it starts");
    }
    return 0;
}
