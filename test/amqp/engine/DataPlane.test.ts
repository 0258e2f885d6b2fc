/** Two ends of a connection under the data plane: transfers, dispositions, credit and windows. */
import { Effect } from "effect"
import { MemorySocket } from "../../../src/emulator/amqp/MemorySocket.ts"
import { accepted, type Outcome, released } from "../../../src/internal/amqp/codec/Outcome.ts"
import { addPart, joined } from "../../../src/internal/amqp/codec/OwnedBytes.ts"
import { DecodeProblem } from "../../../src/internal/amqp/codec/Reader.ts"
import { DataPlane } from "../../../src/internal/amqp/engine/DataPlane.ts"
import type { IncomingDelivery, OutgoingDelivery } from "../../../src/internal/amqp/engine/Delivery.ts"
import * as Dispatcher from "../../../src/internal/amqp/engine/Dispatcher.ts"
import type { LinkPlane } from "../../../src/internal/amqp/engine/LinkPlane.ts"
import { rhea, type RheaConnection, type RheaLink, type RheaSession } from "../../../src/internal/amqp/engine/rhea.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const ignored = [
  "error",
  "protocol_error",
  "connection_error",
  "connection_close",
  "session_error",
  "session_close",
  "sender_error",
  "sender_close",
  "receiver_error",
  "receiver_close",
  "disconnected"
]

/** Two ends of a connection, both under the data plane, in memory; `beforeWrite` is the server's. */
const connectedWith = Effect.fnUntraced(function*(beforeWrite?: () => boolean) {
  const dispatcher = yield* Dispatcher.make
  const [near, far] = [new MemorySocket(dispatcher), new MemorySocket(dispatcher)]
  near.peer = far
  far.peer = near
  const written: Array<Buffer> = []
  const write = near.write.bind(near)
  near.write = (bytes) => {
    written.push(Buffer.from(bytes))
    return write(bytes)
  }
  const errors: Array<unknown> = []
  const make = (id: string) => {
    const container = rhea.create_container({ id })
    for (const event of ignored) container.on(event, () => {})
    for (const event of ["error", "protocol_error"]) container.on(event, (error) => errors.push(error?.error ?? error))
    return container
  }
  const breaches: Array<string> = []
  const noted = {
    schedule: dispatcher.schedule,
    onDecodeProblem: (problem: Error) => {
      errors.push(problem)
    },
    onBreach: ({ condition }: { readonly condition: string }) => {
      breaches.push(condition)
    }
  }
  const options = { receiver_options: { credit_window: 0, autoaccept: false }, max_frame_size: 65536, reconnect: false }
  const server = make("server").create_connection(options)
  const serverPlane = new DataPlane(server, { ...noted, idleTimeout: 240_000, padded: true, beforeWrite })
  let clientPlane!: DataPlane
  const client: RheaConnection = make("client").create_connection({
    ...options,
    username: "anonymous",
    connection_details: () => ({
      host: "memory",
      port: 0,
      options: {},
      connect: (_p: number, _h: string, _o: object, ready: () => void) => {
        clientPlane = new DataPlane(client, { ...noted, idleTimeout: 60_000, padded: false })
        server.accept(far)
        dispatcher.schedule(ready)
        return near
      }
    })
  })
  client.connect()
  yield* dispatcher.idle
  assert.isTrue(client.is_open())
  return { client, clientPlane, server, serverPlane, idle: dispatcher.idle, written, errors, breaches, near, far }
})

const connected = connectedWith()

type Pair = Effect.Success<typeof connected>

const begin = (pair: Pair, prepare: (session: RheaSession) => void = () => {}) =>
  Effect.gen(function*() {
    const session = pair.client.create_session()
    prepare(session)
    session.begin()
    yield* pair.idle
    return session
  })

