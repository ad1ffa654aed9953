/*
 * lib/config: litestream.yml, replica URLs and command lines become one typed struct.
 *
 *   config.h        the struct, reading it, making it from a command line   (this file)
 *   replica_url.h   "s3://bucket/prefix?endpoint=..." and its kin
 *   path.h          "~", "sqlite3://", absolute paths
 *   env_expand.h    $NAME in values
 *   endpoint.h      "localhost:9000" -> "http://localhost:9000"
 *   sse_key.h       keys of SSE-C, from the file or from base64
 *   dir_scan.h      directory mode: which databases there are
 *   config_check.h  the effective configuration, explained
 *
 * Both dialects of litestream.yml are read, in one file even: 0.5 (`replica:`, `snapshot:`,
 * `levels:`) and 0.3.13 (`replicas:` lists; per-replica `retention`, `snapshot-interval`,
 * `retention-check-interval`, `validation-interval`; credentials at the top). Litestream 0.5
 * allows one replica a database; here each may have several, each with its own policy.
 *
 * What a key can be:
 *   honoured    it is in the struct
 *   refused     ERR_USAGE or ERR_UNSUPPORTED with file, line, key and the reason
 *   no meaning  valid in Litestream, about machinery that does not exist here: one text in
 *               config.warnings says so
 *   unknown     ERR_USAGE with file, line, key and the nearest known key. Top-level keys that
 *               begin with "x-" are for your anchors and are not looked at.
 * There is no fifth kind: nothing is accepted and ignored.
 *
 * Precedence, where a setting can stand in several places, the first that is there:
 *   replica keys      the replica; its URL's query (both and different: an error); what the URL's
 *                     host implies; the same key at the top level; the default
 *   snapshot policy   the replica (`snapshot-interval`, `retention`); the database (`snapshot:`);
 *                     the top level (`snapshot:`); the default
 *   validation        the replica's `validation-interval`; that at the top level;
 *                     `validation.interval`; off
 * It is all resolved when reading succeeds: consumers look at one field.
 *
 * Environment: $NAME and ${NAME} are expanded in values, after parsing (env_expand.h). Environment
 * variables that stand for credentials (AWS_ACCESS_KEY_ID, ...) are the driver's to read: an empty
 * field here means "not configured".
 *
 * Ownership: a struct config and everything in it is one thing, made by config_load(),
 * config_parse() or config_from_args(), immutable afterwards, freed by config_free(), which wipes
 * the secrets. Databases of directory mode and of the control socket are struct config_db of their
 * own, see dir_scan.h and config_db_new(). Threads: a finished one may be read by any.
 *
 * Source of keys, defaults and checks: Litestream 0.5 cmd/litestream/main.go (Config, DBConfig,
 * ReplicaConfig) and 0.3.13 of the same file.
 */
#ifndef WALFERRY_LIB_CONFIG_CONFIG_H
#define WALFERRY_LIB_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    CONFIG_LEVELS_MAX = 8,       /* L1..L8; L9 is snapshots */
    CONFIG_REPLICAS_MAX = 8,     /* of a database */
    CONFIG_WARNINGS_MAX = 200,   /* the last one says that there were more */
    CONFIG_GLOBAL_SETTINGS = 40, /* room in the arrays of origins; asserted */
    CONFIG_DB_SETTINGS = 32,
    CONFIG_REPLICA_SETTINGS = 80,
};

/* "never" of sync-interval: the destination is only read, see config_replica_is_read_only(). */
#define CONFIG_NEVER_NS UINT64_MAX

/* Where the value of a setting comes from: a line number, or one of these. */
enum config_origin {
    CONFIG_ORIGIN_DEFAULT = 0,
    CONFIG_ORIGIN_LINE_MAX = INT32_MAX - 8, /* up to here: the line in the file */
    CONFIG_ORIGIN_URL = INT32_MAX - 2,      /* the replica's URL */
    CONFIG_ORIGIN_ARGUMENT = INT32_MAX - 1, /* the command line or the control socket */
    CONFIG_ORIGIN_DERIVED = INT32_MAX,      /* computed from other settings */
};

