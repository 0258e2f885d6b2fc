/**
 * Nothing is on a user's console that is not the library's own log: no word of rhea's, and no warning of Node's, however many
 * links there are and whatever a peer says. One after the other: all tests of a process share its console.
 */
import { Effect, Logger, Redacted, type Scope } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Raw from "../../support/frames.ts"
import { both, type LayerFor, linkOf, type Name, Texts } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })

const methods = ["log", "info", "debug", "warn", "error", "trace"] as const

/** What is said on the console and by Node while something runs, and for a moment after. */
const heard = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const words: Array<string> = []
  const onWarning = (warning: Error) => void words.push(warning.stack ?? String(warning))
  yield* Effect.acquireUseRelease(
    Effect.sync(() => {
      process.on("warning", onWarning)
      const console = globalThis.console
      const own = methods.map((name) => console[name])
      for (const name of methods) console[name] = (...args: ReadonlyArray<unknown>) => void words.push(args.join(" "))
      return own
    }),
    () => Effect.andThen(effect, Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))),
    (own) =>
      Effect.sync(() => {
        process.off("warning", onWarning)
        for (const [i, name] of methods.entries()) globalThis.console[name] = own[i]!
      })
  )
  return words
})

const many = <A, E, R>(count: number, make: (index: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }, (_, i) => i), make, { concurrency: "unbounded" })

/** How many listeners the objects under a link have for any event, at most. */
const listenersOf = (holder: object): number => {
  const { rhea } = linkOf(holder)
  const emitters = [rhea, rhea.session, rhea.session.connection] as unknown as ReadonlyArray<NodeJS.EventEmitter>
  return Math.max(...emitters.flatMap((emitter) => emitter.eventNames().map((name) => emitter.listenerCount(name))))
}

const ours = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const senders = yield* many(50, () => ServiceBusSender.make(Texts))
  const receivers = yield* many(50, () => ServiceBusReceiver.make(Texts))
  yield* many(20, (i) => emulator.send(Carts, [{ body: "x", sessionId: String(i) }]))
  const sessions = yield* many(20, (i) => ServiceBusSession.accept(Carts, String(i)))
  assert.isAtMost(Math.max(...[...senders, ...receivers].map(listenersOf)), 12)
  // rhea-promise listens to the connection for each link that is being attached, and says 1,000 to Node.
  const { connection } = linkOf(senders[0]!).rhea.session
  assert.strictEqual((connection as unknown as NodeJS.EventEmitter).getMaxListeners(), 0)
  yield* many(50, (i) => senders[i]!.send({ body: "x" }))
  // Many at a time on one link.
  yield* many(30, () => receivers[0]!.receive({ maxWait: "50 millis" }))
  yield* many(50, (i) => receivers[i]!.receive({ max: 1, maxWait: "10 millis" }))
  yield* many(50, (i) => receivers[i]!.peek())
  yield* many(30, () => receivers[0]!.peek())
  yield* many(30, (i) => senders[0]!.schedule({ body: "x" }, `${i + 1} hours`))
  yield* many(20, (i) => sessions[i]!.state)
}).pipe(Effect.scoped)

const suite = (name: Name, layerFor: LayerFor) =>
  it.live(
    `50 senders, 50 receivers and 20 sessions, opened, used and closed at once, ${name}`,
    () =>
      Effect.gen(function*() {
        const broker = layerFor({ entities: [Emulator.entity(Texts), Emulator.entity(Carts)] }, { frameTrace: true })
        const words = yield* heard(ours.pipe(Effect.provide(broker), Effect.provide(Logger.layer([]))))
        assert.deepStrictEqual(words, [])
      })
  )

const Broker = Emulator.layerServer({ entities: [Emulator.entity(Texts)] })

/** A peer that has signed in with a key and has sessions on its first channels. */
const peer = Effect.fnUntraced(function*(sessions = 1) {
  const { connectionString, port } = yield* Emulator.Emulator
  const { credential } = yield* ConnectionString.parse(connectionString)
  assert(credential._tag === "SharedKey")
  const raw = yield* Raw.connect(port)
  yield* raw.write(
    Raw.saslHeader,
    Raw.init("PLAIN", `\0${credential.name}\0${Redacted.value(credential.key)}`),
    Raw.amqpHeader,
    Raw.open,
    ...Array.from({ length: sessions }, (_, i) => Raw.begin(i))
  )
  for (let i = 0; i < sessions; i++) yield* raw.next("begin")
  return raw
})

