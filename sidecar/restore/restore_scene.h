/*
 * The scene of the restore tests: a folder with a replica made by hand, a loop, a storage on it,
 * and options for a restore to "<folder>/out.db". Only for *_test.c of this room.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_RESTORE_SCENE_H
#define WALFERRY_SIDECAR_RESTORE_RESTORE_SCENE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ltx/ltx.h"
#include "lib/storage/file/file.h"
#include "lib/testing/fault_env.h"
#include "lib/testing/replica.h"
#include "lib/testing/test.h"
#include "sidecar/engine/page_map.h"
#include "sidecar/restore/restore.h"

struct scene {
    char folder[256];
    char out[300];
    char temp[310];
    char map[400];
    struct loop *loop;
    struct storage *storage;
    struct restore_destination destination;
    struct log log;
    struct restore_options options;
    struct test_replica replica;
    const struct env *env; /* of the output */
    struct restore_result result;
};

static inline void scene_storage_open(struct scene *s)
{
    struct error err = ERROR_INIT;

    assert_ok(loop_new(env_real(), 4, &s->loop, &err), &err);
    assert_ok(storage_file_new(s->loop, env_real(), s->replica.root, &s->storage, &err), &err);
    s->destination = (struct restore_destination){.storage = s->storage, .name = "file"};
}

static inline void scene_storage_close(struct scene *s)
{
    storage_free(s->storage);
    while (s->loop && loop_job_count(s->loop) > 0)
        (void)uv_run(loop_uv(s->loop), UV_RUN_ONCE);
    loop_free(s->loop);
    s->storage = NULL;
    s->loop = NULL;
}

/* Everything but loop and storage: for tests that fork, since a loop begins threads. */
static inline void scene_make_files(struct scene *s, uint32_t page_size)
{
    test_folder_make(s->folder);
    (void)snprintf(s->out, sizeof(s->out), "%s/out.db", s->folder);
    (void)snprintf(s->temp, sizeof(s->temp), "%s.tmp", s->out);
    (void)snprintf(s->map, sizeof(s->map), "%s/.out.db-walferry/file.map", s->folder);
    s->env = env_real();
    s->log = (struct log){
        .env = env_real(), .fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .level = LOG_LEVEL_TRACE};
    s->options = (struct restore_options){.output = s->out, .want_page_map = true};
    test_replica_open(&s->replica, s->folder, page_size);
}

/* Set flags of s->replica before (zeroed otherwise). page_size of the origin. */
static inline void scene_make(struct scene *s, uint32_t page_size)
{
    scene_make_files(s, page_size);
    scene_storage_open(s);
}

static inline void scene_remove(struct scene *s)
{
    restore_result_destroy(&s->result);
    scene_storage_close(s);
    test_replica_close(&s->replica);
    (void)close(s->log.fd);
    test_folder_remove(s->folder);
}

/* Restores with s->options; the result is in s->result. */
static inline int scene_restore(struct scene *s, struct error *err)
{
    const struct restore_args args = {.loop = s->loop,
                                      .env = s->env,
                                      .log = &s->log,
                                      .destinations = &s->destination,
                                      .destination_count = 1,
                                      .options = &s->options};

    restore_result_destroy(&s->result);
    error_clear(err);
    return restore_run(&args, &s->result, err);
}

static inline bool scene_has(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Removes the restored database, its map and whatever else lies beside them. */
static inline void scene_clear_output(struct scene *s)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[400];

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", s->out, suffixes[i]);
        (void)unlink(path);
    }
    (void)unlink(s->map);
}

/* Asserts that nothing of the output lies in the folder: no file, no temporary file, no map. */
static inline void scene_assert_no_output(const struct scene *s)
{
    DIR *d = opendir(s->folder);
    struct dirent *e = NULL;

    assert_non_null(d);
    while ((e = readdir(d))) {
        if (strncmp(e->d_name, "out.db", 6) == 0)
            fail_msg("%s was left behind", e->d_name);
    }
    (void)closedir(d);
    assert_false(scene_has(s->map));
}

/* Asserts that the page map is exactly that of a TXID, recomputed from the kept state. */
static inline void scene_assert_map(struct scene *s, uint64_t txid, bool is_rewind)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    const struct test_replica_state *state = &s->replica.states[txid];
    struct error err = ERROR_INIT;
    uint64_t file_id = 0;
    bool is_sound = false;

    assert_ok(page_map_open(env_real(), s->map, &m, &err), &err);
    assert_ok(page_map_verify(&m, &is_sound, &err), &err);
    assert_true(is_sound);
    assert_int_equal(m.state.txid, txid);
    assert_int_equal(m.state.page_count, state->page_count);
    assert_int_equal(m.state.page_size, s->replica.page_size);
    assert_int_equal(m.state.db_checksum, state->db_checksum);
    assert_int_equal(m.state.is_rewind, is_rewind);
    assert_int_equal(m.state.epoch, s->replica.has_ext ? 3 : 0);
    assert_int_equal(m.state.owner, s->replica.has_ext ? 0xCAFE : 0);
    assert_ok(page_map_file_id(env_real(), s->out, &file_id, &err), &err);
    assert_int_equal(m.state.file_id, file_id);
    for (uint32_t p = 1; p <= state->page_count; p++) {
        struct map_entry e = {.pgno = p};
        struct slice page =
            slice_of(state->image + (size_t)(p - 1) * s->replica.page_size, s->replica.page_size);
        assert_ok(page_map_read(&m, &e, 1, &err), &err);
        assert_int_equal(e.checksum, ltx_page_checksum(p, page));
    }
}

/* File checksum of an object, from its trailer. */
static inline uint64_t scene_file_checksum(struct scene *s, unsigned level, uint64_t min,
                                           uint64_t max)
{
    char path[700];
    size_t n = 0;

    test_replica_path(&s->replica, level, min, max, path);
    uint8_t *bytes = test_file_read(path, &n);
    uint64_t checksum = be64_load(bytes + n - 8);
    free(bytes);
    return checksum;
}

/* A chain as replication leaves it: raw objects, compactions of 5 and 20, snapshots each 30. */
static inline void scene_write_levels(struct scene *s)
{
    for (uint64_t t = 1; t <= s->replica.txid; t++) {
        test_replica_write(&s->replica, 0, t, t);
        if (t % 5 == 0)
            test_replica_write(&s->replica, 1, t - 4, t);
        if (t % 20 == 0)
            test_replica_write(&s->replica, 2, t - 19, t);
        if (t % 30 == 0 || t == 1)
            test_replica_write(&s->replica, 9, 1, t);
    }
}

#endif
