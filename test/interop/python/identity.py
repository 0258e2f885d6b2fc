"""The checks of identities with azure-identity for Python.

Its HTTP library finds the authority in REQUESTS_CA_BUNDLE, as that of administration does.
"""
import os

import azure.identity as ai
import azure.servicebus as sb
from azure.core import exceptions as core
from azure.servicebus import exceptions as errors
from azure.servicebus import management
from azure.servicebus._pyamqp import _connection

TENANT = "11111111-1111-1111-1111-111111111111"
AUTHORITY = "https://localhost:%s" % os.environ["INTEROP_HTTPS_PORT"]
# A client with a credential has no option for a port: nothing else of this version dials this one.
_connection.SECURE_PORT = int(os.environ["INTEROP_TLS_PORT"])


def secret_of(client_id, secret=None):
    return ai.ClientSecretCredential(
        TENANT, client_id, secret or client_id + "-secret", authority=AUTHORITY, disable_instance_discovery=True
    )


def client(credential):
    return sb.ServiceBusClient("localhost", credential, connection_verify=os.environ["INTEROP_CA"], retry_total=0)


def round_trip(name, credential):
    with client(credential) as c, c.get_queue_sender(name) as sender, c.get_queue_receiver(name) as receiver:
        sender.send_messages(sb.ServiceBusMessage(b"by an identity"))
        (message,) = receiver.receive_messages(1, max_wait_time=8)
        if b"".join(message.body) != b"by an identity":
            raise AssertionError("another body")
        receiver.complete_message(message)


def fails(what, kind, text, action):
    try:
        action()
    except kind as error:
        if text not in str(error):
            raise AssertionError("%s: the error does not say %r: %s" % (what, text, error)) from error
        return
    raise AssertionError("%s: nothing failed" % what)


def under(variables, run):
    """Runs a function under variables of the environment, which credentials read when they are asked."""
    os.environ.update(variables)
    try:
        run()
    finally:
        for name in variables:
            del os.environ[name]


def secret(name):
    round_trip(name, secret_of("interop-owner"))
    wrong = secret_of("interop-owner", "wrong")
    fails(
        "a wrong secret", core.ClientAuthenticationError, "AADSTS7000215: Invalid client secret provided.",
        lambda: wrong.get_token("https://servicebus.azure.net/.default"),
    )


def environment(name):
    application = dict(
        AZURE_AUTHORITY_HOST=AUTHORITY, AZURE_TENANT_ID="adfs",
        AZURE_CLIENT_ID="interop-owner", AZURE_CLIENT_SECRET="interop-owner-secret",
    )
    under(application, lambda: round_trip(name, ai.DefaultAzureCredential()))
    managed = dict(
        IDENTITY_ENDPOINT="http://localhost:%s/msi/token" % os.environ["INTEROP_PORT"],
        IDENTITY_HEADER="interop-owner-secret",
    )
    under(managed, lambda: round_trip(name, ai.DefaultAzureCredential()))
    under(managed, lambda: round_trip(name, ai.ManagedIdentityCredential(client_id="interop-owner")))


def roles(name):
    with client(secret_of("interop-sender")) as c:
        with c.get_queue_sender(name) as sender:
            sender.send_messages(sb.ServiceBusMessage(b"x"))

        def receive():
            with c.get_queue_receiver(name) as receiver:
                receiver.receive_messages(1, max_wait_time=2)

        fails("receiving", errors.ServiceBusError, "'Listen' claim(s) are required", receive)


def administration(name):
    def admin(client_id):
        host = "localhost:%s" % os.environ["INTEROP_HTTPS_PORT"]
        return management.ServiceBusAdministrationClient(host, secret_of(client_id))

    admin("interop-owner").create_queue(name)
    if admin("interop-owner").get_queue(name).name != name:
        raise AssertionError("another name")
    fails("reading", core.ClientAuthenticationError, "claims required", lambda: admin("interop-sender").get_queue(name))
