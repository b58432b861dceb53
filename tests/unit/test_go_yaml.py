"""YAML that Go's readers take as it was meant: github.com/kubernetes-sigs/yaml, goyaml.v2/resolve.go."""

from __future__ import annotations

import json

import pytest
import yaml

from k3s_cluster import go_yaml, kubeconfig

#: Texts that a reader of YAML 1.1 or 1.2 takes for something else where they stand without quotes.
STRANGE = (
    *("0826", "08", "010", "1234e5", "1e3", "1_000", "0x1F", "0b1", "0o17", "190:20:30", "+1", "-1", "1.", ".5", "1.5"),
    *(
        "y",
        "Y",
        "n",
        "N",
        "yes",
        "No",
        "ON",
        "off",
        "true",
        "False",
        "null",
        "NULL",
        "~",
        "nan",
        ".nan",
        ".inf",
        "-.Inf",
    ),
    *("2026-01-31", "2026-01-31T19:25:22Z", "<<", "=", "!x", "&x", "*x", "@x", "`x`", "%x", "|", ">", "-", "?", ":"),
    *("", " ", "a ", " a", "a: b", "a #b", "a:", "- a", "[a]", "{a}", "a, b", "'a'", '"a"', "a\nb", "a\tb", "\u00e9"),
)
PLAIN = ("a", "k3s-api.internal", "https://10.10.10.2:6443", "/var/lib/x", "a=b:NoSchedule", "v=1", "LS0tLS1CRUdJTg==")


@pytest.mark.parametrize("text", STRANGE)
def test_a_text_that_could_be_taken_for_something_else_is_in_quotes(text: str) -> None:
    written = go_yaml.scalar(text)
    assert written.startswith('"')
    assert yaml.safe_load(written) == text
    assert go_yaml.dump({"key": [text]}) == f"key:\n- {written}\n"


@pytest.mark.parametrize("text", PLAIN)
def test_a_word_stands_as_it_is(text: str) -> None:
    assert go_yaml.scalar(text) == text


def test_what_is_no_text_stays_what_it_is() -> None:
    assert go_yaml.dump({"b": True, "a": 1}) == "b: true\na: 1\n"
    assert go_yaml.dump(["1", 1], flow=True) == '["1", 1]\n'


@pytest.mark.parametrize("name", ["0826", "08", "1234e5", "y", "n"])
def test_a_stack_of_any_name_and_a_token_of_anybody_s_are_texts_in_a_kubeconfig(name: str) -> None:
    k3s = "".join(
        f"{kind}s:\n- {{name: default, {kind}: {{cluster: default, user: default}}}}\n"
        for kind in ("cluster", "user", "context")
    )
    own = kubeconfig.rewrite(k3s, "https://203.0.113.1:6443", name, "p/s")
    others = json.dumps({"users": [{"name": "x", "user": {"token": "1234e5"}}], "clusters": [], "contexts": []})
    merged = kubeconfig.merge(others, own, "p/s")
    assert 'token: "1234e5"' in merged
    for text in (own, merged):
        assert f'current-context: "{name}"' in text
        assert f"name: {name}\n" not in text
