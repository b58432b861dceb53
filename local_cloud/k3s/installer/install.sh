#!/bin/sh
# Installs K3s: the stand-in's own installer behind https://get.k3s.io.
#
# It takes what K3s's installer takes (docs.k3s.io/reference/env-variables):
#   INSTALL_K3S_VERSION, INSTALL_K3S_CHANNEL, INSTALL_K3S_EXEC (and arguments), INSTALL_K3S_NAME, INSTALL_K3S_TYPE,
#   INSTALL_K3S_SKIP_DOWNLOAD, INSTALL_K3S_SKIP_ENABLE, INSTALL_K3S_SKIP_START, INSTALL_K3S_FORCE_RESTART,
#   INSTALL_K3S_SYMLINK, INSTALL_K3S_BIN_DIR, INSTALL_K3S_BIN_DIR_READ_ONLY, INSTALL_K3S_SYSTEMD_DIR,
#   INSTALL_K3S_CHANNEL_URL, GITHUB_URL, and K3S_*, which the service gets too.
# Not taken: INSTALL_K3S_COMMIT, INSTALL_K3S_PR (there are releases only), OpenRC and SELinux (droplets have neither).
set -eu

GITHUB_URL=${GITHUB_URL:-https://get.k3s.io/releases}
INSTALL_K3S_CHANNEL_URL=${INSTALL_K3S_CHANNEL_URL:-https://get.k3s.io/channels}
INSTALL_K3S_CHANNEL=${INSTALL_K3S_CHANNEL:-stable}
DATA_DIR=/var/lib/rancher/k3s

info() {
    echo "[INFO]  $*"
}

fatal() {
    echo "[ERROR]  $*" >&2
    exit 1
}

is_true() {
    [ "${1:-}" = true ]
}

# One argument, quoted for systemd's ExecStart: https://www.freedesktop.org/software/systemd/man/systemd.service.html
quote() {
    printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/\\\\'/g" -e 's/%/%%/g' -e 's/\$/$$/g')"
}

# --- what to install, from the arguments and the environment ---
decide() {
    case "${1:-}" in
    '' | -*)
        if [ -z "${K3S_URL:-}" ]; then
            command_k3s=server
        elif [ -z "${K3S_TOKEN:-}${K3S_TOKEN_FILE:-}" ]; then
            fatal "Defaulted k3s exec command to 'agent' because K3S_URL is defined, but K3S_TOKEN or K3S_TOKEN_FILE is not defined."
        else
            command_k3s=agent
        fi
        ;;
    *)
        command_k3s=$1
        shift
        ;;
    esac
    case "${K3S_URL:-}" in
    '' | https://*) ;;
    *) fatal "Only https:// URLs are supported for K3S_URL (have $K3S_URL)" ;;
    esac
    for unsupported in COMMIT PR; do
        eval "value=\${INSTALL_K3S_$unsupported:-}"
        [ -z "$value" ] || fatal "INSTALL_K3S_$unsupported is not supported: this cloud has releases only"
    done

    exec_line=$command_k3s
    for argument in "$@"; do
        exec_line="$exec_line $(quote "$argument")"
    done

    if [ -n "${INSTALL_K3S_NAME:-}" ]; then
        name=k3s-$INSTALL_K3S_NAME
    elif [ "$command_k3s" = server ]; then
        name=k3s
    else
        name=k3s-$command_k3s
    fi
    case "$name" in
    *[!A-Za-z0-9.:_@-]*) fatal "Invalid characters for system name: $name" ;;
    esac

    bin_dir=${INSTALL_K3S_BIN_DIR:-/usr/local/bin}
    systemd_dir=${INSTALL_K3S_SYSTEMD_DIR:-/etc/systemd/system}
    service=$systemd_dir/$name.service
    service_env=$service.env
    killall=$bin_dir/k3s-killall.sh
    uninstall=$bin_dir/$name-uninstall.sh
    if is_true "${INSTALL_K3S_BIN_DIR_READ_ONLY:-}"; then
        INSTALL_K3S_SKIP_DOWNLOAD=true
    fi
    before=$(installed)
}

# What decides whether a running service must be started again: the binary is replaced by a rename, or stays.
installed() {
    stat --format='%n %i' "$bin_dir/k3s" 2>/dev/null || true
    sha256sum "$service" "$service_env" 2>/dev/null || true
}

fetch() {
    if command -v curl >/dev/null 2>&1; then
        curl --fail --silent --show-error --location --output "$1" "$2" || fatal "Download failed: $2"
    elif command -v wget >/dev/null 2>&1; then
        wget -q -O "$1" "$2" || fatal "Download failed: $2"
    else
        fatal 'Can not find curl or wget for downloading files'
    fi
}

