"""Celery over kombu's transport for Service Bus, with a worker in a process of its own, as it is deployed."""
import os
import subprocess
import sys
import tempfile
import time
import traceback

from shop import app, charge, pack, total

SECONDS = 20


def is_equal(what, actual, expected):
    if actual != expected:
        raise AssertionError("%s is %r, not %r" % (what, actual, expected))


def celery_task():
    is_equal("the result", total.delay([1, 2, 3.5]).get(timeout=SECONDS), 6.5)


def celery_retry():
    is_equal("the result", charge.delay("card").get(timeout=SECONDS), "card charged at try 3")


def celery_long_task():
    """It takes longer than the lock of its message, which is renewed: otherwise another process would begin it as well."""
    with tempfile.NamedTemporaryFile("r", encoding="utf8") as log:
        is_equal("the result", pack.delay("one", log.name).get(timeout=SECONDS), "packed")
        is_equal("how often it began", log.read(), "one\n")


def celery_countdown():
    started = time.monotonic()
    is_equal("the result", total.apply_async(([4],), countdown=5).get(timeout=SECONDS), 4)
    if time.monotonic() - started < 5:
        raise AssertionError("it ran before its time")


def celery_purge():
    for price in range(3):
        total.apply_async(([price],), queue="idle")
    is_equal("purged", app.amqp.queues["idle"](app.broker_connection().channel()).purge(), 3)


def verdict(name):
    try:
        globals()[name.replace("-", "_")]()
        return "ok %s" % name
    except Exception as error:  # pylint: disable=broad-except
        frames = traceback.extract_tb(error.__traceback__)
        lines = ",".join(str(frame.lineno) for frame in frames if frame.filename == __file__)
        return "not ok %s: %s: %s (line %s)" % (name, type(error).__name__, error, lines)


worker = subprocess.Popen(
    [sys.executable, "-W", "ignore", "-m", "celery", "-A", "shop", "worker", "--concurrency", "2"],
    cwd=os.path.dirname(os.path.abspath(__file__)),
)
try:
    for check in sys.argv[1:]:
        print(verdict(check).replace("\n", " "), flush=True)
finally:
    worker.terminate()
    worker.wait(10)
# Threads of its client must not keep the process.
os._exit(0)
