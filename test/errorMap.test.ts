/** Each condition, status and failure of a socket becomes its error, with the text of the peer made safe. */
import * as Duration from "effect/Duration"
import * as errorMap from "../src/internal/errorMap.ts"
import * as ServiceBusError from "../src/ServiceBusError.ts"
import { assert, describe, it } from "./support/vitest.ts"

type Tag = ServiceBusError.Any["_tag"]

/** The conditions of the protocol reference, section 8.1, and the class of each. */
const conditions: ReadonlyArray<readonly [condition: string, tag: Tag]> = [
  ["amqp:internal-error", "ServiceBusError"],
  ["amqp:not-found", "MessagingEntityNotFoundError"],
  ["amqp:unauthorized-access", "ServiceBusAuthorizationError"],
  ["amqp:decode-error", "ServiceBusError"],
  ["amqp:resource-limit-exceeded", "ServiceBusQuotaExceededError"],
  ["amqp:not-allowed", "ServiceBusError"],
  ["amqp:invalid-field", "ServiceBusError"],
  ["amqp:not-implemented", "ServiceBusError"],
  ["amqp:resource-locked", "ServiceBusError"],
  ["amqp:precondition-failed", "ServiceBusError"],
  ["amqp:resource-deleted", "ServiceBusError"],
  ["amqp:illegal-state", "ServiceBusError"],
  ["amqp:frame-size-too-small", "ServiceBusError"],
  ["amqp:connection:forced", "ServiceBusConnectionError"],
  ["amqp:connection:framing-error", "ServiceBusError"],
  ["amqp:connection:redirect", "ServiceBusError"],
  ["amqp:session:window-violation", "ServiceBusError"],
  ["amqp:session:errant-link", "ServiceBusError"],
  ["amqp:session:handle-in-use", "ServiceBusError"],
  ["amqp:session:unattached-handle", "ServiceBusError"],
  ["amqp:link:detach-forced", "ServiceBusConnectionError"],
  ["amqp:link:transfer-limit-exceeded", "ServiceBusError"],
  ["amqp:link:message-size-exceeded", "MessageSizeExceededError"],
  ["amqp:link:redirect", "ServiceBusError"],
  ["amqp:link:stolen", "ServiceBusError"],
  ["amqp:transaction:unknown-id", "ServiceBusError"],
  ["amqp:transaction:rollback", "ServiceBusError"],
  ["amqp:transaction:timeout", "ServiceBusError"],
  ["com.microsoft:server-busy", "ServiceBusServerBusyError"],
  ["com.microsoft:timeout", "OperationTimeoutError"],
  ["com.microsoft:operation-cancelled", "ServiceBusError"],
  ["com.microsoft:container-close", "ServiceBusConnectionError"],
  ["com.microsoft:argument-error", "ServiceBusError"],
  ["com.microsoft:argument-out-of-range", "ServiceBusError"],
  ["com.microsoft:auth-failed", "ServiceBusAuthorizationError"],
  ["com.microsoft:entity-disabled", "MessagingEntityDisabledError"],
  ["com.microsoft:entity-already-exists", "MessagingEntityAlreadyExistsError"],
  ["com.microsoft:message-lock-lost", "MessageLockLostError"],
  ["com.microsoft:session-lock-lost", "SessionLockLostError"],
  ["com.microsoft:session-cannot-be-locked", "SessionCannotBeLockedError"],
  ["com.microsoft:message-not-found", "MessageNotFoundError"],
  ["com.microsoft:session-not-found", "ServiceBusError"],
  ["com.microsoft:message-wait-timeout", "ServiceBusError"],
  ["com.microsoft:store-lock-lost", "ServiceBusError"],
  ["com.microsoft:partition-not-owned", "ServiceBusError"],
  ["com.microsoft:no-matching-subscription", "ServiceBusError"],
  ["com.microsoft:publisher-revoked", "ServiceBusError"],
  ["com.microsoft:address-already-in-use", "ServiceBusError"],
  ["com.microsoft:relay-not-found", "ServiceBusError"],
  ["com.microsoft:precondition-failed", "ServiceBusError"],
  ["some.vendor:unheard-of", "ServiceBusError"],
  ["", "ServiceBusError"]
]

