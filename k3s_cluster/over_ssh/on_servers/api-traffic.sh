#!/bin/sh
# Whether a load balancer sends clients to this server's Kubernetes API, and since when it does to another's.
#
#   api-traffic.sh watch          what the service runs: pass the health checks while the API is ready
#   api-traffic.sh leave SECONDS  fail them although it is, for SECONDS at most; connections are still accepted
#   api-traffic.sh refuse         refuse new connections from elsewhere, too; those that stand go on
#   api-traffic.sh hold SECONDS   drop what clients send on connections that stand, too, for SECONDS; answers still go out
#   api-traffic.sh enter          take all of it back
#   api-traffic.sh another        print for how many seconds another server has passed them without a break, as seen
#                                 from here; 0 where none does
#
# The health checks have a port of their own, which leads to the API's. So a server can leave while it still accepts
# connections, and a K3s that is gone fails them by itself. K3s opens its port before its API answers, and keeps it open
# when the datastore is out of reach: a TCP check of that port finds nothing wrong with it.
#
# A server whose API cannot answer refuses all connections while another server's can: K3s's agents, which come without
# the load balancer, then turn to that one. Where no server can answer, none refuses: clients hear the API's own error.
# A member of etcd that has lost its majority and reaches nobody is cut off: whether the others can answer it cannot
# ask, and it cannot answer itself.
#
# Everything is kept in the kernel and under /run, so that a reboot ends it.
set -u

tls=/var/lib/rancher/k3s/server/tls # docs.k3s.io/cli/certificate
port=6443
health_check_port=6440
patience=2 # failed answers in a row
state=${K3S_API_TRAFFIC_STATE:-/run/k3s-api-traffic}
leaving=$state/leaving-until # all times are in seconds since boot
others=$state/others         # the time of the last look, and a line for each other server: its address, since when
seen_at_most=15              # seconds ago, or it is not known what the others did meanwhile
# Where `kubernetes` leads to: the servers that there are now, be they made by this run or another
# (kubernetes.io/docs/reference/kubernetes-api, EndpointSlice). In this form each address has a line of its own.
api_servers='/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes?pretty=true'
health_checks=k3s_health_checks # tables of their own, so that nothing else's rules are touched
# Stays while the other one comes and goes. A health check and a client that come from one port of the load balancer, a
# minute apart, both lead to the API's port; only while the kernel translates addresses at all does it tell them apart,
# and else it drops the client's (linux, net/netfilter/nf_conntrack_core.c, __nf_conntrack_confirm).
translation=k3s_address_translation
refused=k3s_new_connections_refused
not_ready=k3s_api_not_ready
held=k3s_requests_held

now() {
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

# One look for all tables: this runs every two seconds.
look_at_tables() {
    tables=$(nft list tables)
}

# there_is TABLE: as of the last look
there_is() {
    case "$tables
" in *" $1
"*) return 0 ;; esac
    return 1
}

# No error where it is not there.
remove() {
    printf 'add table %s %s\ndelete table %s %s\n' "$1" "$2" "$1" "$2" | nft -f -
}

pass_health_checks() {
    nft -f - <<RULES
table ip $translation {
    chain prerouting {
        type nat hook prerouting priority dstnat
    }
}
add table ip $health_checks
delete table ip $health_checks
table ip $health_checks {
    chain prerouting {
        type nat hook prerouting priority dstnat;
        fib daddr type local tcp dport $health_check_port redirect to :$port
    }
}
RULES
}

# refuse_connections TABLE [CONDITION...]
refuse_connections() {
    table=$1
    shift
    nft -f - <<RULES
add table inet $table
delete table inet $table
table inet $table {
    chain input {
        type filter hook input priority -10;
        iifname != "lo" tcp dport $port $* reject with tcp reset
    }
}
RULES
}

# hold SECONDS: the kernel ends it by itself. Every request ends with a segment that has PSH, and without that it is none.
hold() {
    nft -f - <<RULES
add table inet $held
delete table inet $held
table inet $held {
    set ports {
        type inet_service
        flags timeout
        elements = { $port timeout $1s }
    }
    chain input {
        type filter hook input priority -10;
        iifname != "lo" tcp dport @ports tcp flags & psh == psh drop
    }
}
RULES
}

# ask ADDRESS PORT PATH...: what an API answers, over one connection, until it fails
ask() {
    at="https://$1:$2"
    shift 2
    for path; do
        shift
        set -- "$@" "$at$path"
    done
    curl --silent --fail --fail-early --noproxy '*' --max-time 4 --cacert "$tls/server-ca.crt" \
        --cert "$tls/client-admin.crt" --key "$tls/client-admin.key" "$@"
}

ready() {
    ask "$1" "${2:-$port}" /readyz >/dev/null
}

# As the load balancer does it, by a TCP connection alone: each other server is looked at every two seconds, and curl
# needs ten times the processor's time.
passes_health_checks() {
    timeout 4 bash -c ": <>/dev/tcp/$1/$health_check_port" 2>/dev/null
}

# The addresses of all servers, as the stack keeps them in /etc/hosts: see hosts_file.py.
servers() {
    sed -n '/^# begin of what the K3s stack keeps here$/,/^# end of what the K3s stack keeps here$/s/^\([0-9.]*\) .*/\1/p' \
        /etc/hosts
}

# is_mine ADDRESS: `mine` is what `hostname -I` says
is_mine() {
    case " $mine " in *" $1 "*) return 0 ;; esac
    return 1
}

