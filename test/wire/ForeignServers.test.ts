/**
 * What other servers than this project's do, as its client sees it: chunks of a handshake, drains, states and frames of the
 * two .NET stacks and of others, by a server of bytes or by changing what our broker says on its way.
 */
import { Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as net from "node:net"
import * as Raw from "../support/frames.ts"
import { failsWith, linkOf, passing, start, until } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

describe("a handshake of a server", () => {
  const mechanisms = Raw.frame("mechanisms", [Raw.symbol("ANONYMOUS")], { type: 1 })
  const outcome = Raw.frame("outcome", [Raw.ubyte(0), Buffer.from("Welcome!")], { type: 1 })

  /** A server that says the rest of its handshake once it has seen the mechanism, in pieces of a size. */
  const server = (size: number, begun: () => void) =>
    Effect.acquireRelease(
      Effect.callback<net.Server>((resume) => {
        const listening = net.createServer({ noDelay: true }, (socket) => {
          socket.on("error", () => {})
          const splitter = new Raw.Splitter()
          let pieces: Promise<void> = Promise.resolve()
          const say = (bytes: Buffer) => {
            for (let at = 0; at < bytes.length; at += size) {
              const piece = bytes.subarray(at, at + size)
              pieces = pieces.then(() =>
                new Promise((done) =>
                  setImmediate(() => {
                    socket.write(piece)
                    done()
                  })
                )
              )
            }
          }
          say(Buffer.concat([Raw.saslHeader, mechanisms]))
          socket.on("data", (bytes) => {
            for (const { performative } of splitter.push(bytes)) {
              if (performative === "init") say(Buffer.concat([outcome, Raw.amqpHeader, Raw.open]))
              if (performative === "begin") begun()
              if (performative === "close") say(Raw.frame("close", []))
            }
          })
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
      }),
      (listening) => Effect.sync(() => listening.close())
    ).pipe(Effect.map((listening) => (listening.address() as net.AddressInfo).port))

  it.live("may be cut anywhere, or not at all", () =>
    Effect.gen(function*() {
      const length = outcome.length + Raw.amqpHeader.length + Raw.open.length
      for (let size = length; size > 0; size--) {
        let isBegun = false
        const port = yield* server(size, () => {
          isBegun = true
        })
        // The client is content with the handshake where it goes on to a session.
        yield* Effect.raceFirst(
          Effect.flatMap(ServiceBusClient.ServiceBusClient, (client) => client.health).pipe(
            Effect.provide(clientOf(port, "a", "b")),
            Effect.scoped
          ),
          until(Effect.sync(() => isBegun))
        )
        assert.isTrue(isBegun, `cut by ${size}`)
      }
    }).pipe(Effect.scoped))
})

const clientOf = (port: number, name: string, key: string) =>
  Layer.orDie(ServiceBusClient.layerConnectionString(
    Redacted.make(
      `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=${name};SharedAccessKey=${key};UseDevelopmentEmulator=true`
    ),
    { retry: { maxRetries: 2, delay: "1 second", maxDelay: "10 seconds" }, operationTimeout: "5 seconds" }
  ))

const Broker = Emulator.layerServer({ entities: [Emulator.entity(Letters)] })

/** Runs an effect with a client whose frames pass through a hook. */
const through = <A, E>(
  hook: Raw.Hook,
  effect: (
    proxy: Raw.Proxy
  ) => Effect.Effect<A, E, Emulator.Emulator | ServiceBusClient.ServiceBusClient | Scope.Scope>
) =>
  Effect.gen(function*() {
    const { connectionString, port } = yield* Emulator.Emulator
    const { credential } = yield* ConnectionString.parse(connectionString)
    assert(credential._tag === "SharedKey")
    const proxy = yield* Raw.proxy(port, hook)
    return yield* Effect.scoped(effect(proxy)).pipe(
      Effect.provide(clientOf(proxy.port, credential.name, Redacted.value(credential.key)))
    )
  }).pipe(Effect.scoped, Effect.provide(Broker))

/** The same flow, without the flag of a drain. */
const withoutDrain = ({ channel, fields }: Raw.Frame): Buffer =>
  Raw.frame("flow", [...fields.slice(0, 8).map((each) => typeof each === "number" ? Raw.uint(each) : each), null], {
    channel
  })

const isDrain = ({ fields, performative }: Raw.Frame): boolean => performative === "flow" && fields[8] === true

describe("a drain", () => {
  // Virtual time: a second that is waited for would never pass.
  it.effect("is over by credit 0 and an advanced count, without its flag", () => {
    let drains = 0
    return through((frame, direction) => {
      if (direction === "toServer" || !isDrain(frame)) return [frame.bytes]
      drains++
      return [withoutDrain(frame)]
    }, () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Letters)
        const scope = yield* Scope.make()
        const receiver = yield* Scope.provide(ServiceBusReceiver.make(Letters), scope)
        const isWaitedFor: Array<boolean> = []
        for (let i = 1; i <= 3; i++) {
          const receiving = yield* start(receiver.receive({ max: 5, maxWait: 0 }))
          yield* until(Effect.sync(() => drains === i))
          // What is asked for now is answered behind the drain, and the second of them in another read.
          yield* Effect.andThen(receiver.peek(), receiver.peek())
          isWaitedFor.push(receiving.pollUnsafe() === undefined)
          assert.deepStrictEqual(yield* passing(Fiber.join(receiving)), [])
        }
        // A receiver that still believed in its old credit would ask for no more, and be deaf.
        yield* sender.send({ body: "heard" })
        const messages = yield* passing(receiver.receive({ max: 5, maxWait: "5 seconds" }))
        yield* receiver.completeAll(messages)
        yield* passing(Scope.close(scope, Exit.void))
        assert.deepStrictEqual(messages.map(({ body }) => body), ["heard"])
        assert.deepStrictEqual(isWaitedFor, [false, false, false])
      }))
  })

  it.effect("is not waited for where the messages under way use up all credit", () => {
    // The first message goes to the client, and the others once it has asked for a drain, which the broker never sees.
    let held: Array<Buffer> | undefined = []
    let messages = 0
    return through((frame, direction, say) => {
      if (direction === "toServer" && isDrain(frame) && held !== undefined) {
        for (const bytes of held) say(bytes)
        held = undefined
        return []
      }
      const isMessage = frame.performative === "transfer" && frame.payload.includes("under way")
      if (direction === "toServer" || !isMessage || messages++ === 0 || held === undefined) return [frame.bytes]
      held.push(frame.bytes)
      return []
    }, () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Letters)
        const receiver = yield* ServiceBusReceiver.make(Letters)
        yield* sender.sendAll(Array.from({ length: 3 }, (_, i) => ({ body: `under way ${i}` })))
        const messages = yield* receiver.receive({ max: 3 })
        assert.isUndefined(held)
        assert.deepStrictEqual(messages.map(({ body }) => body), [0, 1, 2].map((i) => `under way ${i}`))
        for (const message of messages) yield* receiver.complete(message)
        yield* sender.send({ body: "next" })
        const [next] = yield* receiver.receive({ max: 1 })
        assert.strictEqual(next?.body, "next")
      }))
  })
})

