"""Starts the broker once, and gives each test a namespace of its own in it, so that tests in parallel do not meet."""
import base64
import datetime
import json
import os
import subprocess
import urllib.parse
import urllib.request
import uuid

import pytest
from azure.servicebus import ServiceBusClient

COMMAND = [
    "effect-service-bus", "emulator", "--json", "--port", "0", "--admin-port", "0",
    "--namespaces", "any", "--clock", "manual",
    "--queue", "orders", "--queue", "invoices", "--lock-duration", "30", "--max-delivery-count", "3",
    "--subscription", "news/all", "--rule", "news/finals/cup=round = 'final'",
]


def pytest_configure(config):
    # The workers of pytest-xdist have the environment of the process that starts them, and so its broker.
    if not hasattr(config, "workerinput"):
        config.broker = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True)
        os.environ["BROKER"] = config.broker.stdout.readline()
        if not os.environ["BROKER"]:
            pytest.exit("the broker did not start, and said above why", returncode=1)


def pytest_unconfigure(config):
    if hasattr(config, "broker"):
        config.broker.terminate()
        config.broker.wait()


class Namespace:
    def __init__(self, name):
        self.name = name
        self.broker = json.loads(os.environ["BROKER"])
        # The name of the key is the name of the namespace, which is made by its first use.
        self.connection_string = self.broker["connectionString"].replace("RootManageSharedAccessKey", name)

    def client(self):
        return ServiceBusClient.from_connection_string(self.connection_string, retry_backoff_factor=0.1)

    def http(self, method, path, body=None, key_name=None):
        """What the broker can do besides: see the page "The broker over HTTP"."""
        key = self.connection_string.split("SharedAccessKey=")[1].split(";")[0]
        credentials = base64.b64encode(f"{key_name or self.name}:{key}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.broker['adminPort']}{path}",
            method=method,
            headers={"Authorization": f"Basic {credentials}"},
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request) as response:
            text = response.read()
            return json.loads(text) if text else None

    def messages(self, entity):
        return self.http("GET", f"/messages?entity={urllib.parse.quote(entity)}")

    def advance(self, by):
        self.http("POST", "/clock/advance", {"by": by})

    def now(self):
        return datetime.datetime.fromisoformat(self.http("GET", "/clock")["now"].rstrip("Z"))


@pytest.fixture
def namespace():
    namespace = Namespace(f"test-{uuid.uuid4().hex[:12]}")
    yield namespace
    namespace.http("DELETE", f"/namespaces/{namespace.name}", key_name="RootManageSharedAccessKey")


@pytest.fixture
def client(namespace):
    with namespace.client() as client:
        yield client
