/** Bytes that lie about themselves are refused by codec and messages, and never more than that. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { inspect } from "node:util"
import * as AmqpValue from "../../src/AmqpValue.ts"
import { DecodeProblem, Reader } from "../../src/internal/amqp/codec/Reader.ts"
import { Sections } from "../../src/internal/amqp/codec/Sections.ts"
import { skipValue } from "../../src/internal/amqp/codec/skipValue.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import type { IncomingDelivery } from "../../src/internal/amqp/engine/Delivery.ts"
import * as MessageEncoder from "../../src/internal/message/MessageEncoder.ts"
import * as ReceivedMessage from "../../src/internal/message/ReceivedMessage.ts"
import type * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import type { OutgoingMessage } from "../../src/ServiceBusMessage.ts"
import { assert, describe, it } from "../support/vitest.ts"

const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex")

/** What `f` gives; undefined where it throws a DecodeProblem. Nothing else may be thrown. */
const attempt = <A>(f: () => A): A | undefined => {
  try {
    return f()
  } catch (error) {
    if (error instanceof DecodeProblem) return undefined
    throw error
  }
}

/** Every way to read bytes as a value. Whatever the walk takes, the reader must decode, up to the same place. */
const readEveryWay = (bytes: Buffer): { readonly walked: number; readonly value: AmqpValue.AmqpValue } => {
  const walked = skipValue(bytes, 0, bytes.length)
  if (walked > bytes.length) assert.fail("the walk went beyond the end")
  let value: AmqpValue.AmqpValue
  if (walked >= 0) {
    const reader = new Reader(bytes)
    value = reader.value()
    if (reader.position !== walked) assert.fail("the walk and the reader disagree")
  } else {
    value = attempt(() => new Reader(bytes).value())
  }
  attempt(() => new Reader(bytes).skip())
  attempt(() => new Reader(bytes).record())
  attempt(() => new Reader(bytes).descriptor())
  attempt(() => new Reader(bytes).list())
  attempt(() => new Reader(bytes).map())
  attempt(() => new Reader(bytes).uint())
  attempt(() => new Reader(bytes).boolean())
  attempt(() => new Reader(bytes).binary())
  attempt(() => new Sections(bytes, 0, bytes.length))
  return { walked, value }
}

const isValue = (bytes: Buffer): boolean => readEveryWay(bytes).walked >= 0

/** Neither the walk nor the reader takes these bytes. */
const refused = (bytes: Buffer) => {
  const { value, walked } = readEveryWay(bytes)
  assert.strictEqual(walked, -1)
  assert.strictEqual(value, undefined)
}

const getters = [ReceivedMessage.Received.prototype, ReceivedMessage.Locked.prototype].flatMap((prototype) =>
  Object.entries(Object.getOwnPropertyDescriptors(prototype)).flatMap(([name, { get }]) =>
    get === undefined ? [] : [name]
  )
)

const delivery = { tag: Buffer.alloc(16) } as unknown as IncomingDelivery
const owner = {}

/** Whether the bytes are taken as a message; all that it has can be read then. */
const readMessage = (bytes: Buffer): boolean => {
  const sections = attempt(() => new Sections(bytes, 0, bytes.length))
  if (sections === undefined) return false
  const message = new ReceivedMessage.Locked(sections, sections.readBody(), delivery, owner)
  const fields = message as unknown as Record<string, unknown>
  for (const name of getters) {
    const value = fields[name]
    // A date that is none throws only when it is printed.
    if (DateTime.isDateTime(value)) DateTime.formatIso(value)
  }
  JSON.stringify(message)
  return true
}

const nestedList = (levels: number): Buffer => {
  let bytes: Buffer = Buffer.from([0x45])
  for (let i = 0; i < levels; i++) {
    const head = Buffer.alloc(9)
    head[0] = 0xd0
    head.writeUInt32BE(bytes.length + 4, 1)
    head.writeUInt32BE(1, 5)
    bytes = Buffer.concat([head, bytes])
  }
  return bytes
}

const array32 = (count: number, rest: Buffer): Buffer => {
  const head = Buffer.alloc(9)
  head[0] = 0xf0
  head.writeUInt32BE(rest.length + 4, 1)
  head.writeUInt32BE(count, 5)
  return Buffer.concat([head, rest])
}

const list32 = (items: ReadonlyArray<Buffer>): Buffer => {
  const head = Buffer.alloc(9)
  head[0] = 0xd0
  head.writeUInt32BE(items.reduce((sum, item) => sum + item.length, 4), 1)
  head.writeUInt32BE(items.length, 5)
  return Buffer.concat([head, ...items])
}

