// The one message that every peer sends and receives: JSON of six fields, padded to a size.

export interface Order {
  readonly id: number
  readonly name: string
  readonly amount: number
  readonly paid: boolean
  readonly tags: ReadonlyArray<string>
  readonly note: string
}

/** Ids have seven digits, so that the broker can write the next one over the last. */
export const firstId = 1_000_000
export const ids = 9_000_000

export const contentType = "application/json"
export const applicationProperties = { kind: "order", version: 3 }

const notes = new Map<number, string>()

/** The padding that makes a body `size` bytes of JSON. */
export const noteOf = (size: number): string => {
  let note = notes.get(size)
  if (note === undefined) {
    const { length } = JSON.stringify(withNote(0, ""))
    notes.set(size, note = "x".repeat(Math.max(0, size - length)))
  }
  return note
}

const withNote = (index: number, note: string): Order => ({
  id: firstId + (index % ids),
  name: "order-12345",
  amount: 99.95,
  paid: true,
  tags: ["a", "b"],
  note
})

export const orderOf = (index: number, size: number): Order => withNote(index, noteOf(size))

export const messageIdOf = (index: number): string => `0123456789abcdef012345678${firstId + (index % ids)}`

/** A message as our client and Microsoft's take it. */
export const messageOf = (index: number, size: number) => ({
  body: orderOf(index, size),
  messageId: messageIdOf(index),
  contentType,
  applicationProperties
})

/** `count` messages from `index` on. */
export const messagesOf = (index: number, count: number, size: number) =>
  Array.from({ length: count }, (_, i) => messageOf(index + i, size))

/** Whether a body is the one of `index`. */
export const isOrder = (body: unknown, index: number, size: number): boolean => {
  const order = body as Order | null | undefined
  return order?.id === firstId + (index % ids) && order.amount === 99.95 && order.tags?.length === 2 &&
    order.note.length === noteOf(size).length
}
