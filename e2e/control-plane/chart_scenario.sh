#!/usr/bin/env bash
# The chart before a real API server: every object that it can render is taken, and its roles allow
# what they say and nothing else.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need helm

release=walferry
everything=metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true
everything=$everything,metrics.dashboards.enabled=true,networkPolicy.enabled=true,rollout.enabled=true

render() {
    helm template $release "$root/charts/walferry" --namespace $release "$@" 2>"$work/helm.err" ||
        fail "$(cat "$work/helm.err")"
}

namespaces() {
    local name
    for name in $release shop blog; do
        kube get namespace "$name" >/dev/null 2>&1 || kube create namespace "$name" >/dev/null
    done
}

# taken HELM-FLAG...: the API server takes each object; unknown fields are errors.
taken() {
    render "$@" >"$work/rendered"
    kube apply --server-side --force-conflicts --field-manager helm --dry-run=server --validate=strict \
        -f - <"$work/rendered" >"$work/taken" 2>&1 || fail "$(cat "$work/taken")"
    ! grep -v '(server dry run)$' "$work/taken" || fail "beside: $(cat "$work/taken")"
    [ "$(wc -l <"$work/taken")" = "$(grep -c '^kind:' "$work/rendered")" ] || fail "not each was answered for"
}

accepted() {
    namespaces
    [ -d "$BIN/monitoring" ] || skip "prometheus-operator's definitions could not be had"
    kube apply --server-side -f "$root/crds" -f "$BIN/monitoring" >/dev/null
    kube wait --for=condition=Established crd/sqlitereplicas.walferry.dev crd/podmonitors.monitoring.coreos.com \
        crd/servicemonitors.monitoring.coreos.com crd/prometheusrules.monitoring.coreos.com >/dev/null
    taken --set crds.install=false
    taken --set "crds.install=false,$everything"
    taken --set "crds.install=false,watchNamespaces={shop,blog},$everything"
    taken --set crds.install=false,webhook.certs.mode=secret,webhook.certs.secretName=mine,webhook.hostNetwork=true
    # The very definitions that are there already.
    taken --show-only templates/crds.yaml
}
tap_run every_object_of_the_chart_is_taken accepted

# With certificates by cert-manager: its own definitions judge the Issuer and the Certificate.
by_cert_manager() {
    local kind certs=crds.install=false,webhook.certs.mode=certManager
    [ -d "$BIN/cert-manager" ] || skip "cert-manager's definitions could not be had"
    namespaces
    kube apply --server-side -f "$BIN/cert-manager" >/dev/null
    kube wait --for=condition=Established crd/certificates.cert-manager.io crd/issuers.cert-manager.io >/dev/null
    taken --set "$certs"
    for kind in issuer certificate; do
        grep -q "^$kind.cert-manager.io/" "$work/taken" || fail "no $kind: $(cat "$work/taken")"
    done
    taken --set "$certs,webhook.certs.secretName=mine,webhook.certs.issuerRef.kind=ClusterIssuer,webhook.certs.issuerRef.name=corporate"
    ! grep -q '^issuer.cert-manager.io/' "$work/taken" || fail "an issuer beside the one that is named"
    # And they do judge.
    render --set "$certs" | sed 's/^  secretName:.*/  secretName: 7/' >"$work/rendered"
    ! kube apply --server-side --dry-run=server -f "$work/rendered" >/dev/null 2>&1 || fail "a Certificate of nonsense was taken"
}
tap_run what_the_chart_makes_for_cert_manager_is_taken_by_its_definitions by_cert_manager

# rules FILE: "ALLOWED NAMESPACE GROUP RESOURCE SUBRESOURCE NAME VERB" for every verb on every kind
# that the API server knows, in three namespaces, and on names that rules speak of; ALLOWED as the
# rendered roles say it.
rules() {
    {
        kube api-resources --no-headers -o wide
        echo ---
        cat "$1"
    } | python3 -c 'import sys, yaml
resources, manifests = sys.stdin.read().split("\n---\n", 1)
verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
roles, grants = {}, []
for d in yaml.safe_load_all(manifests):
    if d and d["kind"] in ("Role", "ClusterRole"):
        roles[d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]] = d["rules"]
