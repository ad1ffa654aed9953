/*
 * Inside the file driver: the store, its operations, and the steps that run on workers.
 *
 * An operation is one or more jobs. Each job runs the step of its kind (file_put_step() and so on)
 * on a worker, then file.c hands on what the step produced, on the loop, and submits the next job
 * or ends the operation. A step owns the operation's `put`, `get`, `list` or `del`, err, and the
 * fields said to be the job's; it touches nothing else of the store but what is constant.
 */
#ifndef WALFERRY_LIB_STORAGE_FILE_FILE_INTERNAL_H
#define WALFERRY_LIB_STORAGE_FILE_FILE_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/storage/driver.h"
#include "lib/storage/file/file.h"

enum {
    FILE_FOLDERS_KNOWN_MAX = 16, /* folders remembered as swept and durable */
    FILE_LIST_BATCH_MAX = 1000,  /* objects a list job collects */
    FILE_DELETE_BATCH_MAX = 256, /* keys a delete job removes */
    FILE_TEMP_NAME_BYTES = 256,  /* of a temporary file's name, with terminator */
    FILE_MODE = 0640,
    FILE_FOLDER_MODE = 0750
};

struct file_store {
    struct storage base;   /* first: the driver's contract */
    const struct env *env; /* constant, as is root */
    char *root;            /* without a slash at its end; "" for the folder "/" */
    struct file_op *first_op;
    size_t user_count; /* the owner and each operation; freed when nobody is left */
    char *known[FILE_FOLDERS_KNOWN_MAX];
    size_t known_next;    /* the place that is forgotten next */
    atomic_bool has_root; /* the root was there; a list that misses it forgets. Any thread */
    pthread_mutex_t mu;
    pthread_cond_t job_ended;
};

/* Where the job of an operation is. */
enum file_job_state {
    FILE_JOB_QUEUED,    /* submitted, not begun */
    FILE_JOB_RUNNING,   /* its step is at work */
    FILE_JOB_ENDED,     /* its step is over; the loop has not looked yet, or is looking */
    FILE_JOB_ABANDONED, /* the store was freed before it began: its step must not run */
};

struct file_put {
    struct blob *body;
    enum storage_put_mode mode;
    uint64_t timestamp_ns;
    uint64_t deadline_ns; /* monotonic; UINT64_MAX: none */
    bool can_create;      /* caps of the store at the start */
    bool is_folder_known; /* the folder was made durable before */
};

struct file_get {
    int (*on_data)(void *arg, struct slice chunk, struct error *err);
    uint64_t offset; /* of the next chunk */
    uint64_t rest;   /* bytes still to read; the wanted number before the first step */
    bool is_open;    /* the first step is over */
    int fd;
    uint8_t *chunk;
    size_t chunk_bytes; /* in it, to be handed on */
};

/* A folder on the way of a walk, its entries sorted. */
struct file_folder {
    struct file_entry *entry;
    size_t entry_count;
    size_t entry_cap;
    size_t at;        /* the next one */
    struct buf names; /* of the entries, each terminated */
    size_t key_bytes; /* length of the folder's key with its slash; 0: the root */
};

struct file_found {
    size_t key_at; /* offset in file_list.keys */
    uint64_t bytes;
    uint64_t timestamp_ns;
};

struct file_list {
    int (*on_object)(void *arg, const struct storage_object *object, struct error *err);
    char prefix[STORAGE_KEY_BYTES_MAX + 1];
    char start_after[STORAGE_KEY_BYTES_MAX + 1];
    bool has_begun;
    struct file_folder *folder; /* the stack: folder_count of them, the deepest last */
    size_t folder_count;
    size_t folder_cap;
    char key[STORAGE_KEY_BYTES_MAX + 1]; /* of the deepest folder, with its slash */
    struct file_found *found;            /* the batch: FILE_LIST_BATCH_MAX of them */
    size_t found_count;
    struct buf keys; /* of the batch, each terminated */
};

struct file_delete {
    const char *const *keys;
    size_t key_count;
    void (*on_key)(void *arg, size_t key_idx, const struct error *err);
    size_t key_idx;      /* the first that no job has answered for */
    size_t gone_count;   /* so many from key_idx are gone, durably ... */
    size_t failed_count; /* ... and so many after them failed: failed tells why */
    struct error failed;
    struct error first; /* of all keys */
};

struct file_op {
    struct storage_op_base base; /* first: the driver's contract */
    struct file_store *store;
    struct job job;
    enum storage_op_kind kind;
    storage_done_fn *done;
    void *arg;
    struct file_op *next;
    struct file_op *prev;
    bool is_canceled;          /* by storage_cancel() */
    bool is_orphan;            /* done was called by storage_free(); the job's end frees it */
    enum file_job_state state; /* guarded by store->mu */
    /* owner: job until done */
    bool is_finished; /* no further job is needed */
    struct error err;
    uint64_t moved_bytes;
    char key[STORAGE_KEY_BYTES_MAX + 1];
    char path[PATH_MAX];
    uint64_t object_bytes; /* of head and get */
    uint64_t object_timestamp_ns;
    union {
        struct file_put put;
        struct file_get get;
        struct file_list list;
        struct file_delete del;
    };
};

/* ---- file_path.c: where objects lie. Any thread. ---- */

/* ERR_USAGE for a part longer than 255 bytes or one that looks like a temporary file of ours. */
MUST_USE int file_key_check(const char *key, struct error *err);

/* Writes the path of a key into out. */
void file_path_of(const struct file_store *store, const char *key, char out[static PATH_MAX]);

/* Writes the folder that contains path into out: up to the last slash ("/" for what lies there). */
void file_path_parent(const char *path, char out[static PATH_MAX]);

/*
 * Looks at the root and each folder above path. *out_exists: all are there. ERR_WRONG_STATE for a
 * symbolic link on the way, and for a root that is or lies below something that is not a folder.
 */
MUST_USE int file_folder_look(const struct file_store *store, const char *path, bool *out_exists,
                              struct error *err);

/*
 * Creates what is missing of the folders above path, makes each from the root downwards durable,
 * and removes temporary files of dead processes from the last. ERR_WRONG_STATE as above.
 */
MUST_USE int file_folder_ensure(struct file_store *store, const char *path, struct error *err);

/* True for names of the form ".NAME.<16 hex digits>.tmp". */
bool file_temp_is(const char *name);

/* Writes the path of a new temporary file beside path into out. */
void file_temp_path(const struct env *env, const char *path, char out[static PATH_MAX]);

/* What stat tells, in our units; a time before 1970 is 0. */
uint64_t file_timestamp_ns(const struct stat *st);

/* Fills err for a symbolic link below the root. Returns -1. */
int file_link_refuse(const char *path, struct error *err);

/* ---- steps, on a worker: -1 with op->err filled ---- */

MUST_USE int file_put_step(struct file_op *op);    /* file_put.c */
MUST_USE int file_delete_step(struct file_op *op); /* file_put.c */
MUST_USE int file_get_step(struct file_op *op);    /* file_get.c */
MUST_USE int file_head_step(struct file_op *op);   /* file_get.c */
MUST_USE int file_list_step(struct file_op *op);   /* file_list.c */

/* Frees what a walk holds. Accepts one that never began. */
void file_list_destroy(struct file_list *list);

#endif
