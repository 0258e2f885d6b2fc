"""The checks of administration with azure-servicebus for Python, over HTTPS.

Its HTTP library finds the authority in REQUESTS_CA_BUNDLE.
"""
import datetime
import os

import azure.servicebus as sb
from azure.core import exceptions as core
from azure.servicebus import management

VERSION = tuple(int(part) for part in sb.__version__.split("."))
UTC = datetime.timezone.utc

os.environ["REQUESTS_CA_BUNDLE"] = os.environ["INTEROP_CA"]


def client(key=None):
    parts = dict(part.split("=", 1) for part in os.environ["INTEROP_CONNECTION"].split(";") if part)
    parts.pop("UseDevelopmentEmulator", None)
    parts["Endpoint"] = "sb://localhost:%s/" % os.environ["INTEROP_HTTPS_PORT"]
    if key is not None:
        parts["SharedAccessKey"] = key
    text = ";".join("%s=%s" % part for part in parts.items())
    return management.ServiceBusAdministrationClient.from_connection_string(text)


def is_equal(what, actual, expected):
    if actual != expected:
        raise AssertionError("%s is %r, not %r" % (what, actual, expected))


def includes(what, actual, wanted):
    for name, value in wanted.items():
        is_equal("%s: %s" % (what, name), getattr(actual, name), value)


def rejects(what, kind, status, action):
    try:
        action()
    except core.HttpResponseError as error:
        if type(error) is not kind or error.status_code != status:
            raise AssertionError("%s: %s %s: %s" % (what, type(error).__name__, error.status_code, error)) from error
        return
    raise AssertionError("%s: nothing failed" % what)


def is_missing(what, action):
    """That something is not there comes as an error without a status."""
    try:
        action()
    except core.ResourceNotFoundError:
        return
    raise AssertionError("%s: nothing failed" % what)


minutes = lambda count: datetime.timedelta(minutes=count)

COMMON = dict(
    default_message_time_to_live=datetime.timedelta(days=2),
    auto_delete_on_idle=minutes(60),
    enable_batched_operations=False,
    user_metadata="text & <more>",
)
RECEIVED = dict(
    lock_duration=datetime.timedelta(seconds=45),
    requires_session=True,
    dead_lettering_on_message_expiration=True,
    max_delivery_count=8,
)
SIZED = dict(
    max_size_in_megabytes=2048,
    requires_duplicate_detection=True,
    duplicate_detection_history_time_window=minutes(1),
    enable_partitioning=False,
    enable_express=False,
)


def namespace(name):
    with client() as admin:
        properties = admin.get_namespace_properties()
        is_equal("sku and name", (properties.messaging_sku, properties.name), ("Standard", "sbemulatorns"))


def queue(name):
    with client() as admin:
        admin.create_queue(name + "-target")
        rule = management.AuthorizationRule(
            type="SharedAccessAuthorizationRule", claim_type="SharedAccessKey", claim_value="None",
            rights=["Send"], key_name="mine", primary_key="a" * 43 + "=", secondary_key="b" * 43 + "=",
        )
        wanted = dict(COMMON, **RECEIVED, **SIZED, status="ReceiveDisabled")
        target = name + "-target"
        created = admin.create_queue(
            name, authorization_rules=[rule], forward_dead_lettered_messages_to=target, **wanted
        )
        includes("created", created, wanted)
        read = admin.get_queue(name)
        includes("read", read, wanted)
        is_equal("key", read.authorization_rules[0].primary_key, "a" * 43 + "=")
        is_equal("target", read.forward_dead_lettered_messages_to.rsplit("/", 1)[-1], target)
        read.max_delivery_count = 9
        read.status = "Active"
        admin.update_queue(read)
        includes("read again", admin.get_queue(name), {"max_delivery_count": 9, "status": "Active", "requires_session": True})
        admin.delete_queue(name)
        is_missing("afterwards", lambda: admin.get_queue(name))


def topic(name):
    with client() as admin:
        wanted = dict(COMMON, **SIZED, support_ordering=True)
        includes("created", admin.create_topic(name, **wanted), wanted)
        read = admin.get_topic(name)
        includes("read", read, wanted)
        read.auto_delete_on_idle = minutes(120)
        admin.update_topic(read)
        includes("read again", admin.get_topic(name), {"auto_delete_on_idle": minutes(120)})
        is_equal("subscriptions", admin.get_topic_runtime_properties(name).subscription_count, 0)
        is_equal("listed", [each.name for each in admin.list_topics()].count(name), 1)
        admin.delete_topic(name)
        is_missing("afterwards", lambda: admin.get_topic(name))


