/*
 * Every key there is: of both dialects of litestream.yml and our own. A row that is added here is
 * read, checked, copied, wiped, explained by `config check`, and proposed when a key is misspelt.
 *
 * Defaults and ranges: Litestream 0.5 (cmd/litestream/main.go, db.go, store.go, s3/) and 0.3.13;
 * ours are metrics-compat, journal-mode, free-space-reserve, seal, require-fencing, session-token,
 * credentials-path, ca-file.
 */
#include <string.h>

#include "lib/config/config_internal.h"

#define KEY(k, field, knd, ...)                                                                    \
    {.key = (k), .kind = SETTING_##knd, .offset = offsetof(struct OWNER, field), __VA_ARGS__}
#define PLACE(k)             {.key = (k), .kind = SETTING_PLACE}
#define MOOT(k, flg, why)    {.key = (k), .kind = SETTING_MOOT, .flags = (flg), .note = (why)}
#define REFUSED(k, flg, why) {.key = (k), .kind = SETTING_REFUSED, .flags = (flg), .note = (why)}

static const char *const log_level_words[] = {"trace", "debug",   "info", "warn",
                                              "error", "warning", NULL};
static const char *const log_type_words[] = {"text", "json", "pretty", NULL};
static const char *const metrics_words[] = {"none", "litestream", NULL};
static const char *const unknown_words[] = {"refuse", "warn", NULL};
static const char *const journal_words[] = {"enable", "require", NULL};

#define OWNER config
static const struct setting global_rows[] = {
    KEY("addr", addr, TEXT),
    KEY("unknown-keys", unknown_keys, WORD, .words = unknown_words),
    KEY("metrics-compat", metrics_compat, WORD, .words = metrics_words),
    REFUSED("mcp-addr", 0, "there is no MCP server"),
    KEY("socket.enabled", socket.is_enabled, BOOL),
    KEY("socket.path", socket.path, PATH, .fallback = "/var/run/litestream.sock"),
    KEY("socket.permissions", socket.permissions, OCTAL, .fallback = "0600"),
    PLACE("levels"),
    KEY("snapshot.interval", snapshot_interval_ns, DURATION, .fallback = "24h", .min = 1),
    KEY("snapshot.retention", snapshot_retention_ns, DURATION, .fallback = "24h", .min = 1),
    KEY("validation.interval", validation_interval_ns, DURATION),
    KEY("l0-retention", l0_retention_ns, DURATION, .fallback = "5m"),
    MOOT("l0-retention-check-interval", 0,
         "an L0 object goes when it is old enough, without a scan"),
    MOOT("verify-compaction", 0,
         "every page of a compaction is checked against the page map before it is sent"),
    KEY("retention.enabled", retention_enabled, BOOL, .fallback = "true"),
    KEY("suspend", is_suspended, BOOL),
    KEY("heartbeat-url", heartbeat_url, CALLBACK),
    KEY("heartbeat-interval", heartbeat_interval_ns, DURATION, .fallback = "5m", .min = NS_PER_MIN),
    KEY("shutdown-sync-timeout", shutdown_sync_timeout_ns, DURATION, .fallback = "30s"),
    MOOT("shutdown-sync-interval", 0,
         "tries at the end follow each other with a growing, random pause"),
    MOOT("shutdown-timeout", 0, "shutdown-sync-timeout bounds what happens at the end"),
    KEY("exec", exec, TEXT),
    KEY("logging.level", logging.level, WORD, .words = log_level_words, .fallback = "info"),
    KEY("logging.type", logging.format, WORD, .words = log_type_words, .fallback = "text"),
    KEY("logging.stderr", logging.to_stderr, BOOL, .fallback = "true"),
    MOOT("logging.source", 0, "log lines do not name source files"),
    PLACE("dbs"),
};
#undef OWNER

#define OWNER config_db
static const struct setting db_rows[] = {
    KEY("path", path, PATH),
    KEY("dir", dir, PATH),
    KEY("pattern", pattern, TEXT),
    KEY("recursive", is_recursive, BOOL),
    KEY("watch", is_watched, BOOL),
    KEY("meta-path", meta_path, PATH),
    KEY("meta-dir", meta_dir, PATH),
    KEY("monitor-interval", monitor_interval_ns, DURATION, .fallback = "1s", .min = 1),
    KEY("checkpoint-interval", checkpoint_interval_ns, DURATION, .fallback = "1m"),
    KEY("busy-timeout", busy_timeout_ns, DURATION, .fallback = "1s"),
    KEY("min-checkpoint-page-count", min_checkpoint_page_count, COUNT, .fallback = "1000",
        .min = 1),
    MOOT("max-checkpoint-page-count", 0,
         "checkpoints never wait for readers here, however long the log is"),
    MOOT("truncate-page-n", 0,
         "the log is sealed from twice min-checkpoint-page-count on, and never truncated under "
         "waiting writers"),
    MOOT("max-sync-wal-bytes", 0,
         "an object holds each changed page once, however long the log is"),
    KEY("restore-if-db-not-exists", restore_if_db_not_exists, BOOL),
    KEY("snapshot.interval", snapshot_interval_ns, DURATION, .min = 1),
    KEY("snapshot.retention", snapshot_retention_ns, DURATION, .min = 1),
    KEY("journal-mode", journal_mode, WORD, .words = journal_words, .flags = SETTING_AT_TOP),
    KEY("free-space-reserve", free_space_reserve, RESERVE, .fallback = "64MiB,5%",
        .flags = SETTING_AT_TOP),
    KEY("seal", seal, BOOL, .fallback = "true", .flags = SETTING_AT_TOP),
    PLACE("replica"),
    PLACE("replicas"),
};
#undef OWNER

#define TOP SETTING_AT_TOP
#define S3  (SETTING_AT_TOP | SETTING_S3_ONLY)
#define LACKING(k, backend)                                                                        \
    REFUSED(k, TOP, "it belongs to replicas of type " backend ", which this version lacks")

#define OWNER config_replica
static const struct setting replica_rows[] = {
    PLACE("type"),
    PLACE("url"),
    PLACE("path"),
    KEY("name", name, TEXT),
    KEY("sync-interval", sync_interval_ns, DURATION, .fallback = "1s", .min = 1,
        .flags = TOP | SETTING_OR_NEVER),
    KEY("snapshot-interval", snapshot_interval_ns, DURATION),
    KEY("retention", snapshot_retention_ns, DURATION, .min = 1),
    MOOT("retention-check-interval", 0, "retention acts when something is old enough to go"),
    KEY("validation-interval", validation_interval_ns, DURATION, .flags = TOP),
    KEY("require-fencing", require_fencing, BOOL, .flags = TOP),
    KEY("lease", lease, BOOL, .flags = TOP),
    MOOT("max-sync-ltx-files", TOP, "a sync pass sends one object, however much has changed"),
    MOOT("auto-recover", TOP,
         "there are no local LTX files to lose; state that does not fit is always rebuilt"),
    REFUSED("age", TOP,
            "age encryption is not supported by this version, and nothing is stored unencrypted "
            "that was meant to be encrypted"),
    KEY("access-key-id", s3.access_key_id, TEXT, .flags = S3),
    KEY("secret-access-key", s3.secret_access_key, SECRET, .flags = S3),
    KEY("session-token", s3.session_token, SECRET, .flags = S3),
    KEY("credentials-path", s3.credentials_path, PATH, .flags = S3),
    KEY("region", s3.region, TEXT, .flags = S3),
    KEY("bucket", s3.bucket, TEXT, .flags = S3),
    KEY("endpoint", s3.endpoint, TEXT, .flags = S3),
    KEY("force-path-style", s3.path_style, TRISTATE, .flags = S3),
    KEY("sign-payload", s3.sign_payload, TRISTATE, .flags = S3),
    MOOT("sign-accept-encoding", S3, "the header Accept-Encoding is never sent"),
    KEY("require-content-md5", s3.content_md5, TRISTATE, .flags = S3),
    REFUSED("put-object-content-md5", S3, "this version sends no Content-MD5 with objects"),
    KEY("skip-verify", s3.skip_verify, BOOL, .flags = S3),
    KEY("ca-file", s3.ca_file, PATH, .flags = S3),
    KEY("storage-class", s3.storage_class, TEXT, .flags = S3),
    KEY("part-size", s3.part_bytes, BYTES, .fallback = "5MiB", .min = 5 << 20,
        .max = UINT64_C(5) << 30, .flags = S3),
    KEY("concurrency", s3.concurrency, COUNT, .max = 64, .flags = S3),
    KEY("sse-customer-algorithm", s3.sse_customer_algorithm, TEXT, .flags = S3),
    KEY("sse-customer-key", s3.sse_customer_key, SECRET, .flags = S3),
    KEY("sse-customer-key-md5", s3.sse_customer_key_md5, TEXT, .flags = S3),
    KEY("sse-customer-key-path", s3.sse_customer_key_path, PATH, .flags = S3),
    KEY("sse-kms-key-id", s3.sse_kms_key_id, TEXT, .flags = S3),
    LACKING("account-name", "abs"),
    LACKING("account-key", "abs"),
    LACKING("sas-token", "abs"),
    LACKING("host", "sftp"),
    LACKING("user", "sftp"),
    LACKING("password", "sftp"),
    LACKING("key-path", "sftp"),
    LACKING("host-key", "sftp"),
    LACKING("concurrent-writes", "sftp"),
    LACKING("webdav-url", "webdav"),
    LACKING("webdav-username", "webdav"),
    LACKING("webdav-password", "webdav"),
    LACKING("jwt", "nats"),
    LACKING("seed", "nats"),
    LACKING("creds", "nats"),
    LACKING("nkey", "nats"),
    LACKING("username", "nats"),
    LACKING("token", "nats"),
    LACKING("tls", "nats"),
    LACKING("root-cas", "nats"),
    LACKING("client-cert", "nats"),
    LACKING("client-key", "nats"),
    LACKING("max-reconnects", "nats"),
    LACKING("reconnect-wait", "nats"),
    LACKING("timeout", "nats"),
};
#undef OWNER

static_assert(ARRAY_LEN(global_rows) <= CONFIG_GLOBAL_SETTINGS, "room for the origins");
static_assert(ARRAY_LEN(db_rows) <= CONFIG_DB_SETTINGS, "room for the origins");
static_assert(ARRAY_LEN(replica_rows) <= CONFIG_REPLICA_SETTINGS, "room for the origins");

struct setting_table config_global_table(void)
{
    return (struct setting_table){global_rows, ARRAY_LEN(global_rows)};
}

struct setting_table config_db_table(void)
{
    return (struct setting_table){db_rows, ARRAY_LEN(db_rows)};
}

struct setting_table config_replica_table(void)
{
    return (struct setting_table){replica_rows, ARRAY_LEN(replica_rows)};
}

size_t config_row(struct setting_table table, const char *key)
{
    const struct setting *row = setting_find(table, key);

    ASSERT(row);
    return (size_t)(row - table.rows);
}
