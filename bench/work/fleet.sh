# A fleet of databases in one process that nobody writes to. idle_of() is in idle.sh.
# shellcheck shell=bash

work_fleet() {
    idle_of fleet "$(size 200 1000)" "$(size 5 45)" "$(size 15 60)"
}

table_fleet() {
    section "Idle, $(size 200 1,000) databases in one process, per minute"
    row "all shipped after" fleet_start s
    row "CPU of the start" fleet_start_cpu s
    row "CPU" fleet_cpu s "<= 0.05"
    row "requests" fleet_requests "" "<= 0"
    row "resident set" fleet_rss MB "<= 80"
    row "of it anonymous" fleet_anon MB "<= 32"
    row "descriptors" fleet_fds ""
}