const context = { entity: "orders", operation: "send" }

describe("fromCondition", () => {
  it.each(conditions)("%s is a %s", (condition, tag) => {
    const error = errorMap.fromCondition({ condition, description: "why" }, context) as ServiceBusError.ServiceBusError
    assert.strictEqual(error._tag as Tag, tag)
    assert.strictEqual(error.condition, condition)
    assert.strictEqual(error.description, "why")
    assert.strictEqual(error.entity, "orders")
    assert.strictEqual(error.operation, "send")
    assert.isFalse("cause" in error)
  })

  it("keeps the cause", () => {
    const cause = new Error("socket")
    const error = errorMap.fromCondition({ condition: "amqp:not-found" }, { cause })
    assert.strictEqual(error.cause, cause)
  })

  it("has no description where the peer gives none", () => {
    const error = errorMap.fromCondition({ condition: "amqp:not-found" }, {})
    assert.isFalse("description" in error)
    assert.isFalse("entity" in error)
  })

  it("cannot know what became of a request that timed out at the service", () => {
    const error = errorMap.fromCondition({ condition: "com.microsoft:timeout" }, {})
    assert.strictEqual((error as ServiceBusError.OperationTimeoutError).outcome, "unknown")
  })

  it.each([
    [
      "The received message (delivery-id:0, size:262245 bytes) exceeds the limit (262144 bytes) currently allowed on the link.",
      262_245,
      262_144
    ],
    ["Too large", 0, 0],
    [undefined, 0, 0],
    [`size:${"9".repeat(400)} limit (${"9".repeat(400)}`, 999_999_999_999_999, 999_999_999_999_999]
  ])("reads size and limit from %s", (description, size, limit) => {
    const error = errorMap.fromCondition(
      { condition: "amqp:link:message-size-exceeded", description },
      {}
    ) as ServiceBusError.MessageSizeExceededError
    assert.strictEqual(error.size, size)
    assert.strictEqual(error.limit, limit)
  })

  it.each([
    ["The request was terminated because the namespace is being throttled. Please wait 2 seconds and try again.", 2],
    ["Please WAIT 1 second", 1],
    ["wait 0 seconds", 0],
    ["wait a moment", 10],
    ["wait 1234567 seconds", 10],
    ["", 10],
    [undefined, 10]
  ])("takes the advice of %s", (description, seconds) => {
    const error = errorMap.fromCondition(
      { condition: "com.microsoft:server-busy", description },
      {}
    ) as ServiceBusError.ServiceBusServerBusyError
    assert.strictEqual(Duration.toSeconds(error.retryAfter), seconds)
  })
})

describe("what a contract says of sessions", () => {
  it.each([
    [
      "It is not possible for an entity that requires sessions to create a non-sessionful message receiver. TrackingId:7_B5",
      "sessions",
      "sessions: true in the contract"
    ],
    [
      "A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure RequiresSession is " +
      "set to true when creating a Queue or Subscription to enable sessionful behavior. TrackingId:7_B5",
      "sessions",
      "a contract without sessions: true"
    ],
    [
      "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session support enabled " +
      "can only receive messages that have the SessionId set to a valid value. Reference:8, TrackingId:7_B5",
      "sessionId",
      "sessions: true in the contract"
    ]
  ])("is told where the entity refuses it: %s", (description, option, advice) => {
    const error = errorMap.attachError({ condition: "amqp:not-allowed", description }, { entity: "orders" })
    assert.instanceOf(error, ServiceBusError.InvalidOptionError)
    assert.strictEqual(error.option, option)
    assert.strictEqual(error.condition, "amqp:not-allowed")
    assert.strictEqual(error.trackingId, "7_B5")
    assert.include(error.message, advice)
    assert.isFalse(error.isTransient)
  })
})