it.effect("no more sessions are begun than the peer's channel-max allows, and what is attached goes on", () =>
  through((frame, direction) =>
    direction === "toClient" && frame.performative === "open"
      ? [Raw.frame("open", ["raw", "127.0.0.1", Raw.uint(65536), Raw.ushort(2)])]
      : [frame.bytes], () =>
    Effect.gen(function*() {
      // One is that of the claims.
      const sender = yield* ServiceBusSender.make(Letters)
      const receiver = yield* ServiceBusReceiver.make(Letters)
      yield* failsWith("ServiceBusQuotaExceededError")(ServiceBusReceiver.make(Letters))
      yield* sender.send({ body: "heard" })
      const [message] = yield* receiver.receive()
      yield* receiver.complete(message!)
    })))

it.effect("`received` is no outcome of a send: the message is stored once, and the outcome awaited", () => {
  let told = 0
  return through((frame, direction) => {
    if (direction === "toServer" || frame.performative !== "disposition" || frame.fields[0] !== true) {
      return [frame.bytes]
    }
    told++
    const { channel, fields } = frame
    const received = Raw.described(0x23, Raw.uint(0), null)
    const state = Raw.frame("disposition", [true, Raw.uint(fields[1] as number), null, false, received], { channel })
    return [state, frame.bytes]
  }, () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      told = 0
      yield* sender.send({ body: "once" })
      assert.strictEqual(told, 1)
      assert.lengthOf(yield* emulator.messages(Letters), 1)
    }))
})

