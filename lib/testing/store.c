/*
 * The server's process is our child: the script that prepares it executes it in its own place.
 */
#include "lib/testing/store.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    START_TRIES = 3, /* somebody else may take the free port first */
    STATUS_MISSING = 77,
};

static const uint64_t start_ns = 180 * NS_PER_SEC; /* Swift is Python, the machine may be busy */

struct ready_look {
    struct test_store *store;
    char path[320];
};

static bool is_ready_or_ended(void *arg)
{
    struct ready_look *look = arg;

    return access(look->path, F_OK) == 0 || test_process_wait(&look->store->process, 0);
}

/* One try on a free port; false if it ended before it answered. */
static bool store_try(struct test_store *store, const char *kind, const char *folder)
{
    struct ready_look look = {.store = store};
    char log_path[320];
    char port[16];

    store->port = test_port_free();
    (void)snprintf(port, sizeof(port), "%u", store->port);
    (void)snprintf(store->endpoint, sizeof(store->endpoint), "http://127.0.0.1:%u", store->port);
    (void)snprintf(log_path, sizeof(log_path), "%s/server.log", folder);
    (void)snprintf(look.path, sizeof(look.path), "%s/ready", folder);
    (void)unlink(look.path); /* of an earlier server */
    test_process_start(&store->process,
                       (const char *const[]){"e2e/stores/serve", kind, folder, port, NULL}, NULL,
                       log_path);
    (void)test_wait_until(is_ready_or_ended, &look, start_ns); /* the file tells */
    return access(look.path, F_OK) == 0;
}

bool test_store_start(struct test_store *store, const char *kind, const char *folder)
{
    *store = (struct test_store){.process = TEST_PROCESS_INIT,
                                 .access_key =
                                     strcmp(kind, "swift") == 0 ? "test:tester" : "walferry-test",
                                 .secret_key = "walferry-test-secret-key",
                                 .region = "us-east-1",
                                 .bucket = "bucket"};
    for (int tries = 0; tries < START_TRIES; tries++) {
        if (store_try(store, kind, folder))
            return true;
        test_store_stop(store);
        if (store->process.status == STATUS_MISSING)
            break;
    }
    CLEANUP(mem_free) char *output = test_process_output(&store->process);
    if (store->process.status != STATUS_MISSING)
        fail_msg("%s does not answer:\n%s", kind, output);
    print_message("# %s: %s", kind, output);
    return false;
}

void test_store_stop(struct test_store *store)
{
    if (store->process.pid == 0)
        return;
    test_process_signal(&store->process, SIGTERM);
    /* Some of them wait for connections to end: nothing of theirs is worth it. */
    if (!test_process_wait(&store->process, NS_PER_SEC))
        test_process_signal(&store->process, SIGKILL);
    assert_true(test_process_wait(&store->process, 10 * NS_PER_SEC));
}
