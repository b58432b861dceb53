"""The landscape behaves as a customer of DigitalOcean would see it: real machines, closed ports, a real database."""

from __future__ import annotations

import base64
import subprocess
import time

import pytest

from tests.room.conftest import CHECKOUT, Droplet, Landscape, api, eventually, run_as

pytestmark = pytest.mark.e2e

#: Asks a PostgreSQL at 127.0.0.1:15432, with TLS or without; in its own words: user, password, database, tls, sql.
ASK = (
    "import pg8000.native, sys\n"
    "user, password, database, tls, sql = sys.argv[1:]\n"
    "connection = pg8000.native.Connection(user, host='127.0.0.1', port=15432, password=password, database=database,"
    " ssl_context=tls == 'tls', timeout=5)\n"
    "print(connection.run(sql))\n"
)


def fault(*words: str) -> None:
    subprocess.run([str(CHECKOUT / "bin/local-cloud"), "fault", *words], check=True, capture_output=True)


def reaches(droplet: Droplet, host: str, port: int) -> bool:
    return droplet.ssh(f"nc -z -w 2 {host} {port}").returncode == 0


def serve_names(*droplets: Droplet) -> None:
    """Let each droplet answer on port 8080 with its own name."""
    server = "systemd-run -q -u www python3 -m http.server 8080 -d /srv/www"
    for droplet in droplets:
        script = f"mkdir -p /srv/www; hostname > /srv/www/name; nc -z 127.0.0.1 8080 || {server}"
        assert droplet.ssh(script).returncode == 0
        assert droplet.ssh("curl -s --retry 20 --retry-connrefused --retry-delay 1 127.0.0.1:8080/name").stdout


def test_cloud_init_did_what_user_data_says(landscape: Landscape) -> None:
    done = landscape.first.ssh(
        "cat /root/from-user-data; echo; hostname; cloud-init status; systemctl is-system-running"
    )
    assert done.stdout.split() == ["here", "room-first", "status:", "done", "running"]


def test_a_droplet_has_its_own_machine_id_and_host_key(landscape: Landscape) -> None:
    facts = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    assert landscape.first.ssh(facts).stdout.split()[0] != landscape.second.ssh(facts).stdout.split()[0]
    assert landscape.first.ssh(facts).stdout.split()[2] != landscape.second.ssh(facts).stdout.split()[2]


def test_metadata_tells_each_droplet_its_own(landscape: Landscape) -> None:
    for droplet in (landscape.first, landscape.second):
        path = "interfaces/private/0/ipv4/address"
        assert droplet.ssh(f"curl -sf http://169.254.169.254/metadata/v1/{path}").stdout == droplet.private_ip


def test_nobody_else_reaches_metadata(landscape: Landscape) -> None:
    assert run_as("outsider", "curl", "-s", "-m", "2", "http://169.254.169.254/metadata/v1/id").returncode != 0


def test_an_unknown_name_is_refused_at_once(landscape: Landscape) -> None:
    started = time.monotonic()
    assert landscape.first.ssh("getent hosts no-such-host.example.com").returncode != 0
    assert time.monotonic() - started < 3


def test_there_is_no_way_out(landscape: Landscape) -> None:
    assert landscape.first.ssh("curl -s -m 3 http://1.1.1.1").returncode != 0
    assert landscape.first.ssh("ip route get 1.1.1.1").stdout.split()[2] == "203.0.113.1"


def test_ssh_is_open_only_to_those_the_firewall_names(landscape: Landscape) -> None:
    assert landscape.first.ssh("true").returncode == 0
    assert landscape.first.ssh("true", who="outsider").returncode == 255
    assert reaches(landscape.second, landscape.first.private_ip, 22)


def test_a_port_that_listens_but_that_no_rule_opens_is_closed(landscape: Landscape) -> None:
    serve_names(landscape.first)
    url = f"http://{landscape.first.public_ip}:8080/name"
    assert run_as("operator", "curl", "-s", "-m", "2", url).returncode == 28
    assert landscape.second.ssh(f"curl -s http://{landscape.first.private_ip}:8080/name").stdout == "room-first\n"


def test_private_addresses_are_not_reached_from_the_internet(landscape: Landscape) -> None:
    assert run_as("operator", "nc", "-z", "-w", "2", landscape.first.private_ip, "22").returncode != 0


def test_a_droplet_cannot_use_another_s_address(landscape: Landscape) -> None:
    other = landscape.first.private_ip
    script = (
        f"ip addr add {other}/32 dev eth1; nc -z -w 2 -s {other} 192.0.2.1 80; echo $?; ip addr del {other}/32 dev eth1"
    )
    assert landscape.second.ssh(script).stdout.split()[-1] != "0"


