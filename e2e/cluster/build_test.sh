#!/usr/bin/env bash
# Which binaries `build` makes again, and when: those whose version in it is another, and no others. What
# compiles is replaced by a `go` that writes down what it is asked for, since the real one takes minutes.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../lib.sh"

# A copy of `build` beside the real go.mod, an empty cache, and that `go`.
setup() {
    mkdir -p "$work/tree" "$work/bin" "$work/module"
    cp "$root"/e2e/cluster/{build,go.mod,go.sum} "$work/tree/"
    touch "$work/module"/monitoring.coreos.com_{podmonitors,servicemonitors,prometheusrules}.yaml
    mkdir -p "$work"/module/{cmd/prometheus,example/prometheus-operator-crd,deploy/crds}
    touch "$work"/module/deploy/crds/cert-manager.io_{certificates,issuers,clusterissuers}.yaml
    mv "$work"/module/monitoring* "$work/module/example/prometheus-operator-crd/"
    cat >"$work/bin/go" <<END2
#!/bin/sh
for last; do :; done
case \$1 in
    mod) printf '{\n\t"Dir": "$work/module",\n}\n' && exit ;;
    install) out=\$GOBIN/\$(basename "\${last%@*}") ;;
    build) out=\$(echo "\$*" | sed 's/.* -o \([^ ]*\) .*/\1/') ;;
esac
echo "\$last" >>"$work/asked"
mkdir -p "\$(dirname "\$out")" && echo "of \$last" >"\$out" && chmod +x "\$out"
END2
    chmod +x "$work/bin/go"
    cluster_build >/dev/null
}

# cluster_build: what was asked of go is in $work/asked then, sorted.
cluster_build() {
    : >"$work/asked"
    PATH=$work/bin:$PATH WALFERRY_CLUSTER_CACHE=$work/cache bash "$work/tree/build" all 2>"$work/log" ||
        fail "$(cat "$work/log")"
    sort -o "$work/asked" "$work/asked"
}

asked_is() { [ "$(cat "$work/asked")" = "$1" ] || fail "built: $(cat "$work/asked")"; }

once() {
    setup
    cluster_build >/dev/null
    asked_is ""
}
tap_run what_is_there_is_not_built_again once

version_bump() {
    local bin
    setup
    sed -i 's#^\(helm=.*\)@[^ ]* #\1@v9.9.9 #; s#^prometheus=[^ ]*#prometheus=github.com/prometheus/prometheus@v9.9.9#' "$work/tree/build"
    bin=$(cluster_build)
    grep -q '^helm.sh/helm/v4/cmd/helm@v9.9.9$' "$work/asked" || fail "built: $(cat "$work/asked")"
    [ "$(wc -l <"$work/asked")" = 2 ] || fail "built: $(cat "$work/asked")"
    [ "$(cat "$bin/helm")" = "of helm.sh/helm/v4/cmd/helm@v9.9.9" ]
    cluster_build >/dev/null
    asked_is ""
}
tap_run another_version_builds_that_program_and_no_other version_bump

pinned() {
    local before after
    setup
    before=$(cluster_build)
    echo "// another" >>"$work/tree/go.mod"
    after=$(cluster_build)
    [ "$before" != "$after" ]
    grep -q '^k8s.io/kubernetes/cmd/kube-apiserver$' "$work/asked"
}
tap_run another_go_mod_builds_kubernetes pinned

tap_end
