/** Messages as bytes: encoded, read again, and refused. */
import * as DateTime from "effect/DateTime"
import { Sections } from "../../src/internal/amqp/codec/Sections.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import { type IncomingDelivery } from "../../src/internal/amqp/engine/Delivery.ts"
import { copyOf } from "../../src/internal/message/MessageCopy.ts"
import * as MessageEncoder from "../../src/internal/message/MessageEncoder.ts"
import * as ReceivedMessage from "../../src/internal/message/ReceivedMessage.ts"
import type * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import { MessageEncodeError } from "../../src/ServiceBusError.ts"
import { type OutgoingMessage } from "../../src/ServiceBusMessage.ts"
import { assert } from "./vitest.ts"

export type Fields = Omit<OutgoingMessage<unknown>, "body">

export const empty: ServiceBusBody.Sections = { kind: "empty" }
export const guid = "00112233-4455-6677-8899-aabbccddeeff"
/** The bytes of `guid` as .NET's `Guid.ToByteArray` gives them. */
export const guidTag = Buffer.from("33221100554477668899aabbccddeeff", "hex")
export const time = (millis: number) => DateTime.makeUnsafe(millis)
/** When everything here is written. */
export const now = 1_764_000_000_000
export const clock = { currentTimeMillisUnsafe: () => now }

export const encode = (fields: Fields, body: ServiceBusBody.Sections = empty, contentType?: string): Buffer => {
  const writer = new Writer()
  MessageEncoder.encode(writer, { body: undefined, ...fields }, body, contentType, clock)
  return writer.take()
}

export const payloadOf = (...args: Parameters<typeof copyOf>): Buffer => copyOf(...args).payload

export const sections = (bytes: Buffer) => new Sections(bytes, 0, bytes.length)

export const receive = (bytes: Buffer, tag = guidTag) =>
  new ReceivedMessage.Locked(sections(bytes), "the body", { tag, payload: bytes } as unknown as IncomingDelivery, {})

export const send = (fields: Fields, body: ServiceBusBody.Sections = empty, contentType?: string) =>
  receive(encode(fields, body, contentType))

/** The error of a message that must not be encoded; the writer must be of use after it. */
export const refused = (fields: Fields, body: ServiceBusBody.Sections = empty): MessageEncodeError => {
  const writer = new Writer()
  writer.string("before")
  const before = writer.take()
  let error: unknown
  try {
    MessageEncoder.encode(writer, { body: undefined, ...fields }, body, undefined, clock)
  } catch (thrown) {
    error = thrown
  }
  assert.instanceOf(error, MessageEncodeError)
  writer.reset()
  MessageEncoder.encode(writer, { body: undefined, messageId: "after" }, empty, undefined, clock)
  assert.strictEqual(writer.take().toString("hex"), encode({ messageId: "after" }).toString("hex"))
  assert.strictEqual(before.toString("hex"), "a1066265666f7265")
  return error as MessageEncodeError
}