describe("text of a peer", () => {
  const described = (description: unknown) => {
    const error = errorMap.fromCondition({ condition: "amqp:not-allowed", description: description as string }, {})
    return error as ServiceBusError.ServiceBusError
  }

  it.each([
    ["CR and LF", "one\r\ntwo\nthree", "one two three"],
    ["control characters", "a\x00\x07b\x7fc", "a b c"],
    ["C1 control characters", "a\x85b\x9b31mc", "a b 31mc"],
    ["colours of a terminal", "\x1b[31;1mred\x1b[0m and \x1b[2Jclear", "red and clear"],
    ["an escape that begins nothing", "a\x1bb", "a b"],
    ["line and paragraph separators", "a\u2028b\u2029c", "a b c"],
    ["marks that turn the direction", "a\u202eb\u2066c", "a b c"],
    ["white space around", "  a  ", "a"],
    ["letters of any language", "Größe überschritten 日本語 🚌", "Größe überschritten 日本語 🚌"]
  ])("cleans %s", (_, description, expected) => {
    assert.strictEqual(described(description).description, expected)
  })

  it.each([[""], ["\r\n"], ["   "], [undefined], [null], [42], [{ toString: () => "x" }]])(
    "leaves out %j",
    (description) => {
      assert.isFalse("description" in described(description))
    }
  )

  it("has at most 512 characters", () => {
    assert.strictEqual(described("x".repeat(513)).description, "x".repeat(512))
    assert.strictEqual(described("x".repeat(512)).description, "x".repeat(512))
  })

  it("is bounded before it is read: a megabyte of anything is nothing", () => {
    for (const part of [" ", "Reference:a", "sig=", "\x1b[", "\n", "TrackingId:", "size:", "wait "]) {
      assert.isAtMost(described(part.repeat(1_000_000 / part.length)).description?.length ?? 0, 512)
    }
  })

  it("has the tracking id apart", () => {
    const error = described(
      "The messaging entity 'sb://contoso/orders' could not be found. Reference:0f8b2c1e-1, TrackingId:0f8b2c1e-aa_G3_B12, SystemTracker:contoso:Queue:orders, Timestamp:2024-01-01T00:00:00"
    )
    assert.strictEqual(error.description, "The messaging entity 'sb://contoso/orders' could not be found.")
    assert.strictEqual(error.trackingId, "0f8b2c1e-aa_G3_B12")
  })

  it("has the tracking id apart without a reference, over several lines", () => {
    const error = described("It is gone.\r\nTrackingId:abc_G1\nSystemTracker:x\nTimestamp:y")
    assert.strictEqual(error.description, "It is gone.")
    assert.strictEqual(error.trackingId, "abc_G1")
  })

  it("finds the tracking id after a long text, and bounds it", () => {
    const error = described(`${"x".repeat(100_000)} TrackingId:${"a".repeat(1000)}`)
    assert.strictEqual(error.description, "x".repeat(512))
    assert.strictEqual(error.trackingId, "a".repeat(128))
  })

  it("has no tracking id that is not one", () => {
    const error = described("Gone. TrackingId: , SystemTracker:x")
    assert.isFalse("trackingId" in error)
    assert.strictEqual(error.description, "Gone.")
  })

  it.each([
    "refused SharedAccessSignature sr=sb%3a%2f%2fcontoso&sig=SECRET%3d&se=1700000000&skn=Root",
    "refused sig=SECRET",
    "refused SIG=SECRET&se=1",
    "refused Endpoint=sb://contoso/;SharedAccessKeyName=Root;SharedAccessKey=SECRET=;EntityPath=orders"
  ])("has no secret: %s", (description) => {
    const error = described(description)
    assert.notInclude(JSON.stringify(error), "SECRET")
    assert.notInclude(error.message, "SECRET")
    assert.include(error.message, "<redacted>")
  })

  it("cleans and bounds the condition too", () => {
    const error = errorMap.fromCondition({ condition: `amqp:\n\x1b[31m${"x".repeat(100_000)}` }, {})
    assert.match((error as ServiceBusError.ServiceBusError).condition!, /^amqp: x{1,128}$/)
    assert.isBelow(error.message.length, 300)
  })
})

