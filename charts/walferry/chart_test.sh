#!/usr/bin/env bash
# The chart, without a cluster: it is clean, its values are checked, and what it renders is as agreed
# and holds what it promises. That an API server takes every object is shown by e2e/control-plane.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../../e2e/lib.sh"

# helm is built by e2e/cluster/build, where it is asked for; this test builds nothing.
PATH=$(find "${WALFERRY_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/walferry/kubernetes}" \
    -mindepth 1 -maxdepth 1 -type d 2>/dev/null | head -n 1):$PATH
tap_need helm python3

chart=$root/charts/walferry
everything=metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true
everything=$everything,metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true
everything=$everything,networkPolicy.enabled=true,rollout.enabled=true
everything=$everything,restore.inPlace.enabled=true

render() {
    helm template walferry "$chart" --namespace walferry "$@" 2>"$work/helm.err" ||
        fail "$(cat "$work/helm.err")"
}

# The digest of an image or the version of helm must not be in what is compared.
golden() { # NAME
    if [ "${GOLDEN:-}" = write ]; then
        cp "$work/rendered" "$chart/testdata/$1"
    fi
    diff -u "$chart/testdata/$1" "$work/rendered"
}

is_clean() {
    helm lint --strict "$chart" >"$work/lint" 2>&1 || fail "$(cat "$work/lint")"
}
tap_run chart_is_clean is_clean

default_is_golden() {
    render --set crds.install=false >"$work/rendered"
    golden default.yaml
}
tap_run what_the_defaults_render_is_as_agreed default_is_golden

all_is_golden() {
    render --set "crds.install=false,watchNamespaces={shop,blog},$everything" >"$work/rendered"
    golden everything.yaml
}
tap_run what_everything_on_in_two_namespaces_renders_is_as_agreed all_is_golden

crds_are_the_source() {
    local file
    render --show-only templates/crds.yaml >"$work/rendered"
    for file in "$root"/crds/*.yaml; do
        python3 - "$file" "$work/rendered" <<'END' || fail "$file is not what the chart installs"
import json, subprocess, sys
import yaml
want = yaml.safe_load(open(sys.argv[1]))
have = {d["metadata"]["name"]: d for d in yaml.safe_load_all(open(sys.argv[2])) if d}
have = have[want["metadata"]["name"]]
assert have["spec"] == want["spec"]
assert have["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
END
    done
}
tap_run the_chart_installs_the_very_crds_of_the_tree crds_are_the_source

unknown_value() {
    ! helm template walferry "$chart" --set replicas=3 >"$work/out" 2>&1 || fail "was accepted"
    grep -q "replicas" "$work/out"
    ! helm template walferry "$chart" --set injection.failurePolicy=Never >"$work/out" 2>&1
}
tap_run a_misspelled_value_is_refused unknown_value

rbac() {
    render --set "$everything" >"$work/rendered"
    python3 - "$work/rendered" <<'END'
import sys
import yaml
for d in yaml.safe_load_all(open(sys.argv[1])):
    if not d or d["kind"] not in ("Role", "ClusterRole"):
        continue
    for rule in d["rules"]:
        text = f'{d["metadata"]["name"]}: {rule}'
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], text
        if "secrets" in rule["resources"]:
            assert d["kind"] == "Role", text
            assert rule["verbs"] == ["create"] or rule.get("resourceNames"), text
            assert "list" not in rule["verbs"] and "watch" not in rule["verbs"], text
        if "pods/exec" in rule["resources"] or "impersonate" in rule["verbs"]:
            raise AssertionError(text)
END
}
tap_run roles_have_no_wildcard_and_read_no_secret_but_their_own rbac

narrow() {
    render --set 'watchNamespaces={shop}' >"$work/rendered"
    python3 - "$work/rendered" <<'END'
import sys
import yaml
for d in yaml.safe_load_all(open(sys.argv[1])):
    if d and d["kind"] == "ClusterRole" and not d["metadata"]["name"].endswith(("-view", "-edit")):
        for rule in d["rules"]:
            assert "pods" not in rule["resources"] and "jobs" not in rule["resources"], rule
END
}
tap_run with_a_list_of_namespaces_nothing_is_read_elsewhere narrow

workloads() {
    local enabled
    for enabled in false true; do
        render --set "rollout.enabled=$enabled" >"$work/rendered"
        python3 - "$work/rendered" "$enabled" <<'END' || fail "rollout.enabled=$enabled"
import sys
import yaml
verbs = {v for d in yaml.safe_load_all(open(sys.argv[1])) if d and d["kind"] == "ClusterRole"
         for rule in d["rules"] if "deployments" in rule["resources"] for v in rule["verbs"]}
assert verbs == ({"get", "patch"} if sys.argv[2] == "true" else {"get"}), verbs
END
    done
}
tap_run workloads_are_changed_only_where_the_chart_says_so workloads

dashboards() {
    render --set metrics.dashboards.enabled=true --show-only templates/dashboards.yaml >"$work/rendered"
    python3 - "$work/rendered" "$root/docs/metrics.md" <<'END'
import json, re, sys
import yaml
known = set(re.findall(r"`((?:walferry|process|workqueue)_[a-z_]+)`", open(sys.argv[2]).read()))
boards = [json.loads(v) for d in yaml.safe_load_all(open(sys.argv[1])) if d for v in d["data"].values()]
assert len(boards) == 2
for board in boards:
    ids = [p["id"] for p in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        for target in panel["targets"]:
            for name in re.findall(r"\b(?:walferry|process)_[a-z_]+", target["expr"]):
                name = re.sub(r"_bucket$", "", name)
                assert name in known, f'{board["title"]}: {panel["title"]}: {name} is not in docs/metrics.md'
END
}
tap_run dashboards_ask_for_metrics_that_exist dashboards

tap_end
