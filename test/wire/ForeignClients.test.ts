/**
 * What other stacks than JavaScript's demand of a server, each of which was seen to fail without it: spoken by a bare
 * rhea, because those stacks do not run here. A sender and a receiver of one name are in DataPlane.test.ts.
 */
import { Effect, Layer, Redacted } from "effect"
import { ConnectionString, ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { once } from "node:events"
import { create_container, type EventContext, message, type Receiver, type Sender, types } from "rhea"
import * as SasToken from "../../src/internal/SasToken.ts"
import { assert, it } from "../support/vitest.ts"

const Broker = Emulator.layerServer({
  entities: [
    ...["q", "tags", "second"].map((name) => Emulator.entity(name)),
    Emulator.entity("sessions", { requiresSession: true })
  ]
})

/** What rhea's types leave out. */
interface Outcome {
  described(): any
}

/** A connection, closed with the test; the fields of what the broker sends are noted by performative. */
const peer = Effect.gen(function*() {
  const { connectionString, port } = yield* Emulator.Emulator
  const parsed = yield* ConnectionString.parse(connectionString)
  const fields: Record<string, Array<ReadonlyArray<unknown>>> = {}
  const connection = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const connection = create_container({ id: "foreign" }).connect({
        host: "127.0.0.1",
        port,
        reconnect: false,
        username: "anonymous"
      })
      const handlers = connection as unknown as Record<string, (frame: any) => void>
      for (const name of ["open", "begin", "attach", "flow"]) {
        const handle = handlers[`on_${name}`]!
        handlers[`on_${name}`] = (frame) => {
          const list = fields[name] ??= []
          list.push([...frame.performative.value])
          handle.call(connection, frame)
        }
      }
      await once(connection, "connection_open")
      return connection
    }),
    (connection) =>
      Effect.promise(async () => {
        connection.close()
        await once(connection, "connection_close")
      })
  )
  const { credential } = parsed
  assert(credential._tag === "SharedKey")
  const url = (path: string) => `amqps://127.0.0.1:${port}/${path}`
  const token = (path: string) =>
    Redacted.value(SasToken.sign({
      resource: url(path),
      keyName: credential.name,
      key: credential.key,
      expiresAt: Date.now() / 1000 + 600
    }))
  /** As uamqp does it: addresses are URLs, the id is a ulong, no address is given for the answer, and it is a "jwt". */
  const authorize = (path: string) =>
    Effect.promise(async () => {
      const session = connection.create_session()
      session.begin()
      const replies = session.open_receiver({ source: url("$cbs"), target: "$cbs" })
      const requests = session.open_sender({ target: url("$cbs") })
      await once(requests, "sendable")
      requests.send({
        message_id: types.wrap_ulong(1) as unknown as string,
        application_properties: { operation: "put-token", type: "jwt", name: url(path) },
        body: token(path)
      })
      const [{ message: answer }] = await once(replies, "message") as [EventContext]
      assert.strictEqual(answer!.correlation_id as unknown, 1)
      assert.strictEqual(answer!.application_properties!["status-code"], 202)
      session.close()
    })
  return { connection, url, fields, authorize }
})

const attachOf = (link: Sender | Receiver): Record<string, any> => (link as any).remote.attach

