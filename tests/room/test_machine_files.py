"""What a machine finds at its first boot, and what the metadata service tells it."""

import json
from ipaddress import IPv4Address, IPv4Network

import pytest
import yaml

from local_cloud.machine_room import DropletSpec, MachineRoomError
from local_cloud.machines.first_boot import SEED, first_boot_files
from local_cloud.machines.image import apt_sources, image_key, os_release
from local_cloud.machines.machine import last_lines
from local_cloud.machines.metadata import lookup, values
from local_cloud.machines.records import from_json, to_json

SPEC = DropletSpec(
    id=510000007,
    name="k3s-server-1a2b",
    image="ubuntu-24-04-x64",
    vcpus=2,
    memory_mib=4096,
    disk_gib=80,
    region="fra1",
    public_ip=IPv4Address("203.0.113.7"),
    private_ip=IPv4Address("10.10.10.7"),
    vpc_range=IPv4Network("10.10.10.0/24"),
    user_data="#cloud-config\nruncmd: [true]\n",
    ssh_public_keys=("ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"),
    tags=("k3s_server",),
)


def test_cloud_init_is_given_name_keys_and_user_data_as_they_are() -> None:
    files = first_boot_files(SPEC)
    meta = yaml.safe_load(files[f"{SEED}/meta-data"])
    assert meta["local-hostname"] == "k3s-server-1a2b"
    assert meta["public-keys"] == ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]
    assert files[f"{SEED}/user-data"] == SPEC.user_data
    assert yaml.safe_load(files[f"{SEED}/vendor-data"]) == {"manage_etc_hosts": True, "disable_root": False}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("id", "510000007"),
        ("hostname", "k3s-server-1a2b"),
        ("region", "fra1"),
        ("interfaces/public/0/ipv4/address", "203.0.113.7"),
        ("interfaces/private/0/ipv4/address", "10.10.10.7"),
        ("interfaces/private/0/ipv4/netmask", "255.255.255.0"),
        ("user-data", SPEC.user_data),
        ("public-keys", "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two"),
        ("tags", "k3s_server"),
        ("interfaces", "public/\nprivate/"),
    ],
)
def test_metadata_has_the_droplet_s_own_values(path: str, text: str) -> None:
    assert lookup(values(SPEC), path) == text


def test_metadata_has_nothing_at_other_paths() -> None:
    assert lookup(values(SPEC), "interfaces/public/1") is None
    assert lookup(values(SPEC), "id/more") is None


def test_metadata_as_json_names_the_same_addresses() -> None:
    everything = json.loads(json.dumps(values(SPEC)))
    assert everything["interfaces"]["public"][0]["ipv4"]["ip_address"] == "203.0.113.7"
    assert everything["droplet_id"] == 510000007


def test_a_spec_survives_its_file() -> None:
    assert from_json(to_json(SPEC)) == SPEC


def test_a_console_s_last_lines_are_told_as_a_person_reads_them() -> None:
    console = "old\n[  \x1b[0;32mOK\x1b[0m  ] Reached target.\r\n\x1b[2J\n\n\x07[!!!!!!] Freezing.\n"
    assert last_lines(console, 2) == ["[  OK  ] Reached target.", "[!!!!!!] Freezing."]


def test_sources_are_the_release_s_own() -> None:
    targets = [
        "http://mirror.example/debian/ bookworm main",
        "http://mirror.example/debian-security/ bookworm-security main",
        "http://mirror.example/debian/ bookworm-backports main",
        "https://download.docker.com/linux/debian/ bookworm stable",
        "http://mirror.example/debian/ bookworm main",
    ]
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert apt_sources(targets, "debian", "bookworm").splitlines() == [
        f"deb {key} http://mirror.example/debian-security/ bookworm-security main",
        f"deb {key} http://mirror.example/debian/ bookworm main",
    ]


def test_no_source_for_the_release_is_said_with_what_to_do() -> None:
    with pytest.raises(MachineRoomError, match=r"noble main.*apt-get update"):
        apt_sources(["https://example.com/ noble stable"], "ubuntu", "noble")


def test_an_image_made_of_something_else_has_another_name() -> None:
    keys = {
        image_key("debian", "bookworm", ("curl",), b"one"),
        image_key("debian", "bookworm", ("curl", "less"), b"one"),
        image_key("debian", "bookworm", ("curl",), b"two"),
        image_key("ubuntu", "noble", ("curl",), b"one"),
    }
    assert len(keys) == 4


def test_os_release_values_lose_their_quotes() -> None:
    assert os_release('ID=debian\n# no\nPRETTY_NAME="Debian 12"\n') == {"ID": "debian", "PRETTY_NAME": "Debian 12"}