describe("frames that are larger than was agreed", () => {
  /** The frame of a message grows beyond 64 KiB, which the client has said is the most. */
  const grown = (frame: Raw.Frame, direction: string): ReadonlyArray<Buffer> => {
    if (direction === "toServer" || frame.performative !== "transfer" || !frame.payload.includes("letter")) {
      return [frame.bytes]
    }
    const bytes = Buffer.concat([frame.bytes, Buffer.alloc(65_536)])
    bytes.writeUInt32BE(bytes.length)
    return [bytes]
  }
  // What is under a lock when the connection is lost does not come again.
  const sent = Effect.flatMap(
    ServiceBusSender.make(Letters),
    (sender) => sender.sendAll(Array.from({ length: 9 }, () => ({ body: "letter" })))
  )

  it.effect("are one typed error of a receive, which is not tried again", () =>
    through(grown, (proxy) =>
      Effect.gen(function*() {
        yield* sent
        const receiver = yield* ServiceBusReceiver.make(Letters)
        const error = yield* failsWith("ServiceBusError")(receiver.receive({ max: 1 }))
        assert.strictEqual(error.condition, "amqp:connection:framing-error")
        assert.match(error.message, /larger than the 65536 that were agreed/)
        assert.isFalse(error.isTransient)
        assert.strictEqual(proxy.connections(), 1)
        // A caller that asks again at once is told the same, and none connects until a pause is over; each is longer.
        for (const pause of [1000, 2000, 4000]) {
          const before = proxy.connections()
          for (let i = 0; i < 5; i++) yield* failsWith("ServiceBusError")(receiver.receive({ max: 1 }))
          yield* TestClock.adjust(pause - 1)
          yield* failsWith("ServiceBusError")(receiver.receive({ max: 1 }))
          assert.strictEqual(proxy.connections(), before)
          yield* TestClock.adjust(1)
          yield* failsWith("ServiceBusError")(receiver.receive({ max: 1 }))
          assert.strictEqual(proxy.connections(), before + 1)
        }
      })))

  it.effect("are one typed error of a stream and of a processor, which end with it", () =>
    through(grown, () =>
      Effect.gen(function*() {
        yield* sent
        const receiver = yield* ServiceBusReceiver.make(Letters)
        const stream = yield* failsWith("ServiceBusError")(Stream.runDrain(receiver.messages))
        assert.strictEqual(stream.condition, "amqp:connection:framing-error")
        yield* TestClock.adjust("1 second")
        yield* sent
        const other = yield* ServiceBusReceiver.make(Letters)
        const processor = yield* failsWith("ServiceBusError")(
          ServiceBusProcessor.process(other, () => Effect.void)
        )
        assert.strictEqual(processor.condition, "amqp:connection:framing-error")
      })))

  it.effect("are told to the peer by a close", () => {
    const closes: Array<string | undefined> = []
    return through((frame, direction) => {
      if (direction === "toServer" && frame.performative === "close") closes.push(Raw.errorOf(frame)?.condition)
      return grown(frame, direction)
    }, () =>
      Effect.gen(function*() {
        yield* sent
        const receiver = yield* ServiceBusReceiver.make(Letters)
        yield* failsWith("ServiceBusError")(receiver.receive({ max: 1 }))
        yield* until(Effect.sync(() => closes.length > 0))
        assert.deepStrictEqual(closes, ["amqp:connection:framing-error"])
      }))
  })
})

it.live("a peer that allows few sessions is asked for no more: the one too many fails typed", () =>
  through((frame, direction) => {
    if (direction === "toServer" || frame.performative !== "open") return [frame.bytes]
    const [container, hostname, maxFrameSize] = frame.fields
    return [Raw.frame("open", [container, hostname, Raw.uint(maxFrameSize as number), Raw.ushort(3)])]
  }, () =>
    Effect.gen(function*() {
      // Beside the one of the claims.
      const senders = yield* Effect.all(Array.from({ length: 3 }, () => ServiceBusSender.make(Letters)))
      const error = yield* failsWith("ServiceBusQuotaExceededError")(ServiceBusSender.make(Letters))
      assert.strictEqual(error.condition, "amqp:resource-limit-exceeded")
      assert.strictEqual(error.quota, "links")
      assert.match(error.message, /allows 4 sessions/)
      for (const sender of senders) yield* sender.send({ body: "still here" })
    })))

it.effect("a message of more bytes than are received is disposed of as one that does not decode, and is not kept", () =>
  through((frame) => [frame.bytes], () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      const receiver = yield* ServiceBusReceiver.make(Letters)
      linkOf(receiver).plane.maxMessageSize = 100_000
      yield* sender.sendAll([{ body: "x".repeat(150_000) }, { body: "next" }])
      const [message] = yield* receiver.receive()
      assert.strictEqual(message!.body, "next")
      yield* until(Effect.map(emulator.deadLetters(Letters), ({ length }) => length === 1))
      const [dead] = yield* emulator.deadLetters(Letters)
      assert.strictEqual(dead!.deadLetterReason, "MessageDecodeError")
      assert.match(String(dead!.deadLetterErrorDescription), /more than are received/)
    })))