it.layer(Broker.pipe(Layer.orDie), { excludeTestServices: true })("other clients", (it) => {
  it.effect("pyamqp: finds every field of a performative by its position", () =>
    Effect.gen(function*() {
      const { authorize, connection, fields, url } = yield* peer
      yield* authorize("q")
      yield* Effect.promise(async () => {
        const receiver = connection.open_receiver({ source: url("q"), credit_window: 0 })
        await once(receiver, "receiver_open")
        const sender = connection.open_sender({ target: url("q") })
        await once(sender, "sendable")
      })
      const lengths = (name: string) => new Set(fields[name]!.map(({ length }) => length))
      assert.deepStrictEqual(lengths("open"), new Set([10]))
      assert.deepStrictEqual(lengths("begin"), new Set([8]))
      assert.deepStrictEqual(lengths("attach"), new Set([14]))
      assert.deepStrictEqual(lengths("flow"), new Set([11]))
      for (const begin of fields["begin"]!) assert.strictEqual((begin[4] as { value: unknown }).value, 0xffffffff)
    }))

  it.effect("Go: finds its settle mode echoed, and a terminus of its own making", () =>
    Effect.gen(function*() {
      const { authorize, connection, url } = yield* peer
      yield* authorize("q")
      yield* Effect.promise(async () => {
        const receiver = connection.open_receiver({ source: url("q"), snd_settle_mode: 1, credit_window: 0 })
        await once(receiver, "receiver_open")
        const attach = attachOf(receiver)
        assert.strictEqual(attach["snd_settle_mode"], 1)
        assert.strictEqual(attach["source"].address, url("q"))
        assert.isAtMost(attach["target"].value.length, 7)
      })
    }))

  it.effect("Go: asks for a session by a described value, and finds its id and the end of its lock", () =>
    Effect.gen(function*() {
      const { authorize, connection, url } = yield* peer
      yield* authorize("sessions")
      const accept = (filter: unknown) =>
        Effect.promise(async () => {
          const receiver = connection.open_receiver({
            source: { address: url("sessions"), filter: { "com.microsoft:session-filter": filter } as any },
            credit_window: 0
          })
          await once(receiver, "receiver_open")
          return receiver
        })
      const described = types.wrap_described("s 1", types.wrap_ulong(0x137000000c))
      const receiver = yield* accept(described)
      const { properties, source } = attachOf(receiver)
      assert.strictEqual(source.filter["com.microsoft:session-filter"], "s 1")
      // .NET ticks, a long.
      const ticks = properties["com.microsoft:locked-until-utc"] as Buffer
      const until = Number((ticks.readBigInt64BE() - 621_355_968_000_000_000n) / 10_000n)
      assert.closeTo(until, Date.now() + 60_000, 5_000)
      // The same again: an attach without a source, and a detach that says why.
      const refused = yield* Effect.promise(async () => {
        const second = connection.open_receiver({
          source: { address: url("sessions"), filter: { "com.microsoft:session-filter": "s 1" } as any },
          credit_window: 0
        })
        second.on("receiver_error", () => {})
        await once(second, "receiver_close")
        return second
      })
      assert.isUndefined(attachOf(refused)["source"]?.address)
      assert.strictEqual((refused.error as any).condition, "com.microsoft:session-cannot-be-locked")
      yield* Effect.promise(async () => {
        receiver.close()
        await once(receiver, "receiver_close")
      })
      const again = yield* accept("s 1")
      assert.strictEqual(attachOf(again)["source"].filter["com.microsoft:session-filter"], "s 1")
    }))

  it.effect("uamqp: says nothing of how long it waits for a session", () =>
    Effect.gen(function*() {
      const { authorize, connection, url } = yield* peer
      yield* authorize("sessions")
      yield* Effect.promise(async () => {
        const receiver = connection.open_receiver({
          source: { address: url("sessions"), filter: { "com.microsoft:session-filter": null } as any }
        })
        const opened = once(receiver, "receiver_open")
        const sender = connection.open_sender({ target: url("sessions") })
        await once(sender, "sendable")
        sender.send({ group_id: "late", body: message.data_section(Buffer.from("x")) })
        await once(sender, "accepted")
        await opened
        const [{ message: received }] = await once(receiver, "message") as [EventContext]
        assert.strictEqual(received!.group_id, "late")
      })
    }))

  it.effect("uamqp: a sender that would settle second is answered first", () =>
    Effect.gen(function*() {
      const { authorize, connection, url } = yield* peer
      yield* authorize("q")
      yield* Effect.promise(async () => {
        const sender = connection.open_sender({ target: url("q"), rcv_settle_mode: 1 })
        await once(sender, "sendable")
        assert.strictEqual(attachOf(sender)["rcv_settle_mode"], 0)
        sender.send({ body: message.data_section(Buffer.from("x")) })
        await once(sender, "accepted")
      })
    }))

  it.effect("Proton: gets no transfer before the attach, although credit came with its own", () =>
    Effect.gen(function*() {
      const { authorize, connection, url } = yield* peer
      yield* authorize("tags")
      yield* Effect.promise(async () => {
        const sender = connection.open_sender({ target: url("tags") })
        await once(sender, "sendable")
        for (let i = 0; i < 20; i++) sender.send({ body: message.data_section(Buffer.from([i])) })
        await once(sender, "accepted")
        // rhea fails on a transfer of a link that is not attached.
        const receiver = connection.open_receiver({ source: url("tags"), credit_window: 20, autoaccept: true })
        const tags: Array<Buffer> = []
        await new Promise<void>((resolve) =>
          receiver.on("message", ({ delivery }: EventContext) => {
            tags.push((delivery as unknown as { tag: Buffer }).tag)
            if (tags.length === 20) resolve()
          })
        )
        for (const tag of tags) assert.lengthOf(tag, 16)
        assert.strictEqual(new Set(tags.map((tag) => tag.toString("hex"))).size, 20)
      })
    }))

  it.effect("a receiver that settles second: gets each of its answers, of different outcomes in one tick", () =>
    Effect.gen(function*() {
      const { authorize, connection, url } = yield* peer
      yield* authorize("second")
      yield* Effect.promise(async () => {
        const sender = connection.open_sender({ target: url("second") })
        await once(sender, "sendable")
        for (let i = 0; i < 4; i++) sender.send({ body: message.data_section(Buffer.from([i])) })
        const receiver = connection.open_receiver({
          source: url("second"),
          rcv_settle_mode: 1,
          credit_window: 0,
          autoaccept: false,
          autosettle: false
        })
        const { accepted: accept, modified, rejected } = message as unknown as Record<
          string,
          (fields?: object) => Outcome
        >
        const accepted = accept!()
        const flush = () => (connection as unknown as { _process(): void })._process()
        const outcomes = [accepted, modified!({ undeliverable_here: true }), rejected!({}), accepted]
        const settled = new Set<number>()
        await new Promise<void>((resolve) => {
          receiver.on("settled", ({ delivery }: EventContext) => {
            settled.add(delivery!.id)
            if (settled.size === 4) resolve()
          })
          receiver.on("message", ({ delivery }: EventContext) => {
            delivery!.update(false, outcomes.shift()!.described())
            // Left to itself rhea would join them into one.
            flush()
          })
          receiver.add_credit(4)
        })
      })
      const emulator = yield* Emulator.Emulator
      const counters = yield* emulator.counters(ServiceBusEntity.queue("second", { body: ServiceBusBody.bytes }))
      assert.deepInclude(counters, { completed: 2, deferred: 1, deadLettered: 1 })
    }))
})