/** The tags of each union, written out: what a narrowing function may give. */
const connect: ReadonlyArray<Tag> = [
  "ServiceBusConnectionError",
  "ServiceBusCommunicationError",
  "ServiceBusAuthenticationError",
  "OperationTimeoutError",
  "CredentialError",
  "ServiceBusQuotaExceededError",
  "ServiceBusError"
]
const attach: ReadonlyArray<Tag> = [
  ...connect,
  "ServiceBusAuthorizationError",
  "MessagingEntityNotFoundError",
  "MessagingEntityDisabledError",
  "ServiceBusServerBusyError",
  "InvalidOptionError"
]
const unions = [
  ["connectError", errorMap.connectError, connect],
  ["attachError", errorMap.attachError, attach],
  ["sendError", errorMap.sendError, [...attach, "MessageSizeExceededError", "MessageEncodeError"]],
  ["settleError", errorMap.settleError, [
    ...attach,
    "MessageLockLostError",
    "MessageAlreadySettled",
    "MessageEncodeError",
    "NotSupportedError"
  ]],
  ["renewError", errorMap.renewError, [...attach, "MessageLockLostError"]]
] as const

/** One error of every class. */
const everyError: ReadonlyArray<ServiceBusError.Any> = [
  ...conditions.map(([condition]) => errorMap.fromCondition({ condition, description: "why" }, context)),
  new ServiceBusError.ServiceBusCommunicationError({}),
  new ServiceBusError.ServiceBusAuthenticationError({}),
  new ServiceBusError.MessageAlreadySettled({}),
  new ServiceBusError.AutoLockRenewFailed({}),
  new ServiceBusError.AutoLockRenewTimeout({}),
  new ServiceBusError.ConnectionStringError({ part: "Endpoint", problem: "it is missing" }),
  new ServiceBusError.CredentialError({}),
  new ServiceBusError.MessageEncodeError({ part: "body" }),
  new ServiceBusError.MessageDecodeError({ part: "body" }),
  new ServiceBusError.InvalidOptionError({ option: "x", expected: "y" }),
  new ServiceBusError.NotSupportedError({}),
  new ServiceBusError.RuleNotFoundError({ rule: "x" }),
  new ServiceBusError.EmulatorError({ problem: "x" })
]

describe("narrowing", () => {
  it("is tried with every class", () => {
    const classes = Object.values(ServiceBusError).filter((value) =>
      typeof value === "function" && value.prototype instanceof Error
    )
    assert.strictEqual(new Set(everyError.map((error) => error._tag)).size, classes.length)
  })

  describe.each(unions)("%s", (_, narrow, tags) => {
    it.each(conditions)("of the condition %s stays in its union", (condition, tag) => {
      const error = narrow({ condition, description: "why TrackingId:t1" }, context) as ServiceBusError.ServiceBusError
      assert.strictEqual(error._tag as Tag, tags.includes(tag) ? tag : "ServiceBusError")
      assert.strictEqual(error.condition, condition)
      assert.strictEqual(error.description, "why")
      assert.strictEqual(error.trackingId, "t1")
      assert.strictEqual(error.entity, "orders")
      assert.strictEqual(error.operation, "send")
    })

    it("keeps what its union has and says what it had to replace", () => {
      for (const error of everyError) {
        const narrowed = narrow(error)
        if (tags.includes(error._tag)) {
          assert.strictEqual(narrowed, error)
        } else {
          assert.strictEqual(narrowed._tag, "ServiceBusError")
          assert.include(
            narrowed.message,
            "description" in error && error.description !== undefined ? error.description : error.message.slice(0, -1)
          )
        }
      }
    })

    it("keeps attempts and cause", () => {
      const cause = new Error("socket")
      const narrowed = narrow(new ServiceBusError.SessionLockLostError({ attempts: 3, cause }))
      assert.strictEqual(narrowed._tag, "ServiceBusError")
      assert.strictEqual(narrowed.attempts, 3)
      assert.strictEqual(narrowed.cause, cause)
    })

    it("keeps a transient failure transient", () => {
      for (const error of everyError) {
        if (error.isTransient) assert.isTrue(narrow(error).isTransient, error._tag)
      }
    })
  })
})

