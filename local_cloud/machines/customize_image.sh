#!/bin/sh
# Makes a fresh Debian or Ubuntu tree look like DigitalOcean's image. mmdebstrap runs it with the tree as $1.
set -eu
root=$1

# What must differ between droplets is made at first boot: machine id, SSH host keys (by cloud-init), hostname.
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*
rm -f "$root/etc/hostname"

ln -sf /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"
printf 'LANG=C.UTF-8\n' >"$root/etc/default/locale"

# Root logs in with a key, nobody with a password, as on DigitalOcean.
mkdir -p "$root/etc/ssh/sshd_config.d"
cat >"$root/etc/ssh/sshd_config.d/50-cloud-init.conf" <<'END'
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
END

# The only source of data is the seed that the machine room writes: no search for others.
mkdir -p "$root/etc/cloud/cloud.cfg.d"
cat >"$root/etc/cloud/cloud.cfg.d/90-datasource.cfg" <<'END'
datasource_list: [NoCloud, None]
network: {config: disabled}
# No ordinary account: the keys of a droplet are root's.
users: []
disable_root: false
END

# Addresses are set from outside before the machine boots; nothing inside may change them, and nothing waits for them.
rm -f "$root/etc/resolv.conf"
for unit in systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service \
    systemd-resolved.service networking.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer motd-news.timer systemd-timesyncd.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# Each machine answers SSH as soon as sshd can start: Ubuntu would otherwise start it on the first connection.
rm -f "$root/etc/systemd/system/ssh.service.requires/ssh.socket" \
    "$root/etc/systemd/system/sockets.target.wants/ssh.socket"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf /lib/systemd/system/ssh.service "$root/etc/systemd/system/multi-user.target.wants/ssh.service"

# A small journal on disk: DigitalOcean's machines keep theirs over a reboot.
mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nSystemMaxUse=64M\n' >"$root/etc/systemd/journald.conf.d/size.conf"

rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
