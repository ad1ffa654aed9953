# As many databases in one process as its descriptors allow. idle_of() is in idle.sh.
# shellcheck shell=bash

work_large() {
    idle_of large "$(size 600 3000)" 1 5
}

table_large() {
    section "$(size 600 3,000) databases in one process, limit of 20,000 descriptors"
    row "all are followed after" large_follow s "<= 10"
    row "all are in the bucket after" large_start s "<= 10"
    row "CPU of the start" large_start_cpu s
    row "resident set" large_rss MB
    row "of it anonymous" large_anon MB
    row "descriptors" large_fds ""
}
