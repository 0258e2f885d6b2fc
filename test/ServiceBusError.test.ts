/** Every class of error says what happened and what to do, and `retrySchedule` follows its advice. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as ServiceBusError from "../src/ServiceBusError.ts"
import { assert, describe, it } from "./support/vitest.ts"

const context = {
  entity: "orders",
  operation: "send",
  condition: "com.microsoft:some-condition",
  description: "The service says why",
  trackingId: "b7a1_G3_B1",
  attempts: 4
} as const

/** One instance of every class, with every field it can have; what the message must say, and what it advises. */
const catalogue: Record<ServiceBusError.Any["_tag"], {
  readonly make: () => ServiceBusError.Any
  readonly says: string
  readonly advises: string
  readonly transient: boolean
}> = {
  ServiceBusConnectionError: {
    make: () => new ServiceBusError.ServiceBusConnectionError(context),
    says: "The connection to Service Bus was lost",
    advises: "Retry the operation",
    transient: true
  },
  ServiceBusCommunicationError: {
    make: () => new ServiceBusError.ServiceBusCommunicationError(context),
    says: "Service Bus cannot be reached",
    advises: "Check the host name",
    transient: false
  },
  ServiceBusAuthenticationError: {
    make: () => new ServiceBusError.ServiceBusAuthenticationError(context),
    says: "The credential was refused",
    advises: "Check the key or token",
    transient: false
  },
  ServiceBusAuthorizationError: {
    make: () => new ServiceBusError.ServiceBusAuthorizationError(context),
    says: "Not authorized",
    advises: "the Send right",
    transient: false
  },
  OperationTimeoutError: {
    make: () => new ServiceBusError.OperationTimeoutError({ ...context, outcome: "unknown" }),
    says: "No answer in time",
    advises: "same message id",
    transient: true
  },
  MessageSizeExceededError: {
    make: () => new ServiceBusError.MessageSizeExceededError({ ...context, size: 300_000, limit: 262_144 }),
    says: "The message has 300000 bytes and 262144 are allowed",
    advises: "Send a smaller body",
    transient: false
  },
  MessageAlreadySettled: {
    make: () => new ServiceBusError.MessageAlreadySettled({ ...context, sequenceNumber: 7n }),
    says: "The message is settled already",
    advises: "Settle a message once",
    transient: false
  },
  MessageLockLostError: {
    make: () => new ServiceBusError.MessageLockLostError({ ...context, sequenceNumber: 7n }),
    says: "The lock on the message is lost",
    advises: "Renew the lock",
    transient: false
  },
  SessionLockLostError: {
    make: () => new ServiceBusError.SessionLockLostError(context),
    says: "The lock on the session is lost",
    advises: "Accept the session again",
    transient: false
  },
  SessionCannotBeLockedError: {
    make: () => new ServiceBusError.SessionCannotBeLockedError({ ...context, sessionId: "customer-1" }),
    says: "The session is locked by another receiver",
    advises: "Accept another session",
    transient: true
  },
  MessageNotFoundError: {
    make: () => new ServiceBusError.MessageNotFoundError({ ...context, missing: [9_007_199_254_740_993n, 2n] }),
    says: "No message with sequence number 9007199254740993, 2",
    advises: "dead-letter queue",
    transient: false
  },
  MessagingEntityNotFoundError: {
    make: () => new ServiceBusError.MessagingEntityNotFoundError(context),
    says: "The messaging entity does not exist",
    advises: "Create it",
    transient: false
  },
  MessagingEntityDisabledError: {
    make: () => new ServiceBusError.MessagingEntityDisabledError(context),
    says: "The messaging entity is disabled",
    advises: "Enable it",
    transient: false
  },
  MessagingEntityAlreadyExistsError: {
    make: () => new ServiceBusError.MessagingEntityAlreadyExistsError(context),
    says: "The messaging entity exists already",
    advises: "Use another name",
    transient: false
  },
  RuleNotFoundError: {
    make: () => new ServiceBusError.RuleNotFoundError({ ...context, rule: "urgent" }),
    says: "There is no rule \"urgent\"",
    advises: "List the rules",
    transient: false
  },
  ServiceBusQuotaExceededError: {
    make: () => new ServiceBusError.ServiceBusQuotaExceededError(context),
    says: "A quota of Service Bus is used up",
    advises: "Use less of it, or raise its limit",
    transient: false
  },
  ServiceBusServerBusyError: {
    make: () => new ServiceBusError.ServiceBusServerBusyError({ ...context, retryAfter: Duration.seconds(7) }),
    says: "Service Bus is busy",
    advises: "Try again after 7s",
    transient: true
  },
  AutoLockRenewFailed: {
    make: () => new ServiceBusError.AutoLockRenewFailed(context),
    says: "Renewing the lock failed",
    advises: "delivered again",
    transient: false
  },
  AutoLockRenewTimeout: {
    make: () => new ServiceBusError.AutoLockRenewTimeout(context),
    says: "The time for renewing the lock ended",
    advises: "Raise maxDuration",
    transient: false
  },
  ServiceBusError: {
    make: () => new ServiceBusError.ServiceBusError(context),
    says: "Service Bus refused",
    advises: "trying again unchanged will not help",
    transient: false
  },
  ConnectionStringError: {
    make: () => new ServiceBusError.ConnectionStringError({ part: "Endpoint", problem: "it is missing" }),
    says: "The connection string is malformed at Endpoint",
    advises: "it is missing",
    transient: false
  },
  CredentialError: {
    make: () => new ServiceBusError.CredentialError(context),
    says: "The credential gave no token",
    advises: "Check the identity",
    transient: false
  },
  MessageEncodeError: {
    make: () => new ServiceBusError.MessageEncodeError({ ...context, part: "body" }),
    says: "The body of the message cannot be encoded",
    advises: "correct the value",
    transient: false
  },
  MessageDecodeError: {
    make: () => new ServiceBusError.MessageDecodeError({ ...context, part: "body", sequenceNumber: 7n }),
    says: "The body of the message cannot be decoded",
    advises: "Correct the sender, or the schema",
    transient: false
  },
  InvalidOptionError: {
    make: () =>
      new ServiceBusError.InvalidOptionError({ ...context, option: "maxWait", expected: "a positive duration" }),
    says: "maxWait is not usable",
    advises: "Expected a positive duration",
    transient: false
  },
  NotSupportedError: {
    make: () => new ServiceBusError.NotSupportedError(context),
    says: "Not supported",
    advises: "Use another way",
    transient: false
  },
  EmulatorError: {
    make: () => new ServiceBusError.EmulatorError({ problem: "port 5672 is taken" }),
    says: "The embedded broker cannot do this",
    advises: "port 5672 is taken",
    transient: false
  }
}