describe("sizes and counts that lie", () => {
  it("4294967295 nulls in 10 bytes", () => {
    for (const code of [0x40, 0x41, 0x42, 0x43, 0x44, 0x45]) refused(array32(0xffffffff, Buffer.from([code])))
    refused(array32(0xffffffff, bytesOf("00 53 01 40")))
    refused(array32(0xffffffff, bytesOf("00 a3 01 61 45")))
    refused(bytesOf("f0 00000008 ffffffff 40 000000"))
  })

  it("65536 items without a width are the most, over all arrays of a value", () => {
    const most = array32(65536, Buffer.from([0x40]))
    assert.strictEqual((readEveryWay(most).value as ReadonlyArray<unknown>).length, 65536)
    refused(array32(65537, Buffer.from([0x40])))
    refused(list32([most, array32(1, Buffer.from([0x43]))]))
    refused(list32(Array.from({ length: 100_000 }, () => most)))
    const half = array32(32768, Buffer.from([0x41]))
    assert.isAbove(readEveryWay(list32([half, half])).walked, 0)
  })

  it("the same over all sections of a message", () => {
    const section = Buffer.concat([bytesOf("00 53 76"), list32([array32(40_000, Buffer.from([0x40]))])])
    assert.isTrue(readMessage(section))
    assert.isFalse(readMessage(Buffer.concat([section, section])))
    const annotations = Buffer.concat([
      bytesOf("00 53 72 d1 00000011 00000002 a1 01 61"),
      array32(40_000, Buffer.from([0x40]))
    ])
    assert.isTrue(readMessage(annotations))
    assert.isFalse(readMessage(Buffer.concat([annotations, section])))
  })

  it("arrays of arrays of nulls", () => {
    // The inner arrays share one constructor: 9 bytes each, 65535 nulls each.
    const inner = bytesOf("00000005 0000ffff 40")
    refused(array32(2, Buffer.concat([Buffer.from([0xf0]), inner, inner])))
    assert.isAbove(readEveryWay(array32(1, Buffer.concat([Buffer.from([0xf0]), inner]))).walked, 0)
    refused(array32(1000, Buffer.concat([Buffer.from([0xf0]), ...Array.from({ length: 1000 }, () => inner)])))
  })

  it("more items than bytes", () => {
    refused(bytesOf("d0 00000005 ffffffff 40"))
    refused(bytesOf("d0 ffffffff ffffffff 40"))
    refused(bytesOf("d1 00000005 fffffffe 40"))
    refused(bytesOf("c0 02 ff 40"))
    refused(bytesOf("c1 02 fe 40"))
    refused(bytesOf("f0 00000005 ffffffff 50"))
    refused(bytesOf("f0 00000005 ffffffff 71"))
    refused(bytesOf("e0 02 ff 50"))
    refused(bytesOf("e0 04 ff c0 01 00"))
  })

  it("strings, symbols and binaries that are longer than what is there", () => {
    for (const code of ["b0", "b1", "b3"]) {
      refused(bytesOf(`${code} ffffffff`))
      refused(bytesOf(`${code} ffffffff 616263`))
      refused(bytesOf(`${code} 00000004 616263`))
      refused(bytesOf(`${code} 000000`))
      refused(bytesOf(`d0 0000000c 00000001 ${code} ffffffff 616263`))
    }
    for (const code of ["a0", "a1", "a3"]) {
      refused(bytesOf(`${code}`))
      refused(bytesOf(`${code} ff 616263`))
      refused(bytesOf(`${code} 04 616263`))
    }
  })

  it("compounds that end elsewhere than they say are refused by the walk", () => {
    for (
      const hex of [
        "c0 01 01 40",
        "c0 03 01 40 40",
        "c0 00 00",
        "c0 05 01 40",
        "d0 00000004 00000001 40",
        "d0 00000006 00000001 40 40",
        "d0 00000003 00000000",
        "d0 00000000 00000000",
        "c1 04 02 40 40 40",
        "c0 04 01 c0 01 01 40",
        "e0 02 02 50 01 02",
        "e0 05 02 50 01 02 03",
        "e0 03 02 40 40",
        "e0 00 00 40",
        "f0 00000004 00000000 40",
        "c0 03 02 a1 ff"
      ]
    ) {
      const bytes = bytesOf(hex)
      assert.strictEqual(readEveryWay(bytes).walked, -1, hex)
      // The value must not reach into what follows it either.
      assert.strictEqual(readEveryWay(Buffer.concat([bytes, Buffer.alloc(300, 0x40)])).walked, -1, hex)
    }
  })

  it("a map with a key and no value", () => {
    refused(bytesOf("c1 02 01 40"))
    refused(bytesOf("d1 00000005 00000001 40"))
    refused(bytesOf("c1 04 03 40 40 40"))
    assert.throws(() => new Reader(bytesOf("c1 02 01 40")).map(), DecodeProblem)
    assert.throws(() => new Reader(bytesOf("c1 02 01 40")).record(), DecodeProblem)
  })
})

