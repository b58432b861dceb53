"""How long things take at least: nothing added, or about what it takes at DigitalOcean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Durations:
    """Least time in seconds from the call until it is `active`, `online` or done. May change while the cloud runs."""

    droplet: float = 0.0
    droplet_action: float = 0.0
    database: float = 0.0
    load_balancer: float = 0.0
    #: From the answer to a move into another project until the former one counts as empty.
    project_move: float = 0.0
    #: From the end of a droplet, database or load balancer until its VPC counts it as a member no more.
    vpc_departure: float = 0.0

    @classmethod
    def fast(cls) -> Durations:
        """As quick as the machines are."""
        return cls()

    @classmethod
    def realistic(cls) -> Durations:
        """Roughly what users of DigitalOcean wait: our own measure of the usual, not a promise of theirs."""
        return cls(
            droplet=30.0, droplet_action=10.0, database=240.0, load_balancer=60.0, project_move=15.0, vpc_departure=20.0
        )

    @classmethod
    def named(cls, profile: str) -> Durations:
        """`fast` or `realistic`; KeyError for another name."""
        return {"fast": cls.fast, "realistic": cls.realistic}[profile]()

    def take(self, other: Durations) -> None:
        """Make these durations equal to `other`."""
        self.__dict__.update(other.__dict__)
