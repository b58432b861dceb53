"""The rules for one value each: a text of the stack's config in, what it means out, or why it is refused."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import yaml

from k3s_cluster import k3s_version
from k3s_cluster.settings import cron
from k3s_cluster.settings.model import EtcdS3Settings, Network
from k3s_cluster.settings.numbers import whole

T = TypeVar("T")

PACKAGED_COMPONENTS = ("traefik", "servicelb", "local-storage", "metrics-server")
ENVIRONMENTS = ("Development", "Staging", "Production")
#: docs.k3s.io/datastore: what an endpoint may begin with; etcd's are http and https.
DATASTORE_SCHEMES = ("postgres", "postgresql", "mysql", "http", "https")
#: docs.digitalocean.com/reference/api: the names that came before `size_unit`, and what each is worth.
LOAD_BALANCER_NODES = {"lb-small": 1, "lb-medium": 3, "lb-large": 6}
LOAD_BALANCER_NODES_MOST = 200
#: docs.digitalocean.com/products/networking/vpc/concepts/plan-your-network: ranges that DigitalOcean keeps for itself.
DIGITALOCEAN_RANGES = ("10.244.0.0/16", "10.245.0.0/16", "10.246.0.0/24", "10.229.0.0/16")
PRIVATE_RANGES = tuple(IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


class Refused(Exception):
    """One value that cannot be used: what is allowed, and what to do."""


class Unreadable(Exception):
    """A file of the user's that cannot be read: why."""