def subscription(name):
    with client() as admin:
        admin.create_topic(name)
        admin.create_queue(name + "-target")
        wanted = dict(COMMON, **RECEIVED, dead_lettering_on_filter_evaluation_exceptions=False)
        includes("created", admin.create_subscription(name, "Sub.one", **wanted), wanted)
        read = admin.get_subscription(name, "Sub.one")
        includes("read", read, dict(wanted, name="Sub.one"))
        admin.create_subscription(name, "two", forward_to=name + "-target")
        is_equal("target", admin.get_subscription(name, "two").forward_to.rsplit("/", 1)[-1], name + "-target")
        read.max_delivery_count = 3
        admin.update_subscription(name, read)
        includes("read again", admin.get_subscription(name, "Sub.one"), {"max_delivery_count": 3})
        is_equal("listed", [each.name for each in admin.list_subscriptions(name)], ["Sub.one", "two"])
        admin.delete_subscription(name, "two")
        is_missing("afterwards", lambda: admin.get_subscription(name, "two"))


def rules(name):
    with client() as admin:
        admin.create_topic(name)
        admin.create_subscription(name, "one")
        values = {
            "text": "it's <&>", "number": 7, "large": 2 ** 40, "real": 1.5, "yes": True,
            "time": datetime.datetime(2020, 7, 5, 11, 12, 13, tzinfo=UTC),
            "span": datetime.timedelta(days=1, hours=2, minutes=3),
        }
        correlation = dict(
            correlation_id="c", message_id="m", to="t", reply_to="r", label="s", session_id="i",
            reply_to_session_id="j", content_type="text/plain",
        )
        sql = management.SqlRuleFilter("a = @text", parameters={"@text": "it's <&>"})
        action = management.SqlRuleAction("SET c = @v", parameters={"@v": "w"})
        admin.create_rule(name, "one", "sql", filter=sql, action=action)
        admin.create_rule(name, "one", "true", filter=management.TrueRuleFilter())
        admin.create_rule(name, "one", "false", filter=management.FalseRuleFilter())
        admin.create_rule(
            name, "one", "correlation", filter=management.CorrelationRuleFilter(properties=values, **correlation)
        )
        read = admin.get_rule(name, "one", "sql")
        is_equal("expression", read.filter.sql_expression, "a = @text")
        is_equal("parameters", read.filter.parameters, {"@text": "it's <&>"})
        is_equal("action", (read.action.sql_expression, read.action.parameters), ("SET c = @v", {"@v": "w"}))
        got = admin.get_rule(name, "one", "correlation").filter
        includes("correlation", got, correlation)
        for key, value in values.items():
            actual = got.properties[key]
            if isinstance(actual, datetime.datetime) and actual.tzinfo is None:
                actual = actual.replace(tzinfo=UTC)
            is_equal("property " + key, actual, value)
        is_equal("types", [type(admin.get_rule(name, "one", each).filter).__name__ for each in ("true", "false")],
                 ["TrueRuleFilter", "FalseRuleFilter"])
        is_equal("listed", [each.name for each in admin.list_rules(name, "one")],
                 ["$Default", "correlation", "false", "sql", "true"])
        read.filter = management.SqlRuleFilter("a = 3")
        read.action = None
        admin.update_rule(name, "one", read)
        is_equal("changed", admin.get_rule(name, "one", "sql").filter.sql_expression, "a = 3")
        bad = management.SqlRuleFilter("a =")
        rejects("an expression", core.HttpResponseError, 400, lambda: admin.create_rule(name, "one", "bad", filter=bad))
        admin.delete_rule(name, "one", "sql")
        is_missing("afterwards", lambda: admin.get_rule(name, "one", "sql"))


def listing(name):
    with client() as admin:
        # Another check's topic, which has them.
        topic = "admin-all-001-t"
        names = ["s%03d" % index for index in range(105)]
        is_equal("listed", [each.name for each in admin.list_subscriptions(topic)], names)
        pages = [len(list(page)) for page in admin.list_subscriptions_runtime_properties(topic).by_page()]
        is_equal("pages", pages, [100, 5])


def pages(name):
    """More than a page of everything, in its order, once."""
    with client() as admin:
        names = ["%s-%03d" % (name, index) for index in range(105)]
        topic = names[0] + "-t"
        ours = lambda listed: [each.name for each in listed if each.name.startswith(name + "-")]
        topics = [each + "-t" for each in names]
        is_equal("queues", ours(admin.list_queues()), names)
        is_equal("queues' numbers", ours(admin.list_queues_runtime_properties()), names)
        is_equal("topics", ours(admin.list_topics()), topics)
        is_equal("topics' numbers", ours(admin.list_topics_runtime_properties()), topics)
        rules = [each.name for each in admin.list_rules(topic, "one")]
        is_equal("rules", rules, names)


