"""What happens after the answer: machines are made, changed and taken down by threads, and records follow.

Everything here is told by the records: work reads what is wanted, asks the machine room for it, and writes down the
outcome. So it can be repeated, interrupted and resumed after a restart. One resource's work never overlaps.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from copy import deepcopy
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from local_cloud.api import backups
from local_cloud.api.durations import Durations
from local_cloud.api.network_rules import network_rules
from local_cloud.api.records import (
    Action,
    Database,
    DatabaseBackup,
    Departure,
    Droplet,
    LoadBalancer,
    ReleasedAddress,
    Vpc,
)
from local_cloud.api.specs import database_spec, droplet_spec, load_balancer_spec
from local_cloud.api.store import Store, new_uuid, now
from local_cloud.catalogue.sizes import SIZES
from local_cloud.machine_room import MachineRoom, MachineRoomError, NetworkRules

log = logging.getLogger(__name__)

#: What work ends with: None when all went well, else a message for a person.
Outcome = Future[str | None]


class Work:
    """The threads behind the API. Methods without a leading underscore only hand work over; they do not block."""

    def __init__(self, store: Store, room: MachineRoom, durations: Durations) -> None:
        self._store, self._room, self._durations = store, room, durations
        self._threads = ThreadPoolExecutor(max_workers=64, thread_name_prefix="cloud")
        self._stopping = threading.Event()
        self._turns: dict[str, threading.Lock] = {}
        self._pending: set[Outcome] = set()
        self._busy_droplets: set[int] = set()
        self._network_turn = threading.Lock()
        self._network: NetworkRules | None = None
        self._ensured: dict[str, object] = {}
        self._names_turn = threading.Lock()

    def create_droplet(self, droplet_id: int, action_id: int) -> Outcome:
        self._busy_droplets.add(droplet_id)
        return self._hand_over(f"create droplet {droplet_id}", lambda: self._create_droplet(droplet_id, action_id))

    def act_on_droplet(self, action: Action) -> Outcome:
        self._busy_droplets.add(action.resource_id)
        return self._hand_over(
            f"{action.type} droplet {action.resource_id}", lambda: self._act_on_droplet(action.id, action.resource_id)
        )

    def lead_reserved_ip(self, action: Action) -> Outcome:
        """Bring a reserved address to where its record says, and finish the action."""
        return self._hand_over(f"{action.type} {action.parameters['ip']}", lambda: self._lead_reserved_ip(action.id))

    def create_database(self, database_id: str) -> Outcome:
        return self._hand_over(f"create database {database_id}", lambda: self._bring_up_database(database_id))

    def change_database(self, database_id: str, undo: Callable[[], None]) -> Outcome:
        """Bring users, databases, size and version to what the record says; `undo` the record where that fails."""
        return self._hand_over(f"change database {database_id}", lambda: self._change_database(database_id, undo))

    def back_up_database(self, database_id: str) -> Outcome:
        """Make a backup, and let go of those that are too old."""
        return self._hand_over(f"back up database {database_id}", lambda: self._back_up_database(database_id))

    def create_load_balancer(self, balancer_id: str) -> Outcome:
        return self._hand_over(f"create load balancer {balancer_id}", lambda: self._create_load_balancer(balancer_id))

    def destroy(self, departure: Departure) -> Outcome:
        return self._hand_over(f"destroy {departure.id}", lambda: self._destroy(departure.id))

    def settle(self) -> Outcome:
        """Bring network rules and load balancers in line with the records; nothing happens where they already are."""
        return self._hand_over("network rules and load balancers", self._settle)

    def resume(self) -> None:
        """After a restart: finish what was begun, and bring back everything that should be on."""
        with self._store.held() as store:
            for departure in store.departures:
                self.destroy(departure)
            unfinished = {action.resource_id: action for action in store.actions if action.status == "in-progress"}
            for droplet in store.droplets:
                action = unfinished.get(droplet.id)
                if action is not None and action.type == "create":
                    self.create_droplet(droplet.id, action.id)
                elif action is not None:
                    self.act_on_droplet(action)
                elif droplet.wanted == "on":
                    self._busy_droplets.add(droplet.id)
                    self._hand_over(f"start droplet {droplet.id}", partial(self._start_again, droplet.id))
            for action in unfinished.values():
                if action.resource_type == "reserved_ip":
                    self.lead_reserved_ip(action)
            for database in store.databases:
                self.create_database(database.id)
            for balancer in store.load_balancers:
                self.create_load_balancer(balancer.id)
            self.settle()
        threading.Thread(target=self._back_up_daily, name="backups", daemon=True).start()

    def idle(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until nothing is under way; says whether that came about."""
        deadline = time.monotonic() + timeout
        while pending := set(self._pending):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            wait(pending, timeout=left)
        return True

    def stop(self) -> None:
        """Begin nothing new and wait for what is with the machine room right now. The rest is resumed next time."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def observe_power(self, droplet: Droplet) -> None:
        """Write down whether an idle droplet's machine is on: it may have died, or shut itself down."""
        if droplet.id in self._busy_droplets or droplet.status == "new":
            return
        seen = "active" if self._room.droplet_is_on(droplet.id) else "off"
        if seen != droplet.status:
            droplet.status = "active" if seen == "active" else "off"
            self._store.droplets.save(droplet)

    # Everything below runs in this object's threads.

    def _hand_over(self, what: str, task: Callable[[], str | None]) -> Outcome:
        def run() -> str | None:
            try:
                problem = task()
            except Exception as error:
                log.exception("%s failed", what)
                return f"{what} failed: {error}"
            if problem:
                log.error("%s failed: %s", what, problem)
            return problem

        if self._stopping.is_set():
            done: Outcome = Future()
            done.set_result("the cloud is shutting down")
            return done
        outcome = self._threads.submit(run)
        self._pending.add(outcome)
        outcome.add_done_callback(self._pending.discard)
        return outcome

    def _turn(self, key: str) -> threading.Lock:
        return self._turns.setdefault(key, threading.Lock())

    def _take_time(self, since: float, seconds: float) -> bool:
        """Wait until `seconds` have passed `since`; False if the cloud stops first."""
        return not self._stopping.wait(max(0.0, since + seconds - time.monotonic()))

    def _create_droplet(self, droplet_id: int, action_id: int) -> str | None:
        began = time.monotonic()
        problem = self._power_on(droplet_id)
        if problem is None and not self._take_time(began, self._durations.droplet):
            return None
        self._finish_action(action_id, droplet_id, problem, "off" if problem else "active")
        self._settle()
        return problem

    def _act_on_droplet(self, action_id: int, droplet_id: int) -> str | None:
        began = time.monotonic()
        with self._store.held() as store:
            action, droplet = store.actions.get(action_id), store.droplets.get(droplet_id)
            if action is None or droplet is None:
                return None
        problem = self._power_on(droplet_id) if action.type == "power_on" else self._change_power(action)
        if problem is None and not self._take_time(began, self._durations.droplet_action):
            return None
        status: str | None = {"power_off": "off", "shutdown": "off", "resize": "off", "rename": None}.get(
            action.type, "active"
        )
        self._finish_action(action_id, droplet_id, problem, None if problem else status)
        return problem

    def _change_power(self, action: Action) -> str | None:
        droplet_id = action.resource_id
        with self._turn(f"droplet:{droplet_id}"):
            try:
                if action.type == "power_off":
                    self._room.power_off_droplet(droplet_id)
                elif action.type == "shutdown":
                    self._room.shut_down_droplet(droplet_id)
                elif action.type == "reboot":
                    self._room.reboot_droplet(droplet_id)
                elif action.type == "power_cycle":
                    self._room.power_off_droplet(droplet_id)
            except MachineRoomError as error:
                return str(error)
        return self._power_on(droplet_id) if action.type == "power_cycle" else None

    def _lead_reserved_ip(self, action_id: int) -> str | None:
        began = time.monotonic()
        problem = self._settle()
        if not self._take_time(began, self._durations.droplet_action):
            return None
        with self._store.held() as store:
            action = store.actions.get(action_id)
            if action is not None:
                action.status, action.completed_at = "errored" if problem else "completed", now()
                store.actions.save(action)
        return problem

    def _start_again(self, droplet_id: int) -> str | None:
        problem = self._power_on(droplet_id)
        self._finish_action(None, droplet_id, problem, "off" if problem else "active")
        return problem

    def _power_on(self, droplet_id: int) -> str | None:
        """Start the machine, its network rules first, and wait until it has booted. A droplet that is gone meanwhile is
        no problem; one that boots can be taken down meanwhile."""
        with self._turn(f"droplet:{droplet_id}"):
            with self._store.held() as store:
                droplet = store.droplets.get(droplet_id)
                spec = None if droplet is None else droplet_spec(droplet, self._vpc(droplet))
            if spec is None:
                return None
            try:
                self._apply_network()
                self._room.start_droplet(spec)
            except MachineRoomError as error:
                return str(error)
        try:
            self._room.await_droplet(droplet_id)
        except MachineRoomError as error:
            with self._store.held() as store:
                return str(error) if store.droplets.get(droplet_id) else None
        return None

    def _finish_action(
        self, action_id: int | None, droplet_id: int, problem: str | None, droplet_status: str | None
    ) -> None:
        with self._store.held() as store:
            action = store.actions.get(action_id) if action_id is not None else None
            droplet = store.droplets.get(droplet_id)
            if action is not None:
                action.status = "completed" if problem is None and droplet is not None else "errored"
                action.completed_at = now()
                store.actions.save(action)
            if droplet is not None:
                droplet.locked = False
                if droplet_status is not None:
                    droplet.status = "active" if droplet_status == "active" else "off"
                    droplet.wanted = "on" if droplet_status == "active" else "off"
                if action is not None and problem is None:
                    _apply_to_record(action, droplet)
                store.droplets.save(droplet)
            self._busy_droplets.discard(droplet_id)

    def _bring_up_database(self, database_id: str) -> str | None:
        began = time.monotonic()
        with self._store.held() as store:
            database = store.databases.get(database_id)
            creating = database is not None and database.status == "creating"
        problem = self._ensure_database(database_id)
        if creating and not self._take_time(began, self._durations.database):
            return None
        if problem is None:
            self._set_online(database_id)
        return problem

    def _change_database(self, database_id: str, undo: Callable[[], None]) -> str | None:
        began = time.monotonic()
        problem = self._ensure_database(database_id)
        with self._store.held() as store:
            database = store.databases.get(database_id)
            slow = database is not None and database.status in ("resizing", "migrating")
        if slow and problem is None and not self._take_time(began, self._durations.database):
            return None
        if problem:
            with self._store.held():
                undo()
        self._set_online(database_id)
        return problem

    def _back_up_daily(self) -> None:
        while not self._stopping.wait(backups.LOOK_SECONDS):
            with self._store.held() as store:
                due = [each.id for each in store.databases if each.status == "online" and backups.is_due(each, now())]
            for database_id in due:
                self.back_up_database(database_id)

    def _back_up_database(self, database_id: str) -> str | None:
        with self._turn(f"database:{database_id}"):
            with self._store.held() as store:
                database = store.databases.get(database_id)
                if database is None:
                    return None
                users, databases = deepcopy(database.users), list(database.databases)
            backup = new_uuid()
            try:
                size = self._room.back_up_database(database_id, backup)
            except MachineRoomError as error:
                return str(error)
            with self._store.held() as store:
                database = store.databases.get(database_id)
                if database is None:
                    return None
                kept, gone = backups.kept(database.backups, now())
                database.backups = [*kept, DatabaseBackup(backup, now(), size, users, databases)]
                store.databases.save(database)
            for old in gone:
                self._room.drop_database_backup(database_id, old.id)
        return None

    def _set_online(self, database_id: str) -> None:
        with self._store.held() as store:
            database = store.databases.get(database_id)
            if database is not None:
                database.status, database.former_version = "online", ""
                store.databases.save(database)

    def _ensure_database(self, database_id: str) -> str | None:
        key = f"database:{database_id}"
        with self._turn(key):
            with self._store.held() as store:
                database = store.databases.get(database_id)
                spec = None if database is None else database_spec(database, self._vpc(database))
            if spec is None or self._ensured.get(key) == spec:
                return None
            try:
                self._apply_network()
                facts = self._room.ensure_database(spec)
            except MachineRoomError as error:
                # It may be half changed: whatever is wanted next is asked for again.
                self._ensured.pop(key, None)
                return str(error)
            self._ensured[key] = spec
            with self._store.held() as store:
                database = store.databases.get(database_id)
                if database is not None:
                    database.ca_pem = facts.ca_pem
                    store.databases.save(database)
        return None

    def _create_load_balancer(self, balancer_id: str) -> str | None:
        began = time.monotonic()
        with self._store.held() as store:
            balancer = store.load_balancers.get(balancer_id)
            creating = balancer is not None and balancer.status == "new"
        problem = self._ensure_load_balancer(balancer_id)
        if creating and not self._take_time(began, self._durations.load_balancer):
            return None
        with self._store.held() as store:
            balancer = store.load_balancers.get(balancer_id)
            if balancer is not None:
                balancer.status = "errored" if problem else "active"
                store.load_balancers.save(balancer)
        return problem

    def _ensure_load_balancer(self, balancer_id: str) -> str | None:
        key = f"load_balancer:{balancer_id}"
        with self._turn(key):
            with self._store.held() as store:
                balancer = store.load_balancers.get(balancer_id)
                spec = None
                if balancer is not None:
                    spec = load_balancer_spec(balancer, self._vpc(balancer), store.droplets)
            if spec is None or self._ensured.get(key) == spec:
                return None
            try:
                self._apply_network()
                self._room.ensure_load_balancer(spec)
            except MachineRoomError as error:
                self._ensured.pop(key, None)
                return str(error)
            self._ensured[key] = spec
        return None

    def _settle(self) -> str | None:
        try:
            self._apply_network()
            self._serve_domains()
        except MachineRoomError as error:
            return str(error)
        with self._store.held() as store:
            balancers = [balancer.id for balancer in store.load_balancers]
        problems = [problem for each in balancers if (problem := self._ensure_load_balancer(each))]
        return "; ".join(problems) or None

    def _apply_network(self) -> None:
        """Give the machine room the rules that the records make, until they are the ones in force."""
        with self._network_turn:
            while (rules := self._rules()) != self._network:
                try:
                    self._room.apply_network(rules)
                except MachineRoomError:
                    self._mark_firewalls(failed=True)
                    raise
                self._network = rules
            self._mark_firewalls(failed=False)

    def _serve_domains(self) -> None:
        key = "domains"
        with self._names_turn:
            with self._store.held() as store:
                names = {record.host_name: IPv4Address(record.data) for record in store.domain_records}
            if self._ensured.get(key) != names:
                self._room.serve_domains(names)
                self._ensured[key] = names

    def _rules(self) -> NetworkRules:
        with self._store.held() as store:
            return network_rules(
                list(store.vpcs),
                list(store.droplets),
                list(store.firewalls),
                list(store.load_balancers),
                list(store.databases),
                list(store.reserved_ips),
            )

    def _mark_firewalls(self, failed: bool) -> None:
        with self._store.held() as store:
            for firewall in store.firewalls:
                if firewall.status == "waiting" or (firewall.status == "failed" and not failed):
                    firewall.status = "failed" if failed else "succeeded"
                    store.firewalls.save(firewall)

    def _destroy(self, departure_id: str) -> str | None:
        with self._store.held() as store:
            departure = store.departures.get(departure_id)
        if departure is None:
            return None
        key = f"{departure.kind}:{departure.resource_id}"
        with self._turn(key):
            try:
                if departure.kind == "droplet":
                    self._room.destroy_droplet(int(departure.resource_id))
                elif departure.kind == "database":
                    self._room.destroy_database(departure.resource_id)
                else:
                    self._room.destroy_load_balancer(departure.resource_id)
            except MachineRoomError as error:
                return str(error)
            self._ensured.pop(key, None)
        with self._store.held() as store:
            store.departures.delete(departure_id)
            for network, address in (("public", departure.public_ip), (departure.vpc_uuid, departure.private_ip)):
                if network == "public" or network in store.vpcs:
                    store.released.save(ReleasedAddress(f"{network}/{address}", address, network, time.time()))
        return self._settle()

    def _vpc(self, record: Droplet | Database | LoadBalancer) -> Vpc:
        vpc = self._store.vpcs.get(record.vpc_uuid)
        if vpc is None:
            raise MachineRoomError(f"{record.name} is in VPC {record.vpc_uuid}, of which there is no record")
        return vpc


def _apply_to_record(action: Action, droplet: Droplet) -> None:
    """Write down what a finished action changed of the droplet itself."""
    parameters: dict[str, Any] = action.parameters
    if action.type == "rename":
        droplet.name = parameters["name"]
    elif action.type == "resize":
        droplet.size = parameters["size"]
        if parameters["disk"] == "true":
            droplet.disk = SIZES[droplet.size].disk