def ask(landscape: Landscape, sql: str, *, user: str = "room_user", tls: str = "tls") -> str:
    """What the database says to `user`, through the first droplet: the result, or the error."""
    connection = landscape.database["connection"]
    password = landscape.user["password"] if user == "room_user" else connection["password"]
    tunnel = f"-L 127.0.0.1:15432:{connection['host']}:{connection['port']} -o ExitOnForwardFailure=yes"
    options = " ".join(landscape.first.ssh_options)
    script = (
        f"ssh {options} {tunnel} -f root@{landscape.first.public_ip} 'sleep 2' >/dev/null 2>&1;"
        ' python -c "$0" "$@"; status=$?; sleep 2.2; exit $status'
    )
    done = run_as("operator", "bash", "-c", script, ASK, user, password, "defaultdb", tls, sql)
    return done.stdout + done.stderr


def test_a_user_may_connect_but_make_no_table(landscape: Landscape) -> None:
    assert "room_user" in ask(landscape, "SELECT current_user")
    assert "42501" in ask(landscape, "CREATE TABLE t (a int)")


def test_the_administrator_may_grant_that_but_is_no_superuser(landscape: Landscape) -> None:
    sql = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert "[[False, True, True]]" in ask(landscape, sql, user="doadmin")
    assert "Error" not in ask(landscape, "GRANT CREATE ON SCHEMA public TO room_user", user="doadmin")
    assert "Error" not in ask(landscape, "CREATE TABLE t (a int)")


def test_the_database_takes_no_connection_without_tls(landscape: Landscape) -> None:
    assert "no encryption" in ask(landscape, "SELECT 1", tls="")


def openssl_s_client(landscape: Landscape, droplet: Droplet, host: str) -> subprocess.CompletedProcess[str]:
    """A TLS handshake with the database from a droplet, verified with the CA that the API gave, by name."""
    ca = base64.b64decode(landscape.ca).decode()
    port = landscape.database["connection"]["port"]
    script = (
        f"cat > /root/ca.pem <<'END'\n{ca}END\n"
        f"timeout 5 openssl s_client -starttls postgres -connect {host}:{port} -CAfile /root/ca.pem"
        f" -verify_hostname {host} -verify_return_error </dev/null"
    )
    return droplet.ssh(script)


def test_the_database_shows_a_certificate_of_its_own_ca_for_both_names(landscape: Landscape) -> None:
    for connection in ("connection", "private_connection"):
        done = openssl_s_client(landscape, landscape.first, landscape.database[connection]["host"])
        assert "Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr


def test_only_trusted_sources_reach_the_database(landscape: Landscape) -> None:
    port = landscape.database["connection"]["port"]
    for connection in ("connection", "private_connection"):
        host = landscape.database[connection]["host"]
        assert reaches(landscape.first, host, port)
        assert not reaches(landscape.second, host, port)
    public = landscape.database["connection"]["host"]
    assert run_as("operator", "nc", "-z", "-w", "2", public, str(port)).returncode != 0


def test_the_load_balancer_leaves_out_what_does_not_answer(landscape: Landscape) -> None:
    serve_names(landscape.first, landscape.second)
    url = f"http://{landscape.balancer['ip']}/name"

    def names() -> set[str]:
        return {run_as("operator", "curl", "-s", "-m", "5", url).stdout.strip() for _ in range(4)}

    eventually(lambda: names() == {"room-first", "room-second"}, 20, "both droplets are in service")
    fault("kill", "room-second")
    try:
        assert eventually(lambda: names() == {"room-first"}, 20, "the dead droplet is left out")
    finally:
        fault("boot", "room-second")
        eventually(landscape.second.answers, 30, "SSH answers again")


def test_a_reboot_from_inside_comes_back_with_the_disk_as_it_was(landscape: Landscape) -> None:
    droplet = landscape.second
    before = droplet.ssh("echo kept > /root/kept; cat /proc/sys/kernel/random/boot_id").stdout
    droplet.ssh("systemctl reboot")

    def boot_id() -> str:
        return droplet.ssh("cat /proc/sys/kernel/random/boot_id", timeout=10).stdout

    eventually(lambda: boot_id() not in ("", before), 30, "the machine has booted again")
    assert droplet.ssh("cat /root/kept").stdout == "kept\n"


def test_a_machine_that_powers_itself_off_stays_off(landscape: Landscape) -> None:
    droplet = landscape.second
    droplet.ssh("poweroff")
    path = f"droplets/{droplet.id}"
    eventually(lambda: api("GET", path)["droplet"]["status"] == "off", 30, "the API says off")
    assert not droplet.answers()
    api("POST", f"{path}/actions", {"type": "power_on"})
    eventually(droplet.answers, 30, "SSH answers again")


def test_an_unplugged_machine_goes_on_when_plugged_in(landscape: Landscape) -> None:
    fault("unplug", "room-second")
    assert not landscape.second.answers()
    fault("plug", "room-second")
    assert eventually(landscape.second.answers, 10, "SSH answers again")