enum config_backend {
    CONFIG_BACKEND_FILE,
    CONFIG_BACKEND_S3,
    /* Recognised and refused by this version: */
    CONFIG_BACKEND_GS,
    CONFIG_BACKEND_ABS,
    CONFIG_BACKEND_SFTP,
    CONFIG_BACKEND_WEBDAV,
    CONFIG_BACKEND_NATS,
    CONFIG_BACKEND_OSS,
};

/* A switch that the provider of the store decides when nobody else did. */
enum config_tristate {
    CONFIG_UNSET,
    CONFIG_NO,
    CONFIG_YES,
};

enum config_journal_mode {
    CONFIG_JOURNAL_ENABLE,  /* turn WAL mode on if it is not */
    CONFIG_JOURNAL_REQUIRE, /* name the state and wait for the application to do it */
};

/* What becomes of a key that this version does not know. */
enum config_unknown_keys {
    CONFIG_UNKNOWN_REFUSE, /* an error: most are misspelled */
    CONFIG_UNKNOWN_WARN,   /* passed over: the file was made by a newer program */
};

enum config_metrics_compat {
    CONFIG_METRICS_NONE,       /* walferry_* only */
    CONFIG_METRICS_LITESTREAM, /* Litestream's names beside them */
};

/* How much free disk space must stay: the larger of the two. Both 0: no reserve. */
struct config_reserve {
    uint64_t bytes;
    uint32_t percent; /* of the file system, 0..100 */
};

/* Settings of an S3 store. Text is NULL when not configured. */
struct config_s3 {
    char *bucket;                      /* a name, or an access point's ARN; never NULL for s3 */
    char *region;                      /* NULL: look it up, or us-east-1 with an endpoint */
    char *endpoint;                    /* "https://host[:port]", no path; NULL: AWS of the region */
    enum config_tristate path_style;   /* unset: the provider's; with an endpoint path style */
    enum config_tristate sign_payload; /* unset: yes, unless the provider forbids */
    enum config_tristate content_md5;  /* Content-MD5 on DeleteObjects; unset: the provider's */
    char *access_key_id;
    char *secret_access_key; /* secret */
    char *session_token;     /* secret */
    char *credentials_path;  /* absolute folder of files with these three instead, read again */
    char *storage_class;
    uint64_t part_bytes;          /* of a multipart upload, at least 5 MiB */
    uint32_t concurrency;         /* parts at a time; 0: the provider's (5, R2: 2) */
    char *sse_customer_algorithm; /* "AES256" when SSE-C is used, else NULL */
    char *sse_customer_key;       /* secret: base64 of 32 bytes, checked; see sse_key.h */
    char *sse_customer_key_md5;   /* base64, checked against the key when that is read */
    char *sse_customer_key_path;  /* absolute; instead of sse_customer_key */
    char *sse_kms_key_id;         /* not together with SSE-C */
    bool skip_verify;             /* do not verify the server's certificate */
    char *ca_file;                /* absolute; PEM bundle instead of the system's */
};

/* One destination of one database. */
struct config_replica {
    char *name; /* unique within the database: given, or "s3", "file", "s3-2", ... */
    enum config_backend backend;
    char *url; /* for people, logs and JSON, without secrets: "s3://bucket/prefix" */
    /*
     * file: absolute folder. s3: what stands before "/0000/..." in a key, "" for none. From a URL
     * it has no slash at either end; from `path:` it is what the user wrote, because Litestream
     * builds its keys from exactly that.
     */
    char *path;
    struct config_s3 s3;

    uint64_t sync_interval_ns;       /* bounds the rate of L0 objects, > 0; CONFIG_NEVER_NS */
    uint64_t snapshot_interval_ns;   /* L9 cadence, > 0 */
    uint64_t snapshot_retention_ns;  /* every moment in it stays restorable, > 0 */
    uint64_t validation_interval_ns; /* how often the chain here is checked; 0: never */
    bool require_fencing;            /* refuse a store without conditional creation */
    bool lease;                      /* a second writer waits for the lease of the prefix */

