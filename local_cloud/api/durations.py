"""How long creation takes at least: nothing added, or about what it takes at DigitalOcean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Durations:
    """Least time in seconds from the call to `active` or `online`. May be changed while the cloud runs."""

    droplet: float = 0.0
    droplet_action: float = 0.0
    database: float = 0.0
    load_balancer: float = 0.0

    @classmethod
    def fast(cls) -> Durations:
        """As quick as the machines are."""
        return cls()

    @classmethod
    def realistic(cls) -> Durations:
        """Roughly what users of DigitalOcean wait: our own measure of the usual, not a promise of theirs."""
        return cls(droplet=30.0, droplet_action=10.0, database=240.0, load_balancer=60.0)

    @classmethod
    def named(cls, profile: str) -> Durations:
        """`fast` or `realistic`; KeyError for another name."""
        return {"fast": cls.fast, "realistic": cls.realistic}[profile]()

    def take(self, other: Durations) -> None:
        """Make these durations equal to `other`."""
        self.__dict__.update(other.__dict__)