/** A sender of the client and the server's receiver of it, with everything that arrives there. */
const sending = (
  pair: Pair,
  session: RheaSession,
  name: string,
  credit: number,
  prepare: (link: any) => void = () => {}
) =>
  Effect.gen(function*() {
    const arrived: Array<IncomingDelivery> = []
    const batches: Array<number> = []
    let receiver!: RheaLink
    pair.server.once("receiver_open", (context) => {
      receiver = context.receiver
      receiver.set_target({ address: name })
      const plane = pair.serverPlane.link(receiver)
      plane.onDeliveries = (deliveries) => {
        batches.push(deliveries.length)
        arrived.push(...deliveries)
      }
      if (credit > 0) receiver.add_credit(credit)
    })
    const sender = (session as any).create_sender(name, {}) as RheaLink & { attach(): void }
    sender.set_target({ address: name })
    sender.set_source({})
    prepare(sender)
    sender.attach()
    yield* pair.idle
    const plane = pair.clientPlane.link(sender)
    return { sender, receiver, plane, arrived, batches, serverLink: pair.serverPlane.link(receiver) }
  })

const outcomes = () => {
  const seen: Array<readonly [number, Outcome | undefined, boolean]> = []
  return {
    seen,
    owner: {
      onOutcome: (delivery: OutgoingDelivery, outcome: Outcome | undefined, settled: boolean) => {
        seen.push([delivery.index, outcome, settled])
      }
    }
  }
}

const send = (link: LinkPlane, count: number, body: (i: number) => Buffer, options: object = {}) => {
  for (let i = 0; i < count; i++) link.session.send(link, body(i), { index: i, ...options })
}

