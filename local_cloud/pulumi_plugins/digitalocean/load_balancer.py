"""digitalocean.LoadBalancer: https://docs.digitalocean.com/reference/api/reference/load-balancers/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, lower, tag_rule, without_empty
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    MapOf,
    Properties,
    Record,
    Source,
    Text,
    Whole,
    computed,
    filled,
    named,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, ProviderError, State
from local_cloud.pulumi_plugins.provider.wire import has_unknown

#: The official plugin's limit in seconds.
CREATE_SECONDS = 10 * 60

PORT = Whole(1, 65535)

FORWARDING_RULE = Record(
    "LoadBalancerForwardingRule",
    {
        "entryProtocol": required(Text(choices=("http", "https", "http2", "http3", "tcp", "udp"))),
        "entryPort": required(PORT),
        "targetProtocol": required(Text(choices=("http", "https", "http2", "tcp", "udp"))),
        "targetPort": required(PORT),
        "certificateId": filled(Text(), rule=not_empty),
        "certificateName": filled(Text(), rule=not_empty),
        "tlsPassthrough": optional(Flag(), default=False),
    },
)

HEALTH_CHECK = Record(
    "LoadBalancerHealthcheck",
    {
        "protocol": required(Text(choices=("http", "https", "tcp"))),
        "port": required(PORT),
        "path": optional(Text(), rule=not_empty),
        "checkIntervalSeconds": optional(Whole(3, 300), default=10),
        "responseTimeoutSeconds": optional(Whole(3, 300), default=5),
        "unhealthyThreshold": optional(Whole(2, 10), default=3),
        "healthyThreshold": optional(Whole(2, 10), default=5),
    },
)

STICKY_SESSIONS = Record(
    "LoadBalancerStickySessions",
    {
        "type": optional(Text(choices=("cookies", "none")), default="none"),
        "cookieName": optional(Text()),
        "cookieTtlSeconds": optional(Whole(1)),
    },
)

FIREWALL = Record("LoadBalancerFirewall", {"allows": optional(ListOf(Text())), "denies": optional(ListOf(Text()))})

DOMAIN = Record(
    "LoadBalancerDomain",
    {
        "name": required(Text(), rule=not_empty),
        "isManaged": optional(Flag(), default=False),
        "certificateName": filled(Text(), rule=not_empty),
        "certificateId": computed(Text()),
        "verificationErrorReasons": computed(ListOf(Text())),
        "sslValidationErrorReasons": computed(ListOf(Text())),
    },
)

GLB_SETTINGS = Record(
    "LoadBalancerGlbSettings",
    {
        "targetProtocol": required(Text(choices=("http", "https"))),
        "targetPort": required(Whole()),
        "regionPriorities": optional(MapOf(Whole())),
        "failoverThreshold": optional(Whole(1, 99)),
        "cdn": optional(Record("LoadBalancerGlbSettingsCdn", {"isEnabled": optional(Flag(), default=False)})),
    },
)

#: What only global load balancers have.
GLOBAL_ONLY = ("domains", "glbSettings", "targetLoadBalancerIds")


class LoadBalancer(CloudResource):
    """A regional load balancer; global ones, and certificates, are not stood in for."""

    pulumi_type = "digitalocean:index/loadBalancer:LoadBalancer"
    properties: ClassVar[Properties] = {
        "name": named(),
        "region": optional(Text(), replace=True, stored=lower),
        "size": optional(Text(choices=("lb-small", "lb-medium", "lb-large"))),
        "sizeUnit": filled(Whole(1, 200)),
        "algorithm": optional(Text(choices=("round_robin", "least_connections")), default="round_robin"),
        "forwardingRules": optional(ListOf(FORWARDING_RULE, ordered=False, least=1)),
        "healthcheck": filled(HEALTH_CHECK),
        "stickySessions": filled(STICKY_SESSIONS),
        "dropletIds": filled(ListOf(Whole(), ordered=False)),
        "dropletTag": optional(Text(fold=True), rule=tag_rule),
        "redirectHttpToHttps": optional(Flag(), default=False),
        "enableProxyProtocol": optional(Flag(), default=False),
        "enableBackendKeepalive": optional(Flag(), default=False),
        "disableLetsEncryptDnsRecords": optional(Flag(), default=False),
        "vpcUuid": filled(Text(), replace=True, rule=not_empty),
        "httpIdleTimeoutSeconds": filled(Whole()),
        "projectId": filled(Text()),
        "firewall": filled(FIREWALL),
        "type": filled(Text(choices=("REGIONAL", "GLOBAL", "REGIONAL_NETWORK"), fold=True), replace=True),
        "domains": filled(ListOf(DOMAIN, ordered=False, least=1)),
        "glbSettings": filled(GLB_SETTINGS),
        "targetLoadBalancerIds": filled(ListOf(Text(), ordered=False)),
        "network": optional(Text(choices=("EXTERNAL", "INTERNAL"), fold=True), replace=True),
        "networkStack": optional(Text(choices=("IPV4", "DUALSTACK"), fold=True), replace=True),
        "tlsCipherPolicy": optional(Text(choices=("DEFAULT", "STRONG"), fold=True)),
        "ip": computed(Text()),
        "ipv6": computed(Text()),
        "loadBalancerUrn": computed(Text()),
        "status": computed(Text()),
    }

    def check(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        wrong = [
            (key, "global load balancers are not stood in for: use the official digitalocean plugin")
            for key in GLOBAL_ONLY
            if inputs.get(key)
        ]
        if str(inputs.get("type", "")).upper() == "GLOBAL":
            wrong.append(("type", "global load balancers are not stood in for: use the official digitalocean plugin"))
        elif not inputs.get("region"):
            wrong.append(("region", "missing 'region' value"))
        if inputs.get("dropletTag") and inputs.get("dropletIds"):
            wrong.append(("dropletIds", "conflicts with dropletTag"))
        rules = inputs.get("forwardingRules")
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, Mapping) and rule.get("certificateName"):
                wrong.append((f"forwardingRules[{index}].certificateName", "certificates are not stood in for"))
        return wrong + check_health(inputs.get("healthcheck")) + check_sticky(inputs.get("stickySessions"))

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        balancer = self.client.post("/v2/load_balancers", balancer_body(inputs))["load_balancer"]
        return balancer["id"], {"loadBalancerUrn": f"do:loadbalancer:{balancer['id']}"}

    def settle(self, call: Call, id_: str, inputs: State) -> None:
        def active() -> bool | None:
            status = self.client.get(f"/v2/load_balancers/{id_}")["load_balancer"]["status"]
            if status == "errored":
                raise ProviderError(f"DigitalOcean could not create load balancer {inputs['name']}: status errored")
            return True if status == "active" else None

        call.wait_until(f"load balancer {inputs['name']} to become active", active, CREATE_SECONDS)

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/load_balancers/{id_}")
        return balancer_outputs(answer["load_balancer"]) if answer else None

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if changed:
            self.client.put(f"/v2/load_balancers/{id_}", balancer_body({**self.kept(old, new), **new}))

    def kept(self, old: State, new: State) -> State:
        """What the program does not give stays as it is: the API replaces the whole load balancer."""
        kept = {key: old[key] for key, prop in self.properties.items() if prop.source is Source.FILLED and key in old}
        if new.get("dropletTag"):
            kept.pop("dropletIds", None)
        if new.get("size"):
            kept.pop("sizeUnit", None)
        return kept

    def delete(self, call: Call, id_: str, state: State) -> None:
        self.client.delete_if_there(f"/v2/load_balancers/{id_}")


def check_health(check: Any) -> list[tuple[str, str]]:
    """A path belongs to http and https, and to nothing else."""
    if not isinstance(check, Mapping) or has_unknown(check):
        return []
    if check["protocol"] == "tcp" and check.get("path"):
        return [("healthcheck.path", "is not allowed when the protocol is tcp")]
    if check["protocol"] != "tcp" and not check.get("path"):
        return [("healthcheck.path", f"is required when the protocol is {check['protocol']}")]
    return []


def check_sticky(sessions: Any) -> list[tuple[str, str]]:
    """Cookies have a name and a time to live; without cookies there is neither."""
    if not isinstance(sessions, Mapping) or has_unknown(sessions):
        return []
    wanted = sessions["type"] == "cookies"
    said = "is required when type is cookies" if wanted else "is not allowed when type is none"
    keys = ("cookieName", "cookieTtlSeconds")
    return [(f"stickySessions.{key}", said) for key in keys if bool(sessions.get(key)) is not wanted]


def balancer_body(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The request that creates or replaces a load balancer."""
    firewall = inputs.get("firewall") or {}
    body = {
        "name": inputs["name"],
        "region": inputs.get("region"),
        "algorithm": inputs.get("algorithm"),
        "redirect_http_to_https": inputs.get("redirectHttpToHttps", False),
        "enable_proxy_protocol": inputs.get("enableProxyProtocol", False),
        "enable_backend_keepalive": inputs.get("enableBackendKeepalive", False),
        "disable_lets_encrypt_dns_records": inputs.get("disableLetsEncryptDnsRecords", False),
        "forwarding_rules": [forwarding_rule_body(rule) for rule in inputs.get("forwardingRules", [])],
        "project_id": inputs.get("projectId"),
        "http_idle_timeout_seconds": inputs.get("httpIdleTimeoutSeconds"),
        "health_check": health_check_body(inputs.get("healthcheck")),
        "sticky_sessions": sticky_sessions_body(inputs.get("stickySessions")),
        "firewall": without_empty({"allow": firewall.get("allows"), "deny": firewall.get("denies")}),
        "vpc_uuid": inputs.get("vpcUuid"),
        "type": inputs.get("type"),
        "network": inputs.get("network"),
        "network_stack": inputs.get("networkStack"),
        "tls_cipher_policy": inputs.get("tlsCipherPolicy"),
        **({"size_unit": inputs["sizeUnit"]} if inputs.get("sizeUnit") else {"size": inputs.get("size")}),
        **(
            {"tag": inputs["dropletTag"]} if inputs.get("dropletTag") else {"droplet_ids": inputs.get("dropletIds", [])}
        ),
    }
    return without_empty(body, keep=("forwarding_rules", "droplet_ids"))