    uint32_t origin[CONFIG_REPLICA_SETTINGS]; /* enum config_origin or a line; by table row */
};

/* A database, or a folder of them (directory mode: dir is set, path is NULL). */
struct config_db {
    char *path; /* absolute */

    char *dir;     /* absolute */
    char *pattern; /* shell glob on the file name, with dir */
    bool is_recursive;
    bool is_watched; /* databases that appear later are taken up */

    char *meta_path; /* folder for our state, absolute. With path: never NULL, default
                        "<folder>/.<file>-walferry". With dir: the base, or NULL for beside each */
    char *meta_dir;  /* with dir only: the state goes to <meta_dir>/<relative path>-walferry */

    uint64_t monitor_interval_ns;       /* poll of the wal-index beside inotify, > 0 */
    uint64_t checkpoint_interval_ns;    /* time-based PASSIVE checkpoint; 0: none */
    uint64_t busy_timeout_ns;           /* SQLite's, of our own connections */
    uint32_t min_checkpoint_page_count; /* WAL pages before a PASSIVE checkpoint, >= 1 */
    bool restore_if_db_not_exists;
    uint64_t snapshot_interval_ns; /* resolved again in each replica */
    uint64_t snapshot_retention_ns;
    enum config_journal_mode journal_mode;
    struct config_reserve free_space_reserve;
    bool seal; /* may take the write lock for an instant when writers never pause */

    struct config_replica *replicas; /* 1..CONFIG_REPLICAS_MAX; dir mode: the prefix of all */
    size_t replica_count;

    uint32_t line; /* where the entry stands; 0: not from a file */
    uint32_t origin[CONFIG_DB_SETTINGS];
};

struct config {
    char *name; /* the file, for messages; "command line" */

    char *addr; /* "host:port" or ":port" for metrics and health; NULL: off */
    enum config_unknown_keys unknown_keys;
    enum config_metrics_compat metrics_compat;
    struct {
        bool is_enabled;
        char *path;           /* absolute; /var/run/litestream.sock */
        uint32_t permissions; /* 0600 */
    } socket;

    uint64_t level_interval_ns[CONFIG_LEVELS_MAX]; /* [0] is L1; ascending, > 0 */
    size_t level_count;                            /* 1..CONFIG_LEVELS_MAX */
    uint64_t snapshot_interval_ns;                 /* resolved in each database and replica */
    uint64_t snapshot_retention_ns;
    uint64_t l0_retention_ns;        /* age of an L0 object, once L1 covers it, before it may go.
                                        0: L0 is never deleted; else at least 1 min, because a writer's
                                        proof of ownership expires after half of it */
    uint64_t validation_interval_ns; /* resolved in each replica */
    bool is_suspended;               /* follow, but ship nothing for now */
    bool retention_enabled;          /* false: nothing is ever deleted at a destination */

    char *heartbeat_url; /* http or https; NULL: off */
    uint64_t heartbeat_interval_ns;
    uint64_t
        shutdown_sync_timeout_ns; /* retry time of all databases together at close; 0: one try */
    char *exec;                   /* command line of the child, shell words; NULL: none */

    struct {
        enum log_level level;
        enum log_format format;
        bool to_stderr; /* default true: standard output is for results */
    } logging;

    struct config_db *dbs;
    size_t db_count;

    struct config_replica replica_defaults; /* replica settings at the top level */
    struct config_db db_defaults;           /* likewise journal-mode, seal, free-space-reserve */

    char **warnings; /* "litestream.yml:12: dbs[0].auto-recover: ..."; to be logged once */
    size_t warning_count;

    uint32_t origin[CONFIG_GLOBAL_SETTINGS];
    uint32_t level_origin[CONFIG_LEVELS_MAX];
};