describe("depth", () => {
  it("2000 nested lists", () => {
    refused(nestedList(2000))
    refused(Buffer.from("d0000000ff00000001".repeat(2000), "hex"))
    refused(Buffer.from("c0ff01".repeat(2000), "hex"))
    refused(Buffer.from("c1ff02".repeat(2000), "hex"))
    refused(Buffer.from("e0ff01".repeat(2000), "hex"))
    refused(Buffer.from("f0ffffffff00000001".repeat(2000), "hex"))
  })

  it("33 levels are the most", () => {
    assert.isAbove(readEveryWay(nestedList(33)).walked, 0)
    assert.strictEqual(readEveryWay(nestedList(34)).walked, -1)
  })

  it("descriptors of descriptors", () => {
    refused(Buffer.alloc(10_000))
    refused(Buffer.from("005301".repeat(3000) + "40", "hex"))
    refused(Buffer.from("00a30161".repeat(3000) + "40", "hex"))
    // A descriptor may be neither described nor a compound.
    refused(bytesOf("00 00 53 01 40 40"))
    refused(bytesOf("00 45 40"))
    refused(bytesOf("00 c0 01 00 40"))
    refused(bytesOf("00 54 01 40"))
    refused(bytesOf("00 a1 01 61 40"))
    refused(bytesOf("00 53 01 00 53 01 40"))
  })

  it("arrays whose descriptor is an array, and so on", () => {
    const level = Buffer.concat([bytesOf("f0 00fffff0 00000001 00")])
    const bytes = Buffer.concat([...Array.from({ length: 100_000 }, () => level), Buffer.alloc(17_000_000 - 1_000_000)])
    refused(bytes)
    refused(bytesOf("e0 06 01 00 e0 02 00 40 40"))
    refused(bytesOf("e0 05 00 00 53 01 00"))
    refused(bytesOf("e0 07 01 00 53 01 00 53 01"))
  })

  it("described lists of described lists", () => {
    refused(Buffer.from("005301d0000000ff00000001".repeat(5000), "hex"))
    let bytes: Buffer = Buffer.from([0x40])
    for (let i = 0; i < 33; i++) bytes = Buffer.concat([bytesOf("00 53 01"), list32([bytes])])
    assert.isAbove(readEveryWay(bytes).walked, 0)
    assert.strictEqual(readEveryWay(list32([bytes])).walked, -1)
  })
})

describe("constructors", () => {
  it("those that AMQP does not know are refused", () => {
    const known = new Set(bytesOf(
      "40 41 42 43 44 45 50 51 52 53 54 55 56 60 61 70 71 72 73 74 80 81 82 83 84 94 98 a0 a1 a3 b0 b1 b3 c0 c1 d0 d1 e0 f0"
    ))
    for (let code = 1; code < 256; code++) {
      if (known.has(code)) continue
      const bytes = Buffer.alloc(40)
      bytes[0] = code
      refused(bytes)
      refused(Buffer.concat([bytesOf("c0 20 01"), bytes.subarray(0, 31)]))
      refused(Buffer.concat([bytesOf("e0 20 01"), bytes.subarray(0, 31)]))
      refused(Buffer.concat([bytesOf("00 53 01"), bytes]))
    }
  })

  it("nothing at all", () => refused(Buffer.alloc(0)))

  it("bytes before and after the value are not looked at", () => {
    const bytes = bytesOf("ff ff c0 02 01 40 ff ff")
    assert.strictEqual(skipValue(bytes, 2, 6), 6)
    assert.strictEqual(skipValue(bytes, 2, 5), -1)
    assert.strictEqual(skipValue(bytes, 6, 6), -1)
  })
})

