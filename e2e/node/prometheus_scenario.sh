#!/usr/bin/env bash
# What somebody gets who already has Prometheus: it finds the sidecars through the API server by the
# label and the port that the chart's PodMonitor names, and the chart's alerts fire and end.
#
# Debian's Prometheus runs in the cluster's network, with the rules of the chart's PrometheusRule. It is
# built without Kubernetes discovery, so e2e/node/discover follows the pods for it, with a ServiceAccount
# that may get, list and watch pods and nothing else. Times in the rules are made shorter, nothing else
# (`rules_write`): what is tested is that they fire on what real sidecars say.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"
tap_need prometheus promtool helm

port=9464 # in the cluster's network

account_make() {
    kube apply -f - >/dev/null <<END
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus, namespace: $namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-prometheus}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-prometheus}
subjects: [{kind: ServiceAccount, name: prometheus, namespace: $namespace}]
END
    kube_ns create token prometheus --duration 2h >"$work/token"
}

template() { helm template walferry "$root/charts/walferry" --namespace walferry --show-only "$@" 2>/dev/null; }

# The rules, with minutes as seconds: "for: 5m" waits 5 s; a lag of 60 s is one of 6 s, five failures
# in a row are two.
rules_write() {
    template templates/prometheusrule.yaml --set metrics.prometheusRule.enabled=true |
        python3 -c 'import sys, yaml
print(yaml.safe_dump(yaml.safe_load(sys.stdin)["spec"], width=1000))' |
        sed -E 's/^( *for: [0-9]+)m$/\1s/; s/(lag_seconds > )60$/\16/; s/(error_streak > )5$/\12/' >"$work/rules.yaml"
    promtool check rules "$work/rules.yaml"
    [ "$(grep -c 'for: .*s$' "$work/rules.yaml")" -ge 5 ]
}

# What prometheus-operator makes of the chart's monitors, for this scene's pods and for the operator's.
config_write_prometheus() {
    template templates/monitors.yaml --set metrics.podMonitor.enabled=true |
        python3 -c 'import json, sys, yaml
monitor = yaml.safe_load(sys.stdin)
endpoint = monitor["spec"]["podMetricsEndpoints"][0]
match = monitor["spec"]["selector"]["matchExpressions"][0]
assert match["operator"] == "Exists"
work, namespace = sys.argv[1:]
meta = "__meta_kubernetes_pod_"
def job(name, path, namespaces, relabel):
    relabel += [{"action": "keep", "source_labels": ["__meta_kubernetes_namespace"], "regex": "|".join(namespaces)},
                {"source_labels": [meta + "name"], "target_label": "pod"},
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"}]
    return {"job_name": name, "metrics_path": path, "file_sd_configs": [{"files": [work + "/pods.json"]}], "relabel_configs": relabel}
label = match["key"].replace(".", "_").replace("/", "_")
sidecars = job("sidecars", endpoint["path"], [namespace], [
    {"action": "keep", "source_labels": [meta + "labelpresent_" + label], "regex": "true"},
    {"action": "keep", "source_labels": [meta + "container_port_name"], "regex": endpoint["port"]},
    {"source_labels": [meta + "label_" + label], "target_label": label}])
operator = job("operator", "/metrics", ["walferry"], [
    {"action": "keep", "source_labels": [meta + "container_port_name"], "regex": "metrics"}])
print(json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                  "rule_files": [work + "/rules.yaml"], "scrape_configs": [sidecars, operator]}))' \
            "$work" "$namespace" >"$work/prometheus.yml"
    promtool check config "$work/prometheus.yml"
}

discover_start() {
    # shellcheck disable=SC2016 # expanded inside
    spawn "$work/discover.txt" env WORK="$cluster_work" "$cluster" run bash -c '
        exec "$3" "$4" < <(exec setpriv --pdeathsig KILL kubectl --kubeconfig=/dev/null \
            --server=https://10.88.0.1:6443 --certificate-authority="$1" --token="$2" \
            get pods -A --watch --output-watch-events -o json)' \
        _ "$cluster_work/pki/ca.crt" "$(cat "$work/token")" "$root/e2e/node/discover" "$work/pods.json"
}

