"""The part of `helm/values.schema.json` that follows from the hub's own types: profiles, rules, sign-in.

`python -m tests.chart.profiles` writes it there. Nothing here may add a rule that the hub does not have.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from hub import profiles
from hub.rules import Rules
from hub.settings import FRAMEWORKS
from hub.tools import CHECKOUT
from hub.web.oidc import OidcSettings

SCHEMA = CHECKOUT / "helm" / "values.schema.json"
ANOTHER_LANGUAGE = r"(?!\n)"
"""What Python's `$` needs beside it, which Go's expressions do not have, nor need."""


def definitions() -> dict[str, Any]:
    """`$defs` of the schema of the values: names as they are written in a configuration."""
    found: Any = profiles.schema()["$defs"]
    for kind in (Rules, OidcSettings):
        found |= msgspec.json.schema(kind)["$defs"]
    made = {name: _written(definition) for name, definition in found.items()}
    profile = made["Profile"]
    del profile["properties"]["name"]  # it is the key, which stands for the title, too
    del profile["required"]
    clusters = profile["properties"]["clusters"]
    clusters["properties"] = dict.fromkeys(FRAMEWORKS, clusters["additionalProperties"])
    clusters["additionalProperties"] = False
    return made


def _written(schema: Any) -> Any:
    """One schema, without what only describes."""
    if isinstance(schema, list):
        return [_written(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("title", "description", "default")}
    written = {key: _written(value) for key, value in kept.items() if key not in ("properties", "pattern")}
    if "pattern" in kept:
        written["pattern"] = kept["pattern"].replace(ANOTHER_LANGUAGE, "")
    if "properties" in kept:
        written["properties"] = {_snake(key): _written(value) for key, value in kept["properties"].items()}
    if "propertyNames" in written:  # of which Helm tells the wrong place
        pattern = written.pop("propertyNames").get("pattern", "")
        written["patternProperties"] = {pattern: written.pop("additionalProperties")}
        written["additionalProperties"] = False
    if written.get("required") == []:
        del written["required"]
    return written


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


if __name__ == "__main__":
    schema = json.loads(SCHEMA.read_text())
    schema["$defs"] |= definitions()
    rules = {name: {"$ref": f"#/$defs/Rules/properties/{name}"} for name in Rules.__struct_fields__}
    schema["properties"]["config"]["properties"] |= rules
    SCHEMA.write_text(json.dumps(schema, indent=2) + "\n")