describe("messages", () => {
  const takes = (hex: string) => assert.isTrue(readMessage(bytesOf(hex)), hex)
  const refuses = (hex: string) => assert.isFalse(readMessage(bytesOf(hex)), hex)

  it("what is well-formed", () => {
    takes("")
    takes("00 53 70 45")
    takes("00 53 70 c0 01 00")
    takes("00 80 0000000000000070 45")
    takes("00 53 75 a0 00")
    takes("00 53 75 b0 00000001 01")
    takes("00 53 77 40")
    takes("00 53 77 00 53 01 40")
    takes("00 53 76 45 00 53 76 c0 02 01 40")
    takes("00 53 74 c1 01 00")
  })

  it("sections that are cut off", () => {
    for (
      const hex of ["00", "00 53", "00 53 70", "00 53 75 a0", "00 53 75 a0 02 01", "00 53 73 c0 03 01 a1", "00 80 00"]
    ) {
      refuses(hex)
      refuses(`00 53 70 45 ${hex}`)
    }
  })

  it("what is no section", () => {
    refuses("40 40 40 40")
    refuses("00 53 79 45")
    refuses("00 53 00 45")
    refuses("00 44 45 45")
    refuses("00 80 ffffffffffffffff 45")
    refuses("00 a3 03 616263 45")
    refuses("00 a1 01 61 45")
    refuses("00 00 53 70 45")
    refuses("00 53 70 45 ff")
  })

  it("sections of another type than theirs", () => {
    for (const list of ["70", "73", "76"]) {
      for (const value of ["40", "c1 01 00", "a0 00", "a1 01 61", "00 53 01 45", "e0 02 00 40"]) {
        refuses(`00 53 ${list} ${value}`)
      }
    }
    for (const map of ["71", "72", "74", "78"]) {
      for (const value of ["40", "45", "c0 01 00", "a0 00", "00 53 01 c1 01 00", "c1 02 01 40"]) {
        refuses(`00 53 ${map} ${value}`)
      }
    }
    for (const value of ["40", "a1 00", "45", "a3 00", "00 53 01 a0 00", "e0 02 00 a0"]) refuses(`00 53 75 ${value}`)
  })

  it("bodies of two kinds, two values, and a body in pieces", () => {
    refuses("00 53 75 a0 00 00 53 77 40")
    refuses("00 53 77 40 00 53 75 a0 00")
    refuses("00 53 75 a0 00 00 53 76 45")
    refuses("00 53 77 40 00 53 77 40")
    refuses("00 53 75 a0 00 00 53 70 45 00 53 75 a0 00")
    refuses("00 53 76 45 00 53 78 c1 01 00 00 53 76 45")
    takes("00 53 75 a0 00 00 53 75 a0 00 00 53 78 c1 01 00")
  })

  it("keys of all types in every map", () => {
    // Keys: null, a list, a map {"toString": 1}, a described value, an array.
    const entries = "40 40  c0 02 01 40 40  c1 0d 02 a1 08 746f537472696e67 54 01 40  00 53 01 40 40  e0 02 01 40 40"
    const size = bytesOf(entries).length + 1
    for (const map of ["71", "72", "74", "78"]) {
      takes(`00 53 ${map} c1 ${size.toString(16).padStart(2, "0")} 0a ${entries}`)
    }
  })
})

/** Mulberry32: the same numbers in every run. */
const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * below)
  }
}

const encode = (fields: Omit<OutgoingMessage<unknown>, "body">, body: ServiceBusBody.Sections): Buffer => {
  const writer = new Writer()
  MessageEncoder.encode(writer, { body: undefined, ...fields }, body, "application/json", {
    currentTimeMillisUnsafe: () => 1
  })
  return writer.take()
}

const guid = "00112233-4455-6677-8899-aabbccddeeff"