def _text_of(path: str) -> str:
    """The text of a file that the user names. Raises Unreadable."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        reason = "not text"
    except OSError as error:
        reason = error.strerror or "no file"
    except (RuntimeError, ValueError) as error:  # no such home folder; a character that no path has
        reason = str(error).rstrip(".")
    raise Unreadable(reason)


def text(raw: str) -> str:
    return raw


def whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        number = whole(raw)
        if number is None or not least <= number <= most:
            raise Refused(f"must be a whole number from {least} to {most}")
        return number

    return parse


def count(least: int) -> Callable[[str], int | None]:
    number = whole_number(least, 1000)

    def parse(raw: str) -> int | None:
        if raw == "auto":
            return None
        try:
            return number(raw)
        except Refused as refused:
            raise Refused(f"{refused}, or `auto`") from None

    return parse


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """The rule for a value that may be left empty, which means None."""
    return lambda raw: parse(raw) if raw else None


def reserved_address(raw: str) -> str:
    if raw == "auto":
        return raw
    try:
        address = ipaddress.IPv4Address(raw)
    except ValueError:
        address = None
    if address is None or address.is_unspecified or address.is_loopback or address.is_multicast:
        raise Refused("must be `auto`, or an IPv4 address that is reserved in the account, such as `203.0.113.10`")
    return str(address)


#: What Pulumi makes of a date or a time that stands in YAML without quotes: Go's own way to write one (pkg.go.dev/time,
#: Time.String). A date has the time of midnight.
_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d{4}) \S+")
MIDNIGHT = "00:00:00"


def unquoted_date(raw: str) -> str | None:
    """The date or time that YAML read where quotes were left out; None for anything else."""
    found = _GO_TIME.fullmatch(raw)
    if found is None:
        return None
    date, time, _ = found.groups()
    return date if time == MIDNIGHT else f"{date} {time}"


def moment(raw: str) -> str:
    """A time with a zone, as ISO 8601 in UTC."""
    written = _GO_TIME.fullmatch(raw)
    try:
        found = datetime.fromisoformat("{}T{}{}".format(*written.groups()) if written else raw)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Refused("must be a time with a zone, such as `2026-01-31T19:25:22Z`; `doctl databases backups` has them")
    return found.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def server_token(raw: str) -> str:
    """A server token's password; docs.k3s.io/cli/token: the full form has the CA's hash and a user in front."""
    found = re.fullmatch(r"(?:K10[0-9a-f]{64}::server:)?([^\s:]+)", raw.strip())
    if not found:
        raise Refused("must be a server token, as `/var/lib/rancher/k3s/server/token` on a server has it")
    return found[1]


def domain_name(raw: str) -> str:
    # RFC 1035, 2.3.1 and 2.3.4: labels of at most 63, 253 characters in all. A last label of digits is an address.
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"(?=.{{1,253}}$)({label}\.)+(?![0-9]+$){label}", raw):
        raise Refused("must be a DNS name in lower case with at least one dot, such as `k3s.example.com`")
    return raw


def yes_or_no(raw: str) -> bool:
    # YAML has three spellings of each: yaml.org/spec/1.2.2, 10.3.2.
    if raw.lower() not in ("true", "false"):
        raise Refused("must be `true` or `false`")
    return raw.lower() == "true"


def money(raw: str) -> Decimal | None:
    if raw == "none":
        return None
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,2})?", raw) or Decimal(raw) == 0:
        raise Refused("must be an amount of USD above zero, such as `100` or `99.50`, or `none`")
    return Decimal(raw)


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in allowed:
            raise Refused(f"must be {either(allowed)}")
        return raw

    return parse


def matching(pattern: str, meaning: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if not re.fullmatch(pattern, raw):
            raise Refused(f"must be {meaning}")
        return raw

    return parse


def release(raw: str) -> str:
    if k3s_version.parse(raw) is None:
        raise Refused("must be a K3s release such as `v1.36.4+k3s1`")
    return raw


def list_of(parse_item: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def parse(raw: str) -> tuple[T, ...]:
        try:
            items = json.loads(raw)
        except ValueError:
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise Refused("must be a list of strings; set one with `pulumi config set --path 'KEY[0]' VALUE`")
        return tuple(parse_item(item) for item in items)

    return parse


def entries_of(raw: str, form: str) -> list[dict[str, object]]:
    """A list of maps. `form` says what else it must be."""
    try:
        entries = json.loads(raw)
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refused(f"must be {form}")
    return entries


def require_known(entry: Collection[str], known: tuple[str, ...], where: str) -> None:
    """Refuse the first key of `entry` that is none of those `known`; `where` says which entry it is."""
    for key in entry:
        if key not in known:
            raise Refused(f"has the unknown key `{key}` {where}; there are {either(known)}")


def either(allowed: tuple[str, ...]) -> str:
    return ", ".join(f"`{a}`" for a in allowed[:-1]) + f" or `{allowed[-1]}`" if len(allowed) > 1 else f"`{allowed[0]}`"


def vpc_range(raw: str) -> IPv4Network:
    try:
        network = IPv4Network(raw)
    except ValueError as error:
        raise Refused(f"must be an IPv4 range such as 10.10.10.0/24 ({error})") from None
    if not any(network.subnet_of(private) for private in PRIVATE_RANGES):
        raise Refused("must be private: inside " + either(tuple(map(str, PRIVATE_RANGES))))
    # docs.digitalocean.com/products/networking/vpc: a VPC holds from /16 to /28.
    if not 16 <= network.prefixlen <= 28:
        raise Refused("must be from /16 to /28 in size, as DigitalOcean's VPCs are")
    for taken in DIGITALOCEAN_RANGES:
        if network.overlaps(IPv4Network(taken)):
            raise Refused(f"must not overlap {taken}, which DigitalOcean uses itself")
    return network


def admin_range(raw: str) -> Network:
    try:
        return ipaddress.ip_network(raw)
    except ValueError as error:
        raise Refused(f"must hold ranges such as 198.51.100.7/32; `{raw}` is none ({error})") from None


def component(raw: str) -> str:
    if raw not in PACKAGED_COMPONENTS:
        raise Refused(f"may hold {either(PACKAGED_COMPONENTS)}, not `{raw}`")
    return raw


def load_balancer_nodes(raw: str) -> int:
    if raw in LOAD_BALANCER_NODES:
        return LOAD_BALANCER_NODES[raw]
    number = whole(raw)
    if number is not None and 1 <= number <= LOAD_BALANCER_NODES_MOST:
        return number
    raise Refused(f"must be {either(tuple(LOAD_BALANCER_NODES))}, or a number from 1 to {LOAD_BALANCER_NODES_MOST}")


def _is_key_file(entry: str) -> bool:
    return "/" in entry or entry.endswith(".pub")


def _public_key(entry: str) -> str:
    """The one key in a public key file."""
    try:
        text = _text_of(entry).strip()
    except Unreadable as error:
        raise Refused(f"names a key file that cannot be read: `{entry}` ({error}); give a public key file") from None
    if not re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\n]*)?", text):
        raise Refused(f"names `{entry}`, which holds no public key; give the file that ends in .pub")
    kind, encoded = text.split()[:2]
    if "-cert-" in kind:
        raise Refused(f"names `{entry}`, which holds a certificate; give the public key that it was made for")
    if kind not in KEY_TYPES:
        raise Refused(
            f"names `{entry}`, whose key of type `{kind}` OpenSSH does not accept; make one with `ssh-keygen`"
        )
    try:
        blob = base64.b64decode(encoded, validate=True)
    except ValueError:
        blob = b""
    # RFC 4253, 6.6: a key begins with its type.
    if blob[4 : 4 + int.from_bytes(blob[:4], "big")] != kind.encode():
        raise Refused(f"names `{entry}`, whose key is damaged; give the file as `ssh-keygen` wrote it")
    return text


def json_object(raw: str) -> dict[str, object]:
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("must be a map; set one with `pulumi config set --path 'KEY.NAME' VALUE`")
    return found


def audit_log(raw: str) -> str:
    """`auto`, `off`, `metadata`, or the text of the policy file that `raw` names."""
    if raw in ("auto", "off", "metadata"):
        return raw
    try:
        policy = _text_of(raw)
    except Unreadable as error:
        raise Refused(
            f"must be `auto`, `off`, `metadata`, or a policy file that can be read, and this one cannot ({error})"
        ) from None
    try:
        found = yaml.safe_load(policy)
    except yaml.YAMLError:
        found = None
    # kubernetes.io/docs/reference/config-api/apiserver-audit.v1: the API server takes no policy without rules.
    if (
        not isinstance(found, dict)
        or (found.get("apiVersion"), found.get("kind")) != ("audit.k8s.io/v1", "Policy")
        or not found.get("rules")
    ):
        raise Refused("names a file that holds no audit policy: `apiVersion: audit.k8s.io/v1`, `kind: Policy`, `rules`")
    return policy


#: RFC 3986, 2.2, 2.3 and 3.2.1, without `#`, behind which nothing is part of the address (pkg.go.dev/net/url, Parse).
_URL = r"([A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
#: dev.mysql.com/doc/refman/8.0/en/connection-options.html ("--ssl-mode"): the others go without, if they must.
_WITH_TLS = ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")


@dataclass(frozen=True)
class Endpoint:
    """A datastore endpoint as K3s reads it, a secret; `needs_ca` is true where it asks for TLS with a CA of its own."""

    text: str = field(repr=False)
    needs_ca: bool = False


def datastore_endpoint(raw: str) -> Endpoint | None:
    """An endpoint as K3s reads it (docs.k3s.io/datastore, "Datastore Endpoint Format"), or nothing.

    A MySQL's may be written as DigitalOcean's control panel and `doctl databases connection` show it.
    """
    if not raw:
        return None
    if re.search(r"[\x00-\x1f\x7f]", raw):
        raise Refused("holds a line break; set it anew, without")
    scheme, separator, rest = raw.partition("://")
    if not (separator and rest and scheme in DATASTORE_SCHEMES):
        raise Refused(
            "must be a datastore endpoint of K3s: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, "
            "`mysql://USER:PASSWORD@tcp(HOST:PORT)/DATABASE`, or etcd's `https://HOST:PORT,...`"
        )
    shown = re.fullmatch(r"([^:@/]+):([^/]*)@([^()@/]+)/([^/?]*)\?ssl-mode=(\w+)", rest) if scheme == "mysql" else None
    if shown:
        user, password, host, database, _ = shown.groups()
        rest = f"{unquote(user)}:{unquote(password)}@tcp({host})/{database}"
    # github.com/go-sql-driver/mysql, "DSN (Data Source Name)": an address without its network is taken for a network.
    if scheme == "mysql" and not re.fullmatch(r"(.*@)?(tcp\([^()]+\)|unix\([^()]+\))/.*", rest):
        raise Refused(
            "must name a MySQL as its client does, `mysql://USER:PASSWORD@tcp(HOST:PORT)/DATABASE`, or as DigitalOcean "
            "does, with `?ssl-mode=REQUIRED` at the end"
        )
    if scheme != "mysql" and not re.fullmatch(_URL, rest):
        raise Refused(
            "holds a character that a URL cannot have as it is; in a user or password write it percent-encoded, such "
            "as `%23` for `#`, and `%25` for `%`"
        )
    for port in _ports(scheme, rest):
        if not _is_port(port):
            encoded = "In a password, `/`, `?`, `#`, `@` and `%` are written percent-encoded"
            hint = "" if scheme == "mysql" else f". {encoded}"
            raise Refused(f"has an invalid port; use a number from 1 to 65535{hint}")
    return Endpoint(f"{scheme}://{rest}", needs_ca=shown is not None and shown[5] in _WITH_TLS)


def _is_port(text: str) -> bool:
    return 1 <= (whole(text) or 0) <= 65535


def _ports(scheme: str, rest: str) -> list[str]:
    """The ports in what follows an endpoint's scheme; hosts without one are left out."""
    if scheme == "mysql":
        hosts = re.findall(r"(?:^|@)tcp\(([^()]+)\)/", rest)[-1:]
    elif scheme in ("http", "https"):
        hosts = [(each.partition("://")[2] or each).partition("/")[0] for each in rest.split(",")]
    else:
        # RFC 3986, 3.2: user and password end with the last `@` before the path.
        hosts = re.split(r"[/?]", rest, maxsplit=1)[0].rpartition("@")[2].split(",")
    return [found[1] for host in hosts if (found := re.search(r":([^:\]]*)$", host))]


