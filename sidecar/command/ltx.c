/*
 * walferry ltx: the objects of a replica, and with -level all what fenced writers left beside it.
 */
#include "lib/ltx/ltx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/inventory.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"

enum {
    WORKERS = 2,
};

struct ltx_args {
    struct config_choice config;
    const char *level;
    const char *replica;
    bool json;
};

static const struct ltx_args defaults = {.level = "0"};

static const struct flag flags[] = {
    {"config", FLAG_TEXT, offsetof(struct ltx_args, config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, offsetof(struct ltx_args, config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"level", FLAG_TEXT, offsetof(struct ltx_args, level), "N|all",
     "level to list: 0 to 9, or all (9: snapshots; also what fenced writers left)", "0"},
    {"replica", FLAG_TEXT, offsetof(struct ltx_args, replica), "NAME",
     "destination, if the database has several", "the first"},
    {"json", FLAG_SWITCH, offsetof(struct ltx_args, json), NULL, "print JSON", NULL},
};

static int levels_parse(const char *text, unsigned *out_first, unsigned *out_last,
                        struct error *err)
{
    *out_first = 0;
    *out_last = LTX_LEVEL_SNAPSHOT;
    if (strcmp(text, "all") == 0)
        return 0;
    if (text[0] < '0' || text[0] > '9' || text[1] != '\0')
        return error_set(err, ERR_USAGE, 0, "-level: \"%.16s\" is neither 0..9 nor all", text);
    *out_first = (unsigned)(text[0] - '0');
    *out_last = *out_first;
    return 0;
}

static int object_print(struct buf *out, struct json_writer *w, unsigned level,
                        const struct inventory_object *o, struct error *err)
{
    char min[LTX_TXID_TEXT_BYTES];
    char max[LTX_TXID_TEXT_BYTES];
    char moment[TIME_TEXT_BYTES];

    (void)ltx_txid_format(o->min_txid, min); /* returns min */
    (void)ltx_txid_format(o->max_txid, max); /* returns max */
    if (!w) {
        return buf_printf(out, err, "%-5u %s  %s  %12" PRIu64 "  %s\n", level, min, max, o->bytes,
                          time_format_rfc3339(o->timestamp_ns, moment));
    }
    json_writer_object(w, NULL);
    json_writer_u64(w, "level", level);
    json_writer_str(w, "min_txid", min);
    json_writer_str(w, "max_txid", max);
    json_writer_u64(w, "size", o->bytes);
    json_writer_time(w, "timestamp", o->timestamp_ns);
    json_writer_end(w);
    return 0;
}

static int fenced_print(struct buf *out, struct json_writer *w, const struct inventory_fenced *f,
                        struct error *err)
{
    char min[LTX_TXID_TEXT_BYTES];
    char max[LTX_TXID_TEXT_BYTES];
    char moment[TIME_TEXT_BYTES];

    (void)ltx_txid_format(f->min_txid, min); /* returns min */
    (void)ltx_txid_format(f->max_txid, max); /* returns max */
    if (!w) {
        return buf_printf(out, err, "%-5s %s  %s  %12" PRIu64 "  %s  %08x-%08x\n", "fenced", min,
                          max, f->bytes, time_format_rfc3339(f->timestamp_ns, moment), f->epoch,
                          f->owner);
    }
    json_writer_object(w, NULL);
    json_writer_str(w, "level", "fenced");
    json_writer_u64(w, "epoch", f->epoch);
    json_writer_strf(w, "owner", "%08x", f->owner);
    json_writer_str(w, "min_txid", min);
    json_writer_str(w, "max_txid", max);
    json_writer_u64(w, "size", f->bytes);
    json_writer_time(w, "timestamp", f->timestamp_ns);
    json_writer_end(w);
    return 0;
}

static int inventory_print(const struct ltx_args *args, const struct inventory *inv,
                           struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(256 << 20);
    struct json_writer w;
    unsigned first;
    unsigned last;

    if (levels_parse(args->level, &first, &last, err) < 0)
        return -1;
    json_writer_init(&w, &out, JSON_PRETTY);
    if (args->json)
        json_writer_array(&w, NULL);
    else if (buf_printf(&out, err, "%-5s %-16s  %-16s  %12s  %s\n", "level", "min_txid", "max_txid",
                        "size", "timestamp") < 0)
        return -1;
    for (unsigned level = first; level <= last; level++) {
        for (size_t i = 0; i < inv->level[level].object_count; i++) {
            if (object_print(&out, args->json ? &w : NULL, level, &inv->level[level].object[i],
                             err) < 0)
                return -1;
        }
    }
    for (size_t i = 0; i < inv->fenced_count && first != last; i++) {
        if (fenced_print(&out, args->json ? &w : NULL, &inv->fenced[i], err) < 0)
            return -1;
    }
    if (!args->json)
        return command_print(buf_slice(&out), err);
    json_writer_end(&w);
    return command_print_json(&w, &out, err);
}

static int storage_choose(const struct target *t, const char *name, struct storage **out,
                          struct error *err)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!name || strcmp(t->names[i], name) == 0) {
            *out = t->storages[i];
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, 0, "the database has no destination \"%.64s\"", name);
}

static int list_and_print(struct loop *loop, const struct ltx_args *args, const char *arg,
                          struct error *err)
{
    CLEANUP(target_close) struct target t = {.count = 0};
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    struct storage *st = NULL;

    if (target_open(loop, &args->config, arg, DESTINATION_PATIENT, &t, err) < 0 ||
        storage_choose(&t, args->replica, &st, err) < 0 ||
        inventory_load_wait(st, &inv, true, err) < 0)
        return -1;
    return inventory_print(args, &inv, err);
}

static int run(const struct invocation *inv, struct error *err)
{
    struct loop *loop = NULL;

    if (loop_new(inv->env, WORKERS, &loop, err) < 0)
        return -1;
    int rc = list_and_print(loop, inv->args, inv->positional[0], err);
    loop_run(loop); /* what the storages still close */
    loop_free(loop);
    return rc;
}

const struct command command_ltx = {
    .name = "ltx",
    .summary = "List the objects of a replica",
    .usage = "walferry ltx [flags] DB_PATH|REPLICA_URL",
    .example = "  walferry ltx -level all s3://bucket/app",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct ltx_args),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
