# The operator as a process outside of pods, with the ServiceAccount that the chart makes: so the
# chart's roles are all it has. Sourced after scenario.sh; needs helm.
#
#   operator_begin   the chart, its account, one controller that is ready; controller_flags are its own
#   operator_end     ends it; `status` is its exit status
#   operator_leave   removes the webhooks: the next script must not ask who nobody serves
#   replica, pod_yaml    manifests
# shellcheck shell=bash

controller=$root/build/$variant/bin/walferry-controller
release=walferry
controller_pid=
controller_flags=()

# install_chart [ARGUMENT...] of helm: the chart without its Deployment; the Service leads to the
# process on the cluster's own address.
install_chart() {
    kube get namespace $release >/dev/null 2>&1 || kube create namespace $release >/dev/null
    helm template $release "$root/charts/walferry" --namespace $release "$@" 2>/dev/null |
        python3 -c 'import sys, yaml
for d in yaml.safe_load_all(sys.stdin):
    if not d or d["kind"] in ("Deployment", "Pod", "PodDisruptionBudget"):
        continue
    if d["kind"] == "Service":
        del d["spec"]["selector"]
        for port in d["spec"]["ports"]:
            port["targetPort"] = 9443 if port["name"] == "webhook" else 8080
    print("---")
    print(yaml.safe_dump(d))' | kube apply -f - >/dev/null
    kube apply -f - >/dev/null <<END
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $release, namespace: $release, labels: {kubernetes.io/service-name: $release}}
addressType: IPv4
endpoints: [{addresses: [10.88.0.1]}]
ports: [{name: webhook, port: 9443}, {name: metrics, port: 8080}]
END
}

# A kubeconfig with the token of the chart's ServiceAccount.
account_make() {
    local token
    token=$(kube -n $release create token $release --duration 2h)
    cat >"$work/account.conf" <<END
{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u, namespace: $release}}],
 clusters: [{name: c, cluster: {server: "https://10.88.0.1:6443", certificate-authority: $cluster_work/pki/ca.crt}}],
 users: [{name: u, user: {token: $token}}]}
END
}

# controller_spawn LOG NAME [FLAG...]: one that is not waited for; `pid` is its own (nsenter and
# env have become it).
controller_spawn() {
    local log=$1 name=$2
    shift 2
    spawn "$log" env WORK="$cluster_work" POD_NAMESPACE=$release POD_NAME="$name" \
        "$cluster" run "$controller" run -kubeconfig "$work/account.conf" -log-format text \
        -sidecar-image localhost/walferry:1 "$@"
}

controller_start() {
    controller_spawn "$work/controller.log" test "${controller_flags[@]}"
    controller_pid=$pid
    wait_until "the controller is ready: $(cat "$work/controller.log")" is_ready
}

# is_ready [PORT]
is_ready() {
    in_cluster run curl -sf --max-time 2 "http://10.88.0.1:${1:-8080}/readyz" >"$work/readyz"
}

# metric NAME [PORT]: the value of a series, as it is written in /metrics: 'a_total{b="c"}'.
metric() {
    in_cluster run curl -sf --max-time 5 "http://10.88.0.1:${2:-8080}/metrics" |
        awk -v name="$1" 'index($0, name " ") == 1 { print $NF }'
}

operator_begin() {
    install_chart
    account_make
    controller_start
}

operator_end() { pid_stop "$controller_pid" TERM; }

operator_leave() {
    kube delete mutatingwebhookconfiguration,validatingwebhookconfiguration $release >/dev/null
}

replica() { # NAME [LINE OF THE SPEC]
    apply <<END
apiVersion: walferry.dev/v1alpha1
kind: SqliteReplica
metadata: {name: $1}
spec:
  ${2:-}
  databases: [{name: main, path: /data/app.db}]
  destination: {s3: {bucket: backups, endpoint: "http://10.88.0.1:7070", credentialsSecretRef: {name: s3-keys}}}
END
}

pod_yaml() { # NAME RESOURCE
    cat <<END
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {walferry.dev/replica: $2}}
spec:
  securityContext: {runAsUser: 1000, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: app
      image: localhost/app:1
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
END
}

gone() { ! kube_ns get "$1" "$2" >/dev/null 2>&1; }
