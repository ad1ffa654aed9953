/*
 * walferry retention: what the policy allows to be deleted, and why what stays is enough. Without
 * -delete nothing is touched.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/ltx/ltx.h"
#include "lib/storage/storage_wait.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"
#include "sidecar/engine/retain.h"

enum {
    WORKERS = 2,
    OUTPUT_BYTES_MAX = 256 << 20,
};

struct retention_args {
    struct config_choice config;
    const char *replica;
    uint64_t snapshot_ns;
    uint64_t l0_ns;
    bool is_delete;
    bool json;
};

static const struct retention_args defaults = {
    .snapshot_ns = UINT64_MAX,
    .l0_ns = UINT64_MAX,
};

#define AT(field) offsetof(struct retention_args, field)

static const struct flag flags[] = {
    {"config", FLAG_TEXT, AT(config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, AT(config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"replica", FLAG_TEXT, AT(replica), "NAME", "only this destination", "all of them"},
    {"retention", FLAG_DURATION, AT(snapshot_ns), "D",
     "every moment this far back stays restorable", "the configuration's, 24h"},
    {"l0-retention", FLAG_DURATION, AT(l0_ns), "D", "age at which covered L0 objects may go",
     "the configuration's, 5m"},
    {"delete", FLAG_SWITCH, AT(is_delete), NULL, "delete what is listed", NULL},
    {"json", FLAG_SWITCH, AT(json), NULL, "print JSON", NULL},
};

static const char detail[] =
    "A running \"walferry replicate\" does this by itself; this command shows what it\n"
    "would do, or does it for a replica that nobody writes to any more. A plan that\n"
    "would make any kept moment unrestorable is refused.\n";

/* One destination's plan on its way to the output. */
struct pass {
    const struct invocation *inv;
    const struct retention_args *args;
    struct storage *storage;
    const char *name;
    struct buf *out;
    struct json_writer *w; /* NULL: text */
};

static struct retain_policy policy_of(const struct invocation *inv, const struct target *t,
                                      size_t idx)
{
    const struct retention_args *a = inv->args;
    uint64_t snapshot_ns = t->db ? t->db->replicas[idx].snapshot_retention_ns : NS_PER_DAY;
    uint64_t l0_ns = t->config ? t->config->l0_retention_ns : 5 * NS_PER_MIN;

    return (struct retain_policy){
        .now_ns = env_wall_ns(inv->env),
        .snapshot_retention_ns = a->snapshot_ns != UINT64_MAX ? a->snapshot_ns : snapshot_ns,
        .l0_retention_ns = a->l0_ns != UINT64_MAX ? a->l0_ns : l0_ns,
    };
}

static int victim_print(const struct pass *p, const struct retain_victim *v, struct error *err)
{
    char txid[LTX_TXID_TEXT_BYTES];
    char moment[TIME_TEXT_BYTES];

    if (!p->w) {
        return buf_printf(p->out, err,
                          "  level %u  %016" PRIx64 "-%016" PRIx64 "  %12" PRIu64 "  %s\n",
                          v->level, v->object.min_txid, v->object.max_txid, v->object.bytes,
                          time_format_rfc3339(v->object.timestamp_ns, moment));
    }
    json_writer_object(p->w, NULL);
    json_writer_u64(p->w, "level", v->level);
    json_writer_str(p->w, "min_txid", ltx_txid_format(v->object.min_txid, txid));
    json_writer_str(p->w, "max_txid", ltx_txid_format(v->object.max_txid, txid));
    json_writer_u64(p->w, "size", v->object.bytes);
    json_writer_time(p->w, "timestamp", v->object.timestamp_ns);
    json_writer_end(p->w);
    return 0;
}

static int plan_print(const struct pass *p, const struct retain_plan *plan, size_t objects,
                      struct error *err)
{
    const char *done = p->args->is_delete ? "deleted" : "would be deleted";

