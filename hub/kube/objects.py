"""What all objects of Kubernetes have in common. Nothing here may do I/O."""

from __future__ import annotations

from msgspec import Struct


class Named(Struct, frozen=True, rename="camel", kw_only=True):
    """The part of an object's metadata that tells it from others."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