def cron_schedule(raw: str) -> str:
    """A cron expression as K3s reads it (docs.k3s.io/cli/etcd-snapshot): five fields, or `@daily` and its like."""
    if problem := cron.problem(raw):
        raise Refused(problem)
    return raw


#: Hosts before which a bucket's name makes the bucket's own host: docs.digitalocean.com/products/spaces, and Amazon's.
_REGIONS_OF_STORES = r"[a-z]{3}[0-9]\.digitaloceanspaces\.com|s3[.-](.+\.)?amazonaws\.com"


def etcd_s3(raw: str) -> EtcdS3Settings | None:
    """A bucket for snapshots, or nothing. No value of it is ever shown: two of them are secrets."""
    found = json_object(raw)
    if not found:
        return None
    # DigitalOcean ignores the region of its Spaces; K3s's default is that of AWS: docs.k3s.io/cli/etcd-snapshot.
    given = {"region": "us-east-1", "folder": "", **found}
    needed = ("endpoint", "bucket", "accessKey", "secretKey")
    names = (*needed, "region", "folder")
    if unknown := sorted(set(given) - {*names, "retention"}):
        raise Refused(f"has the unknown key `{unknown[0]}`; there are {either((*names, 'retention'))}")
    for name in names:
        value = given.get(name)
        if not isinstance(value, str) or (name in needed and not value):
            raise Refused(f"needs a text for {name}; set it with `pulumi config set --path --secret etcdS3.{name}`")
    if not re.fullmatch(r"[a-z0-9.-]+(:[0-9]+)?", str(given["endpoint"])):
        raise Refused("needs for endpoint a host, such as `fra1.digitaloceanspaces.com`, without `https://`")
    _, _, port = str(given["endpoint"]).partition(":")
    if port and not _is_port(port):
        raise Refused("has an invalid port in endpoint; use a number from 1 to 65535, or leave it out for 443")
    if re.fullmatch(rf"{re.escape(str(given['bucket']))}\.({_REGIONS_OF_STORES})", str(given["endpoint"])):
        raise Refused(
            "needs for endpoint the region's host alone, such as `fra1.digitaloceanspaces.com`: no bucket in it"
        )
    retention = given.get("retention")
    # Pulumi keeps a secret as text.
    if retention is not None and not re.fullmatch(r"[1-9][0-9]{0,3}", str(retention)):
        raise Refused("needs for retention a number from 1 to 9999: the snapshots that are kept in the bucket")
    return EtcdS3Settings(
        endpoint=str(given["endpoint"]),
        bucket=str(given["bucket"]),
        region=str(given["region"]),
        folder=str(given["folder"]),
        retention=None if retention is None else int(str(retention)),
        access_key=str(given["accessKey"]),
        secret_key=str(given["secretKey"]),
    )


