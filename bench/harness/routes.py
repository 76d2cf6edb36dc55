"""The routes that every peer gets: the same to the same services, in the same order."""

from dataclasses import dataclass

# As in the measurements of Emissary that this is compared with: ten Mappings a Service.
ROUTES_PER_SERVICE = 10
# How routes may tell requests apart.
KINDS = ("prefix", "host", "regex")


@dataclass(frozen=True)
class Service:
    """One upstream: an address of its own in 127.0.0.0/8, so that proxies can't unify two."""

    name: str
    address: str
    port: int

    def values(self):
        """What templates may name."""
        return {"service": self.name, "address": self.address, "port": self.port}


@dataclass(frozen=True)
class Route:
    """One route and where it goes. `path` is one that it takes, `host` the name to ask for, `*`
    where any does. `match` is a prefix, or a regular expression for the whole path."""

    name: str
    kind: str
    host: str
    match: str
    path: str
    service: Service

    def values(self):
        """What templates may name."""
        own = {
            "name": self.name,
            "host": self.host,
            "match": self.match,
            "regex": str(self.kind == "regex").lower(),
        }
        return {**own, **self.service.values()}

    @property
    def headers(self):
        """What a request for it needs beside the path."""
        return {} if self.host == "*" else {"Host": self.host}


def build_services(route_count, port):
    """The services that `route_count` routes need, all at one port."""
    count = -(-route_count // ROUTES_PER_SERVICE)
    return [
        Service(f"s{i:05}", f"127.1.{(i + 1) >> 8}.{(i + 1) & 255}", port) for i in range(count)
    ]


def build_routes(route_count, services, kind="prefix"):
    """Routes `/r00000/` and up; or the host `r00000.example` and up with all its paths; or the
    regular expression `/r00000/[a-z]+/[0-9]+` and up."""
    return [
        _route(f"r{i:05}", kind, services[i // ROUTES_PER_SERVICE]) for i in range(route_count)
    ]


def _route(name, kind, service):
    if kind == "prefix":
        return Route(name, kind, "*", f"/{name}/", f"/{name}/", service)
    if kind == "host":
        return Route(name, kind, f"{name}.example", "/", "/", service)
    if kind == "regex":
        return Route(name, kind, "*", f"/{name}/[a-z]+/[0-9]+", f"/{name}/item/42", service)
    raise ValueError(f"no kind of route {kind!r}: one of {', '.join(KINDS)}")
