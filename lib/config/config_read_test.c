/*
 * What litestream.yml may say and what not: a table of small documents with the exact error, and
 * one of keys with the value they lead to.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/config/config_check.h"
#include "lib/config/config_internal.h"
#include "lib/testing/test.h"

static const char *fake_getenv(void *arg UNUSED, const char *name)
{
    return strcmp(name, "HOME") == 0 ? "/home/ada" : NULL;
}

static const struct config_options options = {.getenv = fake_getenv};

#define DB      "dbs:\n- path: /d\n"
#define REPLICA DB "  replica:\n"
#define S3      REPLICA "    url: s3://b/p\n"

static const struct error_row {
    const char *text;
    const char *error; /* the whole of it */
    enum error_code code;
} error_rows[] = {
    {"[]", "a.yml:1: expected a mapping, found a list", ERR_USAGE},
    {"adr: x", "a.yml:1: adr: unknown key; did you mean \"addr\"?", ERR_USAGE},
    {"\n\nretnetion: {}", "a.yml:3: retnetion: unknown key; did you mean \"retention\"?",
     ERR_USAGE},
    {"socket: {pth: /x}", "a.yml:1: socket.pth: unknown key; did you mean \"path\"?", ERR_USAGE},
    {"socket.path: /x", "a.yml:1: socket.path: unknown key", ERR_USAGE},
    {"unknown-keys: refuse\nnew: 1", "a.yml:2: new: unknown key", ERR_USAGE},
    {"unknown-keys: warn\naddr: 9090",
     "a.yml:2: addr: \"9090\" is not an address (expected host:port or :port)", ERR_USAGE},
    {"path: /x", "a.yml:1: path: unknown key", ERR_USAGE},
    {"zzzzzzzz: 1", "a.yml:1: zzzzzzzz: unknown key", ERR_USAGE},
    {"socket: yes", "a.yml:1: socket: expected a mapping, found a single value", ERR_USAGE},
    {"retention: 24h", "a.yml:1: retention: expected a mapping, found a single value", ERR_USAGE},
    {"addr: [x]", "a.yml:1: addr: expected a single value, found a list", ERR_USAGE},
    {"addr: 9090", "a.yml:1: addr: \"9090\" is not an address (expected host:port or :port)",
     ERR_USAGE},
    {"addr: ':70000'", "a.yml:1: addr: \":70000\" is not an address (expected host:port or :port)",
     ERR_USAGE},
    {"addr: '::1:80'", "a.yml:1: addr: \"::1:80\" is not an address (expected host:port or :port)",
     ERR_USAGE},
    {"mcp-addr: ':1'", "a.yml:1: mcp-addr: not supported: there is no MCP server", ERR_UNSUPPORTED},
    {"socket:\n  permissions: rw",
     "a.yml:2: socket.permissions: \"rw\" are not permissions "
     "(expected octal digits, for example 0600)",
     ERR_USAGE},
    {"socket: {enabled: perhaps}",
     "a.yml:1: socket.enabled: \"perhaps\" is not a switch (expected "
     "true or false)",
     ERR_USAGE},
    {"snapshot: {interval: 0}", "a.yml:1: snapshot.interval: 0 must be greater than zero",
     ERR_USAGE},
    {"snapshot: {retention: 5}",
     "a.yml:1: snapshot.retention: \"5\" is not a duration (expected "
     "for example 300ms, 1.5s, 2m30s, 24h or 7d)",
     ERR_USAGE},
    {"l0-retention: 30s", "a.yml:1: l0-retention: less than the minimum of 1m", ERR_USAGE},
    {"heartbeat-interval: 59s", "a.yml:1: heartbeat-interval: 59s is less than the minimum of 1m",
     ERR_USAGE},
    {"heartbeat-url: ftp://x",
     "a.yml:1: heartbeat-url: expected a URL that begins with http:// or https://", ERR_USAGE},
    {"levels: 30s", "a.yml:1: levels: expected a list, found a single value", ERR_USAGE},
    {"levels: []", "a.yml:1: levels: 0 levels; there can be 1 to 8", ERR_USAGE},
    {"levels: [{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s},"
     "{interval: 1s},{interval: 1s},{interval: 1s},{interval: 1s}]",
     "a.yml:1: levels: 9 levels; there can be 1 to 8", ERR_USAGE},
    {"levels: [30s]", "a.yml:1: levels[0]: expected a mapping, found a single value", ERR_USAGE},
    {"levels: [{}]", "a.yml:1: levels[0]: interval is missing", ERR_USAGE},
    {"levels: [{intreval: 1s}]",
     "a.yml:1: levels[0].intreval: unknown key; did you mean \"interval\"?", ERR_USAGE},
    {"levels: [{interval: 1s, retention: 1h}]",
     "a.yml:1: levels[0].retention: a level has no retention of its own; see l0-retention and "
     "snapshot.retention",
     ERR_USAGE},
    {"levels: [{interval: 0}]", "a.yml:1: levels[0].interval: 0 must be greater than zero",
     ERR_USAGE},
    {"levels:\n- interval: 5m\n- interval: 30s",
     "a.yml:3: levels[1].interval: 30s is shorter than the interval of the level before it",
     ERR_USAGE},
    {"logging: {level: loud}",
     "a.yml:1: logging.level: \"loud\" is none of: trace, debug, info, "
     "warn, error, warning",
     ERR_USAGE},
    {"logging: {type: xml}", "a.yml:1: logging.type: \"xml\" is none of: text, json, pretty",
     ERR_USAGE},
    {"metrics-compat: x", "a.yml:1: metrics-compat: \"x\" is none of: none, litestream", ERR_USAGE},
    {"free-space-reserve: 101%", "a.yml:1: free-space-reserve: 101% is more than the whole disk",
     ERR_USAGE},
    {"exec: ${X", "a.yml:1: exec: \"${X\": only ${NAME} is known; write $${ for the text ${",
     ERR_USAGE},
    {"account-key: x",
     "a.yml:1: account-key: not supported: it belongs to replicas of type abs, which this version "
     "lacks",
     ERR_UNSUPPORTED},
    {"dbs: {}", "a.yml:1: dbs: expected a list, found a mapping", ERR_USAGE},
    {"dbs: [/data/app.db]", "a.yml:1: dbs[0]: expected a mapping, found a single value", ERR_USAGE},
    {"dbs:\n- {}", "a.yml:2: dbs[0]: path (or dir) is missing", ERR_USAGE},
    {"dbs:\n- {path: /d, dir: /e}", "a.yml:2: dbs[0].dir: path and dir exclude each other",
     ERR_USAGE},
    {"dbs:\n- dir: /e", "a.yml:2: dbs[0]: dir needs a pattern, for example \"*.db\"", ERR_USAGE},
    {"dbs:\n- dir: /e\n  pattern: a/*.db",
     "a.yml:3: dbs[0].pattern: a pattern is for file names and has no '/'", ERR_USAGE},
    {DB "  watch: true", "a.yml:3: dbs[0].watch: only goes together with dir", ERR_USAGE},
    {DB "  recursive: true", "a.yml:3: dbs[0].recursive: only goes together with dir", ERR_USAGE},
    {DB "  pattern: x", "a.yml:3: dbs[0].pattern: only goes together with dir", ERR_USAGE},
    {DB "  meta-dir: /m", "a.yml:3: dbs[0].meta-dir: only goes together with dir", ERR_USAGE},
    {"dbs:\n- {dir: /e, pattern: x, meta-dir: /m, meta-path: /n}",
     "a.yml:2: dbs[0].meta-dir: meta-path and meta-dir exclude each other", ERR_USAGE},
    {DB, "a.yml:2: dbs[0]: replica (or replicas) is missing", ERR_USAGE},
    {DB "  replicas: []", "a.yml:2: dbs[0]: replica (or replicas) is missing", ERR_USAGE},
    {DB "  replicas: {url: x}", "a.yml:3: dbs[0].replicas: expected a list, found a mapping",
     ERR_USAGE},
    {S3 "  replicas: [{url: s3://c}]",
     "a.yml:5: dbs[0].replicas: replica and replicas exclude each other", ERR_USAGE},
    {DB "  replica: s3://b/p", "a.yml:3: dbs[0].replica: expected a mapping, found a single value",
     ERR_USAGE},
    {DB "  min-checkpoint-page-count: 0",
     "a.yml:3: dbs[0].min-checkpoint-page-count: 0 must be greater than zero", ERR_USAGE},
    {DB "  min-checkpoint-page-count: -1",
     "a.yml:3: dbs[0].min-checkpoint-page-count: \"-1\" is not a number (expected decimal digits)",
     ERR_USAGE},
    {DB "  monitor-intervall: 1s",
     "a.yml:3: dbs[0].monitor-intervall: unknown key; did you mean \"monitor-interval\"?",
     ERR_USAGE},
    {DB "  snapshot: {intervall: 1s}",
     "a.yml:3: dbs[0].snapshot.intervall: unknown key; did you mean \"interval\"?", ERR_USAGE},
    {DB "  journal-mode: wal", "a.yml:3: dbs[0].journal-mode: \"wal\" is none of: enable, require",
     ERR_USAGE},
    {DB "  path: /e", "a.yml:3: key \"path\" is here twice (first in line 2)", ERR_USAGE},
    {"dbs:\n- path: ~bob/x",
     "a.yml:2: dbs[0].path: \"~bob/x\": only ~ and ~/... are known, not other users' folders",
     ERR_USAGE},
    {S3 "    retnetion: 24h",
     "a.yml:5: dbs[0].replica.retnetion: unknown key; did you mean \"retention\"?", ERR_USAGE},
    {S3 "    monitor-interval: 1s", "a.yml:5: dbs[0].replica.monitor-interval: unknown key",
     ERR_USAGE},
    {S3 "    retention: never",
     "a.yml:5: dbs[0].replica.retention: \"never\" is not a duration (expected for example 300ms, "
     "1.5s, 2m30s, 24h or 7d)",
     ERR_USAGE},
    {S3 "    sync-interval: 0s",
     "a.yml:5: dbs[0].replica.sync-interval: 0s must be greater than zero", ERR_USAGE},
    {S3 "    path: p", "a.yml:5: dbs[0].replica.path: url and path exclude each other", ERR_USAGE},
    {S3 "    bucket: b", "a.yml:5: dbs[0].replica.bucket: url and bucket exclude each other",
     ERR_USAGE},
    {S3 "    type: file", "a.yml:5: dbs[0].replica.type: the url is of type s3", ERR_USAGE},
    {S3 "    type: ftp",
     "a.yml:5: dbs[0].replica.type: unknown type \"ftp\" (known: file, s3; not supported by this "
     "version: gs, abs, sftp, webdav, nats, oss)",
     ERR_USAGE},
    {REPLICA "    url: gs://b/p",
     "a.yml:4: dbs[0].replica.url: replicas of type gs are not supported by this version (file and "
     "s3 are)",
     ERR_UNSUPPORTED},
    {REPLICA "    type: sftp\n    host: h:22\n    user: u",
     "a.yml:4: dbs[0].replica.type: replicas of type sftp are not supported by this version (file "
     "and s3 are)",
     ERR_UNSUPPORTED},
    {S3 "    host: h",
     "a.yml:5: dbs[0].replica.host: not supported: it belongs to replicas of type sftp, which this "
     "version lacks",
     ERR_UNSUPPORTED},
    {S3 "    age: {recipients: [age1x]}",
     "a.yml:5: dbs[0].replica.age: not supported: age encryption is not supported by this version, "
     "and nothing is stored unencrypted that was meant to be encrypted",
     ERR_UNSUPPORTED},
    {S3 "    put-object-content-md5: true",
     "a.yml:5: dbs[0].replica.put-object-content-md5: not supported: this version sends no "
     "Content-MD5 with objects",
     ERR_UNSUPPORTED},
    {REPLICA "    type: s3", "a.yml:4: dbs[0].replica.type: bucket (or url) is missing", ERR_USAGE},
    {REPLICA "    name: x", "a.yml:3: dbs[0].replica: path (or url) is missing", ERR_USAGE},
    {REPLICA "    path: s3://b/p", "a.yml:4: dbs[0].replica.path: this is a URL; give it as url",
     ERR_USAGE},
    {REPLICA "    path: /x\n    bucket: b",
     "a.yml:5: dbs[0].replica.bucket: belongs to replicas of type s3; this one is of type file",
     ERR_USAGE},
    {REPLICA "    url: s3://b/p?regin=x",
     "a.yml:4: dbs[0].replica.url: unknown parameter \"regin\"; did you mean \"region\"?",
     ERR_USAGE},
    {REPLICA "    url: s3://b/p?region=x\n    region: x",
     "a.yml:5: dbs[0].replica.region: is in the url, too", ERR_USAGE},
    {REPLICA "    url: s3://b/p?concurrency=1000",
     "a.yml:4: dbs[0].replica.url: concurrency: 1000 is more than the maximum of 64", ERR_USAGE},
    {S3 "    part-size: 5MB",
     "a.yml:5: dbs[0].replica.part-size: 5MB is less than the minimum of 5MiB", ERR_USAGE},
    {S3 "    endpoint: ftp://x",
     "a.yml:5: dbs[0].replica.endpoint: the scheme of \"ftp://x\" is neither http nor https",
     ERR_USAGE},
    {S3 "    access-key-id: x",
     "a.yml:5: dbs[0].replica.access-key-id: secret-access-key is missing", ERR_USAGE},
    {S3 "    secret-access-key: x",
     "a.yml:5: dbs[0].replica.secret-access-key: access-key-id is missing", ERR_USAGE},
    {S3 "    credentials-path: /keys\n    access-key-id: x\n    secret-access-key: y",
     "a.yml:5: dbs[0].replica.credentials-path: access-key-id is set, too: one of them", ERR_USAGE},
    {S3 "    session-token: x",
     "a.yml:5: dbs[0].replica.session-token: needs access-key-id and secret-access-key", ERR_USAGE},
    {S3 "    sse-customer-key: x",
     "a.yml:5: dbs[0].replica.sse-customer-key: the key is not the base64 form of 32 bytes",
     ERR_USAGE},
    {S3 "    sse-customer-algorithm: AES256",
     "a.yml:5: dbs[0].replica.sse-customer-algorithm: needs sse-customer-key or "
     "sse-customer-key-path",
     ERR_USAGE},
    {S3 "    sse-customer-key-path: /k\n    sse-customer-algorithm: DES",
     "a.yml:6: dbs[0].replica.sse-customer-algorithm: only AES256 is known", ERR_USAGE},
    {S3 "    sse-customer-key-path: /k\n    sse-customer-key: k",
     "a.yml:5: dbs[0].replica.sse-customer-key-path: sse-customer-key and sse-customer-key-path "
     "exclude each other",
     ERR_USAGE},
    {S3 "    sse-customer-key-path: /k\n    sse-kms-key-id: k",
     "a.yml:6: dbs[0].replica.sse-kms-key-id: a key of the customer and one of KMS exclude each "
     "other",
     ERR_USAGE},
    {S3 "    sse-customer-key-path: /k\n    endpoint: http://s3.example.com",
     "a.yml:6: dbs[0].replica.endpoint: a key of the customer must not travel over plain http",
     ERR_USAGE},
    {DB "  replicas:\n  - {url: s3://b/1, name: x}\n  - {url: s3://b/2, name: x}",
     "a.yml:5: dbs[0].replicas[1].name: another replica of this database has the name \"x\"",
     ERR_USAGE},
    {DB "  replicas: [{path: /1},{path: /2},{path: /3},{path: /4},{path: /5},{path: /6},"
        "{path: /7},{path: /8},{path: /9}]",
     "a.yml:3: dbs[0].replicas: 9 replicas; there can be 8", ERR_LIMIT},
};