describe("what the service's texts name", () => {
  const tracking = " TrackingId:5e8d_G1, SystemTracker:gateway5, Timestamp:2019-01-11T07:01:37"

  it.each<[string, ServiceBusError.ServiceBusAuthorizationError["claim"]]>([
    // azure-sdk-for-java #27831
    [
      "Unauthorized access. 'Listen' claim(s) are required to perform this operation. Resource: 'sb://a.b/q'.",
      "Listen"
    ],
    // azure-sdk-for-go, client_test.go
    ["Unauthorized access. 'Send' claim(s) are required to perform this operation. Resource: 'sb://a.b/q'.", "Send"],
    // azure-docs #76896
    [
      "Unauthorized access. 'Listen,Manage,SubscriptionRuleRead' claim(s) are required to perform this operation.",
      "Listen"
    ],
    ["Unauthorized access. 'EntityRead,Manage' claim(s) are required to perform this operation.", "Manage"],
    ["Unauthorized access. 'EntityRead' claim(s) are required to perform this operation.", undefined],
    ["ExpiredToken: The token is expired.", undefined],
    ["", undefined]
  ])("%s: the claim %s", (text, claim) => {
    const error = errorMap.attachError({ condition: "amqp:unauthorized-access", description: `${text}${tracking}` })
    assert.strictEqual(error._tag, "ServiceBusAuthorizationError")
    assert.strictEqual((error as ServiceBusError.ServiceBusAuthorizationError).claim, claim)
    assert.include(
      error.message,
      claim === undefined ? "the Send, Listen or Manage right" : `Give the identity the ${claim} right`
    )
  })

  it.each<[string, ServiceBusError.ServiceBusQuotaExceededError["quota"]]>([
    // Service Bus documentation, messaging exceptions
    [
      "The maximum entity size has been reached or exceeded for Topic: 'x'. Size of entity in bytes:1073742326, Max entity size in bytes:1073741824..",
      "entitySize"
    ],
    ["ConnectionsQuotaExceeded for namespace xxx.", "connections"],
    // Stack Overflow 17998291
    [
      "The number of maximumallowed connections have been reached or exceeded for Queue Number of active connections: 100, Maximum allowed connections: 100.",
      "connections"
    ],
    // azure-sdk-for-java #25718
    [
      "Cannot allocate more handles to the current session or connection. The maximum number of handles allowed is 255. Please free up resources and try again.",
      "links"
    ],
    // azure-service-bus-dotnet #237
    ["Cannot allocate more handles. The maximum number of handles is 4999.", "links"],
    // azure-sdk-for-js #1714
    ["The maximum number of '1000' tokens per connection has been reached.", "tokens"],
    ["Could not allocate receiver Link object", undefined],
    ["", undefined]
  ])("%s: the quota %s", (text, quota) => {
    const error = errorMap.connectError({
      condition: "amqp:resource-limit-exceeded",
      description: `${text}${tracking}`
    })
    assert.strictEqual(error._tag, "ServiceBusQuotaExceededError")
    assert.strictEqual((error as ServiceBusError.ServiceBusQuotaExceededError).quota, quota)
  })

  it("a token that $cbs has no place for is not one that is refused", () => {
    const text = "The maximum number of '1000' tokens per connection has been reached."
    const error = errorMap.fromCbs(403, undefined, text, { entity: "orders" })
    assert.strictEqual(error._tag, "ServiceBusQuotaExceededError")
    assert.strictEqual((error as ServiceBusError.ServiceBusQuotaExceededError).quota, "tokens")
    assert.include(error.message, "another client")
  })

  it("a text without end costs no time", () => {
    const description = `Unauthorized access. '${"Listen,".repeat(1_000_000)}`
    const error = errorMap.attachError({ condition: "amqp:unauthorized-access", description })
    assert.isUndefined((error as ServiceBusError.ServiceBusAuthorizationError).claim)
  })
})