type ErrorClass =
  & (abstract new(...args: ReadonlyArray<never>) => ServiceBusError.Any)
  & Schema.Codec<ServiceBusError.Any, unknown>

/** What the module exports as a class, found at run time: a class that was forgotten elsewhere is still in here. */
const classes: ReadonlyArray<readonly [string, ErrorClass]> = Object.entries(ServiceBusError).filter((entry) =>
  typeof entry[1] === "function" && entry[1].prototype instanceof Error
) as never

const hasContext = (error: ServiceBusError.Any) => "attempts" in error

describe("ServiceBusError", () => {
  it("exports a class for every tag, and no other", () => {
    assert.deepStrictEqual(classes.map(([name]) => name).toSorted(), Object.keys(catalogue).toSorted())
  })

  describe.each(classes)("%s", (name, self) => {
    const { advises, make, says, transient } = catalogue[name as ServiceBusError.Any["_tag"]]

    it("has the catalogue's name as its tag and its name", () => {
      const error = make()
      assert.isTrue(error instanceof self)
      assert.instanceOf(error, Error)
      assert.strictEqual(error._tag, name)
      assert.strictEqual(error.name, name)
    })

    it("says in one line what happened and what to do", () => {
      const { message } = make()
      assert.isTrue(message.startsWith(says), message)
      assert.include(message, advises)
      assert.isTrue(message.endsWith("."), message)
      assert.strictEqual(message.split(/[\r\n\u2028\u2029]/).length, 1)
    })

    it("includes entity, operation, attempts, description and condition", () => {
      const error = make()
      if (!hasContext(error)) return
      assert.include(
        error.message,
        ` during send on "orders"${
          // What is tried again says how often.
          transient || error._tag === "ServiceBusCommunicationError"
            ? " after 4 attempts"
            : ""}: The service says why (com.microsoft:some-condition). `
      )
      assert.strictEqual(error.trackingId, "b7a1_G3_B1")
    })

    it("leaves out what is not known", () => {
      const error = make()
      if (!hasContext(error)) return
      const { attempts: _, condition: _2, description: _3, entity: _4, operation: _5, ...rest } = error
      const bare = Reflect.construct(self, [rest]) as typeof error
      assert.isTrue(bare.message.startsWith(`${says}. `) || bare.message.startsWith(`${says} and `), bare.message)
      assert.notInclude(bare.message, "undefined")
      assert.strictEqual(bare.attempts, 1)
    })

    it("is one line whatever its parts hold", () => {
      const error = make()
      const dirty = Reflect.construct(self, [{
        ...error,
        entity: "a\nb",
        description: "c\r\nd\u2028e\u0085f",
        condition: "g\nh",
        problem: "i\nj"
      }]) as Error
      // oxlint-disable-next-line no-control-regex
      assert.notMatch(dirty.message, /[\x00-\x1f\x7f-\x9f\u2028\u2029]/)
    })

    it("knows whether it is transient", () => {
      assert.strictEqual(make().isTransient, transient)
      assert.strictEqual(ServiceBusError.isTransient(make()), transient)
    })

    it("is recognised by the guard", () => {
      assert.isTrue(ServiceBusError.isServiceBusError(make()))
    })

    it("goes through its Schema and through JSON", () => {
      const error = make()
      const decoded = Schema.decodeUnknownSync(self)(Schema.encodeUnknownSync(self)(error))
      const codec = Schema.toCodecJson(self)
      const text = JSON.stringify(Schema.encodeUnknownSync(codec)(error))
      const parsed = Schema.decodeUnknownSync(codec)(JSON.parse(text))
      for (const copy of [decoded, parsed]) {
        assert.isTrue(copy instanceof self)
        assert.deepStrictEqual({ ...copy }, { ...error })
        assert.strictEqual(copy.message, error.message)
      }
    })

    it.effect("is a failure when it is yielded", () =>
      Effect.gen(function*() {
        const error = make()
        const caught = yield* Effect.gen(function*() {
          return yield* Effect.fail(error)
        }).pipe(Effect.flip)
        assert.strictEqual(caught, error)
      }))
  })

  it("does not end a description twice", () => {
    const error = new ServiceBusError.ServiceBusConnectionError({ description: "It went away. . \n" })
    assert.strictEqual(
      error.message,
      "The connection to Service Bus was lost: It went away. Retry the operation; it reconnects."
    )
  })

  it("bounds the description in the message", () => {
    const error = new ServiceBusError.ServiceBusConnectionError({ description: "x".repeat(100_000) })
    assert.isBelow(error.message.length, 700)
  })

  it("keeps its cause through the Schema", () => {
    const error = new ServiceBusError.CredentialError({ cause: new Error("no identity") })
    const copy = Schema.decodeUnknownSync(ServiceBusError.CredentialError)(
      Schema.encodeUnknownSync(ServiceBusError.CredentialError)(error)
    )
    assert.instanceOf(copy.cause, Error)
    assert.strictEqual((copy.cause as Error).message, "no identity")
  })

  it("says of a timeout that was not sent that it is safe to repeat", () => {
    const error = new ServiceBusError.OperationTimeoutError({ outcome: "notSent" })
    assert.strictEqual(error.message, "No answer in time. Nothing was sent: it is safe to repeat.")
  })

  it("waits 10 seconds for a busy server that gives no advice", () => {
    const error = new ServiceBusError.ServiceBusServerBusyError({})
    assert.strictEqual(Duration.toSeconds(error.retryAfter), 10)
  })

  it.each([
    "amqp:internal-error",
    "amqp:connection:forced",
    "amqp:link:detach-forced",
    "amqp:link:transfer-limit-exceeded",
    "com.microsoft:server-busy",
    "com.microsoft:timeout",
    "com.microsoft:operation-cancelled",
    "com.microsoft:container-close",
    "com.microsoft:session-cannot-be-locked"
  ])("of the condition %s is transient and says so", (condition) => {
    const error = new ServiceBusError.ServiceBusError({ condition })
    assert.isTrue(error.isTransient)
    assert.include(error.message, "try again")
  })

  it.each(["amqp:not-allowed", "com.microsoft:argument-error", "something:new", undefined])(
    "of the condition %s is not transient",
    (condition) => {
      const error = new ServiceBusError.ServiceBusError(condition === undefined ? {} : { condition })
      assert.isFalse(error.isTransient)
    }
  )

  it.each([
    ["undefined", undefined],
    ["null", null],
    ["a string", "ServiceBusError"],
    ["an Error", new Error("ServiceBusError")],
    ["an object with a tag", { _tag: "ServiceBusError" }],
    ["an Error with another tag", Object.assign(new Error("x"), { _tag: "SchemaError" })],
    ["an Error with a tag that is not text", Object.assign(new Error("x"), { _tag: 1 })]
  ])("does not recognise %s", (_, value) => {
    assert.isFalse(ServiceBusError.isServiceBusError(value))
    assert.isFalse(ServiceBusError.isTransient(value))
  })
})

