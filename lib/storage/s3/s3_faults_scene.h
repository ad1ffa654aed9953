/*
 * The scene of the fault tests of this room: a loop, a driver that tries again quickly, and the
 * scripted server of s3_script.h. Only for *_test.c.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_S3_FAULTS_SCENE_H
#define WALFERRY_LIB_STORAGE_S3_S3_FAULTS_SCENE_H

#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/s3.h"
#include "lib/storage/s3/s3_script.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/sleepy_env.h"
#include "lib/testing/test.h"

#define ERROR_BODY(code) "<Error><Code>" code "</Code><Message>why</Message></Error>"

static const struct retry_policy quick_policy = {NS_PER_MS, 4 * NS_PER_MS, .tries_max = 4};

static struct loop *loop;

static inline struct storage_s3_config config_of(const struct script *script)
{
    return (struct storage_s3_config){.endpoint = script->endpoint,
                                      .region = "us-east-1",
                                      .bucket = "b",
                                      .prefix = "p",
                                      .access_key_id = "AKID",
                                      .secret_access_key = "CANARYSECRET",
                                      .retry = &quick_policy};
}

static inline struct storage *storage_of(const struct storage_s3_config *config)
{
    struct error err = ERROR_INIT;
    struct storage *st = NULL;

    assert_ok(storage_s3_new(loop, config, &st, &err), &err);
    return st;
}

static inline struct storage *storage_on(const struct script *script)
{
    struct storage_s3_config config = config_of(script);

    return storage_of(&config);
}

static inline void script_end(struct script *script, struct storage *st, unsigned wanted_requests)
{
    unsigned requests = script_requests(script);

    storage_free(st);
    script_stop(script);
    script_free(script);
    assert_int_equal(requests, wanted_requests);
}

static inline int on_data_refuse(void *arg UNUSED, struct slice chunk UNUSED, struct error *err)
{
    return error_set(err, ERR_NO_SPACE, 0, "the disk is full");
}

static inline void on_ended(void *arg, const struct storage_result *result)
{
    struct error *err = arg;

    *err = *result->err;
    if (err->code == ERR_NONE)
        err->code = ERR_GAP; /* any: done was called */
}

static inline bool wait_ended(struct error *err)
{
    while (err->code == ERR_NONE)
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    return true;
}

static inline int group_begin(void **state UNUSED)
{
    struct error err = ERROR_INIT;

    return loop_new(sleepy_env(), 2, &loop, &err);
}

static inline int group_end(void **state UNUSED)
{
    loop_free(loop);
    return 0;
}

#endif
