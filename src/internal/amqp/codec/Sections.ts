/**
 * Where the sections of an encoded message stand (AMQP 1.0 section 3.2), found in one pass that checks their structure
 * and decodes nothing. What a section holds is decoded when it is asked for, as views of the message's bytes.
 */
import type { AmqpValue } from "../../../AmqpValue.ts"
import type * as ServiceBusBody from "../../../ServiceBusBody.ts"
import { DecodeProblem, Reader } from "./Reader.ts"
import { skipValue, zeroWidth } from "./skipValue.ts"

const header = 0x70
const deliveryAnnotations = 0x71
const messageAnnotations = 0x72
const properties = 0x73
const applicationProperties = 0x74
const data = 0x75
const sequence = 0x76
const value = 0x77
const footer = 0x78

/** The position of the value of each section, after its descriptor; -1 where there is none. */
export class Sections {
  header = -1
  deliveryAnnotations = -1
  messageAnnotations = -1
  properties = -1
  applicationProperties = -1
  footer = -1
  /** Where the first body section starts, with its descriptor; the end of the message where there is none. */
  body: number
  /** Where the last body section ends. */
  bodyEnd: number
  bodyKind: 0 | typeof data | typeof sequence | typeof value = 0
  readonly bytes: Buffer
  readonly start: number
  readonly end: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.body = end
    this.bodyEnd = end
    let at = start
    let zeroWidthItems = 0
    while (at < end) {
      const section = at
      if (end - at < 4 || bytes[at] !== 0x00) throw new DecodeProblem("expected a section of a message")
      let code: number
      if (bytes[at + 1] === 0x53) {
        code = bytes[at + 2]!
        at += 3
      } else {
        const reader = new Reader(bytes, at, end)
        code = sectionCode(reader.descriptor())
        at = reader.position
      }
      const next = skipValue(bytes, at, end, zeroWidthItems)
      if (next < 0) throw new DecodeProblem("a section of the message is not well-formed")
      zeroWidthItems = zeroWidth
      const constructor = bytes[at]!
      switch (code) {
        case header:
          this.header = list(constructor, at)
          break
        case deliveryAnnotations:
          this.deliveryAnnotations = map(constructor, at)
          break
        case messageAnnotations:
          this.messageAnnotations = map(constructor, at)
          break
        case properties:
          this.properties = list(constructor, at)
          break
        case applicationProperties:
          this.applicationProperties = map(constructor, at)
          break
        case footer:
          this.footer = map(constructor, at)
          break
        case data:
        case sequence:
        case value:
          if (this.bodyKind === 0) {
            this.bodyKind = code
            this.body = section
          } else if (this.bodyKind !== code || code === value) {
            throw new DecodeProblem("the message has bodies of different kinds")
          } else if (this.bodyEnd !== section) {
            throw new DecodeProblem("another section stands between those of the body")
          }
          if (code === data && constructor !== 0xa0 && constructor !== 0xb0) {
            throw new DecodeProblem("a data section is not binary")
          }
          if (code === sequence) list(constructor, at)
          this.bodyEnd = next
          break
        default:
          throw new DecodeProblem("the message has an unknown section")
      }
      at = next
    }
  }

  /** The body, decoded; `exact` as for a Reader. */
  readBody(exact = false): ServiceBusBody.Sections {
    if (this.bodyKind === 0) return { kind: "empty" }
    const reader = new Reader(this.bytes, this.body, this.bodyEnd, exact)
    if (this.bodyKind === value) {
      reader.descriptor()
      return { kind: "value", value: reader.value() }
    }
    if (this.bodyKind === data) {
      reader.descriptor()
      const first = reader.binary()!
      if (reader.position === this.bodyEnd) return { kind: "data", data: first }
      const parts = [first]
      while (reader.position < this.bodyEnd) {
        reader.descriptor()
        parts.push(reader.binary()!)
      }
      return { kind: "data", data: parts }
    }
    const sequences: Array<ReadonlyArray<AmqpValue>> = []
    while (reader.position < this.bodyEnd) {
      reader.descriptor()
      sequences.push(reader.value() as ReadonlyArray<AmqpValue>)
    }
    return { kind: "sequence", sequences }
  }

  /** The items of a list section, by position; empty where the message has no such section. */
  readList(at: number): ReadonlyArray<AmqpValue> {
    return at < 0 ? [] : new Reader(this.bytes, at, this.end).value() as ReadonlyArray<AmqpValue>
  }

  /** The entries of a map section; empty where the message has no such section. */
  readRecord(at: number, exact = false): Record<string, AmqpValue> {
    return at < 0 ? {} : new Reader(this.bytes, at, this.end, exact).record()
  }
}

const sectionCode = (descriptor: number | string): number => {
  if (typeof descriptor === "number") return descriptor
  switch (descriptor) {
    case "amqp:header:list":
      return header
    case "amqp:delivery-annotations:map":
      return deliveryAnnotations
    case "amqp:message-annotations:map":
      return messageAnnotations
    case "amqp:properties:list":
      return properties
    case "amqp:application-properties:map":
      return applicationProperties
    case "amqp:data:binary":
      return data
    case "amqp:amqp-sequence:list":
      return sequence
    case "amqp:amqp-value:*":
      return value
    case "amqp:footer:map":
      return footer
    default:
      return -1
  }
}

const list = (constructor: number, at: number): number => {
  if (constructor === 0x45 || constructor === 0xc0 || constructor === 0xd0) return at
  throw new DecodeProblem("a section that must be a list is not")
}

const map = (constructor: number, at: number): number => {
  if (constructor === 0xc1 || constructor === 0xd1) return at
  throw new DecodeProblem("a section that must be a map is not")
}