def parameters(name):
    with client() as admin:
        admin.create_topic(name)
        admin.create_subscription(name, "one")
        values = {
            "@text": "it's <&> ä", "@number": -7, "@large": 2 ** 40, "@real": 1.5, "@no": False,
            # The client writes whole seconds.
            "@time": datetime.datetime(2020, 7, 5, 11, 12, 13, tzinfo=UTC),
            "@span": datetime.timedelta(days=1, hours=2, minutes=3, seconds=4),
        }
        admin.create_rule(
            name, "one", "mine",
            filter=management.SqlRuleFilter("a = @text OR b = @number", parameters=values),
            action=management.SqlRuleAction("SET a = @text; SET b = @number", parameters=values),
        )
        read = admin.get_rule(name, "one", "mine")
        for what, actual in (("filter", read.filter.parameters), ("action", read.action.parameters)):
            is_equal(what, sorted(actual), sorted(values))
            for key, value in values.items():
                found = actual[key]
                if isinstance(found, datetime.datetime) and found.tzinfo is None:
                    found = found.replace(tzinfo=UTC)
                is_equal("%s %s" % (what, key), (type(found), found), (type(value), value))
        admin.update_rule(name, "one", read)
        is_equal("written back", admin.get_rule(name, "one", "mine").action.parameters, read.action.parameters)


def message_size(name, send):
    with client() as admin:
        created = admin.create_queue(name, max_message_size_in_kilobytes=2048)
        is_equal("size", created.max_message_size_in_kilobytes, 2048)
        is_equal("read", admin.get_queue(name).max_message_size_in_kilobytes, 2048)
        send(name)
        is_equal("taken", admin.get_queue_runtime_properties(name).total_message_count, 1)


def topic_runtime(name, traffic):
    with client() as admin:
        admin.create_topic(name)
        admin.create_subscription(name, "all")
        admin.create_subscription(name, "some")
        admin.delete_rule(name, "some", "$Default")
        admin.create_rule(
            name, "some", "large", filter=management.SqlRuleFilter("quantity > @least", parameters={"@least": 5}),
            action=management.SqlRuleAction("SET seen = @mark", parameters={"@mark": "yes"}),
        )
        traffic(name)
        counts = lambda properties: (
            properties.total_message_count, properties.active_message_count, properties.dead_letter_message_count
        )
        is_equal("all", counts(admin.get_subscription_runtime_properties(name, "all")), (3, 3, 0))
        is_equal("some", counts(admin.get_subscription_runtime_properties(name, "some")), (2, 1, 1))
        listed = {each.name: counts(each) for each in admin.list_subscriptions_runtime_properties(name)}
        is_equal("listed", listed, {"all": (3, 3, 0), "some": (2, 1, 1)})
        of_topic = admin.get_topic_runtime_properties(name)
        is_equal("the topic", (of_topic.subscription_count, of_topic.scheduled_message_count), (2, 1))
        if VERSION >= (7, 15):
            is_equal("correlation filters", of_topic.correlation_filter_count, 0)
            if of_topic.sql_filter_count < 1:
                raise AssertionError("there are %r SQL filters" % of_topic.sql_filter_count)


def runtime(name, send):
    with client() as admin:
        admin.create_queue(name)
        send(name)
        properties = admin.get_queue_runtime_properties(name)
        includes("counts", properties, dict(
            total_message_count=4, active_message_count=2, dead_letter_message_count=1, scheduled_message_count=1,
            transfer_message_count=0, transfer_dead_letter_message_count=0,
        ))
        if not (properties.size_in_bytes > 0 and properties.accessed_at_utc >= properties.created_at_utc):
            raise AssertionError("size or times: %r %r" % (properties.size_in_bytes, properties.accessed_at_utc))
        listed = [each for each in admin.list_queues_runtime_properties() if each.name == name]
        is_equal("listed", [each.total_message_count for each in listed], [4])


def refusals(name):
    with client() as admin:
        admin.create_queue(name)
        read = admin.get_queue(name)
        rejects("a conflict", core.ResourceExistsError, 409, lambda: admin.create_queue(name))
        is_missing("a missing queue", lambda: admin.get_queue(name + "-not"))
        is_missing("a missing topic", lambda: admin.get_topic(name + "-not"))
        rejects("a deletion of nothing", core.ResourceNotFoundError, 404, lambda: admin.delete_queue(name + "-not"))
        read.requires_session = True
        rejects("sessions afterwards", core.HttpResponseError, 400, lambda: admin.update_queue(read))
        rejects("a long lock", core.HttpResponseError, 400,
                lambda: admin.create_queue(name + "-not", lock_duration=minutes(6)))
        read.requires_session = False
        read.name = name + "-not"
        rejects("an update of nothing", core.ResourceNotFoundError, 404, lambda: admin.update_queue(read))
        rejects("a subscription of nothing", core.ResourceNotFoundError, 404,
                lambda: admin.create_subscription(name + "-not", "one"))


def wrong_key(name):
    with client("d3Jvbmc=") as admin:
        # The first versions have no kind of error for it.
        kind = core.ClientAuthenticationError if VERSION >= (7, 10) else core.HttpResponseError
        rejects("a wrong key", kind, 401, lambda: admin.create_queue(name))
    with client() as admin:
        is_missing("afterwards", lambda: admin.get_queue(name))
