# shellcheck shell=bash disable=SC2154 # sourced by cluster, whose variables these are
# Images without a registry: a docker archive with one layer, from a static binary or a folder.

archive() { # NAME FILE|DIR [ENTRYPOINT...] >TAR
    local folder name=$1 source=$2 entry machine
    shift 2
    folder=$(mktemp -d)
    mkdir -m 755 "$folder/root"
    mkdir -m 1777 "$folder/root/tmp"
    if [ -d "$source" ]; then
        cp -a "$source/." "$folder/root/"
    else
        install -m 755 "$source" "$folder/root/${source##*/}"
    fi
    [ $# -gt 0 ] || set -- "/${source##*/}"
    entry=$(printf '"%s",' "$@")
    machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    tar -C "$folder/root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 \
        -cf "$folder/layer.tar" .
    printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":[%s],"Env":["PATH=/bin:/"]},%s}' \
        "$machine" "${entry%,}" \
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$(sha256sum <"$folder/layer.tar" |
            cut -d' ' -f1)\"]}" >"$folder/config.json"
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" \
        >"$folder/manifest.json"
    tar -C "$folder" -cf - manifest.json config.json layer.tar
    rm -rf "$folder"
}

pause_image() { # >TAR   a pod's first process: holds the namespaces, reaps orphans
    cc -Os -static -s -o "$WORK/pause" -xc - <<'C'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0); }
static void quit(int signal) { (void)signal; _exit(0); }
int main(void)
{
    signal(SIGINT, quit);
    signal(SIGTERM, quit);
    signal(SIGCHLD, reap);
    for (;;)
        pause();
}
C
    archive localhost/pause:1 "$WORK/pause"
}