/* What reading depends on beside the text. Zeroed: the process's environment and files. */
struct config_options {
    bool no_expand_env; /* -no-expand-env: a dollar sign is a dollar sign */
    const char *(*getenv)(void *arg, const char *name); /* NULL: getenv(3) */
    void *getenv_arg;
};

/*
 * Reads a file and everything in it. env is used for the file; *out is the caller's to free.
 * ERR_NOT_FOUND and other codes of opening; ERR_USAGE with "<path>:<line>: <key>: ..."; a backend
 * or feature that this version lacks is ERR_UNSUPPORTED; ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int config_load(const struct env *env, const char *path,
                         const struct config_options *options, struct config **out,
                         struct error *err);

/* As config_load() for a text; name stands for the file in messages. options may be NULL. */
MUST_USE int config_parse(struct slice text, const char *name, const struct config_options *options,
                          struct config **out, struct error *err);

/*
 * The configuration of `replicate DB_PATH REPLICA_URL...`: one database with defaults. A URL is as
 * in replica_url.h; a plain path is a file replica. url_count may be 0: a configuration without
 * databases' destinations is refused later by who needs one, but `restore DB_PATH` looks up none.
 * ERR_USAGE, ERR_UNSUPPORTED, ERR_NO_MEMORY.
 */
MUST_USE int config_from_args(const char *db_path, const char *const *urls, size_t url_count,
                              struct config **out, struct error *err);

/* Wipes the secrets and frees everything. Accepts NULL. */
void config_free(struct config *c);

/* For CLEANUP on a struct config *. */
void config_cleanup(struct config **c);

/*
 * A database beside those of the file (control socket: register), with the defaults of base.
 * Conflicts with base's databases are not looked for here, see config_db_conflicts().
 * *out is freed by config_db_free(). ERR_USAGE, ERR_UNSUPPORTED, ERR_NO_MEMORY.
 */
MUST_USE int config_db_new(const struct config *base, const char *db_path, const char *const *urls,
                           size_t url_count, struct config_db **out, struct error *err);
void config_db_free(struct config_db *db);

/* A deep copy; the caller destroys out. ERR_NO_MEMORY (out is empty then). */
MUST_USE int config_db_copy(const struct config_db *db, struct config_db *out, struct error *err);
/* Wipes and frees what db holds, not db itself. Accepts zeroed. */
void config_db_destroy(struct config_db *db);

/*
 * A destination alone, from a URL: for `restore URL`, `ltx URL`. defaults may be NULL. What only a
 * database gives (snapshot policy) stays 0.
 * *out is the caller's to config_replica_free(). ERR_USAGE, ERR_UNSUPPORTED, ERR_NO_MEMORY.
 */
MUST_USE int config_replica_new(const struct config_replica *defaults, const char *url,
                                struct config_replica **out, struct error *err);
void config_replica_free(struct config_replica *replica);

/* The database with this path (expanded like those of the file); NULL if there is none. */
const struct config_db *config_db_find(const struct config *c, const char *db_path);

/*
 * Whether two databases would get into each other's way: same path, same state folder, or a
 * destination in common. ERR_USAGE names both. 0 if not.
 */
MUST_USE int config_db_conflicts(const struct config_db *a, const struct config_db *b,
                                 struct error *err);

/*
 * Whether a destination of db lies at or below one of a folder in directory mode: each database that
 * the folder has or will have gets a place there. ERR_USAGE names both. 0 if not. For databases that
 * come later; those of the file are compared with what is found.
 */
MUST_USE int config_dir_conflicts(const struct config_db *dir, const struct config_db *db,
                                  struct error *err);

/*
 * Whether a destination is only restored from (sync-interval: never): it belongs to somebody else,
 * and nothing is ever written there, nor deleted. (config_replica.c)
 */
bool config_replica_is_read_only(const struct config_replica *replica);

/* The scheme of a backend: "file", "s3", "gs", ... Never NULL. (replica_url.c) */
const char *config_backend_name(enum config_backend backend);

#endif