for d in yaml.safe_load_all(manifests):
    if d and d["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        assert [s["name"] for s in d["subjects"]] == ["walferry"], d["subjects"]
        where = d["metadata"].get("namespace")
        of = where if d["roleRef"]["kind"] == "Role" else None
        grants += [(where, rule) for rule in roles[d["roleRef"]["kind"], of, d["roleRef"]["name"]]]
kinds = {("", "pods/exec"), ("", "pods/log"), ("", "pods/ephemeralcontainers"), ("", "serviceaccounts/token"), ("apps", "deployments/scale"),
         ("apps", "statefulsets/scale"), ("walferry.dev", "sqlitereplicas/status"), ("walferry.dev", "sqlitereplicas/finalizers")}
for line in resources.splitlines():
    words = line.split()
    version = next(w for w in words[1:] if "/" in w or w == "v1")
    kinds.add((version.split("/")[0] if "/" in version else "", words[0]))
for where, rule in grants:
    kinds |= {(g, r) for g in rule["apiGroups"] for r in rule["resources"]}
names = {n for _, rule in grants for n in rule.get("resourceNames", [])} | {""}
def allowed(where, group, resource, name, verb):
    return any(w in (None, where) and group in r["apiGroups"] and resource in r["resources"] and verb in r["verbs"]
               and ("resourceNames" not in r or name in r["resourceNames"]) for w, r in grants)
for where in ("walferry", "shop", "elsewhere"):
    for group, resource in sorted(kinds):
        for name in sorted(names) if resource in ("secrets", "mutatingwebhookconfigurations", "validatingwebhookconfigurations") else [""]:
            for verb in verbs:
                part, _, sub = resource.partition("/")
                print("true" if allowed(where, group, resource, name, verb) else "false", where, group or "-", part, sub or "-", name or "-", verb)'
}

# What every account may: reviews of its own rights.
review() { # RULES ANSWERS
    python3 -c 'import json, sys
for line in sys.stdin:
    _, where, group, resource, sub, name, verb = line.split()
    a = {"namespace": where, "group": group, "resource": resource, "subresource": sub, "name": name, "verb": verb}
    print(json.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": "system:serviceaccount:walferry:walferry",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:walferry", "system:authenticated"],
        "resourceAttributes": {k: v for k, v in a.items() if v != "-"}}}))' <"$1" >"$work/reviews"
    # By one connection; kubectl would take minutes.
    cat >"$work/curl" <<END
header = "Content-Type: application/json"
cacert = "$cluster_work/pki/ca.crt"
cert = "$cluster_work/pki/admin.crt"
key = "$cluster_work/pki/admin.key"
silent
fail
END
    python3 -c 'import sys
for line in open(sys.argv[1]):
    body = line.strip().replace("\\", "\\\\").replace("\"", "\\\"")
    print("url = \"https://10.88.0.1:6443/apis/authorization.k8s.io/v1/subjectaccessreviews\"")
    print(f"data = \"{body}\"\nnext")
    print(open(sys.argv[2]).read())' "$work/reviews" "$work/curl" | cat "$work/curl" - >"$work/requests"
    in_cluster run curl -K "$work/requests" | python3 -c 'import json, sys
text, at, decode = sys.stdin.read(), 0, json.JSONDecoder().raw_decode
while at < len(text):
    answer, at = decode(text, at)
    print("true" if answer["status"]["allowed"] else "false")
    while at < len(text) and text[at].isspace():
        at += 1' >"$2"
}

# exact HELM-FLAG...
exact() {
    render --set crds.install=false "$@" |
        python3 -c 'import sys, yaml
for d in yaml.safe_load_all(sys.stdin):
    if d and d["kind"] in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"):
        print("---")
        print(yaml.safe_dump(d))' >"$work/roles"
    kube apply -f "$work/roles" >/dev/null
    rules "$work/roles" >"$work/rules"
    review "$work/rules" "$work/answers"
    [ "$(wc -l <"$work/rules")" = "$(wc -l <"$work/answers")" ] || fail "$(wc -l "$work/rules" "$work/answers")"
    # Discovery gives everybody reviews of their own rights.
    paste -d' ' "$work/answers" "$work/rules" | grep -v ' self[a-z]*reviews ' |
        awk '$1 != $2 { print "is " $1 ", should be " $0 }' >"$work/wrong"
    [ ! -s "$work/wrong" ] || fail "$(cat "$work/wrong")"
    echo "measured: $(wc -l <"$work/rules") rights were asked for, $(grep -c ^true "$work/answers") are given"
    # And as a person would ask.
    can yes get secrets/walferry-webhook -n $release
    can no get secrets/another -n $release
    can no list secrets -n $release
    can no get secrets/walferry-webhook -n shop
    can yes watch pods -n shop
    can no create pods -n shop
    can no create pods/exec -n shop
    can no impersonate users
    can no escalate clusterroles
    kube delete -f "$work/roles" >/dev/null
}
can() { # yes|no VERB WHAT...
    local want=$1
    shift
    [ "$(kube auth can-i "$@" --as system:serviceaccount:walferry:walferry 2>/dev/null)" = "$want" ] || fail "can-i $*: not $want"
}

everywhere() {
    namespaces
    exact
    exact --set rollout.enabled=true
}
tap_run the_roles_allow_what_they_say_and_nothing_else everywhere

in_two_namespaces() {
    namespaces
    exact --set 'watchNamespaces={shop,blog}'
}
tap_run with_a_list_of_namespaces_they_allow_nothing_elsewhere in_two_namespaces

tap_end
