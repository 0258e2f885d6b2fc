/**
 * What stands in a decoded value. Peers choose its form: a record comes as a map or an object, numbers as an array or a list.
 * A file of its own because the client reads responses with it and the broker requests.
 */
import * as AmqpValue from "../../../AmqpValue.ts"

/** A field of a record; undefined where it has none of that name, or is no record. */
export const fieldOf = (record: AmqpValue.AmqpValue, name: string): AmqpValue.AmqpValue =>
  record instanceof Map
    ? record.get(name)
    : typeof record === "object" && record !== null && Object.hasOwn(record, name)
    ? (record as Record<string, AmqpValue.AmqpValue>)[name]
    : undefined

/** What is in an array or a list; undefined where it is neither. */
export const itemsOf = (value: AmqpValue.AmqpValue): ReadonlyArray<unknown> | undefined => {
  const items = AmqpValue.isTyped(value) && value.type === "array" ? value.value : value
  return Array.isArray(items) ? items : undefined
}

/** The whole numbers among items; what is none is left out. */
export const longsOf = (items: ReadonlyArray<unknown>): ReadonlyArray<bigint> =>
  items.flatMap((item) =>
    typeof item === "bigint" ? [item] : Number.isSafeInteger(item) ? [BigInt(item as number)] : []
  )
