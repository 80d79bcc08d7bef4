"""Who may call a method, read from the contract: a method without an access rule cannot be called."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from google.protobuf.descriptor_pool import Default

from babysea.options.v1 import options_pb2
from babysea.options.v1.options_pb2 import Audience

HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"

ACCOUNT_FIELD = "account_id"
"""Field by which a request for members names the account that it is about."""

# The two services that are not ours and so cannot carry our option.
_PUBLIC_SERVICES = frozenset({HEALTH, REFLECTION})


@dataclass(frozen=True, slots=True)
class Method:
    """A method and its access rule."""

    path: str
    """As on the wire, for example "/babysea.keys.v1.KeyService/ListKeys"."""
    service: str
    """Full name of its service."""
    name: str
    """Name within the service."""
    audiences: frozenset[Audience.ValueType] = field(default=frozenset())
    """Who may call it; empty means nobody."""
    scope: str = ""
    """Scope that a CUSTOMER needs; empty for none."""
    permission: str = ""
    """Permission that a USER needs in the account of the request; empty where the method is about the own person."""

    @property
    def is_public(self) -> bool:
        """Whether anyone may call it."""
        return options_pb2.PUBLIC in self.audiences

    @property
    def is_probe(self) -> bool:
        """Whether it belongs to health checks or reflection, which come often and mean nothing to a customer."""
        return self.service in _PUBLIC_SERVICES


@cache
def method_at(path: str) -> Method:
    """The method of a wire path; an unknown one has no audience."""
    service, _, name = path.removeprefix("/").partition("/")
    if service in _PUBLIC_SERVICES:
        return Method(path, service, name, frozenset({options_pb2.PUBLIC}))
    try:
        descriptor = Default().FindServiceByName(service).FindMethodByName(name)
    except KeyError:
        return Method(path, service, name)
    access = descriptor.GetOptions().Extensions[options_pb2.access]
    return Method(path, service, name, frozenset(access.audience), access.scope, access.permission)


def methods_without_access(service: str) -> list[str]:
    """Wire paths of a service's methods that nobody could call.

    Raises:
        KeyError: there is no such service in the contract.
    """
    paths = [f"/{service}/{method.name}" for method in Default().FindServiceByName(service).methods]
    return [path for path in paths if not method_at(path).audiences]


def methods_without_account(service: str) -> list[str]:
    """Wire paths of methods for members whose permission names no account: the request lacks the field account_id.

    Raises:
        KeyError: there is no such service in the contract.
    """
    methods = Default().FindServiceByName(service).methods
    return [
        f"/{service}/{method.name}"
        for method in methods
        if method_at(f"/{service}/{method.name}").permission
        and ACCOUNT_FIELD not in method.input_type.fields_by_name
    ]


def permissions_of(service: str) -> set[str]:
    """Every permission that a service's methods ask for.

    Raises:
        KeyError: there is no such service in the contract.
    """
    methods = Default().FindServiceByName(service).methods
    return {method_at(f"/{service}/{method.name}").permission for method in methods} - {""}
