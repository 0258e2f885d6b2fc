/**
 * A client that is none of ours: a bare rhea on a connection of its own, which sends messages as bytes and shows what it gets
 * as bytes, so that what is on the wire is seen and not what a library makes of it.
 */
import { Effect, Redacted } from "effect"
import { ConnectionString } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { once } from "node:events"
import { type Connection, create_container, type EventContext, type Receiver, type Sender, types } from "rhea"
import type { AmqpValue } from "../../src/AmqpValue.ts"
import { Sections } from "../../src/internal/amqp/codec/Sections.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import * as SasToken from "../../src/internal/SasToken.ts"

/** A transfer as it came: its tag, and its message. */
interface Transferred {
  readonly tag: Buffer
  readonly settled: boolean
  readonly payload: Buffer
  readonly sections: Sections
  /** rhea's, to settle it by. */
  readonly delivery: any
}

/** What `$cbs` or `$management` answered. */
interface Answered {
  readonly status: number
  readonly condition: string | undefined
  readonly description: string
  readonly body: any
}

/** The value of a symbol, or what there is. */
const plain = (value: any): any => value?.value ?? value

export const peer = Effect.gen(function*() {
  const { connectionString, port } = yield* Emulator.Emulator
  const parsed = yield* ConnectionString.parse(connectionString)
  const { credential } = parsed
  if (credential._tag !== "SharedKey") throw new Error("no key")
  const connection: Connection = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const connection = create_container({ id: "foreign" }).connect({
        host: "127.0.0.1",
        port,
        reconnect: false,
        username: "anonymous"
      })
      await once(connection, "connection_open")
      return connection
    }),
    (connection) => Effect.sync(() => connection.close())
  )
  const payloads: Array<Buffer> = []
  const frames = connection as any
  const onTransfer = frames.on_transfer
  frames.on_transfer = (frame: any) => {
    payloads.push(frame.payload)
    onTransfer.call(connection, frame)
  }

  const tokenOf = (path: string, key = credential.key) =>
    Redacted.value(SasToken.sign({
      resource: `sb://127.0.0.1/${path}`,
      keyName: credential.name,
      key,
      expiresAt: Date.now() / 1000 + 600
    }))

  const asks = async (node: string) => {
    const session = connection.create_session()
    session.begin()
    const replies = session.open_receiver({ source: node, target: "replies" })
    const requests = session.open_sender(node)
    await once(requests, "sendable")
    let next = 0
    return async (properties: Record<string, unknown>, body: unknown): Promise<Answered> => {
      requests.send({
        message_id: `request-${next++}`,
        reply_to: "replies",
        application_properties: properties,
        body
      } as any)
      const [{ message }] = await once(replies, "message") as [EventContext]
      const answer = message!.application_properties!
      return {
        status: answer["statusCode"] ?? answer["status-code"],
        condition: plain(answer["errorCondition"] ?? answer["error-condition"]),
        description: answer["statusDescription"] ?? answer["status-description"],
        body: message!.body
      }
    }
  }
  const cbs = yield* Effect.promise(() => asks("$cbs"))

  /** Puts a token for a path. */
  const claim = (path: string, token = tokenOf(path), name = `sb://127.0.0.1/${path}`) =>
    Effect.promise(() => cbs({ operation: "put-token", type: "servicebus.windows.net:sastoken", name }, token))

  /** A link that sends; a message is given as its bytes, and the outcome comes back. */
  const sends = (path: string) =>
    Effect.promise(async () => {
      const sender: Sender = connection.open_sender(path)
      await once(sender, "sendable")
      return (payload: Buffer, format = 0): Effect.Effect<any> =>
        Effect.promise(async () => {
          sender.send(payload as any, undefined, format)
          const [{ delivery }] = await once(sender, "settled") as [EventContext]
          return (delivery as any).remote_state
        })
    })

  /** A link that receives; each call gives credit for one more message. */
  const receives = (path: string, options: Record<string, unknown> = {}) =>
    Effect.promise(async () => {
      const receiver: Receiver = connection.open_receiver({
        source: path,
        credit_window: 0,
        autoaccept: false,
        rcv_settle_mode: 0,
        ...options
      })
      await once(receiver, "receiver_open")
      const next = Effect.promise(async (): Promise<Transferred> => {
        const came = once(receiver, "message")
        receiver.add_credit(1)
        const [{ delivery }] = await came as [EventContext]
        const payload = payloads.at(-1)!
        const { remote_settled: settled, tag } = delivery as any
        return { tag, settled, payload, sections: new Sections(payload, 0, payload.length), delivery }
      })
      return { receiver, next }
    })

  /** The `$management` node of an entity. */
  const manages = (path: string) =>
    Effect.map(
      Effect.promise(() => asks(`${path}/$management`)),
      (ask) => (operation: string, body: Record<string, unknown>, properties: Record<string, unknown> = {}) =>
        Effect.promise(() => ask({ operation: `com.microsoft:${operation}`, ...properties }, body))
    )

  return { connection, credential, tokenOf, claim, sends, receives, manages }
})

/** A message by its sections, each as AMQP values; lists are given whole. */
export const messageOf = (sections: {
  readonly header?: ReadonlyArray<AmqpValue>
  readonly deliveryAnnotations?: Record<string, AmqpValue>
  readonly messageAnnotations?: Record<string, AmqpValue>
  readonly properties?: ReadonlyArray<AmqpValue>
  readonly applicationProperties?: Record<string, AmqpValue>
  readonly body?: Uint8Array
}): Buffer => {
  const writer = new Writer()
  if (sections.header !== undefined) {
    writer.descriptor(0x70)
    writer.value(sections.header)
  }
  const maps = [[0x71, sections.deliveryAnnotations], [0x72, sections.messageAnnotations]] as const
  for (const [code, entries] of maps) {
    if (entries === undefined) continue
    writer.descriptor(code)
    writer.annotations(Object.entries(entries))
  }
  if (sections.properties !== undefined) {
    writer.descriptor(0x73)
    writer.value(sections.properties)
  }
  if (sections.applicationProperties !== undefined) {
    writer.descriptor(0x74)
    writer.value(sections.applicationProperties)
  }
  writer.descriptor(0x75)
  writer.binary(sections.body ?? Buffer.from("x"))
  return Buffer.from(writer.take())
}

export { types }