def forwarding_rule_body(rule: Mapping[str, Any]) -> dict[str, Any]:
    return without_empty(
        {
            "entry_protocol": rule["entryProtocol"],
            "entry_port": rule["entryPort"],
            "target_protocol": rule["targetProtocol"],
            "target_port": rule["targetPort"],
            "certificate_id": rule.get("certificateId"),
            "tls_passthrough": rule.get("tlsPassthrough", False),
        }
    )


def health_check_body(check: Mapping[str, Any] | None) -> dict[str, Any]:
    if not check:
        return {}
    return without_empty(
        {
            "protocol": check["protocol"],
            "port": check["port"],
            "path": check.get("path"),
            "check_interval_seconds": check.get("checkIntervalSeconds"),
            "response_timeout_seconds": check.get("responseTimeoutSeconds"),
            "unhealthy_threshold": check.get("unhealthyThreshold"),
            "healthy_threshold": check.get("healthyThreshold"),
        }
    )


def sticky_sessions_body(sessions: Mapping[str, Any] | None) -> dict[str, Any]:
    if not sessions:
        return {}
    body = {
        "type": sessions.get("type", "none"),
        "cookie_name": sessions.get("cookieName"),
        "cookie_ttl_seconds": sessions.get("cookieTtlSeconds") or None,
    }
    return without_empty(body)


