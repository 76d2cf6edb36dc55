"""The test cluster: its API server, and what that logged of who asked for what."""

import concurrent.futures
import http.client
import json
import os
import ssl
import subprocess
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "tests/e2e/cluster/cluster"


def run(*arguments, text=None):
    """Runs a command to its end and gives its output; its complaints are shown."""
    return subprocess.run(arguments, input=text, check=True, text=True, stdout=subprocess.PIPE).stdout


def kubectl(*arguments, text=None):
    """`kubectl` as the cluster's administrator."""
    return run("kubectl", *arguments, text=text)


class ApiServer:
    """Requests to the API server, without the cost of starting kubectl: a connection a thread."""

    def __init__(self):
        config = json.loads(kubectl("config", "view", "--raw", "--output=json"))
        self.server = urlsplit(config["clusters"][0]["cluster"]["server"])
        self.token = config["users"][0]["user"]["token"]
        # The cluster is this machine's own, and its certificate of today.
        self.tls = ssl._create_unverified_context()
        self.local = threading.local()

    def ask(self, method, path, body=None, kind="application/json"):
        """The answer as JSON, or as text where it is none. Anything but a success is an error."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(
                self.server.hostname, self.server.port, context=self.tls
            )
        connection = self.local.connection
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if text.startswith("{") else text

    def for_all(self, action, items, threads=8):
        """Does `action` with each item, a few at a time."""
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(action, items):
                pass


class AuditLog:
    """What the API server logged since this value was made."""

    def __init__(self):
        self.path = Path(run(SCRIPT, "audit-log").strip())
        self.begin = os.path.getsize(self.path)

    def count(self, user):
        """The requests of a user, by verb and resource."""
        with open(self.path, encoding="utf-8") as log:
            log.seek(self.begin)
            return count_requests(log, user)


def count_requests(lines, user):
    """Counts each request once, although a watch is logged when it begins and when it ends."""
    seen, counts = set(), Counter()
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line, half written
        if event["user"]["username"] != user or event["auditID"] in seen:
            continue
        seen.add(event["auditID"])
        reference = event.get("objectRef", {})
        parts = [reference.get("resource", "(discovery)"), reference.get("subresource")]
        counts[event["verb"], "/".join(part for part in parts if part)] += 1
    return counts


def parse_metrics(text):
    """Samples by name and labels."""
    samples = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name and not line.startswith("#"):
            samples[name] = float(value)
    return samples


def count_by_verb(samples, resources):
    """`apiserver_request_total` of these resources, by verb."""
    counts = Counter()
    for name, value in samples.items():
        if not name.startswith("apiserver_request_total{"):
            continue
        labels = dict(
            part.split("=", 1) for part in name[name.index("{") + 1 : -1].replace('"', "").split(",")
        )
        if labels.get("resource") in resources:
            counts[labels["verb"]] += value
    return counts
