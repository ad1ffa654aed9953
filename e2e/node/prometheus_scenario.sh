#!/usr/bin/env bash
# What somebody gets who already has Prometheus: it finds the sidecars and the operator through the API
# server, as docs/metrics.md says, which is what the chart's monitors say; and the chart's alerts fire and
# end.
#
# A real Prometheus runs as a pod, with a ServiceAccount that may do what the page says and nothing else.
# Its scrape_configs are those of the page, letter by letter; its rules those of the chart, with shorter
# times and smaller numbers (`rules_write`): what is tested is that they fire on what real sidecars say.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"
tap_need promtool helm

# page_block KEY: the YAML block of docs/metrics.md that has this line.
page_block() {
    python3 - "$root/docs/metrics.md" "$1" <<'END'
import re, sys
blocks = re.findall(r"^```yaml\n(.*?)^```", open(sys.argv[1]).read(), re.S | re.M)
block, = [b for b in blocks if sys.argv[2] in b.split("\n")]
print(block, end="")
END
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

config_write_prometheus() {
    {
        echo "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}"
        echo "rule_files: [/etc/prometheus/rules.yaml]"
        page_block "scrape_configs:"
    } >"$work/prometheus.yml"
}

# The page says what the chart's monitors say.
page_is_as_the_chart() {
    template templates/monitors.yaml --set metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true |
        python3 -c 'import re, sys, yaml
pods, service = [d["spec"] for d in yaml.safe_load_all(sys.stdin) if d]
sidecars, operator = yaml.safe_load(open(sys.argv[1]))["scrape_configs"]
def kept(job):
    return {r["source_labels"][0].removeprefix("__meta_kubernetes_pod_"): r["regex"]
            for r in job["relabel_configs"] if r.get("action") == "keep"}
name = lambda text: re.sub(r"[^a-zA-Z0-9]", "_", text)
match, = pods["selector"]["matchExpressions"]
assert match["operator"] == "Exists"
ports = pods["podMetricsEndpoints"] + service["endpoints"]
assert [p["path"] for p in ports] == ["/metrics"] * 2
assert kept(sidecars) == {"labelpresent_" + name(match["key"]): "true", "container_port_name": ports[0]["port"]}, kept(sidecars)
assert kept(operator).items() <= {"container_port_name": ports[1]["port"]}.items() | {
    "label_" + name(k): v for k, v in service["selector"]["matchLabels"].items()}.items(), kept(operator)
assert ports[1]["honorLabels"] is operator["honor_labels"] is True' "$work/prometheus.yml"
}

prometheus_start() {
    in_cluster image localhost/prometheus:1 "$BIN/prometheus" >/dev/null
    page_block "kind: ClusterRole" | kube apply -f - >/dev/null
    kube_ns create configmap prometheus --from-file="$work/prometheus.yml" --from-file="$work/rules.yaml" >/dev/null
    apply <<END
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prometheus}
subjects: [{kind: ServiceAccount, name: prometheus, namespace: $namespace}]
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus}
spec:
  serviceAccountName: prometheus
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: prometheus
      image: localhost/prometheus:1
      imagePullPolicy: Never
      args: [--config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/data]
      readinessProbe: {httpGet: {path: /-/ready, port: 9090}, periodSeconds: 1}
      volumeMounts: [{name: config, mountPath: /etc/prometheus}, {name: data, mountPath: /data}]
  volumes: [{name: config, configMap: {name: prometheus}}, {name: data, emptyDir: {}}]
END
    wait_until "Prometheus is ready" \
        is pod prometheus '{.status.conditions[?(@.type=="Ready")].status}' True
    prometheus_url=http://$(get pod prometheus '{.status.podIP}'):9090
}

prometheus_asked() { in_cluster run curl -sf --max-time 5 -G "$prometheus_url$1" "${@:2}"; }

# What other scenarios left, or their pods that are still ending, is none of this one's: only targets and
# alerts of these namespaces count, or of none.
ours() { echo "$namespace walferry"; }

# targets JOB: "HEALTH POD" a line.
targets() {
    prometheus_asked '/api/v1/targets?state=active' | python3 -c 'import json, sys
for t in json.load(sys.stdin)["data"]["activeTargets"]:
    if t["scrapePool"] == "walferry-" + sys.argv[1] and t["labels"]["namespace"] in sys.argv[2].split():
        print(t["health"], t["labels"]["pod"])' "$1" "$(ours)"
}
targets_are() { [ "$(targets "$1" | sort | tr '\n' ' ')" = "$2" ]; }

# value EXPRESSION: of the one series that it gives.
value() {
    prometheus_asked /api/v1/query --data-urlencode "query=$1" |
        python3 -c 'import json, sys
r = json.load(sys.stdin)["data"]["result"]
print(r[0]["value"][1] if len(r) == 1 else len(r))'
}
value_is() { [ "$(value "$1")" = "$2" ]; }

# fires ALERT, is_quiet ALERT
alerts() {
    prometheus_asked /api/v1/alerts | python3 -c 'import json, sys
for a in json.load(sys.stdin)["data"]["alerts"]:
    if a["state"] == "firing" and a["labels"].get("namespace", "walferry") in sys.argv[1].split():
        print(a["labels"]["alertname"])' "$(ours)"
}
fires() { alerts | grep -qx "$1"; }
is_quiet() {
    local now
    now=$(alerts) && ! grep -qx "$1" <<<"$now"
}

monitoring() {
    local pod mine
    shop_make prometheus
    mine="namespace=\"$namespace\""
    rules_write
    config_write_prometheus
    page_is_as_the_chart
    prometheus_start
    pod=$(app_pod shop)
    wait_until "the sidecar is scraped" targets_are sidecars "up $pod "
    wait_until "both controllers are scraped" value_is 'sum(up{job="walferry-operator"})' 2
    wait_until "the resource is known by its own namespace" value_is \
        "walferry_replica_condition{type=\"Replicating\",name=\"shop\",$mine}" 1
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "Prometheus knows" value_is \
        "walferry_acknowledged_txid{$mine} == walferry_local_txid and walferry_replication_lag_seconds == 0 and walferry_acknowledged_txid > 1" \
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
