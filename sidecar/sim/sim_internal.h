/*
 * The structs of a life.
 */
#ifndef WALFERRY_SIDECAR_SIM_SIM_INTERNAL_H
#define WALFERRY_SIDECAR_SIM_SIM_INTERNAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/testing/sim.h"
#include "lib/testing/sim_disk.h"
#include "lib/testing/sim_storage.h"
#include "sidecar/engine/engine.h"
#include "sidecar/sim/sim.h"

enum {
    PODS_MAX = 3,
    STORES_MAX = 2,
    NOBODY = -1,   /* no commit */
    ANYTHING = -2, /* any commit, as far as the model can tell */
};

/* ---- model ---- */

/* A state that some application committed. */
struct commit {
    uint64_t hash; /* of the whole database file */
    int parent;    /* NOBODY: it began there */
};

/* What a TXID of a store means. */
struct boundary {
    uint64_t txid;
    uint64_t object_hash; /* of the bytes of its L0 object */
    int commit;           /* NOBODY: not judged yet */
};

/* What must be true of a store. */
struct floor {
    int commit; /* acknowledged: every newest state descends from it. NOBODY: nothing yet */
    /* For each pod: a person or a crash took its database back to there, so it may win instead.
     * NOBODY: no. Until that pod has an acknowledgement. */
    int alternative[PODS_MAX];
    struct boundary *boundaries;
    size_t count, cap;
    uint64_t txid_max;
    uint64_t first_wall_ns; /* first object ever */
};

struct model {
    struct commit *commits;
    size_t count, cap;
    struct floor floors[STORES_MAX];
};

void model_destroy(struct model *m);
uint64_t model_hash(const void *bytes, size_t n);
int model_find(const struct model *m, uint64_t hash);
int model_add(struct model *m, uint64_t hash, int parent);
bool model_descends(const struct model *m, int commit, int from);
/* Whether the newest state of a store may be this commit. */
bool model_may_be(const struct model *m, const struct floor *f, int commit);
/* A pod's commit was acknowledged by a store. False: another history was, too. *out_took_over: what
 * others had acknowledged before counts no more. */
bool model_acknowledge(struct model *m, struct floor *f, unsigned pod, int commit,
                       bool *out_took_over);
struct boundary *model_boundary(struct floor *f, uint64_t txid);

/* ---- pod ---- */

struct play;

/* An application. */
struct app {
    struct sim_process *p; /* NULL: it does not run */
    sqlite3 *writer;
    sqlite3 *second;      /* long readers, and another writer */
    sqlite3 *observer;    /* reads the whole database for the model */
    int64_t version_seen; /* of the observer's last image; 0: there was none */
    bool is_writing;      /* a transaction was left open on the writer */
    bool is_reading;      /* a read transaction on the second */
    bool is_in_step;
};

struct pod {
    struct play *play;
    unsigned idx;
    char name[8];
    struct sim_disk disk;
    char db_path[300];
    struct app app;
    struct loop_timer tick;  /* of the world: the application's next step */
    struct sim_process *p;   /* walferry; NULL: it does not run */
    struct engine *engine;   /* NULL: not yet */
    uint64_t strike_at_boot; /* walferry's next start ends at so many operations; 0: not */
    int head;               /* the commit that the volume's database is at; NOBODY: there is none */
    uint64_t bytes;         /* of the database */
    bool has_tables;        /* without them all databases are the same, and nobody misses one */
    bool was_crashed;       /* the machine crashed since head was seen */
    unsigned fork_seen;     /* play.fork_count when walferry started */
    bool is_snapshot_there; /* of the volume */
    int snapshot_head;
    char snapshot_folder[300];
    struct loop_timer resume; /* of the world: SIGCONT */
    /* The sync, snapshot or stop under way. */
    bool is_waiting;
    bool is_waited_for; /* its end */
    bool was_following; /* when it began, all destinations were attached */
    int waiting_commit;
    size_t unshipped;
    char unshipped_why[300];
};

enum boot {
    BOOT_RESTORE, /* as a pod does: restore what is missing or behind, then start */
    BOOT_FORCE,   /* a person's decision: replace the database by the newest state */
    BOOT_AS_IS,   /* without a look at the replica */
    BOOT_ADOPT,   /* as is, and a person says: continue with this database */
};

