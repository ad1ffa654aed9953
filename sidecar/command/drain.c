/*
 * walferry drain: tells a running walferry, over its control socket, to ship eagerly from now on.
 * It is what a pod's preStop hook runs: the application still works, and whatever it commits until
 * it ends shall be gone when SIGTERM comes.
 */
#include "lib/config/path.h"
#include "lib/http/client.h"
#include "sidecar/command/command.h"

enum {
    ANSWER_BYTES_MAX = 65536,
};

static const uint64_t answer_ns = 5 * NS_PER_SEC;

struct drain_args {
    const char *socket;
};

static const struct drain_args defaults = {.socket = "/var/run/litestream.sock"};

static const struct flag flags[] = {
    {"socket", FLAG_TEXT, offsetof(struct drain_args, socket), "PATH",
     "control socket of the running walferry", "/var/run/litestream.sock"},
};

static int ask(struct loop *loop, const char *socket, struct error *err)
{
    static const struct http_client_config config = {.connections_max = 1};
    const struct http_request request = {.method = "POST",
                                         .url = "http://localhost/drain",
                                         .shown_url = socket,
                                         .unix_socket = socket,
                                         .body_slice = SLICE_LIT("{}"),
                                         .has_body = true,
                                         .deadline_ns = answer_ns};
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    struct http_client *client = NULL;
    int status = 0;

    if (http_client_new(loop, &config, &client, err) < 0)
        return -1;
    int rc = http_wait(client, &request, &status, &body, err);
    http_client_free(client);
    if (rc < 0)
        return error_hint(err, "is walferry replicating, with socket.enabled: true?");
    if (status != 200) {
        return error_set(err, ERR_UNAVAILABLE, status, "%s answered %d: %s", socket, status,
                         buf_str(&body));
    }
    return command_print(SLICE_LIT("draining: every commit is shipped at once\n"), err);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct drain_args *a = inv->args;
    struct loop *loop = NULL;

    if (loop_new(inv->env, 1, &loop, err) < 0)
        return -1;
    int rc = ask(loop, a->socket, err);
    loop_run(loop);
    loop_free(loop);
    return rc < 0 ? error_wrap(err, "drain") : 0;
}

const struct command command_drain = {
    .name = "drain",
    .summary = "Make a running walferry ship eagerly, because its pod ends",
    .usage = "walferry drain [flags]",
    .example = "  walferry drain -socket /run/walferry/walferry.sock",
    .detail = "Meant for a preStop hook: from then on every commit is shipped at once, without\n"
              "regard to sync-interval, so that almost nothing is left to do at the end.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct drain_args),
    .defaults = &defaults,
    .run = run,
};
