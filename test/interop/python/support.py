"""What the checks share: what must hold, messages, and the line that says what came of a check."""
import os
import threading
import time
import traceback

CHECK_SECONDS = 30


class Skip(Exception):
    """The SDK has no such thing."""


def is_equal(what, actual, expected):
    if actual != expected:
        raise AssertionError("%s is %r, not %r" % (what, actual, expected))


def is_true(what, condition):
    if not condition:
        raise AssertionError(what)


def fails(what, kinds, action, text=None, seconds=15):
    """Whether `action` fails in time with one of these errors."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    started = time.monotonic()
    try:
        action()
    except Exception as error:  # pylint: disable=broad-except
        took = time.monotonic() - started
        if type(error) not in kinds:
            raise AssertionError("%s: %s: %s" % (what, type(error).__name__, error)) from error
        if text is not None and not any(one in str(error) for one in text):
            raise AssertionError("%s: the error does not say %r: %s" % (what, text, error)) from error
        is_true("%s: took %.1f s" % (what, took), took < seconds)
        return error
    raise AssertionError("%s: nothing failed" % what)


def body_of(message):
    return b"".join(message.body)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def properties_of(message):
    return {text(key): text(value) for key, value in (message.application_properties or {}).items()}


def receive(receiver, count=1, seconds=8):
    """Exactly `count` messages."""
    messages = []
    until = time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < until:
        messages += receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=2)
    is_equal("the number of messages", len(messages), count)
    return messages


def is_empty(receiver):
    is_equal("what is left", [body_of(m) for m in receiver.peek_messages(10, sequence_number=1)], [])


said = threading.Lock()


def say(line):
    with said:
        print(line.replace("\n", " ").replace("\r", " "), flush=True)


def run_check(name, check):
    """Runs a check and says what came of it."""
    result = {}

    def work():
        try:
            check()
            result["line"] = "ok %s" % name
        except Skip as error:
            result["line"] = "skip %s: %s" % (name, error)
        except BaseException as error:  # pylint: disable=broad-except
            here = os.path.dirname(os.path.abspath(__file__))
            frames = [f for f in traceback.extract_tb(error.__traceback__) if os.path.dirname(f.filename) == here]
            lines = ",".join(str(f.lineno) for f in frames if f.filename != __file__)
            result["line"] = "not ok %s: %s: %s (line %s)" % (name, type(error).__name__, str(error)[:600], lines)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(CHECK_SECONDS)
    say(result.get("line", "not ok %s: still running after %d s" % (name, CHECK_SECONDS)))
