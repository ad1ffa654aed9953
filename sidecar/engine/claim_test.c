/*
 * One walferry for a database: two that take its claim, as two processes would.
 */
#include <stdio.h>
#include <unistd.h>

#include "lib/testing/test.h"
#include "sidecar/engine/engine_internal.h"

/* What of a database a claim asks for. */
static struct database claimant(struct engine *e, char *path, char *work_folder)
{
    return (struct database){.engine = e, .path = path, .work_folder = work_folder, .claim_fd = -1};
}

static void test_a_database_has_one_walferry_until_that_one_ends(void **state UNUSED)
{
    struct engine e = {.env = env_real()};
    struct error err = ERROR_INIT;
    char folder[256];
    char path[300];
    char work_folder[300];

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/app.db", folder);
    (void)snprintf(work_folder, sizeof(work_folder), "%s/.app.db-walferry", folder);
    struct database first = claimant(&e, path, work_folder);
    struct database second = claimant(&e, path, work_folder);
    assert_ok(claim_take(&first, &err), &err);
    assert_ok(claim_take(&first, &err), &err); /* it has it: opening again asks again */
    assert_error(claim_take(&second, &err), &err, ERR_BUSY, "another walferry replicates");
    assert_int_equal(second.claim_fd, -1);
    claim_release(&first);
    assert_ok(claim_take(&second, &err), &err);
    claim_release(&second);
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_database_has_one_walferry_until_that_one_ends),
    };
    return TEST_MAIN(tests);
}
