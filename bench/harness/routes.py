"""The routes that every peer gets: the same prefixes to the same services, in the same order."""

from dataclasses import dataclass

# As in the measurements of Emissary that this is compared with: ten Mappings a Service.
ROUTES_PER_SERVICE = 10


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
    """One prefix and where it goes."""

    name: str
    prefix: str
    service: Service

    def values(self):
        """What templates may name."""
        return {"name": self.name, "prefix": self.prefix, **self.service.values()}


def build_services(route_count, port):
    """The services that `route_count` routes need, all at one port."""
    count = -(-route_count // ROUTES_PER_SERVICE)
    return [
        Service(f"s{i:05}", f"127.1.{(i + 1) >> 8}.{(i + 1) & 255}", port) for i in range(count)
    ]


def build_routes(route_count, services):
    """Routes `/r00000/` and up."""
    return [
        Route(f"r{i:05}", f"/r{i:05}/", services[i // ROUTES_PER_SERVICE])
        for i in range(route_count)
    ]
