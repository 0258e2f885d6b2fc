/**
 * Parts of an encoded message, byte for byte, so that no AMQP type is lost where a message is written anew: by the broker that
 * delivers it, and by a client that sends a copy. They are views of the message's bytes.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import { Reader } from "./Reader.ts"
import type { Sections } from "./Sections.ts"
import type { Writer } from "./Writer.ts"

/** The bytes of one item of a list section, or undefined where it is absent or null. */
export const rawItem = (sections: Sections, list: number, index: number): Buffer | undefined => {
  if (list < 0) return undefined
  const reader = new Reader(sections.bytes, list, sections.end)
  const count = reader.list()
  if (index >= count) return undefined
  for (let i = 0; i < index; i++) reader.skip()
  const start = reader.position
  reader.skip()
  return sections.bytes[start] === 0x40 ? undefined : sections.bytes.subarray(start, reader.position)
}

/** The bytes of each item of a list section, undefined where it is null; no items where the section is absent. */
export const rawItems = (sections: Sections, list: number): ReadonlyArray<Buffer | undefined> => {
  if (list < 0) return []
  const reader = new Reader(sections.bytes, list, sections.end)
  const items: Array<Buffer | undefined> = []
  for (let count = reader.list(); count > 0; count--) {
    const start = reader.position
    reader.skip()
    items.push(sections.bytes[start] === 0x40 ? undefined : sections.bytes.subarray(start, reader.position))
  }
  return items
}

/** The bytes of the value of a section, which is there. */
export const rawSection = (sections: Sections, at: number): Buffer => {
  const reader = new Reader(sections.bytes, at, sections.end)
  reader.skip()
  return sections.bytes.subarray(at, reader.position)
}

/** Copies the entries of a map section whose keys are not in `except`; gives how many keys and values it copied. */
export const copyEntries = (
  writer: Writer,
  sections: Sections,
  map: number,
  except: { readonly has: (key: string) => boolean }
): number => {
  if (map < 0) return 0
  const reader = new Reader(sections.bytes, map, sections.end)
  const total = reader.map()
  let count = 0
  for (let i = 0; i < total; i += 2) {
    const start = reader.position
    const key = reader.value()
    reader.skip()
    const name = AmqpValue.isTyped(key) ? String(key.value) : String(key)
    if (except.has(name)) continue
    writer.raw(sections.bytes.subarray(start, reader.position))
    count += 2
  }
  return count
}
