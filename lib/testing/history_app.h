/*
 * The application of the crash tests, in processes of its own: one that writes the transactions of
 * history.h as fast as they go, with maintenance (VACUUM, checkpoints of every mode) in between, and
 * readers that hold transactions for a while and check that what they see stands still.
 *
 * What it has committed is on a board that all of them share, and so is the first thing that an
 * application must never see: a commit that is gone, a reader whose snapshot moves.
 *
 * Threads: the caller's main thread, since the children end when the thread that started them does.
 */
#ifndef WALFERRY_LIB_TESTING_HISTORY_APP_H
#define WALFERRY_LIB_TESTING_HISTORY_APP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HISTORY_READERS_MAX = 3,
};

struct history_board {
    volatile uint64_t committed; /* the newest transaction whose COMMIT was answered */
    volatile uint64_t reads;     /* snapshots that readers have checked */
    volatile bool should_end;    /* the writer ends at its next transaction, and closes */
    char wrong[160];             /* the first thing that an application must never see; "" */
};

struct history_app {
    struct history_board *board;
    char path[512]; /* of the database */
    uint32_t page_size;
    pid_t writer; /* 0: none */
    pid_t readers[HISTORY_READERS_MAX];
};

/* Makes the board. False without memory. */
bool history_app_init(struct history_app *app);

/* Another database, or the same one that has lost commits with its disk: forgets the commits. */
void history_app_database(struct history_app *app, const char *path, uint32_t page_size);

/*
 * Starts the writer; it goes on behind the last transaction of the database, makes a new one if
 * there is none, and writes on the board if that is less than was committed before. luck decides
 * about synchronous, autocheckpoint and maintenance. False: no process.
 */
bool history_app_start(struct history_app *app, uint64_t luck);

/* Starts reader number idx in the place of one that runs. False: no process. */
bool history_app_read(struct history_app *app, unsigned idx, uint64_t luck);

/* Ends the writer: gracefully (it closes its database), or by SIGKILL. */
void history_app_end(struct history_app *app);
void history_app_kill(struct history_app *app);

/* Kills one reader, or all. */
void history_app_kill_reader(struct history_app *app, unsigned idx);
void history_app_kill_readers(struct history_app *app);

#endif
