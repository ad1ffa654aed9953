#!/usr/bin/env bash
# What somebody gets who looks into the images that the other scenarios run: one program, what it is
# linked to, and papers about both. No shell, no package manager, nobody's user id. The images for arm64
# are run, too.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"

images=$root/build/images
bytes_max=25000000 # unpacked

# unpack TARGET ARCH: its configuration becomes $work/config.json, its files $work/root.
unpack() {
    local archive=$images/$1-$2.tar layer
    [ -e "$archive" ] || skip "no $archive: make images IMAGE_ARCH=$2"
    rm -rf "$work/archive" "$work/root"
    mkdir -p "$work/archive" "$work/root"
    tar -C "$work/archive" -xf "$archive"
    python3 - "$work" <<'END' >"$work/layers"
import json, shutil, sys
work = sys.argv[1]
manifest = json.load(open(work + "/archive/manifest.json"))[0]
shutil.copy(work + "/archive/" + manifest["Config"], work + "/config.json")
print(*manifest["Layers"], sep="\n")
END
    while read -r layer; do
        tar -C "$work/root" -xf "$work/archive/$layer"
    done <"$work/layers"
}

scratch() { # TARGET PROGRAM
    local bytes
    unpack "$1" amd64
    python3 - "$work/config.json" "$2" <<'END'
import json, re, sys
image = json.load(open(sys.argv[1]))
config = image["config"]
assert image["architecture"] == "amd64", image["architecture"]
assert config["User"] == "65532:65532", config["User"]
assert config["Entrypoint"] == ["/usr/bin/" + sys.argv[2]], config["Entrypoint"]
labels = {k.removeprefix("org.opencontainers.image."): v for k, v in config["Labels"].items()}
assert labels["licenses"] == "Apache-2.0"
assert re.fullmatch(r"\d+\.\d+\.\d+.*", labels["version"]), labels["version"]
assert labels["revision"] not in ("", "unknown"), labels["revision"]
assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"]), labels["created"]
assert labels["title"] and labels["description"]
END
    # Programs: ours, and the loader that starts it.
    [ "$(cd "$work/root" && find . -type f -perm /111 ! -name 'ld-linux*' | sort)" = "./usr/bin/$2" ] ||
        fail "programs: $(cd "$work/root" && find . -type f -perm /111)"
    [ -s "$work/root/etc/ssl/certs/ca-certificates.crt" ]
    [ -z "$(find "$work/root" -perm /6000)" ] # nothing set-uid
    bytes=$(find "$work/root" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
    [ "$bytes" -le $bytes_max ] || fail "$bytes bytes unpacked"
    "$work/root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$work/root/usr/lib/x86_64-linux-gnu" \
        "$work/root/usr/bin/$2" version
}
tap_run the_sidecars_image_is_one_program_without_a_shell scratch sidecar walferry
tap_run the_controllers_image_is_one_program_without_a_shell scratch controller walferry-controller

# Every shared object comes from a package that the bill names, with version and purl.
bill() { # TARGET PROGRAM
    unpack "$1" amd64
    python3 - "$work/root" "$2" <<'END'
import json, os, subprocess, sys
root, program = sys.argv[1:]
bill = json.load(open(f"{root}/usr/share/sbom/{program}.spdx.json"))
assert bill["spdxVersion"] == "SPDX-2.3" and bill["dataLicense"] == "CC0-1.0"
packages = {p["name"]: p for p in bill["packages"]}
assert program in packages
ids = [p["SPDXID"] for p in bill["packages"]]
assert len(ids) == len(set(ids)), "an SPDXID twice"
for name, p in packages.items():
    assert p["versionInfo"], name
    assert name == program or p["externalRefs"][0]["referenceLocator"].startswith(f"pkg:deb/debian/{name}@"), name
for wanted in ("libc6", "libcurl4", "libssl3", "libwebsockets17", "libuv1", "libcjson1"):
    assert wanted in packages or wanted + "t64" in packages, wanted
assert program != "walferry" or "libsqlite3-0" in packages
files = [f for folder, _, names in os.walk(root + "/usr/lib") for f in names]
assert len(files) > 20 and len(packages) > 20, (len(files), len(packages))
END
}
tap_run the_bill_of_materials_names_every_package bill sidecar walferry
tap_run the_controllers_bill_of_materials_does_too bill controller walferry-controller

# ---- for the other machine ---------------------------------------------------------------------

revision() {
    python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["config"]["Labels"]["org.opencontainers.image.revision"])' "$work/config.json"
}