describe("DataPlane", () => {
  it.effect("writes transfers and dispositions byte for byte", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      pair.written.length = 0
      link.plane.session.send(link.plane, Buffer.from("aabb", "hex"))
      link.plane.session.send(link.plane, Buffer.from("cc", "hex"), { settled: true, tag: Buffer.from("0102", "hex") })
      yield* pair.idle
      assert.strictEqual(
        Buffer.concat(pair.written).toString("hex"),
        // size doff type channel, transfer, list32 of 6: handle, id, tag, format, settled, more; payload
        "00000025" + "02000000" + "005314" + "d000000013" + "00000006" + "43" + "7000000000" + "a00400000000" + "43" +
          "42" + "42" + "aabb"
          .concat(
            "00000022" + "02000000" + "005314" + "d000000011" + "00000006" + "43" + "7000000001" + "a0020102" + "43" +
              "41" + "42" + "cc"
          )
      )
      assert.strictEqual(pair.written.length, 1, "one write for one tick")
      assert.deepStrictEqual(link.batches, [2], "one read, one array")
      const server: Array<string> = []
      const write = pair.far.write.bind(pair.far)
      pair.far.write = (bytes) => {
        server.push(Buffer.from(bytes).toString("hex"))
        return write(bytes)
      }
      link.serverLink.session.dispose(link.arrived[0]!, accepted, true)
      yield* pair.idle
      assert.deepStrictEqual(server, [
        // role true, first 0, last 0, settled, accepted, batchable false
        "00000025" + "02000000" + "005315" + "d000000015" + "00000006" + "41" + "7000000000" + "7000000000" + "41" +
        "00532445" + "42"
      ])
    }))

  it.effect("writes nothing any more after what it was told to hold back", () =>
    Effect.gen(function*() {
      let isKept = true
      const pair = yield* connectedWith(() => isKept)
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      const { owner, seen } = outcomes()
      send(link.plane, 2, () => Buffer.from("00537740", "hex"), { owner })
      yield* pair.idle
      isKept = false
      link.serverLink.session.dispose(link.arrived[0]!, accepted, true)
      yield* pair.idle
      isKept = true
      link.serverLink.session.dispose(link.arrived[1]!, accepted, true)
      yield* pair.idle
      assert.deepStrictEqual(seen, [])
    }))

  it.effect("keeps different outcomes of one tick apart, and joins equal ones", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      const { owner, seen } = outcomes()
      send(link.plane, 6, () => Buffer.from("00537740", "hex"), { owner })
      yield* pair.idle
      const before = pair.clientPlane.counters.dispositionsIn
      const say: ReadonlyArray<Outcome> = [
        accepted,
        accepted,
        released,
        { _tag: "Rejected", error: { condition: "a:b", description: "no" } },
        { _tag: "Modified", deliveryFailed: true },
        accepted
      ]
      say.forEach((outcome, i) => link.serverLink.session.dispose(link.arrived[i]!, outcome, true))
      yield* pair.idle
      assert.deepStrictEqual(seen.map(([index, outcome]) => [index, outcome?._tag]), [
        [0, "Accepted"],
        [1, "Accepted"],
        [2, "Released"],
        [3, "Rejected"],
        [4, "Modified"],
        [5, "Accepted"]
      ])
      assert.deepInclude((seen[3]![1] as any).error, { condition: "a:b", description: "no" })
      assert.strictEqual(pair.clientPlane.counters.dispositionsIn - before, 5)
      assert.strictEqual(link.plane.session.unsettled, 0)
    }))

  it.effect("sends messages of many frames both ways", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      const large = Buffer.alloc(1_000_000, 7)
      large.writeUInt32BE(0xdeadbeef, 999_996)
      send(link.plane, 3, () => large)
      yield* pair.idle
      assert.deepStrictEqual(link.arrived.map((d) => d.payload.equals(large)), [true, true, true])
      // The other way: the server sends on a link of the client's receiver.
      let sender!: RheaLink
      pair.server.once("sender_open", (context) => {
        sender = context.sender
        sender.set_source({ address: "q" })
      })
      const receiver = (session as any).create_receiver("back", { credit_window: 0, autoaccept: false }) as RheaLink & {
        attach(): void
      }
      receiver.set_source({ address: "q" })
      receiver.set_target({})
      receiver.attach()
      yield* pair.idle
      const back: Array<IncomingDelivery> = []
      pair.clientPlane.link(receiver).onDeliveries = (deliveries) => back.push(...deliveries)
      receiver.add_credit(2)
      const plane = pair.serverPlane.link(sender)
      send(plane, 3, () => large, { settled: true })
      yield* pair.idle
      assert.strictEqual(back.length, 2, "no more than the credit")
      receiver.add_credit(1)
      yield* pair.idle
      assert.deepStrictEqual(back.map((d) => d.payload.equals(large)), [true, true, true])
    }))

  it.effect("keeps no payload once it is on the wire, however long it stays unsettled", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 2)
      const deliveries = Array.from({ length: 3 }, () => link.plane.session.send(link.plane, Buffer.alloc(100_000), {}))
      yield* pair.idle
      assert.deepStrictEqual(deliveries.map(({ payload }) => payload.length), [0, 0, 100_000])
      assert.deepStrictEqual(link.arrived.map(({ payload }) => payload.length), [100_000, 100_000])
      assert.strictEqual(link.plane.session.unsettled, 2)
    }))

  it("parts of a delivery that is never complete are few and own their bytes, and large ones are not copied", () => {
    const chunk = Buffer.from(Array.from({ length: 65_536 }, (_, i) => i % 251))
    for (const size of [0, 1, 100, 5000]) {
      const parts: Array<Buffer> = []
      let total = 0
      for (let i = 0; i < 20_000 && total < 60_000; i++, total += size) {
        addPart(parts, chunk.subarray(total, total + size), true)
      }
      assert.isAtMost(parts.length, 30)
      assert.isBelow(parts.reduce((bytes, { buffer }) => bytes + buffer.byteLength, 0), total + 1)
      assert.isTrue(joined(parts).equals(chunk.subarray(0, total)))
    }
    const parts: Array<Buffer> = []
    const large = chunk.subarray(0, 60_000)
    addPart(parts, large, true)
    addPart(parts, chunk.subarray(60_000), false)
    assert.strictEqual(parts[0], large)
    assert.isTrue(joined(parts).equals(chunk))
  })

  it.effect("renews the session's window: 20,000 settled messages on one session", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 30_000)
      send(link.plane, 20_000, (i) => {
        const body = Buffer.alloc(4)
        body.writeUInt32BE(i)
        return body
      }, { settled: true })
      yield* pair.idle
      assert.strictEqual(link.arrived.length, 20_000)
      assert.isTrue(link.arrived.every((delivery, i) => delivery.payload.readUInt32BE(0) === i))
    }))

  it.effect("waits for the peer's window", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 100)
      session.outgoing.remote_window = 2
      session.outgoing.remote_next_transfer_id = session.outgoing.next_transfer_id
      send(link.plane, 5, () => Buffer.from("00", "hex"), { settled: true })
      yield* pair.idle
      assert.strictEqual(link.arrived.length, 2)
      assert.strictEqual(link.plane.pending, 3)
      // Any flow of the peer opens it again.
      link.receiver.add_credit(1)
      yield* pair.idle
      assert.strictEqual(link.arrived.length, 5)
    }))

  it.effect("goes on where ids wrap at 2^32", () =>
    Effect.gen(function*() {
      const start = 0xfffffffd
      const pair = yield* connected
      const session = yield* begin(pair, (session) => {
        session.outgoing.next_transfer_id = start
        session.outgoing.next_delivery_id = start
        session.outgoing.next_pending_delivery = start
        session.local.begin["next_outgoing_id"] = start
      })
      const link = yield* sending(pair, session, "q", 3, (sender) => {
        sender.delivery_count = start
        sender.local.attach.initial_delivery_count = start
      })
      const { owner, seen } = outcomes()
      send(link.plane, 12, () => Buffer.from("00537740", "hex"), { owner })
      yield* pair.idle
      assert.strictEqual(link.arrived.length, 3, "credit counts from the sender's initial count")
      link.receiver.add_credit(20)
      yield* pair.idle
      assert.deepStrictEqual(link.arrived.map((d) => d.id), [
        start,
        start + 1,
        start + 2,
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8
      ])
      for (const delivery of link.arrived) link.serverLink.session.dispose(delivery, accepted, true)
      yield* pair.idle
      assert.strictEqual(seen.length, 12)
      assert.strictEqual(link.plane.session.unsettled, 0)
      // Enough to need the window renewed after the wrap.
      link.receiver.add_credit(20_000)
      send(link.plane, 20_000, () => Buffer.from("00", "hex"), { settled: true })
      yield* pair.idle
      assert.strictEqual(link.arrived.length, 20_012)
      assert.deepStrictEqual(pair.errors, [])
    }))

  it.effect("serves several links on one session: one without credit holds up no other", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const starved = yield* sending(pair, session, "a", 0)
      const fed = yield* sending(pair, session, "b", 10)
      send(starved.plane, 2, () => Buffer.from("00", "hex"))
      send(fed.plane, 5, () => Buffer.from("00", "hex"))
      yield* pair.idle
      assert.deepStrictEqual([starved.arrived.length, fed.arrived.length], [0, 5])
      starved.receiver.add_credit(1)
      yield* pair.idle
      assert.deepStrictEqual([starved.arrived.length, starved.plane.pending], [1, 1])
      // Detaching one leaves the other.
      starved.sender.close()
      yield* pair.idle
      send(fed.plane, 1, () => Buffer.from("00", "hex"))
      yield* pair.idle
      assert.strictEqual(fed.arrived.length, 6)
    }))

  it.effect("takes a sender and a receiver of one name on one session", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const opened: Array<string> = []
      pair.server.on("receiver_open", ({ receiver }) => {
        opened.push("receiver")
        receiver.set_target({ address: "q" })
      })
      pair.server.on("sender_open", ({ sender }) => {
        opened.push("sender")
        sender.set_source({ address: "q" })
      })
      const session = yield* begin(pair)
      const frames = session as any
      const sender = frames.create_sender("same", {})
      sender.set_target({ address: "q" })
      sender.set_source({})
      sender.attach()
      yield* pair.idle
      // The client's own engine keeps one link of a name as well: the second is attached under its frame alone.
      delete session.links["same"]
      const receiver = frames.create_receiver("same", {})
      receiver.set_source({ address: "q" })
      receiver.set_target({})
      receiver.attach()
      yield* pair.idle
      assert.deepStrictEqual(opened, ["receiver", "sender"])
      assert.deepStrictEqual(pair.errors, [])
    }))

  it.effect("answers a disposition of the whole number range at once", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      const { owner, seen } = outcomes()
      send(link.plane, 3, () => Buffer.from("00", "hex"), { owner })
      yield* pair.idle
      // first 0, last 2^31 - 1: the widest span of serial numbers.
      pair.far.write(Buffer.from(
        "00000025" + "02000000" + "005315" + "d000000015" + "00000006" + "41" + "7000000000" + "707fffffff" + "41" +
          "00532445" + "42",
        "hex"
      ))
      yield* pair.idle
      assert.strictEqual(seen.length, 3)
    }))

  it.effect("takes back what has not left, and forgets what has", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 1)
      const { owner, seen } = outcomes()
      const first = link.plane.session.send(link.plane, Buffer.from("00", "hex"), { owner, index: 1 })
      const second = link.plane.session.send(link.plane, Buffer.from("00", "hex"), { owner, index: 2 })
      const third = link.plane.session.send(link.plane, Buffer.from("00", "hex"), { owner, index: 3 })
      yield* pair.idle
      assert.isFalse(link.plane.session.cancel(first))
      assert.isTrue(link.plane.session.cancel(second))
      link.receiver.add_credit(5)
      yield* pair.idle
      assert.strictEqual(link.arrived.length, 2)
      for (const delivery of link.arrived) link.serverLink.session.dispose(delivery, accepted, true)
      yield* pair.idle
      assert.deepStrictEqual(seen.map(([index]) => index), [3])
      assert.strictEqual(third.link, link.plane)
    }))

  it.effect("drops a delivery that its sender aborts", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      const transfer = (more: boolean, aborted: boolean) =>
        "0000002d02000000005314d00000001d0000000b43700000000" + "0" + "a00100" + "43" + "42" + (more ? "41" : "42") +
        "4040" + "42" + (aborted ? "41" : "42") + "42"
      for (const hex of [transfer(true, false), transfer(false, true)]) {
        const frame = Buffer.from(hex, "hex")
        frame.writeUInt32BE(frame.length, 0)
        frame.writeUInt32BE(frame.length - 16, 12)
        pair.near.write(frame)
      }
      yield* pair.idle
      assert.deepStrictEqual(pair.errors, [])
      assert.strictEqual(link.arrived.length, 0)
    }))

  it.effect("refuses frames that no peer may send, as an error of the connection", () =>
    Effect.gen(function*() {
      const cases: Record<string, string> = {
        "a transfer on an unknown handle": "0000002b02000000005314d0000000170000000652097000000000a0020102434142cc",
        "a transfer on an unknown channel": "0000002b02000063005314d0000000170000000643" + "7000000000a00201024341" +
          "42cc",
        "a frame smaller than its header": "0000000402000000",
        "a header longer than its frame": "00000010ff000000005314d000000000",
        "a performative that is no list": "0000000c0200000000531440",
        "a disposition without an id": "00000011020000000053" + "15c0020141"
      }
      for (const [what, hex] of Object.entries(cases)) {
        const pair = yield* connected
        const session = yield* begin(pair)
        yield* sending(pair, session, "q", 10)
        const frame = Buffer.from(hex, "hex")
        if (frame.length > 8 && frame[4] === 2) frame.writeUInt32BE(frame.length, 0)
        pair.near.write(frame)
        yield* pair.idle
        assert.strictEqual(pair.errors.length, 1, what)
        assert.instanceOf(pair.errors[0], DecodeProblem, what)
      }
    }))

  it.effect("names performatives by long code and by symbol too", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      const symbol = Buffer.from("amqp:transfer:list").toString("hex")
      const fields = (id: string) => `c011064370000000${id}a00201024341` + "42cc"
      for (
        const [id, descriptor] of [["00", "00800000000000000014"], ["01", `00a312${symbol}`]] as const
      ) {
        const frame = Buffer.from(`0000000002000000${descriptor}${fields(id)}`, "hex")
        const at = 8 + descriptor.length / 2
        frame[at + 1] = frame.length - at - 2 - 1
        frame.writeUInt32BE(frame.length, 0)
        pair.near.write(frame)
      }
      yield* pair.idle
      assert.deepStrictEqual(pair.errors, [])
      assert.deepStrictEqual(link.arrived.map((d) => d.payload.toString("hex")), ["cc", "cc"])
    }))

  it.effect("hides the peer's idle time-out from rhea and tells ours", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      assert.strictEqual(pair.clientPlane.remoteIdleTimeout, 240_000)
      assert.strictEqual(pair.serverPlane.remoteIdleTimeout, 60_000)
      assert.isNotOk(pair.client.remote.open?.["idle_time_out"])
      assert.isNotOk(pair.client.local.open["idle_time_out"])
    }))

  it.effect("a turn looks at those sessions and links alone of which something was asked", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const idle = 50
      for (let i = 0; i < idle; i++) yield* sending(pair, yield* begin(pair), `idle${i}`, 10)
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "busy", 10)
      // A foreign client may have many links on one session.
      for (let i = 0; i < idle; i++) yield* sending(pair, session, `beside${i}`, 10)
      const looked: Array<string> = []
      for (const [end, of] of Object.entries<any>({ client: pair.clientPlane, server: pair.serverPlane })) {
        for (const plane of of.planes.values()) {
          for (const name of ["pump", "process"]) {
            const look = plane[name]
            plane[name] = () => {
              looked.push(`${end} session ${plane.session.local.channel}`)
              return look.call(plane)
            }
          }
          for (const rheaLink of Object.values<any>(plane.session.links)) {
            const look = rheaLink._process
            rheaLink._process = () => {
              looked.push(`${end} link ${rheaLink.name}`)
              return look.call(rheaLink)
            }
          }
        }
      }
      send(link.plane, 3, () => Buffer.from([0]))
      yield* pair.idle
      assert.lengthOf(link.arrived, 3)
      for (const delivery of link.arrived) link.serverLink.session.dispose(delivery, accepted, true)
      link.receiver.add_credit(3)
      yield* pair.idle
      const { channel } = session.local
      const { channel: far } = link.receiver.session.local
      assert.deepEqual(
        [...new Set(looked)].toSorted(),
        [`client session ${channel}`, `server link busy`, `server session ${far}`]
      )
    }))

  it.effect("what is said in a turn leaves in one write, rhea's frames and ours in order", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = yield* begin(pair)
      const link = yield* sending(pair, session, "q", 10)
      pair.written.length = 0
      const other = pair.client.create_session()
      other.begin()
      send(link.plane, 2, () => Buffer.from([0]))
      yield* pair.idle
      assert.lengthOf(pair.written, 1)
      const codes: Array<number> = []
      const [bytes] = pair.written
      for (let at = 0; at < bytes!.length; at += bytes!.readUInt32BE(at)) codes.push(bytes![at + 10]!)
      // Transfers of the session that was there, and the begin of the other.
      assert.deepEqual(codes, [0x14, 0x14, 0x11])
      assert.lengthOf(pair.errors, 0)
    }))

  it.effect("nothing is said on a channel after its end, and a late begin is not answered by another", () =>
    Effect.gen(function*() {
      const pair = yield* connected
      const session = pair.client.create_session()
      session.begin()
      const link = (session as any).create_sender("q", {}) as RheaLink & { attach(): void }
      link.set_target({ address: "q" })
      link.set_source({})
      link.attach()
      session.close()
      pair.written.length = 0
      yield* pair.idle
      link.close()
      session.begin()
      yield* pair.idle
      const codes = pair.written.flatMap((bytes) => {
        const found: Array<number> = []
        for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) found.push(bytes[at + 10]!)
        return found
      })
      assert.deepEqual(codes, [0x11, 0x12, 0x17])
      assert.lengthOf(pair.errors, 0)
      assert.isTrue(pair.client.is_open())
      assert.isTrue(pair.server.is_open())
      assert.lengthOf(Object.keys(pair.client.local_channel_map), 0)
      // The channel is free again.
      const next = yield* begin(pair)
      assert.strictEqual(next.local.channel, 0)
    }))
})