describe("fromStatus", () => {
  it.each([
    [400, "amqp:not-allowed"],
    [401, "amqp:unauthorized-access"],
    [403, "amqp:resource-limit-exceeded"],
    [404, "amqp:not-found"],
    [408, "com.microsoft:timeout"],
    [409, "com.microsoft:entity-already-exists"],
    [410, "amqp:link:stolen"],
    [500, "amqp:internal-error"],
    [501, "amqp:not-implemented"],
    [503, "com.microsoft:server-busy"],
    [0, "amqp:internal-error"],
    [418, "amqp:internal-error"],
    [Number.NaN, "amqp:internal-error"]
  ])("%d without a condition is %s", (status, condition) => {
    assert.deepStrictEqual(errorMap.fromStatus(status, undefined, "why"), { condition, description: "why" })
  })

  it("prefers the condition of the answer", () => {
    assert.deepStrictEqual(errorMap.fromStatus(410, "com.microsoft:message-lock-lost", undefined), {
      condition: "com.microsoft:message-lock-lost",
      description: undefined
    })
  })
})

describe("fromCbs", () => {
  const ours = { entity: "orders", operation: "authorize" }

  it.each<[number, string | undefined, Tag]>([
    [401, undefined, "ServiceBusAuthenticationError"],
    [401, "amqp:unauthorized-access", "ServiceBusAuthenticationError"],
    [401, "com.microsoft:auth-failed", "ServiceBusAuthenticationError"],
    [400, "amqp:unauthorized-access", "ServiceBusAuthenticationError"],
    [403, undefined, "ServiceBusAuthenticationError"],
    [403, "amqp:link:transfer-limit-exceeded", "ServiceBusAuthenticationError"],
    [404, undefined, "MessagingEntityNotFoundError"],
    [404, "amqp:not-found", "MessagingEntityNotFoundError"],
    [400, "amqp:not-found", "MessagingEntityNotFoundError"],
    [503, undefined, "ServiceBusServerBusyError"],
    [500, "com.microsoft:server-busy", "ServiceBusServerBusyError"],
    [400, undefined, "ServiceBusError"],
    [400, "amqp:invalid-field", "ServiceBusError"],
    [408, undefined, "ServiceBusError"],
    [500, undefined, "ServiceBusError"],
    [501, undefined, "ServiceBusError"],
    [0, undefined, "ServiceBusError"]
  ])("%d with %s is a %s", (status, condition, tag) => {
    const error = errorMap.fromCbs(status, condition, "why", ours)
    assert.strictEqual(error._tag as Tag, tag)
    assert.strictEqual(error.description, "why")
    assert.strictEqual(error.entity, "orders")
    assert.strictEqual(error.operation, "authorize")
    if (condition !== undefined) assert.strictEqual(error.condition, condition)
  })

  it("is transient where the service did not answer in time, or failed", () => {
    assert.isTrue(errorMap.fromCbs(408, undefined, undefined, {}).isTransient)
    assert.isTrue(errorMap.fromCbs(500, undefined, undefined, {}).isTransient)
    assert.isFalse(errorMap.fromCbs(401, undefined, undefined, {}).isTransient)
  })

  it("takes the advice of a busy service", () => {
    const error = errorMap.fromCbs(503, undefined, "Please wait 3 seconds and try again.", {})
    assert.strictEqual(Duration.toSeconds((error as ServiceBusError.ServiceBusServerBusyError).retryAfter), 3)
  })

  it("does not repeat the token", () => {
    const error = errorMap.fromCbs(
      401,
      "amqp:unauthorized-access",
      "InvalidSignature: The token has an invalid signature. sr=x&sig=SECRET&se=1. TrackingId:abc",
      {}
    )
    assert.notInclude(error.message, "SECRET")
    assert.strictEqual(error.trackingId, "abc")
  })
})

