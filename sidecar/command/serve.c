/* Placeholder until sidecar/control is there; see serve.h. */
#include "sidecar/command/serve.h"
const char *status_db_state_name(enum status_db_state state);
__attribute__((weak)) const char *status_db_state_name(enum status_db_state state)
{
    static const char *const n[] = {"opening","absent","not_wal","following","difference","backoff","disk_full","exclusive","network_fs","moved","torn","damaged","paused","stopped"};
    return n[state];
}
int serve_start(struct replication *r UNUSED, struct server **out, struct error *err UNUSED)
{
    *out = NULL;
    return 0;
}
void serve_stop(struct server *server UNUSED)
{
}