static void test_errors_name_file_line_key_and_reason(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(error_rows); i++) {
        struct error err = ERROR_INIT;
        struct config *c = NULL;
        test_row(error_rows[i].text);
        assert_error(config_parse(slice_of_str(error_rows[i].text), "a.yml", &options, &c, &err),
                     &err, error_rows[i].code, "");
        assert_string_equal(err.text, error_rows[i].error);
        assert_null(c);
    }
}

/* A document and a row that `config check` must show for it. */
static const struct value_row {
    const char *text, *key, *value;
} value_rows[] = {
    {"addr: '[::1]:9090'", "addr", "[::1]:9090"},
    {"l0-retention: 0", "l0-retention", "0s"},
    {"l0-retention: 1d", "l0-retention", "1d"},
    {"metrics-compat: litestream", "metrics-compat", "litestream"},
    {"logging: {level: WARNING}", "logging.level", "warn"},
    {"logging: {type: pretty}", "logging.type", "text"},
    {"heartbeat-url: https://hc.example.com/ping/SECRET", "heartbeat-url",
     "https://hc.example.com/***"},
    {"heartbeat-url: http://me:SECRET@host:8080?token=SECRET", "heartbeat-url",
     "http://host:8080/***"},
    {"heartbeat-url: https://host", "heartbeat-url", "https://host"},
    {"retention: {enabled: no}", "retention.enabled", "false"},
    {"socket:\nexec: x", "exec", "x"},
    {"shutdown-sync-timeout: 0", "shutdown-sync-timeout", "0s"},
    {S3 "    sync-interval: 1d12h", "dbs[0].replicas[0].sync-interval", "1d12h"},
    {S3 "    sync-interval: never", "dbs[0].replicas[0].sync-interval", "never"},
    {S3 "    retention: 7d", "dbs[0].replicas[0].retention", "7d"},
    {S3 "    snapshot-interval: 0", "dbs[0].replicas[0].snapshot-interval", "1d"},
    {S3 "  snapshot: {retention: 9d}", "dbs[0].replicas[0].retention", "9d"},
    {S3 "    retention: 3d\n  snapshot: {retention: 9d}", "dbs[0].replicas[0].retention", "3d"},
    {"snapshot: {retention: 2d}\n" S3, "dbs[0].replicas[0].retention", "2d"},
    {S3 "snapshot: {retention: 2d}", "dbs[0].snapshot.retention", "2d"},
    {"sync-interval: 7s\n" S3, "dbs[0].replicas[0].sync-interval", "7s"},
    {"sync-interval: 7s\n" S3 "    sync-interval: 8s", "dbs[0].replicas[0].sync-interval", "8s"},
    {"skip-verify: true\n" S3 "    skip-verify: false", "dbs[0].replicas[0].skip-verify", "false"},
    {"validation: {interval: 1h}\n" S3, "dbs[0].replicas[0].validation-interval", "1h"},
    {"validation: {interval: 1h}\nvalidation-interval: 2h\n" S3,
     "dbs[0].replicas[0].validation-interval", "2h"},
    {"validation: {interval: 1h}\n" S3 "    validation-interval: 0",
     "dbs[0].replicas[0].validation-interval", "0s"},
    {"region: us-east-1\n" REPLICA "    url: s3://b.s3.eu-west-1.amazonaws.com/p",
     "dbs[0].replicas[0].region", "eu-west-1"},
    {REPLICA "    url: s3://b.s3.eu-west-1.amazonaws.com/p\n    region: eu-west-2",
     "dbs[0].replicas[0].region", "eu-west-2"},
    {"bucket: other\n" S3, "dbs[0].replicas[0].bucket", "b"},
    {"bucket: other\n" REPLICA "    type: s3\n    path: /x/", "dbs[0].replicas[0].url",
     "s3://other//x/"},
    {"endpoint: minio:9000\n" S3, "dbs[0].replicas[0].endpoint", "https://minio:9000"},
    {REPLICA "    url: s3://b/p?skipVerify=true", "dbs[0].replicas[0].skip-verify", "true"},
    {REPLICA "    url: s3://b/p?endpoint=localhost:9000", "dbs[0].replicas[0].endpoint",
     "http://localhost:9000"},
    {S3 "    sse-customer-key-path: ~/k", "dbs[0].replicas[0].sse-customer-algorithm", "AES256"},
    {S3 "    sse-customer-key-path: ~/k", "dbs[0].replicas[0].sse-customer-key-path",
     "/home/ada/k"},
    {REPLICA "    path: ~/backup", "dbs[0].replicas[0].url", "file:///home/ada/backup"},
    {S3 "    age:\n      identities: []\n      recipients:", "dbs[0].replicas[0].url", "s3://b/p"},
    {S3 "    lease: false", "dbs[0].replicas[0].lease", "false"},
    {S3 "    lease: true", "dbs[0].replicas[0].lease", "true"},
    {"lease: true\n" S3, "dbs[0].replicas[0].lease", "true"},
    {S3 "  free-space-reserve: 10%", "dbs[0].free-space-reserve", "10%"},
    {S3 "  free-space-reserve: 1GiB, 2%", "dbs[0].free-space-reserve", "1GiB,2%"},
    {S3 "  free-space-reserve: 0", "dbs[0].free-space-reserve", "0"},
    {"journal-mode: require\n" S3, "dbs[0].journal-mode", "require"},
    {"journal-mode: require\n" S3 "  journal-mode: enable", "dbs[0].journal-mode", "enable"},
    {"x-a: &a {url: s3://b/p, sync-interval: 3s}\n" REPLICA "    <<: *a\n    sync-interval: 4s",
     "dbs[0].replicas[0].sync-interval", "4s"},
};