another_is_ready() {
    reached=no
    mine=$(hostname -I)
    for address in $(servers); do
        is_mine "$address" && continue
        status=0
        ready "$address" || status=$?
        # 22 is an answer that is an error (curl.se/docs/manpage.html, "EXIT CODES").
        case $status in
            0) return 0 ;;
            22) reached=yes ;;
        esac
    done
    return 1
}

# Asked after `another_is_ready`. etcd tells its health on loopback, where there is an etcd at all.
cut_off() {
    [ "$reached" = no ] || return 1
    status=0
    curl --silent --fail --output /dev/null --noproxy '*' --max-time 4 http://127.0.0.1:2381/health || status=$?
    [ "$status" -eq 22 ]
}

# A run that was killed must not keep a server out for good.
is_leaving() {
    until=0
    [ ! -e "$leaving" ] || read -r until <"$leaving"
    [ "${until:-0}" -le "$(now)" ] || return 0
    if [ -e "$leaving" ] || there_is "$refused"; then
        rm -f "$leaving"
        remove inet "$refused"
        echo "the run that took this server out of traffic has not put it back: it is back now"
    fi
    return 1
}

is_in_traffic() {
    [ ! -e "$leaving" ] && there_is "$health_checks" && ! there_is "$refused" && ! there_is "$not_ready"
}

is_ready() {
    look_at_tables
    if there_is "$not_ready" && remove inet "$not_ready"; then
        echo "the API is ready: connections are accepted again"
    fi
    is_leaving || there_is "$health_checks" || pass_health_checks
}

# is_not_ready ELSEWHERE: yes, where clients are better off with another server
is_not_ready() {
    # It may have become so since it was asked.
    if ready 127.0.0.1; then
        return
    fi
    look_at_tables
    if [ "$1" = yes ]; then
        remove ip "$health_checks"
        # Established connections are ended, too: a client that waits for an answer is better off with another server.
        if ! there_is "$not_ready" && refuse_connections "$not_ready"; then
            echo "the API is not ready here, and is on another server, or may be: connections are refused"
        fi
        return
    fi
    if there_is "$not_ready" && remove inet "$not_ready"; then
        echo "the API is ready on no server: connections are accepted, and get the API's error"
    fi
    is_leaving || there_is "$health_checks" || pass_health_checks
}

watch() {
    failed=0
    while sleep $((failed > 0 ? 1 : 2)); do
        # /readyz answers "ok", and only then the rest is asked.
        said=$(ask 127.0.0.1 "$port" /readyz "$api_servers")
        if [ "${said#ok}" != "$said" ]; then
            failed=0
            look_at_tables
            is_in_traffic || alone is_ready
            # Without an answer about the servers, what is known stays for a while.
            found=$(echo "$said" | addresses)
            [ -z "$found" ] || look_at "$found"
            continue
        fi
        failed=$((failed + 1))
        [ "$failed" -ge "$patience" ] || continue
        if another_is_ready || cut_off; then
            alone is_not_ready yes
        else
            alone is_not_ready no
        fi
        look_at "$(servers)"
    done
}

leave() {
    echo $(($(now) + $1)) >"$leaving.new" && mv "$leaving.new" "$leaving" || return
    remove ip "$health_checks"
}

enter() {
    rm -f "$leaving"
    remove inet "$held"
    remove inet "$refused"
}

# What is in quotes and looks like an IPv4 address.
addresses() {
    sed -n 's/.*"\([0-9]\{1,3\}\.[0-9]*\.[0-9]*\.[0-9]*\)".*/\1/p'
}

# If the last look is not too long ago.
was_seen() {
    [ -e "$others" ] && read -r seen <"$others" && [ $(($(now) - seen)) -le "$seen_at_most" ]
}

# since_when ADDRESS: as the last look has it, if that is not too long ago
since_when() {
    was_seen || return
    while read -r address since; do
        [ "$address" != "$1" ] || echo "$since"
    done <"$others"
}

# look_at SERVERS: notes which of them pass the health checks
look_at() {
    mine=$(hostname -I)
    {
        now
        for server in $1; do
            is_mine "$server" && continue
            since=0
            if passes_health_checks "$server"; then
                since=$(since_when "$server")
                [ "${since:-0}" -gt 0 ] || since=$(now)
            fi
            echo "$server $since"
        done
    } >"$others.new"
    mv "$others.new" "$others"
}

# Clients are about to depend on it, so here its API itself must answer.
another() {
    longest=0
    if was_seen; then
        while read -r address since; do
            seconds=$((${since:-0} > 0 ? $(now) - since : 0))
            [ "$seconds" -gt "$longest" ] && ready "$address" "$health_check_port" && longest=$seconds
        done <"$others"
    fi
    echo "$longest"
}

# One at a time changes anything: the service, or who brings this server to what it should be.
alone() {
    exec 9>"$state/lock"
    flock 9
    "$@"
    status=$?
    exec 9>&-
    return "$status"
}

mkdir -p "$state"
case ${1:-} in
    watch) watch ;;
    leave) alone leave "$2" ;;
    hold) alone hold "$2" ;;
    refuse) alone refuse_connections "$refused" ct state new ;;
    enter)
        alone enter || exit
        if ready 127.0.0.1; then alone is_ready; fi
        ;;
    another) another ;;
    *)
        sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
