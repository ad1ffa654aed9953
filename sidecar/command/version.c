/*
 * walferry version: ours, and that of the SQLite library in use (whose WAL-reset bug matters to
 * everybody who checkpoints, so it is said aloud).
 */
#include <curl/curl.h>
#include <lz4.h>
#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <uv.h>

#include "sidecar/command/command.h"
#include "sidecar/engine/follow.h"

struct version_args {
    bool verbose;
    bool json;
};

static const struct flag flags[] = {
    {"verbose", FLAG_SWITCH, offsetof(struct version_args, verbose), NULL,
     "also commit, libraries and machine", NULL},
    {"json", FLAG_SWITCH, offsetof(struct version_args, json), NULL, "print JSON", NULL},
};

static int print_json(struct buf *out, struct error *err)
{
    struct json_writer w;
    struct utsname machine;

    json_writer_init(&w, out, JSON_PRETTY);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "version", walferry_version());
    json_writer_str(&w, "commit", walferry_commit());
    json_writer_str(&w, "sqlite", follow_sqlite_version());
    json_writer_bool(&w, "sqlite_has_wal_reset_bug", follow_sqlite_has_wal_reset_bug());
    json_writer_str(&w, "machine", uname(&machine) == 0 ? machine.machine : NULL);
    json_writer_end(&w);
    return command_print_json(&w, out, err);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct version_args *args = inv->args;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(4096);
    struct utsname machine;

    if (args->json)
        return print_json(&out, err);
    if (buf_printf(&out, err, "walferry %s\n", walferry_version()) < 0)
        return -1;
    if (args->verbose &&
        buf_printf(&out, err,
                   "commit: %s\nmachine: %s\nsqlite: %s%s\nlibuv: %s\nopenssl: %s\nlz4: %s\n"
                   "curl: %s\n",
                   walferry_commit(), uname(&machine) == 0 ? machine.machine : "unknown",
                   follow_sqlite_version(),
                   follow_sqlite_has_wal_reset_bug()
                       ? " (has the WAL-reset bug, which checkpoints of walferry cannot trigger)"
                       : "",
                   uv_version_string(), OpenSSL_version(OPENSSL_VERSION_STRING),
                   LZ4_versionString(), curl_version()) < 0)
        return -1;
    return command_print(buf_slice(&out), err);
}

const struct command command_version = {
    .name = "version",
    .summary = "Print the version",
    .usage = "walferry version [-verbose] [-json]",
    .example = "  walferry version -verbose",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct version_args),
    .run = run,
};