# arm64_unpack TARGET PROGRAM: $work/PROGRAM runs it then, by qemu where the processor is another. The image
# is made if it is missing, or of another commit than the one for amd64.
arm64_unpack() {
    local commit with=(qemu-aarch64-static -L "$work/root")
    if [ "$(uname -m)" = aarch64 ]; then
        with=("$work/root/usr/lib/ld-linux-aarch64.so.1" --library-path "$work/root/usr/lib/aarch64-linux-gnu")
    elif ! command -v qemu-aarch64-static; then
        skip "what is built for arm64 runs on such a processor, or with qemu-user-static"
    fi
    unpack "$1" amd64
    commit=$(revision)
    if [ -e "$images/$1-arm64.tar" ]; then
        unpack "$1" arm64
    fi
    if [ ! -e "$images/$1-arm64.tar" ] || [ "$(revision)" != "$commit" ]; then
        COMMIT=$commit "$root/images/build" --arch arm64 sidecar controller
        unpack "$1" arm64
    fi
    printf '#!/bin/sh\nexec %s "$@"\n' "${with[*]} $work/root/usr/bin/$2" >"$work/$2"
    chmod +x "$work/$2"
}

# All of it is for that machine, and needs nothing that is not in it.
cross() { # TARGET PROGRAM
    local file name count=0
    arm64_unpack "$1" "$2"
    [ "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["architecture"])' "$work/config.json")" = arm64 ]
    while read -r file; do
        [ "$(od -An -j18 -N2 -tu2 "$file" | tr -d ' ')" = 183 ] || fail "$file is not for AArch64"
        for name in $(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'); do
            [ -e "$work/root/usr/lib/aarch64-linux-gnu/$name" ] || [ -e "$work/root/usr/lib/$name" ] ||
                fail "$file needs $name, which is not there"
        done
        count=$((count + 1))
    done < <(find "$work/root/usr/bin" "$work/root/usr/lib" -type f)
    [ "$count" -gt 20 ] || fail "$count programs and shared objects"
    "$work/$2" version
}
tap_run the_sidecars_image_for_arm64_runs cross sidecar walferry
tap_run the_controllers_image_for_arm64_runs cross controller walferry-controller

# An application of the own architecture is followed by the program of the other, and its rows come back.
cross_round_trip() {
    local db=$work/disk/app.db
    arm64_unpack sidecar walferry
    walferry=$work/walferry
    mkdir "$work/disk"
    config_write "$work/litestream.yml" "$db" "$(replica_file "$work/bucket")"
    app_start app "$db"
    app_must app insert 50
    spawn "$work/log" "$walferry" replicate -config "$work/litestream.yml"
    wait_until "what was there is shipped" row_is_restorable "$work/litestream.yml" "$db" 50
    app_must app insert 50
    app_must app checkpoint passive
    app_must app insert 50
    wait_until "what comes is shipped" row_is_restorable "$work/litestream.yml" "$db" 150
    pid_stop "$pid" TERM
    [ "$status" -eq 0 ] || fail "exit status $status: $(cat "$work/log")"
    restore_with "$walferry" "$work/litestream.yml" "$db" "$work/restored.db" -integrity-check full
    app_stop app
    pages_equal "$db" "$work/restored.db" || fail "the pages are not the same"
}
tap_run an_application_is_replicated_and_restored_on_arm64 cross_round_trip

tap_end