prometheus_start() {
    spawn "$work/prometheus.txt" env WORK="$cluster_work" "$cluster" run prometheus \
        --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address=127.0.0.1:$port
    wait_until "Prometheus is ready: $(tail -n 3 "$work/prometheus.txt")" prometheus_asked /-/ready
}

prometheus_asked() { in_cluster run curl -sf --max-time 5 "http://127.0.0.1:$port$1"; }

# targets JOB: "HEALTH POD" a line.
targets() {
    prometheus_asked '/api/v1/targets?state=active' | python3 -c 'import json, sys
for t in json.load(sys.stdin)["data"]["activeTargets"]:
    if t["scrapePool"] == sys.argv[1]:
        print(t["health"], t["labels"]["pod"])' "$1"
}
targets_are() { [ "$(targets "$1" | sort | tr '\n' ' ')" = "$2" ]; }

# value EXPRESSION: of the one series that it gives.
value() {
    in_cluster run curl -sf --max-time 5 -G "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" |
        python3 -c 'import json, sys
r = json.load(sys.stdin)["data"]["result"]
print(r[0]["value"][1] if len(r) == 1 else len(r))'
}
value_is() { [ "$(value "$1")" = "$2" ]; }

# fires ALERT, is_quiet ALERT
alerts() {
    prometheus_asked /api/v1/alerts | python3 -c 'import json, sys
for a in json.load(sys.stdin)["data"]["alerts"]:
    if a["state"] == "firing":
        print(a["labels"]["alertname"])'
}
fires() { alerts | grep -qx "$1"; }
is_quiet() {
    local now
    now=$(alerts) && ! grep -qx "$1" <<<"$now"
}

monitoring() {
    local pod
    shop_make prometheus
    account_make
    rules_write
    config_write_prometheus
    discover_start
    prometheus_start
    pod=$(app_pod shop)
    wait_until "the sidecar is scraped" targets_are sidecars "up $pod "
    wait_until "both controllers are scraped" value_is 'sum(up{job="operator"})' 2
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "Prometheus knows" value_is \
        'walferry_acknowledged_txid == walferry_local_txid and walferry_replication_lag_seconds == 0 and walferry_acknowledged_txid > 1' \
        "$((16#$(shipped_txid "$(app_ip shop)")))"
    wait_until "one leads" value_is 'sum(leader_election_master_status)' 1
    wait_until "nothing fires" nothing_fires

    # The store goes away and comes back.
    store_stop
    rows_commit shop 5 >/dev/null
    wait_until "the lag is told" fires SqliteReplicationLagging
    wait_until "the store is told" fires SqliteDestinationDown
    store_start
    wait_until "the lag is over" is_quiet SqliteReplicationLagging
    wait_until "the store is back" is_quiet SqliteDestinationDown

    # The operator goes away and comes back.
    kube -n walferry scale deployment/walferry --replicas=0 >/dev/null
    wait_until "the operator is told" fires SqliteOperatorDown
    kube -n walferry scale deployment/walferry --replicas=2 >/dev/null
    kube -n walferry rollout status deployment/walferry --timeout="${deadline_s}s" >/dev/null
    wait_until "the operator is back" is_quiet SqliteOperatorDown

    # A pod that comes anew is found by itself.
    kube_ns delete pod "$pod" --wait=true >/dev/null
    wait_until "the new pod is ready" app_is_ready shop
    wait_until "it is scraped, and the old one not" targets_are sidecars "up $(app_pod shop) "
    wait_until "nothing fires" nothing_fires
}
nothing_fires() {
    local now
    now=$(alerts) && [ -z "$now" ]
}
tap_run prometheus_finds_the_sidecars_and_alerts_fire_and_end monitoring
# Whatever went wrong: others need them.
kube -n store scale deployment/s3 --replicas=1 >/dev/null
kube -n walferry scale deployment/walferry --replicas=2 >/dev/null
kube -n store rollout status deployment/s3 --timeout="${deadline_s}s" >/dev/null
kube -n walferry rollout status deployment/walferry --timeout="${deadline_s}s" >/dev/null

tap_end
