"""What is missing is named by the package that brings it."""

from local_cloud.prerequisites import missing_packages


def test_missing_programs_are_named_by_package() -> None:
    assert missing_packages(lambda program: program not in ("nft", "systemd-nspawn"), has_postgresql=False) == [
        "nftables",
        "postgresql",
        "systemd-container",
    ]


def test_nothing_is_missing_on_a_complete_machine() -> None:
    assert missing_packages(lambda program: True, has_postgresql=True) == []