download() {
    if is_true "${INSTALL_K3S_SKIP_DOWNLOAD:-}" || [ "${INSTALL_K3S_SKIP_DOWNLOAD:-}" = binary ]; then
        info 'Skipping k3s download and verify'
        [ -x "$bin_dir/k3s" ] || fatal "Executable k3s binary not found at $bin_dir/k3s"
        return
    fi
    case "$(uname -m)" in
    x86_64 | amd64) arch=amd64 suffix='' ;;
    aarch64 | arm64) arch=arm64 suffix=-arm64 ;;
    *) fatal "Unsupported architecture $(uname -m)" ;;
    esac
    # Beside the target, so that the last step is a rename and needs no second copy.
    mkdir -p "$bin_dir"
    scratch=$(mktemp -d "$bin_dir/.k3s-install.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT

    version=${INSTALL_K3S_VERSION:-}
    if [ -z "$version" ]; then
        info "Finding release for channel $INSTALL_K3S_CHANNEL"
        fetch "$scratch/channel" "$INSTALL_K3S_CHANNEL_URL/$INSTALL_K3S_CHANNEL"
        version=$(cat "$scratch/channel")
    fi
    info "Using $version as release"

    info "Downloading hash $GITHUB_URL/download/$version/sha256sum-$arch.txt"
    fetch "$scratch/hash" "$GITHUB_URL/download/$version/sha256sum-$arch.txt"
    expected=$(sed -n "s/ [ *]k3s$suffix\$//p" "$scratch/hash")
    [ -n "$expected" ] || fatal "No hash of k3s$suffix in sha256sum-$arch.txt"
    if [ -x "$bin_dir/k3s" ] && [ "$(sha256sum <"$bin_dir/k3s")" = "$expected  -" ]; then
        info 'Skipping binary downloaded, installed k3s matches hash'
        return
    fi
    info "Downloading binary $GITHUB_URL/download/$version/k3s$suffix"
    fetch "$scratch/k3s" "$GITHUB_URL/download/$version/k3s$suffix"
    info 'Verifying binary download'
    found=$(sha256sum <"$scratch/k3s")
    [ "$found" = "$expected  -" ] || fatal "Download sha256 does not match $expected, got ${found%% *}"
    info "Installing k3s to $bin_dir/k3s"
    chmod 755 "$scratch/k3s"
    mv -f "$scratch/k3s" "$bin_dir/k3s"
}

link_commands() {
    [ "${INSTALL_K3S_SYMLINK:-}" != skip ] || return 0
    for cmd in kubectl crictl ctr; do
        if [ "${INSTALL_K3S_SYMLINK:-}" = force ] || ! command -v "$cmd" >/dev/null 2>&1; then
            info "Creating $bin_dir/$cmd symlink to k3s"
            ln -sf k3s "$bin_dir/$cmd"
        else
            info "Skipping $bin_dir/$cmd symlink to k3s, command exists in PATH at $(command -v "$cmd")"
        fi
    done
}

write_killall() {
    info "Creating killall script $killall"
    cat >"$killall" <<'SCRIPT'
#!/bin/sh
# Stops every K3s service of this machine. Programs that k3s started end with it.
set -u
for service in /etc/systemd/system/k3s*.service; do
    [ -s "$service" ] || continue
    systemctl stop "$(basename "$service")"
done
SCRIPT
    chmod 755 "$killall"
}

write_uninstall() {
    info "Creating uninstall script $uninstall"
    cat >"$uninstall" <<SCRIPT
#!/bin/sh
# Removes $name from this machine, and K3s's data with the last of its services.
set -u
$killall
systemctl disable $name
systemctl reset-failed $name 2>/dev/null
rm -f $service $service_env
systemctl daemon-reload
rm -f $uninstall
for other in $systemd_dir/k3s*.service; do
    if [ -e "\$other" ]; then
        echo 'Additional k3s services installed, skipping uninstall of k3s'
        exit 0
    fi
done
for cmd in kubectl crictl ctr; do
    if [ -L "$bin_dir/\$cmd" ]; then
        rm -f "$bin_dir/\$cmd"
    fi
done
rm -rf /etc/rancher/k3s /run/k3s \${K3S_DATA_DIR:-$DATA_DIR} /var/lib/kubelet
rm -f $bin_dir/k3s $killall
SCRIPT
    chmod 755 "$uninstall"
}

write_environment() {
    info "env: Creating environment file $service_env"
    (
        umask 077
        : >"$service_env"
        chmod 600 "$service_env"
        env | grep -E '^(K3S|CONTAINERD)_|^([Nn][Oo]|[Hh][Tt][Tt][Pp][Ss]?)_[Pp][Rr][Oo][Xx][Yy]=' >"$service_env" || true
    )
}

write_service() {
    info "systemd: Creating service file $service"
    cat >"$service" <<UNIT
[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=${INSTALL_K3S_TYPE:-notify}
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-$service_env
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStart=$bin_dir/k3s $exec_line
UNIT
    chmod 644 "$service"
}

enable_and_start() {
    is_true "${INSTALL_K3S_SKIP_ENABLE:-}" && return
    info "systemd: Enabling $name unit"
    systemctl enable "$service" >/dev/null 2>&1
    systemctl daemon-reload
    is_true "${INSTALL_K3S_SKIP_START:-}" && return
    if [ "$before" = "$(installed)" ] && ! is_true "${INSTALL_K3S_FORCE_RESTART:-}" && systemctl --quiet is-active "$name"; then
        info 'No change detected so skipping service start'
        return
    fi
    info "systemd: Starting $name"
    systemctl restart "$name"
}

main() {
    command -v systemctl >/dev/null 2>&1 || fatal 'Can not find systemd to use as a process supervisor for k3s'
    [ "$(id -u)" -eq 0 ] || fatal 'Run this installer as root'
    decide "$@"
    download
    if ! is_true "${INSTALL_K3S_BIN_DIR_READ_ONLY:-}"; then
        link_commands
        write_killall
        write_uninstall
    fi
    systemctl disable "$name" >/dev/null 2>&1 || true
    write_environment
    write_service
    enable_and_start
}

# INSTALL_K3S_EXEC is a command line as one text: quotes group words, and nothing else is special.
# The script's own arguments follow it.
words=$(printf '%s' "${INSTALL_K3S_EXEC:-}" | sed -e 's/[][!#$%&()*;<>?\\`{|}~^]/\\&/g')
eval "main $words \"\$@\""
