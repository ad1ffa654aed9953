# The examples of docs/examples as they are applied here: with the application and the object store
# of the scenarios instead of somebody's. Sourced after scenario.sh.
# shellcheck shell=bash disable=SC2154 # root, namespace, s3_service: scenario.sh

# adapted [SED SCRIPT] <MANIFEST: without one comment less. STYLE is another word for forcePathStyle.
adapted() {
    local style=${STYLE:-forcePathStyle}
    sed -E -e 's#example/shop:1#localhost/app:1#; s#litestream/litestream:0.5#localhost/litestream:1#' \
        -e 's/AKIDEXAMPLE/walferry-e2e/; s/(AWS_SECRET_ACCESS_KEY: )secret/\1walferry-e2e-secret/' \
        -e "/s3: \{/s#region: eu-central-1#region: us-east-1, endpoint: \"$s3_service\", forcePathStyle: true#" \
        -e "s#^( +)region: eu-central-1\$#\1region: us-east-1\n\1endpoint: \"$s3_service\"\n\1$style: true#" \
        -e 's/bucket: my-bucket/bucket: backups/; s/periodSeconds: 5/periodSeconds: 1/' \
        -e "s#^( +path|  prefixTemplate): shop( .*)?\$#\1: $namespace/shop\2#" \
        -e "${1:-}"
}

# example FILE [SED SCRIPT]: a manifest of docs/examples.
example() {
    local STYLE=
    [[ $1 != migration/before.yaml ]] || STYLE=force-path-style
    adapted "${2:-}" <"$root/docs/examples/$1"
}

# examples: the name of each file.
examples() { (cd "$root/docs/examples" && find . -name '*.yaml' -printf '%P\n' | sort); }