const foreign = (title: string, effect: Effect.Effect<void, unknown, Emulator.Emulator | Scope.Scope>) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const words = yield* heard(
        Effect.scoped(effect).pipe(Effect.provide(Broker), Effect.provide(Logger.layer([])))
      )
      assert.deepStrictEqual(words, [])
    }))

describe("The console", { concurrent: false }, () => {
  both(suite)

  foreign(
    "40 links of a foreign session, ended with the session and one by one",
    Effect.gen(function*() {
      for (const end of [true, false]) {
        const raw = yield* peer()
        for (let handle = 0; handle < 40; handle++) {
          yield* raw.write(
            handle % 2 === 0 ? Raw.attachSender("texts", { handle }) : Raw.attachReceiver("texts", { handle })
          )
          yield* raw.next("attach")
        }
        if (end) {
          yield* raw.write(Raw.frame("end", [null]))
          yield* raw.next("end")
          continue
        }
        for (let handle = 0; handle < 40; handle++) {
          yield* raw.write(Raw.frame("detach", [Raw.uint(handle), true]))
          yield* raw.next("detach")
        }
        yield* raw.write(Raw.frame("close", [null]))
        yield* raw.next("close")
      }
    })
  )

  foreign(
    "40 foreign sessions with a link each",
    Effect.gen(function*() {
      const raw = yield* peer(40)
      for (let channel = 0; channel < 40; channel++) {
        yield* raw.write(Raw.attachReceiver("texts", { channel }))
        yield* raw.next("attach")
      }
    })
  )

  foreign(
    "what a peer says that rhea has a word for",
    Effect.gen(function*() {
      const raw = yield* peer()
      const attach = (handle: number, source: Raw.Frame["fields"][number], target: Raw.Frame["fields"][number]) =>
        Raw.frame("attach", [
          `l${handle}`,
          Raw.uint(handle),
          false,
          null,
          null,
          source,
          target,
          null,
          null,
          Raw.uint(0)
        ])
      yield* raw.write(
        Raw.attachSender("texts", { handle: 0 }),
        Raw.attachReceiver("texts", { handle: 1 }),
        // Termini that are none, and a coordinator.
        attach(2, Raw.source("s"), Raw.described(0x99)),
        attach(3, Raw.described(0x99), Raw.target("texts")),
        attach(4, Raw.source("s"), Raw.described(0x30))
      )
      for (let i = 0; i < 5; i++) yield* raw.next("attach")
      yield* raw.write(
        // A sender that says drain, and credit.
        Raw.flow({ handle: 0, credit: 5, drain: true }),
        Raw.flow({ handle: 1, credit: 5, drain: true }),
        // States that are none.
        Raw.frame("disposition", [true, Raw.uint(0), Raw.uint(0), true, Raw.described(0x99)]),
        Raw.transfer({ id: 0, payload: Buffer.from("no message") }),
        Raw.transfer({ id: 1, payload: Raw.encoded(Raw.described(0x99)) }),
        Raw.transfer({ id: 2, payload: Raw.encoded(5) })
      )
      yield* raw.next("disposition")
      // Cut in the middle of a frame.
      yield* raw.write(Raw.flow({ handle: 1, credit: 1 }).subarray(0, 10))
    })
  )

  for (
    const [title, bytes] of [
      ["another protocol", [Buffer.from("GET / HTTP/1.1\r\n\r\n")]],
      ["a mechanism that there is not", [Raw.saslHeader, Raw.init("SCRAM-SHA-1", "x")]],
      ["a wrong key", [Raw.saslHeader, Raw.init("PLAIN", "\0nobody\0nothing"), Raw.amqpHeader]],
      ["two opens", [Raw.saslHeader, Raw.init("ANONYMOUS", ""), Raw.amqpHeader, Raw.open, Raw.open]],
      ["a begin twice", [
        Raw.saslHeader,
        Raw.init("ANONYMOUS", ""),
        Raw.amqpHeader,
        Raw.open,
        Raw.begin(),
        Raw.begin()
      ]],
      ["an unknown frame", [Raw.saslHeader, Raw.init("ANONYMOUS", ""), Raw.amqpHeader, Raw.frame(0x77, [])]],
      ["no session", [Raw.saslHeader, Raw.init("ANONYMOUS", ""), Raw.amqpHeader, Raw.open, Raw.attachSender("texts")]]
    ] as const
  ) {
    foreign(
      `a connection that fails: ${title}`,
      Effect.gen(function*() {
        const { port } = yield* Emulator.Emulator
        const raw = yield* Raw.connect(port)
        yield* raw.write(...bytes)
        yield* raw.closed
      })
    )
  }
})
