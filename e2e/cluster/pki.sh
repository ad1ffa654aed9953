# shellcheck shell=bash disable=SC2154 # sourced by cluster, whose variables these are
# Certificates of a test cluster: one authority, ECDSA P-256, made once per WORK.

mint() { # NAME SUBJECT EXTENSION...   (an empty configuration, so that no default extension slips in)
    local name=$1 subject=$2 extension extensions=()
    shift 2
    for extension; do extensions+=(-addext "$extension"); done
    openssl req -x509 -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') -newkey ec \
        -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -keyout "$pki/$name.key" \
        -out "$pki/$name.crt" -subj "$subject" -addext subjectKeyIdentifier=hash \
        "${extensions[@]}" "${signer[@]}" 2>>"$WORK/log/pki.log"
}

leaf() { # NAME SUBJECT [SAN]   good for both ends of TLS
    mint "$1" "$2" basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
        extendedKeyUsage=serverAuth,clientAuth authorityKeyIdentifier=keyid ${3:+"subjectAltName=$3"}
}

kubeconfig() { # NAME
    cat >"$pki/$1.conf" <<Y
{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
 clusters: [{name: c, cluster: {server: "https://$node_ip:6443", certificate-authority: $pki/ca.crt}}],
 users: [{name: u, user: {client-certificate: $pki/$1.crt, client-key: $pki/$1.key}}]}
Y
}

certificates() {
    [ -e "$pki/done" ] && return
    mkdir -p "$pki"
    local signer=() name
    mint ca /CN=test-ca basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign
    signer=(-CA "$pki/ca.crt" -CAkey "$pki/ca.key")
    leaf apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:$node_ip"
    leaf kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    leaf admin /O=system:masters/CN=admin
    leaf controller-manager /CN=system:kube-controller-manager
    leaf scheduler /CN=system:kube-scheduler
    leaf proxy /CN=system:kube-proxy
    # Without these names logs and exec fail: the apiserver verifies the kubelet.
    leaf node "/O=system:nodes/CN=system:node:$node_name" "DNS:$node_name,IP:$node_ip"
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/sa.key"
    openssl ec -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
    for name in admin controller-manager scheduler proxy node; do kubeconfig "$name"; done
    touch "$pki/done"
}