/* The value of a key in the text form, as "<key> <value> ..."; fails if it is not there. */
static void assert_shown(const char *shown, const char *key, const char *value)
{
    char wanted[300];

    (void)snprintf(wanted, sizeof(wanted), "%-52s %s ", key, value);
    if (!strstr(shown, wanted))
        fail_msg("no row \"%s\" in:\n%s", wanted, shown);
}

static void test_settings_arrive_where_they_belong(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(value_rows); i++) {
        CLEANUP(config_cleanup) struct config *c = NULL;
        CLEANUP(buf_destroy) struct buf shown = BUF_INIT(1 << 20);
        struct error err = ERROR_INIT;
        test_row(value_rows[i].text);
        assert_ok(config_parse(slice_of_str(value_rows[i].text), "a.yml", &options, &c, &err),
                  &err);
        assert_ok(config_check_text(c, true, &shown, &err), &err);
        assert_shown(buf_str(&shown), value_rows[i].key, value_rows[i].value);
    }
}

static void test_hints_tell_what_to_do(void **state UNUSED)
{
    static const struct {
        const char *text, *hint;
    } rows[] = {
        {"l0-retention: 1s", "0 keeps level 0 for ever"},
        {REPLICA "    path: /x\n    bucket: b", "add type: s3, or give a url"},
        {REPLICA "    url: s3://k:s@b/p", "use access-key-id and secret-access-key"},
        {REPLICA "    url: s3://localhost:9000/b",
         "write s3://BUCKET/prefix?endpoint=http://localhost:9000"},
        {"a:\n\tb: 1", "indent with spaces, not tabs"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct config *c = NULL;
        test_row(rows[i].text);
        assert_error(config_parse(slice_of_str(rows[i].text), "a.yml", &options, &c, &err), &err,
                     ERR_USAGE, "a.yml:");
        assert_non_null(strstr(err.hint, rows[i].hint));
    }
}

/* Every key of Litestream 0.5.18 and 0.3.13, by place. */
static const char top_keys[] =
    "addr mcp-addr socket.enabled socket.path socket.permissions levels "
    "snapshot.interval snapshot.retention validation.interval l0-retention "
    "l0-retention-check-interval verify-compaction retention.enabled heartbeat-url "
    "heartbeat-interval shutdown-timeout shutdown-sync-timeout "
    "shutdown-sync-interval exec logging.level logging.type logging.stderr "
    "logging.source dbs";
static const char db_keys[] =
    "path dir pattern recursive watch meta-path meta-dir monitor-interval "
    "checkpoint-interval busy-timeout min-checkpoint-page-count "
    "max-checkpoint-page-count truncate-page-n max-sync-wal-bytes "
    "restore-if-db-not-exists snapshot.interval snapshot.retention replica replicas";
static const char replica_keys[] =
    "type url path name sync-interval max-sync-ltx-files auto-recover "
    "validation-interval retention retention-check-interval snapshot-interval "
    "access-key-id secret-access-key region bucket endpoint force-path-style "
    "skip-verify sign-payload sign-accept-encoding require-content-md5 "
    "put-object-content-md5 storage-class part-size concurrency "
    "sse-customer-algorithm sse-customer-key sse-customer-key-path sse-kms-key-id "
    "account-name account-key sas-token host user password key-path host-key "
    "concurrent-writes webdav-url webdav-username webdav-password jwt seed creds "
    "nkey username token tls root-cas client-cert client-key max-reconnects "
    "reconnect-wait timeout age";

static void assert_known(struct setting_table table, const char *keys)
{
    while (*keys) {
        char key[64];
        size_t n = strcspn(keys, " ");
        (void)snprintf(key, sizeof(key), "%.*s", (int)n, keys);
        test_row(key);
        assert_non_null(setting_find(table, key));
        keys += n + (keys[n] ? 1 : 0);
    }
}

static void test_every_documented_key_is_known(void **state UNUSED)
{
    assert_known(config_global_table(), top_keys);
    assert_known(config_db_table(), db_keys);
    assert_known(config_replica_table(), replica_keys);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_errors_name_file_line_key_and_reason),
        TEST(test_settings_arrive_where_they_belong),
        TEST(test_hints_tell_what_to_do),
        TEST(test_every_documented_key_is_known),
    };
    return TEST_MAIN(tests);
}
