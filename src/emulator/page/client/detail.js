/**
 * One message, with all that is in it: why it died, its body in three ways, and its properties.
 */
import { deadLettersOf, get } from "./api.js"
import { button, distance, h, put, size, tell, time } from "./dom.js"
import { bytesOf, hex, indented, mostHex, readBody, shown } from "./value.js"

const system = [
  ["Sequence number", "sequenceNumber"],
  ["State", "state"],
  ["Enqueued", "enqueuedTime"],
  ["Scheduled for", "scheduledEnqueueTime"],
  ["Expires", "expiresAt"],
  ["Failed deliveries", "deliveryCount"],
  ["Time to live", "timeToLive"],
  ["Number in the first entity", "firstSequenceNumber"],
  ["Forwarded so often", "hops"],
  ["Dead letter of", "deadLetterSource"],
  ["Message id", "messageId"],
  ["Session id", "sessionId"],
  ["Subject", "subject"],
  ["Content type", "contentType"],
  ["Correlation id", "correlationId"],
  ["To", "to"],
  ["Reply to", "replyTo"],
  ["Reply to session id", "replyToSessionId"],
  ["Content encoding", "contentEncoding"],
  ["User id (base64)", "userId"],
  ["Created", "creationTime"],
  ["Expires absolutely", "absoluteExpiryTime"],
  ["Durable", "durable"],
  ["Priority", "priority"],
  ["First acquirer", "firstAcquirer"],
  ["Group sequence", "groupSequence"]
]

const times = new Set(["enqueuedTime", "scheduledEnqueueTime", "expiresAt", "creationTime", "absoluteExpiryTime"])

/**
 * A list of names and values.
 * @param {ReadonlyArray<readonly [string, any]>} pairs
 */
export const facts = (pairs) =>
  h("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))

/**
 * The message of a number, as `/messages` has it.
 * @param {string} entity
 * @param {string} sequenceNumber
 */
export const load = async (entity, sequenceNumber) => {
  const [message] = await get("/messages", { entity, from: sequenceNumber, max: 1 })
  if (message?.sequenceNumber !== sequenceNumber) throw new Error(`Message ${sequenceNumber} is not here any more.`)
  return message
}

/** Characters of a body that are shown at first: a browser is slow with more. */
const most = 200_000

/** @param {any} message */
const bodyOf = (message) => {
  const { body } = message
  const bytes = bytesOf(body)
  const { kind, text } = readBody(body)
  const asText = bytes === undefined ? text : new TextDecoder().decode(bytes)
  /** @type {string | undefined} */
  let pretty
  try {
    pretty = kind === "JSON" || kind === "AMQP" ? text : indented(asText)
  } catch {
    // It is no JSON.
  }
  /** @type {Map<string, string>} */
  const views = new Map()
  if (pretty !== undefined) views.set("JSON", pretty)
  if (bytes !== undefined) views.set("Text", asText).set("Hex", hex(bytes))
  const first = views.has("JSON") ? "JSON" : kind === "base64" ? "Hex" : "Text"
  const pre = h("pre", { class: "body", tabIndex: 0, "aria-label": "Body" })
  const note = h("p", { class: "hint" })
  const show = (/** @type {string} */ view) => {
    const all = views.get(view) ?? ""
    pre.classList.toggle("hex", view === "Hex")
    put(pre, all.slice(0, most))
    const isCut = all.length > most || view === "Hex" && bytes !== undefined && bytes.length > mostHex
    put(note, isCut && "Only the beginning is shown; saved as a file it is whole.")
    for (const each of tabs) each.setAttribute("aria-pressed", String(each.textContent === view))
  }
  const tabs = [...views.keys()].map((view) => button(view, () => show(view)))
  const element = h(
    "div",
    {},
    h(
      "div",
      { class: "row" },
      h(
        "h3",
        { class: "grow" },
        "Body",
        bytes !== undefined && h("span", { class: "faint" }, ` ${size(bytes.length)}`)
      ),
      h("div", { class: "tabs" }, ...tabs)
    ),
    body === undefined ? h("p", { class: "faint" }, "It has no body.") : pre,
    note
  )
  show(first)
  return element
}

/** @param {Record<string, any> | undefined} record */
const propertiesOf = (record) =>
  Object.entries(record ?? {}).map(([name, value]) => /** @type {const} */ ([name, shown(value)]))

/**
 * Why a message is a dead letter, in words; false where it is none and never was.
 * @param {string} entity
 * @param {any} message
 * @returns {HTMLElement | false}
 */
export const reasonOf = (entity, { applicationProperties = {} }) => {
  const { DeadLetterErrorDescription: description, DeadLetterReason: reason } = applicationProperties
  // Some clients send null for a reason that nobody gave.
  const isGiven = reason !== undefined && reason !== null
  if (!isGiven && !entity.endsWith(deadLettersOf(""))) return false
  return h(
    "div",
    { class: "reason" },
    h("strong", {}, "Why it is a dead letter: "),
    isGiven ? shown(reason) : "no reason was given",
    description !== undefined && description !== null && h("div", {}, shown(description))
  )
}

/**
 * The panel of a message; `actions` are buttons for it.
 * @param {string} entity
 * @param {any} message
 * @param {ReadonlyArray<HTMLElement>} actions
 * @param {() => void} close
 */
export const panel = (entity, message, actions, close) => {
  const properties = message.applicationProperties ?? {}
  const known = system.flatMap(([label = "", name = ""]) => {
    const value = message[name]
    if (value === undefined) return []
    const isFuture = name === "scheduledEnqueueTime" || name === "expiresAt"
    return [
      /** @type {const} */ ([
        label,
        times.has(name)
          ? h("span", {}, time(value), isFuture && h("span", { class: "faint" }, ` (${distance(value)})`))
          : shown(value)
      ])
    ]
  })
  return [
    h(
      "div",
      { class: "row" },
      h("h3", { class: "grow", tabIndex: -1, id: "message-title" }, `Message ${message.sequenceNumber}`),
      button("Close", close, "plain")
    ),
    reasonOf(entity, message),
    h(
      "div",
      { class: "row" },
      ...actions,
      button("Copy JSON", async () => {
        try {
          await navigator.clipboard.writeText(JSON.stringify(message, null, 2))
          tell("The message is on the clipboard.")
        } catch {
          tell("The browser gives no clipboard to this page.", true)
        }
      })
    ),
    bodyOf(message),
    h("h3", {}, "Application properties"),
    Object.keys(properties).length === 0
      ? h("p", { class: "faint" }, "It has none.")
      : facts(propertiesOf(properties)),
    h("h3", {}, "System properties"),
    facts(known),
    ...[["Annotations", message.annotations], ["Delivery annotations", message.deliveryAnnotations], [
      "Footer",
      message.footer
    ]]
      .flatMap(([label, record]) => record === undefined ? [] : [h("h3", {}, label), facts(propertiesOf(record))])
  ]
}