def certificates(raw: str) -> str:
    """Certificates in PEM, or nothing. Raises Refused for anything else, private keys above all."""
    text = raw.strip()
    block = r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----"
    if text and not re.fullmatch(rf"{block}(\s+{block})*", text.replace("\r\n", "\n")):
        raise Refused("must be certificates in PEM; set them with `pulumi config set datastoreCa < ca.pem`")
    return f"{text}\n" if text else ""


#: man.openbsd.org/sshd_config, PubkeyAcceptedAlgorithms: the types of keys that a server takes.
KEY_TYPES = (
    *("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
)
SLUG = r"[a-z0-9]+(-[a-z0-9.]+)*"


@dataclass(frozen=True)
class SshKeys:
    account: tuple[str, ...]
    public: tuple[str, ...]


def ssh_keys(raw: str) -> SshKeys:
    entries = list_of(text)(raw)
    for entry in entries:
        kind = entry.split()[0] if entry.split() else ""
        if re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+", kind) and len(entry.split()) > 1:
            raise Refused(
                f"holds the text of an `{kind}` key: write it into a file, and give the file's path, such as "
                "`~/.ssh/id_ed25519.pub`"
            )
        if not entry.strip():
            raise Refused("holds an empty entry: give a key's name in the account, its fingerprint, or a file's path")
    return SshKeys(
        account=tuple(e for e in entries if not _is_key_file(e)),
        public=tuple(_public_key(e) for e in entries if _is_key_file(e)),
    )


#: What is Pulumi's, git's or this program's at the top of its folder: a kubeconfig there would be taken for a part.
_PULUMI_FILE = re.compile(r"Pulumi(\..*)?\.ya?ml", re.IGNORECASE)
PROGRAM_FOLDERS = (
    *(".ci", ".git", ".github", ".local", ".pulumi", ".venv"),
    *("bin", "cloud_init", "docs", "examples", "k3s_cluster", "local_cloud"),
    *("new_stack", "readme", "recovery", "tests"),
)


def _require_file_or_none(file: Path, path: str) -> None:
    if not file.parent.is_dir():
        raise Refused(f"must be in a folder that exists: `mkdir -p {Path(path).parent}`, or choose another path")
    if file.is_dir():
        raise Refused("must be a file, and is a folder: add a file name")
    if file.exists() and not file.is_file():
        raise Refused("must be a file, and is something else: choose another path")


def kubeconfig_path(stack: str, folder: Path) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        path = raw.replace("{stack}", stack)
        if strange := re.search(r"[{}$]", raw.replace("{stack}", "")):
            raise Refused(f"must be a path, and `{strange[0]}` has no meaning in it; only `{{stack}}` is replaced")
        try:
            file = folder / Path(path).expanduser()
        except RuntimeError as error:
            raise Refused(f"must begin with `~/` for your home folder ({str(error).rstrip('.')})") from None
        try:
            _require_file_or_none(file, path)
        except OSError as error:
            raise Refused(f"must be a path that you may use ({error.strerror}): choose another path") from None
        inside = file.parent.resolve() / file.name
        if inside.is_relative_to(top := folder.resolve()):
            parts = inside.relative_to(top).parts
            if parts[0] in PROGRAM_FOLDERS or _PULUMI_FILE.fullmatch(inside.name):
                raise Refused(
                    "is among the program's own files: choose another path, such as `kubeconfig/{stack}.yaml`"
                )
        return path

    return parse