describe("fromSocket", () => {
  const endpoint = { host: "contoso.servicebus.windows.net", port: 5671 }
  const withCode = (code: string) => Object.assign(new Error(`failed ${code}`), { code })

  it.each([
    "ENOTFOUND",
    "ECONNREFUSED",
    "EHOSTUNREACH",
    "EHOSTDOWN",
    "ENETUNREACH",
    "ENETDOWN",
    "ENONET",
    "EADDRNOTAVAIL",
    "EAI_AGAIN",
    "EACCES",
    "EPERM",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "CERT_HAS_EXPIRED",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "ERR_SSL_PACKET_LENGTH_TOO_LONG"
  ])("%s means that the host cannot be reached", (code) => {
    const cause = withCode(code)
    const error = errorMap.fromSocket(cause, endpoint, "connect")
    assert.strictEqual(error._tag, "ServiceBusCommunicationError")
    assert.include(error.message, "contoso.servicebus.windows.net:5671")
    assert.include(error.message, code)
    assert.include(error.message, "during connect")
    assert.strictEqual(error.cause, cause)
  })

  it.each(["ECONNRESET", "EPIPE", "ETIMEDOUT", "ECONNABORTED", "ENETRESET", "EUNHEARDOF"])(
    "%s means that the connection was lost",
    (code) => {
      const error = errorMap.fromSocket(withCode(code))
      assert.strictEqual(error._tag, "ServiceBusConnectionError")
      assert.include(error.message, code)
      assert.isFalse("operation" in error)
    }
  )

  it("takes the first code of an AggregateError, which connecting to several addresses gives", () => {
    const error = errorMap.fromSocket(
      new AggregateError([new Error("no code"), withCode("ECONNREFUSED"), withCode("ETIMEDOUT")]),
      endpoint
    )
    assert.strictEqual(error._tag, "ServiceBusCommunicationError")
    assert.strictEqual(error.description, "contoso.servicebus.windows.net:5671: the port refuses (ECONNREFUSED)")
    const plain = errorMap.fromSocket(
      Object.assign(new Error("wrong version"), { code: "ERR_SSL_WRONG_VERSION_NUMBER" })
    )
    assert.include(
      plain.message,
      "plain TCP, of an emulator, is spoken by a connection string with UseDevelopmentEmulator=true"
    )
  })

  it.each([
    ["an Error without a code", new Error("it\nbroke"), "it broke"],
    ["a string", "broken", "broken"],
    ["nothing", undefined, "undefined"],
    ["an empty AggregateError", new AggregateError([], "all of them"), "all of them"]
  ])("makes the connection lost of %s", (_, cause, description) => {
    const error = errorMap.fromSocket(cause)
    assert.strictEqual(error._tag, "ServiceBusConnectionError")
    assert.strictEqual(error.description, description)
  })
})

describe("connectionLost", () => {
  it("says why", () => {
    const cause = new Error("x")
    const error = errorMap.connectionLost("the peer\nsent nothing", cause)
    assert.strictEqual(error.description, "the peer sent nothing")
    assert.strictEqual(error.cause, cause)
    assert.isFalse("cause" in errorMap.connectionLost("x"))
  })
})