/** Three messages with everything in them, small so that a mutation meets structure. */
const seeds: ReadonlyArray<Buffer> = [
  encode({
    messageId: "id",
    correlationId: 7n,
    sessionId: "s",
    subject: "é",
    timeToLive: 5000,
    priority: 4,
    durable: true,
    groupSequence: 1,
    absoluteExpiryTime: DateTime.makeUnsafe(1),
    messageAnnotations: {
      "x-opt-sequence-number": 5n,
      "x-opt-enqueued-time": DateTime.makeUnsafe(8640000000000000),
      "x-opt-locked-until": DateTime.makeUnsafe(2),
      "x-opt-message-state": 1
    },
    applicationProperties: { a: 1, b: "x", c: AmqpValue.uuid(guid), d: Duration.millis(1), e: new URL("http://a.b") }
  }, { kind: "data", data: "{}" }),
  encode({
    messageId: AmqpValue.uuid(guid),
    deliveryAnnotations: { d: [1, [2, { a: 1 }]] },
    footer: { f: AmqpValue.array("symbol", ["a", "b"]), g: AmqpValue.array("boolean", [true]) }
  }, {
    kind: "value",
    value: [1, "a", { b: [AmqpValue.described(1n, 2), AmqpValue.array("uuid", [guid])] }, new Map([[1, 2]]), 1.5, null]
  }),
  encode({ messageId: new Uint8Array([1]) }, {
    kind: "sequence",
    sequences: [[1, AmqpValue.symbol("s")], [{ a: new Uint8Array([1, 2]) }], []]
  })
]

const interesting = bytesOf(
  `00 01 02 04 40 41 43 45 53 54 56 71 73 80 81 82 83 98 a0
   a1 a3 b0 b1 b3 c0 c1 d0 d1 e0 f0 ff 70 72 74 75 76 77 78`.replaceAll("\n", "")
)

const mutate = (random: (below: number) => number, original: Buffer): Buffer => {
  let bytes: Buffer = Buffer.from(original)
  for (let count = 1 + random(3); count > 0; count--) {
    const at = random(bytes.length)
    switch (random(8)) {
      case 0:
        bytes[at]! ^= 1 << random(8)
        break
      case 1:
        bytes[at] = random(256)
        break
      case 2:
      case 3:
        bytes[at] = interesting[random(interesting.length)]!
        break
      case 4:
        bytes = bytes.subarray(0, at + 1)
        break
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(4))])
        break
      case 6: {
        const from = random(bytes.length)
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + random(40)), bytes.subarray(at)])
        break
      }
      default:
        if (at + 8 <= bytes.length) bytes.fill([0, 0xff, 0x7f, 0x40][random(4)]!, at, at + 1 + random(8))
    }
    if (bytes.length === 0) return bytes
  }
  return bytes
}

/** Runs `f` for each number; tens of thousands of errors would spend their time on stack traces. */
const each = (count: number, f: (i: number) => Buffer, read: (bytes: Buffer) => boolean): number => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  let taken = 0
  try {
    for (let i = 0; i < count; i++) {
      const bytes = f(i)
      try {
        if (read(bytes)) taken++
      } catch (error) {
        throw new Error(`run ${i}: ${bytes.toString("hex")}: ${String(error)}`, { cause: error })
      }
    }
  } finally {
    Error.stackTraceLimit = limit
  }
  return taken
}

describe("mutations", () => {
  it("100000 mutated messages: what is taken can be read", () => {
    const random = randomOf(1)
    const taken = each(100_000, (i) => mutate(random, seeds[i % seeds.length]!), readMessage)
    // The mutations must reach what lies after the first check.
    assert.isAbove(taken, 10_000)
    assert.isBelow(taken, 90_000)
  })

  it("40000 mutated values: the walk and the reader agree", () => {
    const random = randomOf(2)
    const values = seeds.map((seed) => {
      const writer = new Writer()
      const sections = new Sections(seed, 0, seed.length)
      writer.value([
        sections.readRecord(sections.messageAnnotations),
        sections.readRecord(sections.applicationProperties),
        sections.readRecord(sections.footer),
        ...sections.readList(sections.properties)
      ])
      return writer.take()
    })
    const taken = each(40_000, (i) => mutate(random, values[i % values.length]!), isValue)
    assert.isAbove(taken, 4000)
  })

  it("40000 values out of random constructors", () => {
    const random = randomOf(3)
    const taken = each(
      40_000,
      () =>
        Buffer.from(
          Array.from({ length: 1 + random(24) }, () =>
            random(3) === 0 ? random(12) : interesting[random(interesting.length)]!)
        ),
      isValue
    )
    assert.isAbove(taken, 4000)
  })

  it("a message that was decoded is printed without its content, whatever it is", () => {
    const random = randomOf(4)
    for (let i = 0; i < 2000; i++) {
      const bytes = mutate(random, seeds[i % seeds.length]!)
      const sections = attempt(() => new Sections(bytes, 0, bytes.length))
      if (sections === undefined) continue
      assert.include(inspect(new ReceivedMessage.Destructive(sections, "secret body")), "Destructive")
      assert.notInclude(inspect(new ReceivedMessage.Destructive(sections, "secret body")), "secret")
    }
  })
})
