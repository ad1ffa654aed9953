#!/usr/bin/env bash
# heartbeat-url: a healthy process sends beats, one whose destination refuses it sends none. (The
# first beat comes after a quarter of a minute: hence a script of its own.)
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3

# hears: an HTTP server that writes each request line to $work/beats; `port` is where.
hears() {
    spawn "$work/server.log" python3 -u -c 'import http.server, sys
class Beats(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open(sys.argv[1], "a").write(self.path + "\n")
        self.send_response(503 if "canary" in self.path else 204)
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Beats)
print("port=%d" % server.server_port)
server.serve_forever()' "$work/beats"
    wait_log server port=
    port=$(sed -n 's/^port=//p' "$work/server.log")
}

# configure NAME: the database $work/NAME.db, beating at /NAME.
configure() {
    cat >"$work/$1.yml" <<-END
	heartbeat-url: http://127.0.0.1:$port/$1
	heartbeat-interval: 1m
	dbs: [{path: $work/$1.db, replica: {path: $work/$1}}]
	END
}

beats() {
    hears
    db_make "$work/good.db"
    db_make "$work/bad.db" 2
    configure good
    configure bad
    # Somebody else's replica lies there.
    expect 0 replicate -once "$work/good.db" "$work/bad"
    daemon_start bad replicate -config "$work/bad.yml"
    local bad_pid=$pid
    wait_log bad 'replication refused'
    daemon_start good replicate -config "$work/good.yml"
    wait_until "a beat comes" grep -qsx /good "$work/beats"
    ! grep -x /bad "$work/beats" || fail "a refused process vouched for its databases"
    pid_stop "$pid" TERM
    [ "$status" -eq 0 ]
    pid_stop "$bad_pid" TERM
    [ "$status" -eq 1 ]
}
# Who knows the URL can vouch for us: a failure is told without it, whatever went wrong.
undelivered() {
    hears
    local name
    for name in answered away; do
        db_make "$work/$name.db"
        configure "$name"
        sed -i "s#$port/$name#$port/canary?token=canary#" "$work/$name.yml"
    done
    sed -i "s/127.0.0.1:$port/me:canary@127.0.0.1:1/" "$work/away.yml"
    daemon_start answered replicate -log-level trace -config "$work/answered.yml"
    local answered_pid=$pid
    daemon_start away replicate -log-level trace -config "$work/away.yml"
    wait_log answered 'answered 503'
    wait_log away 'GET heartbeat-url: '
    lacks "$work/answered.log" canary
    lacks "$work/away.log" canary
    pid_stop "$pid" TERM
    pid_stop "$answered_pid" TERM
}
tap_run an_undelivered_beat_is_told_without_its_url undelivered

tap_run a_healthy_process_beats_and_a_refused_one_does_not beats

tap_end
