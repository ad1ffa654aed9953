# shellcheck shell=bash disable=SC2154,SC2086 # sourced by cluster, whose variables these are
# The outer half: starts the namespaces in cgroups of our own, finds them again, enters them, and
# removes the cgroups when they are gone.

pid1() { # the outer pid of the namespaces' process 1, if that very process still lives
    local pid link
    read -r pid link 2>/dev/null <"$WORK/run/pid1" || return
    [ "$(readlink "/proc/$pid/ns/net" 2>/dev/null)" = "$link" ] && echo "$pid"
}

alive() { [ $$ = 1 ] || pid1 >/dev/null; }

await() { # SECONDS WHAT CMD...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        alive || die "the cluster died waiting for $what; see $WORK/log"
        [ $SECONDS -lt $end ] || die "no $what in time; see $WORK/log"
        sleep 0.1
    done
}

inside() {
    local pid
    pid=$(pid1) || die "no cluster runs in $WORK"
    nsenter -t "$pid" -m -u -i -n -p -C -W "$PWD" -- "$@"
}

in_network() {
    local pid
    pid=$(pid1) || die "no cluster runs in $WORK"
    exec nsenter -t "$pid" -n -- "$@"
}

as_admin() { KUBECONFIG=$pki/admin.conf nsenter -t "$(pid1)" -n -- kubectl "$@"; }

cgroups() { # our cgroup in every hierarchy, below the caller's own so that its limits hold
    local controllers path root
    while IFS=: read -r _ controllers path; do
        if [ -z "$controllers" ]; then
            root=$(findmnt -nfro TARGET -t cgroup2) || true
        else
            root=$(findmnt -nfro TARGET -t cgroup -O "$controllers") || true
        fi
        [ -n "$root" ] || continue
        [ -d "$root$path" ] || path=
        path=${path%/}
        echo "$root$path/$cgroup"
    done </proc/self/cgroup
}

join_cgroups() {
    local folder file
    while read -r folder; do
        mkdir -p "$folder"
        for file in cpus mems; do # empty, no process could join
            [ ! -e "$folder/cpuset.$file" ] ||
                cat "${folder%/*}/cpuset.$file" >"$folder/cpuset.$file"
        done
        echo "$BASHPID" >"$folder/cgroup.procs"
    done <"$WORK/run/cgroups"
}

outer() { # stays outside as long as the namespaces live
    local unshare pid link
    cgroups >"$WORK/run/cgroups"
    (
        join_cgroups
        exec unshare --cgroup --net --mount --uts --ipc --pid --fork --kill-child --mount-proc \
            "$self" _init
    ) &
    unshare=$!
    # shellcheck disable=SC2064 # the pid as it is now
    trap "kill -KILL $unshare" TERM INT
    # Until the exec the subshell's own commands are its children: compare namespaces.
    until pid=$(cat "/proc/$unshare/task/$unshare/children") && pid=${pid% } &&
        link=$(readlink "/proc/$pid/ns/net") && [ "$link" != "$(readlink /proc/self/ns/net)" ]; do
        kill -0 $unshare
        sleep 0.02
    done
    echo "$pid $link" >"$WORK/run/pid1"
    while kill -0 $unshare 2>/dev/null; do wait $unshare || true; done
    sweep
}

sweep() { # removes our cgroups; they hold out until the last dead process is reaped
    local folder
    [ -e "$WORK/run/cgroups" ] || return 0
    while read -r folder; do
        for _ in {1..100}; do
            find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [ -d "$folder" ] || break
            sleep 0.05
        done
    done <"$WORK/run/cgroups"
    rm -f "$WORK"/run/{pid1,outer,cgroups}
}

is_node_ready() { # SINCE   after a restart the stored status still says Ready: ask for a new heartbeat
    local answer
    answer=$(as_admin get node $node_name -o jsonpath='{range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{end}')
    [[ $answer == True* && ! ${answer#True } < $1 ]]
}

up() {
    local started
    ! pid1 >/dev/null || die "a cluster runs in $WORK"
    [ "$(id -u)" -eq 0 ] || die "only root can make the namespaces"
    [ "$NODE" != yes ] || grep -q '[:,]memory[:,]' /proc/self/cgroup ||
        die "a node needs cgroup v1 or hybrid; NODE=no brings up the control plane alone"
    down # waits for a killed predecessor's sweep
    mkdir -p "$WORK"/{run,stop,log,etcd}
    chmod 700 "$WORK/etcd"
    rm -f "$WORK"/stop/* "$WORK"/run/*
    certificates
    [ "$NODE" != yes ] || node_files
    started=$(date -u +%FT%TZ)
    setsid "$self" _outer </dev/null >>"$WORK/log/init.log" 2>&1 &
    echo $! >"$WORK/run/outer"
    for _ in {1..100}; do
        [ ! -s "$WORK/run/pid1" ] || break
        sleep 0.05
    done
    await 300 apiserver as_admin get --raw /readyz
    [ "$NODE" != yes ] || await 300 node is_node_ready "$started"
    await 120 'default service account' as_admin get serviceaccount default
}

down() {
    local pid outer
    for _ in {1..300}; do # the outer half sees that, sweeps and ends; if that was killed too, we do it
        if pid=$(pid1); then kill -KILL "$pid"; fi # one that is only just coming up has none at first
        if ! outer=$(cat "$WORK/run/outer" 2>/dev/null) ||
            ! readlink "/proc/$outer/ns/net" >/dev/null; then
            sweep
            return
        fi
        sleep 0.05
    done
    die "the cluster's last processes did not end"
}

stop() { # NAME [SIGNAL]
    touch "$WORK/stop/$1"
    # shellcheck disable=SC2016 # expanded inside
    inside bash -c 'kill -"$2" "$(cat "$1")"' _ "$WORK/run/$1.pid" "${2:-TERM}"
    await 90 "end of $1" test ! -e "$WORK/run/$1.pid"
}

report() { # DIR   what somebody needs who was not there
    local dir=$1 namespace pod container
    mkdir -p "$dir/pods"
    cp "$WORK"/log/*.log "$dir/" 2>/dev/null || true
    as_admin get all,sqlr,sqlitebuckets,sqliterestores -A -o wide >"$dir/all.txt" 2>&1 || true
    as_admin get events.events.k8s.io -A --sort-by=.metadata.creationTimestamp >"$dir/events.txt" 2>&1 || true
    as_admin get sqlr,sqlitebuckets,sqliterestores -A -o yaml >"$dir/resources.yaml" 2>&1 || true
    as_admin describe pods -A >"$dir/pods.txt" 2>&1 || true
    as_admin get pods -A -o jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name} {.spec.initContainers[*].name} {.spec.containers[*].name}{"\n"}{end}' 2>/dev/null |
        while read -r namespace pod containers; do
            for container in $containers; do
                as_admin logs -n "$namespace" "$pod" -c "$container" \
                    >"$dir/pods/$namespace.$pod.$container.log" 2>&1 || true
                as_admin logs -n "$namespace" "$pod" -c "$container" --previous \
                    >"$dir/pods/$namespace.$pod.$container.previous.log" 2>/dev/null || true
            done
        done
    find "$dir/pods" -name '*.previous.log' -empty -delete
}