    if (p->w) {
        json_writer_object(p->w, NULL);
        json_writer_str(p->w, "destination", p->name);
        json_writer_str(p->w, "url", storage_url(p->storage));
        json_writer_bool(p->w, "is_deleted", p->args->is_delete);
        json_writer_strf(p->w, "oldest_txid", "%016" PRIx64, plan->floor_txid);
        json_writer_u64(p->w, "objects", objects);
        json_writer_array(p->w, "files");
    }
    for (size_t i = 0; i < plan->victim_count; i++) {
        if (victim_print(p, &plan->victims[i], err) < 0)
            return -1;
    }
    if (p->w) {
        json_writer_end(p->w);
        json_writer_end(p->w);
        return 0;
    }
    return buf_printf(
        p->out, err,
        "%s: %zu of %zu objects %s, %" PRIu64 " bytes; restorable from TXID %016" PRIx64 " on\n",
        storage_url(p->storage), plan->victim_count, objects, done, plan->bytes, plan->floor_txid);
}

static int victims_delete(const struct pass *p, const struct retain_plan *plan, struct error *err)
{
    size_t n = plan->victim_count;
    CLEANUP(mem_free)
    char(*space)[STORAGE_KEY_BYTES_MAX] = mem_new(n + 1, sizeof(*space), err);
    CLEANUP(mem_free) const char **keys = space ? mem_new(n + 1, sizeof(*keys), err) : NULL;

    if (!keys)
        return -1;
    for (size_t i = 0; i < n; i++)
        keys[i] = inventory_object_key(plan->victims[i].level, &plan->victims[i].object, space[i]);
    return n ? storage_delete_wait(p->storage, keys, n, err) : 0;
}

static int pass_run(void *arg, const struct target *t, size_t idx, struct error *err)
{
    struct pass *p = arg;
    const struct retain_policy policy = policy_of(p->inv, t, idx);
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    CLEANUP(retain_plan_destroy) struct retain_plan plan = {.victims = NULL};

    p->storage = t->storages[idx];
    p->name = t->names[idx];
    if (inventory_load_wait(p->storage, &inv, false, err) < 0 ||
        retain_decide(&inv, &policy, &plan, err) < 0 ||
        (p->args->is_delete && victims_delete(p, &plan, err) < 0))
        return error_wrap(err, "retention of %s", storage_url(p->storage));
    return plan_print(p, &plan, inventory_object_count(&inv), err);
}

static int retention_all(struct loop *loop, const struct invocation *inv, struct error *err)
{
    const struct retention_args *a = inv->args;
    CLEANUP(target_close) struct target t = {.count = 0};
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(OUTPUT_BYTES_MAX);
    struct json_writer w;
    struct pass p = {.inv = inv, .args = a, .out = &out, .w = a->json ? &w : NULL};

    if (target_open(loop, &a->config, inv->positional[0], DESTINATION_PATIENT, &t, err) < 0)
        return -1;
    json_writer_init(&w, &out, JSON_PRETTY);
    if (a->json)
        json_writer_array(&w, NULL);
    if (target_each(&t, a->replica, pass_run, &p, err) < 0)
        return -1;
    if (!a->json)
        return command_print(buf_slice(&out), err);
    json_writer_end(&w);
    return command_print_json(&w, &out, err);
}

static int run(const struct invocation *inv, struct error *err)
{
    struct loop *loop = NULL;

    if (loop_new(inv->env, WORKERS, &loop, err) < 0)
        return -1;
    int rc = retention_all(loop, inv, err);
    loop_run(loop); /* what the storages still close */
    loop_free(loop);
    return rc;
}

const struct command command_retention = {
    .name = "retention",
    .summary = "Show, or delete, what retention allows to go",
    .usage = "walferry retention [flags] DB_PATH|REPLICA_URL",
    .example = "  walferry retention -retention 7d s3://bucket/app",
    .detail = detail,
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct retention_args),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
