#!/bin/sh
# Keeps clients away from a server whose API cannot answer while another server's can, and lets them come back.
#
# K3s's port stays open when its datastore is out of reach, so a load balancer's TCP check finds nothing wrong with it.
# Where no server can answer, none leaves: clients hear the API's own error, and are served again as soon as it answers.
# A member of etcd that has lost its majority and reaches nobody is cut off: whether the others can answer it cannot
# ask, and it cannot answer itself.
set -u

tls=/var/lib/rancher/k3s/server/tls # docs.k3s.io/cli/certificate
port=6443
table=k3s_api_not_ready # in the kernel only: a reboot ends it
patience=2              # failed answers in a row

ready() {
    curl --silent --fail --output /dev/null --noproxy '*' --max-time 4 --cacert "$tls/server-ca.crt" \
        --cert "$tls/client-admin.crt" --key "$tls/client-admin.key" "https://$1:$port/readyz"
}

# The addresses of all servers, as the stack keeps them in /etc/hosts: see hosts_file.py.
servers() {
    sed -n '/^# begin of what the K3s stack keeps here$/,/^# end of what the K3s stack keeps here$/s/^\([0-9.]*\) .*/\1/p' \
        /etc/hosts
}

another_is_ready() {
    mine=" $(hostname -I) "
    reached=no
    for address in $(servers); do
        case $mine in *" $address "*) continue ;; esac
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

# Connections that stand are ended, too: a client that waits for an answer is better off with another server.
take_out() {
    nft -f - <<RULES
add table inet $table
delete table inet $table
table inet $table {
    chain input {
        type filter hook input priority -10;
        iifname != "lo" tcp dport $port reject with tcp reset
    }
}
RULES
}

put_back() {
    nft delete table inet "$table" 2>/dev/null
}

put_back
out=no
failed=0
while sleep $((failed > 0 ? 1 : 2)); do
    if ready 127.0.0.1; then
        failed=0
        if [ "$out" = yes ]; then
            put_back
            out=no
            echo "the API answers: clients may come again"
        fi
        continue
    fi
    failed=$((failed + 1))
    if [ "$failed" -ge "$patience" ] && { another_is_ready || cut_off; }; then
        if [ "$out" = no ] && take_out; then
            out=yes
            echo "the API does not answer here, and does on another server, or may do: clients are sent away"
        fi
    elif [ "$out" = yes ] && [ "$failed" -ge "$patience" ]; then
        put_back
        out=no
        echo "the API answers on no server: clients may come, and hear so"
    fi
done