void pod_begin(struct pod *pod, struct play *play, unsigned idx);
void pod_end(struct pod *pod);
/* Starts what does not run. False: it did not come up; nothing of walferry runs then. */
bool pod_boot(struct pod *pod, enum boot how);
void pod_kill_walferry(struct pod *pod);
/* Asks for the end and waits for it; true if nothing was left unshipped. */
bool pod_stop_walferry(struct pod *pod);
/* walferry is killed, the application is or ends. */
void pod_down(struct pod *pod);
/* The pod's database was taken back to a commit, by a person or by a crash: it may go on from
 * there. */
void pod_fork_at(struct pod *pod, int commit);
void pod_crash_machine(struct pod *pod);
/* Puts away who died of a strike. */
void pod_reap(struct pod *pod);
void pod_wipe(struct pod *pod);
bool pod_sync(struct pod *pod, uint64_t timeout_ns);
void pod_sync_start(struct pod *pod, uint64_t timeout_ns);
void pod_snapshot_start(struct pod *pod);
void pod_expire_start(struct pod *pod);
/* Whether all destinations are followed; a word for the first that is not. */
bool pod_is_following(struct pod *pod, const char **out_state);
/* walferry stands still for so long. */
enum pause {
    PAUSE_PROCESS, /* SIGSTOP */
    PAUSE_MACHINE, /* it sleeps */
    PAUSE_HOST,    /* the host of a virtual machine does, or has stopped it */
};
void pod_pause(struct pod *pod, uint64_t duration_ns, enum pause what);
/* It goes on. Harmless if it does. */
void pod_resume(struct pod *pod);
/* Restores to a moment of the past, on purpose. */
bool pod_rewind(struct pod *pod, uint64_t txid);

/* ---- application ---- */

bool application_open(struct pod *pod);
void application_close(struct pod *pod);
void application_kill(struct pod *pod);
void application_step(struct pod *pod);
/* What it sees now is the pod's head; a state never seen before is a commit. */
void application_observe(struct pod *pod);
/* The same while no application runs: what SQLite recovers, also a commit whose fsync had failed and
 * which nobody has observed. */
void application_look(struct pod *pod);
/* A commit that nothing can refuse. */
bool application_commit(struct pod *pod);

/* ---- play ---- */

/* What a seed draws once. */
struct play_config {
    unsigned pod_count;
    unsigned store_count;
    uint32_t page_size;
    bool is_auto_vacuum;
    bool is_full_sync;
    unsigned autocheckpoint; /* of the application, in frames; 0: never */
    unsigned body_bytes_max;
    unsigned row_max; /* of a transaction */
    uint64_t tick_ns_max;
    bool is_journaled;
    bool has_clock_jumps;
    struct database_options db;
    struct destination_options dest[STORES_MAX];
    unsigned ticks;      /* steps of applications */
    unsigned steps;      /* of the script */
    unsigned weight[16]; /* of what the script does */
};

struct play {
    struct sim sim;
    struct play_config config;
    struct model model;
    struct sim_store stores[STORES_MAX];
    struct pod pods[PODS_MAX];
    struct log log;
    struct sim_process *judge;
    struct sim_disk judge_disk;
    unsigned ticks_left; /* steps that applications still take by themselves */
    bool needs_person;   /* two writers, a stale volume, a crash: refusing may be right */
    bool is_torn;        /* several writers on a store that cannot fence */
    unsigned fork_count; /* times somebody went back to an earlier state */
    unsigned restores;
    unsigned deaths;
};

/* Says what is wrong, with how to replay it, and ends. */
void play_fail(struct play *play, const char *fmt, ...) PRINTF_LIKE(2, 3) NO_RETURN;
/* The same for what nobody can promise when two writers replace each other's objects: there it only
 * goes into the trace. */
void play_broken(struct play *play, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Runs the world, and puts away who dies meanwhile. */
void play_run(struct play *play, uint64_t duration_ns);
void play_config_draw(struct play *play);
struct pod *play_pod_draw(struct play *play);

/* ---- peace ---- */

void peace_play(struct play *play);

/* ---- memory ---- */

/* SQLite's memory is filled from now on. Before SQLite is used; more than once does not matter. */
void memory_begin(void);

/* ---- judge ---- */

/* The newest state of a store may be what it is. */
void judge_newest(struct play *play, unsigned store);
/* It is exactly this commit. */
void judge_is(struct play *play, unsigned store, int commit);
/* A TXID of the store; 0: any. */
void judge_txid(struct play *play, unsigned store, uint64_t txid);
/* A moment of the past. */
void judge_moment(struct play *play, unsigned store);
/* Every boundary restores. */
void judge_everything(struct play *play, unsigned store);
/* Commit of what lies in a file; NOBODY: never committed. */
int judge_file(struct play *play, const char *path);

#endif
