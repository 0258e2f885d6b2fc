/**
 * Options of receiving that are in range, and the error of those that are not.
 */
import { InvalidOptionError } from "../ServiceBusError.ts"

/** The most messages that one call gives, and the widest window (what one session may hold comfortably). */
export const most = 5000

export const isCount = (value: number, least = 1): boolean => Number.isInteger(value) && value >= least && value <= most

/** Sequence numbers are longs. */
export const isSequenceNumber = (value: unknown): value is bigint =>
  typeof value === "bigint" && value >= 0n && value < 2n ** 63n

export const outOfRange = (entity: string, option: string, expected: string): InvalidOptionError =>
  new InvalidOptionError({ entity, option, expected })