describe("an error that there may be one of for each message", () => {
  it.each([ServiceBusError.MessageDecodeError, ServiceBusError.MessageLockLostError])(
    "has no stack, and leaves those of others: %o",
    (Class) => {
      const { stackTraceLimit } = Error
      const error: ServiceBusError.Any = new Class({ ...context, part: "body" })
      assert.isTrue(error instanceof Class)
      assert.strictEqual(error.stack, `${error._tag}: ${error.message}`)
      assert.strictEqual(Cause.pretty(Cause.fail(error)), error.stack)
      assert.throws(() => new Class({ sequenceNumber: "1" } as never))
      assert.strictEqual(Error.stackTraceLimit, stackTraceLimit)
      assert.include(catalogue.MessageAlreadySettled.make().stack, "ServiceBusError.test.ts")
    }
  )
})

describe("retrySchedule", () => {
  /** Runs an effect that always fails and says when it was tried, in milliseconds of virtual time. */
  const attemptsOf = Effect.fnUntraced(function*<E>(failures: (attempt: number) => E) {
    const times: Array<number> = []
    const fiber = yield* Effect.gen(function*() {
      times.push(yield* Clock.currentTimeMillis)
      return yield* Effect.fail(failures(times.length))
    }).pipe(
      Effect.retry(ServiceBusError.retrySchedule),
      Effect.flip,
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 hour")
    const last = yield* Fiber.join(fiber)
    return { times, last, delays: times.slice(1).map((time, i) => time - times[i]!) }
  })

  it.effect("tries a transient failure three times more, further and further apart", () =>
    Effect.gen(function*() {
      const { delays, last, times } = yield* attemptsOf((attempts) =>
        new ServiceBusError.ServiceBusConnectionError({ attempts })
      )
      assert.strictEqual(times.length, 4)
      const within = (delay: number, base: number) => delay >= base * 0.8 && delay <= base * 1.2
      assert.isTrue(within(delays[0]!, 800), `${delays}`)
      assert.isTrue(within(delays[1]!, 1600), `${delays}`)
      assert.isTrue(within(delays[2]!, 3200), `${delays}`)
      assert.instanceOf(last, ServiceBusError.ServiceBusConnectionError)
      assert.strictEqual(last.attempts, 4)
    }))

  it.effect("spreads the retries of many callers", () =>
    Effect.gen(function*() {
      const delays = new Set<number>()
      for (const seed of ["a", "b", "c", "d"]) {
        const run = yield* attemptsOf(() => new ServiceBusError.ServiceBusConnectionError({})).pipe(
          Random.withSeed(seed)
        )
        delays.add(run.delays[0]!)
      }
      assert.isAbove(delays.size, 1)
    }))

  it.effect("does not try again what is not transient", () =>
    Effect.gen(function*() {
      const { last, times } = yield* attemptsOf(() => new ServiceBusError.MessagingEntityNotFoundError({}))
      assert.strictEqual(times.length, 1)
      assert.strictEqual(last._tag, "MessagingEntityNotFoundError")
    }))

  it.effect("does not try again what is no error of this library", () =>
    Effect.gen(function*() {
      const { last, times } = yield* attemptsOf(() => "boom")
      assert.strictEqual(times.length, 1)
      assert.strictEqual(last, "boom")
    }))

  it.effect("stops at the first failure that is not transient, and fails with it", () =>
    Effect.gen(function*() {
      const { last, times } = yield* attemptsOf((attempt) =>
        attempt < 3
          ? new ServiceBusError.ServiceBusConnectionError({})
          : new ServiceBusError.MessagingEntityDisabledError({})
      )
      assert.strictEqual(times.length, 3)
      assert.strictEqual(last._tag, "MessagingEntityDisabledError")
    }))

  it.effect("waits at least retryAfter for a busy server", () =>
    Effect.gen(function*() {
      const { delays } = yield* attemptsOf(() =>
        new ServiceBusError.ServiceBusServerBusyError({ retryAfter: Duration.seconds(20) })
      )
      assert.deepStrictEqual(delays, [20_000, 20_000, 20_000])
    }))

  it.effect("keeps its own backoff where the advice is shorter", () =>
    Effect.gen(function*() {
      const { delays } = yield* attemptsOf(() =>
        new ServiceBusError.ServiceBusServerBusyError({ retryAfter: Duration.zero })
      )
      assert.isTrue(delays[0]! >= 640 && delays[2]! >= 2560, `${delays}`)
    }))

  it.effect("succeeds with the attempt that succeeds", () =>
    Effect.gen(function*() {
      let attempts = 0
      const fiber = yield* Effect.suspend(() =>
        ++attempts < 3
          ? Effect.fail(new ServiceBusError.OperationTimeoutError({ outcome: "notSent" }))
          : Effect.succeed("sent")
      ).pipe(Effect.retry(ServiceBusError.retrySchedule), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(fiber), "sent")
      assert.strictEqual(attempts, 3)
    }))
})

it("what peeks says how to look at a message that does not decode", () => {
  const error = new ServiceBusError.MessageDecodeError({ entity: "orders", operation: "peek", part: "body" })
  assert.include(error.message, "Look at it by the plain name of the entity, or by peekRaw or browseRaw")
  assert.notInclude(error.message, "Correct the sender")
})

it("an operation says which right it needs, where the service does not", () => {
  const messageOf = (operation: string) => new ServiceBusError.ServiceBusAuthorizationError({ operation }).message
  assert.include(messageOf("send"), "the Send right")
  assert.include(messageOf("process"), "the Listen right")
  assert.include(messageOf("authorize"), "the Send, Listen or Manage right")
})
