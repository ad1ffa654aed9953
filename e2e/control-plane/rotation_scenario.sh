#!/usr/bin/env bash
# The webhook's certificates are replaced while the API server admits pods: not one of them may be
# refused. Two replicas of the operator serve, as by the chart's default. Time is made to pass by
# certificates that were signed anew, by the same keys, with earlier dates.
#
# ROUNDS=n passes through all of it (1).
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need helm openssl
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

rounds=${ROUNDS:-1}
crowd=$root/build/$variant/e2e/tools/crowd
addresses=(10.88.0.1 10.88.0.3)
[ -x "$crowd" ] || {
    echo "ok 1 - ${0##*/} # SKIP no $crowd: make"
    echo "1..1"
    exit 0
}

two_begin() {
    install_chart
    account_make
    in_cluster run ip address replace 10.88.0.3/24 dev cni0
    kube -n $release patch endpointslice $release --type merge \
        -p '{"endpoints": [{"addresses": ["10.88.0.1"]}, {"addresses": ["10.88.0.3"]}]}' >/dev/null
    for address in "${addresses[@]}"; do
        controller_spawn "$work/controller-$address.log" "at-$address" -metrics-address "$address"
    done
    for address in "${addresses[@]}"; do
        wait_until "$address is ready" in_cluster run curl -sf --max-time 2 -o /dev/null "http://$address:8080/readyz"
    done
}

# load_begin: a pod each 40 ms, until load_end.
load_begin() {
    (
        until [ -e "$work/load-ends" ]; do
            in_cluster run "$crowd" "$cluster_work/pki/admin.conf" admit 50 40 || true
        done
    ) >"$work/load" 2>&1 &
    load=$!
    spawned+=("$load")
    wait_until "the load has begun" grep -q admissions= "$work/load"
}

load_end() {
    touch "$work/load-ends"
    pid_reap "$load"
    awk -F'[= ]' '/^admissions=/ { n += $2; bad += $4 } END { print n, bad }' "$work/load"
}

# ---- the Secret and what is served -------------------------------------------------------------

# part KEY FILE: a key of the Secret. Fails if it is not there.
part() {
    kube -n $release get secret walferry-webhook -o "jsonpath={.data['${1/./\\.}']}" 2>/dev/null |
        base64 -d >"$2" && [ -s "$2" ]
}

part_set() { # KEY FILE
    kube -n $release patch secret walferry-webhook --type merge \
        -p "{\"data\": {\"$1\": \"$(base64 -w0 <"$2")\"}}" >/dev/null
}

serial() { openssl x509 -noout -serial -in "$1"; }

# served ADDRESS FILE
served() {
    in_cluster run openssl s_client -connect "$1:9443" -servername walferry.walferry.svc </dev/null 2>/dev/null |
        openssl x509 >"$2" 2>/dev/null
}

# both_serve_other_than FILE: a certificate that the Secret holds now and that is not FILE.
both_serve_other_than() {
    local address
    part tls.crt "$work/now.crt" && [ "$(serial "$work/now.crt")" != "$(serial "$1")" ] || return 1
    for address in "${addresses[@]}"; do
        served "$address" "$work/served.crt" && [ "$(serial "$work/served.crt")" = "$(serial "$work/now.crt")" ] || return 1
    done
}

# sign_aged CERT KEY DAYS_AGO DAYS_LEFT EXTENSIONS SIGNER SIGNER_KEY: CERT anew, with other dates.
sign_aged() {
    local folder=$work/ca
    rm -rf "$folder"
    mkdir "$folder"
    : >"$folder/index"
    cat >"$folder/config" <<END
[ca]
default_ca = d
[d]
database = $folder/index
new_certs_dir = $folder
rand_serial = yes
default_md = sha256
policy = p
preserve = yes
[p]
commonName = optional
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:walferry.walferry.svc, DNS:walferry.walferry.svc.cluster.local
authorityKeyIdentifier = keyid
END
    openssl x509 -x509toreq -in "$1" -signkey "$2" -out "$folder/request" 2>/dev/null
    openssl ca -batch -notext -config "$folder/config" -extensions "$5" -cert "$6" -keyfile "$7" \
        -startdate "$(date -u -d "$3 days ago" +%Y%m%d%H%M%SZ)" \
        -enddate "$(date -u -d "$4 days" +%Y%m%d%H%M%SZ)" \
        -in "$folder/request" -out "$1.aged" 2>"$folder/log" || fail "$(cat "$folder/log")"
}

# ---- what happens ------------------------------------------------------------------------------

certificate_ages() {
    part ca.crt "$work/ca.crt" && part ca.key "$work/ca.key" && part tls.crt "$work/tls.crt" && part tls.key "$work/tls.key"
    sign_aged "$work/tls.crt" "$work/tls.key" 80 10 server "$work/ca.crt" "$work/ca.key"
    part_set tls.crt "$work/tls.crt.aged"
    wait_until "both serve a certificate that was renewed" both_serve_other_than "$work/tls.crt.aged"
}

# The authority is four years old: its successor is made, and an hour later takes over.
authority_ages() {
    part ca.crt "$work/ca.crt" && part ca.key "$work/ca.key" && part tls.crt "$work/tls.crt"
    sign_aged "$work/ca.crt" "$work/ca.key" 1460 365 authority "$work/ca.crt" "$work/ca.key"
    part_set ca.crt "$work/ca.crt.aged"
    wait_until "the next authority is made" part next-ca.crt "$work/next.crt"
    part next-ca.key "$work/next.key"
    sign_aged "$work/next.crt" "$work/next.key" 1 1824 authority "$work/next.crt" "$work/next.key"
    part_set next-ca.crt "$work/next.crt.aged"
    wait_until "both serve a certificate of the next authority" both_serve_other_than "$work/tls.crt"
    openssl verify -partial_chain -CAfile "$work/next.crt.aged" "$work/now.crt" >/dev/null || fail "it is of another authority"
}

secret_is_deleted() {
    local began
    part tls.crt "$work/tls.crt"
    kube -n $release delete secret walferry-webhook >/dev/null
    began=$(now_ms)
    wait_until "the Secret is there again" part tls.crt "$work/again.crt"
    echo "measured: a deleted Secret was there again after $(($(now_ms) - began)) ms"
    wait_until "both serve what is in it" both_serve_other_than "$work/tls.crt"
}

rotated() {
    local i admitted refused
    two_begin
    in_cluster run "$crowd" "$cluster_work/pki/admin.conf" replicas 1
    wait_until "a pod is admitted" in_cluster run "$crowd" "$cluster_work/pki/admin.conf" admit 1 0
    load_begin
    for ((i = 0; i < rounds; i++)); do
        certificate_ages
        authority_ages
        secret_is_deleted
    done
    read -r admitted refused < <(load_end)
    echo "measured: $admitted admissions while certificates, authorities and Secrets were replaced, $refused refused"
    [ "$refused" = 0 ] || fail "$(grep -v ^admissions "$work/load" | sort | uniq -c)"
    [ "$admitted" -ge 100 ]
    for i in "${addresses[@]}"; do
        ! grep -q 'level=error' "$work/controller-$i.log" || fail "$(grep level=error "$work/controller-$i.log")"
    done
}
tap_run certificates_are_replaced_without_a_refused_pod rotated

operator_leave
tap_end