def balancer_outputs(balancer: Mapping[str, Any]) -> State:
    """The properties of a load balancer as the API describes it."""
    state: State = {
        "name": balancer["name"],
        "loadBalancerUrn": f"do:loadbalancer:{balancer['id']}",
        "ip": balancer.get("ip", ""),
        "ipv6": balancer.get("ipv6", ""),
        "status": balancer["status"],
        "algorithm": balancer.get("algorithm", "round_robin"),
        "redirectHttpToHttps": balancer.get("redirect_http_to_https", False),
        "enableProxyProtocol": balancer.get("enable_proxy_protocol", False),
        "enableBackendKeepalive": balancer.get("enable_backend_keepalive", False),
        "disableLetsEncryptDnsRecords": balancer.get("disable_lets_encrypt_dns_records") or False,
        "dropletTag": balancer.get("tag", ""),
        "dropletIds": balancer.get("droplet_ids") or [],
        "vpcUuid": balancer.get("vpc_uuid", ""),
        "httpIdleTimeoutSeconds": balancer.get("http_idle_timeout_seconds"),
        "projectId": balancer.get("project_id"),
        "type": balancer.get("type", "REGIONAL"),
        "forwardingRules": [forwarding_rule_outputs(rule) for rule in balancer.get("forwarding_rules") or []],
        "domains": [],
        "targetLoadBalancerIds": balancer.get("target_load_balancer_ids") or [],
    }
    if balancer.get("size_unit"):
        state["sizeUnit"] = balancer["size_unit"]
    else:
        state["size"] = balancer.get("size")
    if region := balancer.get("region"):
        state["region"] = region["slug"] if isinstance(region, Mapping) else region
    if check := balancer.get("health_check"):
        state["healthcheck"] = health_check_outputs(check)
    if sessions := balancer.get("sticky_sessions"):
        state["stickySessions"] = sticky_sessions_outputs(sessions)
    if firewall := balancer.get("firewall"):
        state["firewall"] = {"allows": firewall.get("allow") or [], "denies": firewall.get("deny") or []}
    return state


def forwarding_rule_outputs(rule: Mapping[str, Any]) -> State:
    return {
        "entryProtocol": rule["entry_protocol"],
        "entryPort": rule["entry_port"],
        "targetProtocol": rule["target_protocol"],
        "targetPort": rule["target_port"],
        "tlsPassthrough": rule.get("tls_passthrough", False),
        "certificateId": rule.get("certificate_id", ""),
        "certificateName": "",
    }


def health_check_outputs(check: Mapping[str, Any]) -> State:
    return {
        "protocol": check["protocol"],
        "port": check["port"],
        **({"path": check["path"]} if check.get("path") else {}),
        "checkIntervalSeconds": check["check_interval_seconds"],
        "responseTimeoutSeconds": check["response_timeout_seconds"],
        "unhealthyThreshold": check["unhealthy_threshold"],
        "healthyThreshold": check["healthy_threshold"],
    }


def sticky_sessions_outputs(sessions: Mapping[str, Any]) -> State:
    return {
        "type": sessions.get("type", "none"),
        "cookieName": sessions.get("cookie_name", ""),
        "cookieTtlSeconds": sessions.get("cookie_ttl_seconds", 0),
    }
