/**
 * What the page knows of the broker, kept up to date: the entities with their counts, asked for every two seconds while somebody
 * looks. Where the broker does not answer, the page says so and tries again, less and less often, until it does.
 */
import { get, Problem } from "./api.js"
import { setNow } from "./dom.js"

/** @typedef {import("./api.js").Row} Row */

/** @type {Map<string, Row>} */
export const rows = new Map()

/** @type {string | undefined} */
let version
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer
let failures = 0
let isRunning = false
/** @type {Promise<void> | undefined} */
let asking
/** How often it has ended: what was asked for before that is somebody else's. */
let ends = 0

const interval = 2000
const longest = 15_000

/** @typedef {(changed: ReadonlySet<string>, isBack: boolean) => void} Listener */
/** @type {Set<Listener>} */
const listeners = new Set()

/**
 * Is told which entities have changed, and whether the broker is back after it was gone. Gives what ends it.
 * @param {Listener} listener
 */
export const watch = (listener) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** @type {(text: string | undefined) => void} */
let lost = () => {}

/**
 * Is told that the broker is gone, and (with nothing) that it is back.
 * @param {(text: string | undefined) => void} listener
 */
export const onLost = (listener) => {
  lost = listener
}

const look = async () => {
  clearTimeout(timer)
  const end = ends
  try {
    const { entities, isWhole, now, version: next } = await get("/entities", { since: version })
    if (end !== ends) return
    setNow(now)
    const changed = new Set(entities.map((/** @type {Row} */ row) => row.path))
    if (isWhole) {
      for (const path of rows.keys()) if (!changed.has(path)) changed.add(path)
      rows.clear()
    }
    for (const row of entities) rows.set(row.path, row)
    version = next
    const isBack = failures > 0
    failures = 0
    if (isBack) lost(undefined)
    if (isRunning && (changed.size > 0 || isBack)) { for (const listener of [...listeners]) listener(changed, isBack) }
  } catch (error) {
    if (end !== ends || error instanceof Problem && error.status === 401) return
    failures += 1
    lost(error instanceof Error ? error.message : String(error))
  } finally {
    if (end === ends && isRunning && !document.hidden) timer = setTimeout(refresh, delay())
  }
}

/** Milliseconds until the next look. */
export const delay = () => failures === 0 ? interval : Math.min(longest, 1000 * 2 ** (failures - 1))

/** Looks now. */
export const refresh = () => {
  if (asking !== undefined) return asking
  const mine = look().finally(() => {
    if (asking === mine) asking = undefined
  })
  return asking = mine
}

document.addEventListener("visibilitychange", () => {
  if (isRunning && !document.hidden) void refresh()
})

/** Begins; the first look is over when this is. */
export const start = async () => {
  isRunning = true
  await refresh()
}

/** Ends, and forgets what it knows. */
export const stop = () => {
  isRunning = false
  ends += 1
  asking = undefined
  clearTimeout(timer)
  version = undefined
  failures = 0
  rows.clear()
  listeners.clear()
  lost(undefined)
}
