/**
 * Delivery states and outcomes (AMQP 1.0 section 3.4), written and read in dispositions and transfers.
 */
import type { AmqpValue } from "../../../AmqpValue.ts"
import type { Reader } from "./Reader.ts"
import type { Writer } from "./Writer.ts"

/** An AMQP error (AMQP 1.0 section 2.8.14). */
export interface AmqpError {
  readonly condition: string
  readonly description?: string | undefined
  readonly info?: Readonly<Record<string, AmqpValue>> | undefined
}

export type Outcome =
  | { readonly _tag: "Accepted" }
  | { readonly _tag: "Rejected"; readonly error?: AmqpError | undefined }
  | { readonly _tag: "Released" }
  | {
    readonly _tag: "Modified"
    readonly deliveryFailed?: boolean | undefined
    readonly undeliverableHere?: boolean | undefined
    readonly annotations?: Readonly<Record<string, AmqpValue>> | undefined
  }
  /** A state that is not an outcome (received), or one that this library does not know. */
  | { readonly _tag: "Other"; readonly descriptor: number | string }

export const accepted: Outcome = Object.freeze({ _tag: "Accepted" })
export const released: Outcome = Object.freeze({ _tag: "Released" })
/** A state that belongs to a transaction (AMQP 1.0 section 4.4), whatever its outcome. */
export const transactional: Outcome = Object.freeze({ _tag: "Other", descriptor: 0x34 })

/** Whether a state is `received`, which tells how much of a delivery has come and is no outcome (AMQP 1.0 section 3.4.1). */
export const isReceived = (outcome: Outcome | undefined): boolean =>
  outcome?._tag === "Other" && (outcome.descriptor === 0x23 || outcome.descriptor === "amqp:received:list")

/** Whether two outcomes may share one range of a disposition. Only those without content may: a range has one state. */
export const canShare = (a: Outcome | undefined, b: Outcome | undefined): boolean =>
  a === b && (a === undefined || a === accepted || a === released)

/** Writes the state of a disposition. @internal */
export const writeOutcome = (writer: Writer, outcome: Outcome | undefined): void => {
  if (outcome === undefined) return writer.null()
  switch (outcome._tag) {
    case "Accepted":
      writer.descriptor(0x24)
      return emptyList(writer)
    case "Released":
      writer.descriptor(0x26)
      return emptyList(writer)
    case "Rejected": {
      writer.descriptor(0x25)
      if (outcome.error === undefined) return emptyList(writer)
      const at = writer.begin(0xd0)
      writeError(writer, outcome.error)
      return writer.end(at, 1)
    }
    case "Modified": {
      writer.descriptor(0x27)
      const at = writer.begin(0xd0)
      optionalBoolean(writer, outcome.deliveryFailed)
      optionalBoolean(writer, outcome.undeliverableHere)
      if (outcome.annotations === undefined) writer.null()
      else writer.annotations(Object.entries(outcome.annotations))
      return writer.end(at, 3)
    }
    case "Other":
      return writer.null()
  }
}

const emptyList = (writer: Writer): void => {
  writer.ensure(1)
  writer.u8(0x45)
}

const optionalBoolean = (writer: Writer, value: boolean | undefined): void =>
  value === undefined ? writer.null() : writer.boolean(value)

const writeError = (writer: Writer, error: AmqpError): void => {
  writer.descriptor(0x1d)
  const at = writer.begin(0xd0)
  writer.symbol(error.condition)
  if (error.description === undefined) writer.null()
  else writer.string(error.description.toWellFormed())
  if (error.info === undefined) writer.null()
  else writer.annotations(Object.entries(error.info))
  writer.end(at, 3)
}

/** Reads the state of a disposition; `undefined` for null. @internal */
export const readOutcome = (reader: Reader): Outcome | undefined => {
  if (reader.bytes[reader.position] === 0x40) {
    reader.position++
    return undefined
  }
  const descriptor = reader.descriptor()
  switch (descriptor) {
    case 0x24:
    case "amqp:accepted:list":
      reader.skip()
      return accepted
    case 0x26:
    case "amqp:released:list":
      reader.skip()
      return released
    case 0x25:
    case "amqp:rejected:list": {
      const count = reader.list()
      return { _tag: "Rejected", error: count > 0 ? readError(reader) : undefined }
    }
    case 0x27:
    case "amqp:modified:list": {
      const count = reader.list()
      return {
        _tag: "Modified",
        deliveryFailed: count > 0 ? reader.boolean() : undefined,
        undeliverableHere: count > 1 ? reader.boolean() : undefined,
        // They become properties of the message, of the type that they have.
        annotations: count > 2 ? reader.exactRecord() : undefined
      }
    }
    case 0x34:
    case "amqp:transactional-state:list":
      reader.skip()
      return transactional
    default:
      reader.skip()
      return { _tag: "Other", descriptor }
  }
}

const readError = (reader: Reader): AmqpError | undefined => {
  if (reader.bytes[reader.position] === 0x40) {
    reader.position++
    return undefined
  }
  reader.descriptor()
  const count = reader.list()
  const condition = count > 0 ? reader.value() : undefined
  const description = count > 1 ? reader.value() : undefined
  const info = count > 2 ? reader.exactRecord() : undefined
  return {
    condition: text(condition) ?? "amqp:internal-error",
    description: text(description),
    info
  }
}

const text = (value: AmqpValue): string | undefined =>
  typeof value === "string"
    ? value
    : typeof value === "object" && value !== null && "type" in value && value.type === "symbol"
    ? value.value as string
    : undefined
