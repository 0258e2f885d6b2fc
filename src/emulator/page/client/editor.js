/**
 * A message in a form: one to be sent, or one that was there and is repaired.
 */
import { button, field, h } from "./dom.js"
import { notSentAgain, ofDeath } from "./resending.js"
import { read, readBody, types, write, writeBody } from "./value.js"

/** What a sender says most often, and what else. */
const texts = [
  ["messageId", "Message id"],
  ["sessionId", "Session id"],
  ["subject", "Subject"],
  ["contentType", "Content type"],
  ["correlationId", "Correlation id"],
  ["to", "To"],
  ["replyTo", "Reply to"],
  ["replyToSessionId", "Reply to session id"]
]

/** @param {unknown} contentType */
const saysJson = (contentType) => typeof contentType === "string" && /\bjson\b/i.test(contentType)

/** What is wrong with a text that should be JSON. @param {string} text */
const problemOfJson = (text) => {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The body in a form; a text that is JSON, as its content type says, is edited as that. @param {any} given */
const bodyOf = (given) => {
  const { kind, text } = readBody(given.body)
  const isJson = kind === "text" && saysJson(given.contentType) && problemOfJson(text) === undefined
  return { kind: isJson ? "JSON" : kind, text }
}

/**
 * A form for a message; `given` is one of `/messages`. Gives its elements and what reads it, which throws an Error that says what
 * is wrong.
 * @param {any} [given]
 */
export const editor = (given = {}) => {
  const rest = Object.fromEntries(
    Object.entries(given).filter(([name]) =>
      !notSentAgain.has(name) && name !== "body" && name !== "applicationProperties"
    )
  )
  const { kind, text } = bodyOf(given)
  const body = h("textarea", { name: "body", rows: 10, spellcheck: "false", value: text })
  const shown = body.value
  const kinds = h(
    "select",
    { name: "kind", value: kind },
    h("option", { value: "text" }, "Text"),
    h("option", { value: "JSON" }, "JSON"),
    h("option", { value: "base64" }, "Bytes (base64)"),
    h("option", { value: "AMQP" }, "As the API has it (AMQP values, several sections)")
  )
  const inputs = texts.map(([name = "", label = ""]) => {
    const value = rest[name]
    // An id may be a number or a uuid of AMQP: where it is, it stays one unless another text is given.
    const input = h("input", { name, value: value === undefined ? "" : read(value).text, autocomplete: "off" })
    // As the browser shows it: it leaves out ends of lines.
    return { name, shown: input.value, label, input }
  })
  const life = h("input", {
    name: "timeToLive",
    value: String(rest["timeToLive"] ?? ""),
    placeholder: "PT1H",
    autocomplete: "off"
  })
  const schedule = h("input", { name: "schedule", type: "datetime-local", step: 1 })
  const list = h("div", { class: "properties" })
  /** What each row says. @type {WeakMap<Element, () => readonly [string, any] | undefined>} */
  const said = new WeakMap()
  const add = button("Add a property", () => {
    const row = property()
    list.append(row)
    row.querySelector("input")?.focus()
  })
  const remove = (/** @type {HTMLElement} */ row) => {
    const next = row.nextElementSibling ?? row.previousElementSibling
    row.remove()
    ;(next?.querySelector("input") ?? add).focus()
  }
  const property = (name = "", /** @type {any} */ value = undefined) => {
    const { text, type } = read(value ?? "")
    const named = h("input", {
      "aria-label": "Name of the property",
      value: name,
      placeholder: "Name",
      autocomplete: "off"
    })
    const typed = h(
      "select",
      { "aria-label": "Type of the property", value: type },
      ...types.map((each) => h("option", {}, each))
    )
    const valued = h(/[\r\n]/.test(text) ? "textarea" : "input", {
      "aria-label": "Value of the property",
      value: text,
      placeholder: "Value",
      autocomplete: "off"
    })
    const row = h("div", {}, named, typed, valued, button("Remove", () => remove(row), "plain"))
    const shown = valued.value
    said.set(row, () => {
      // What nobody has touched is what it was, also where an input cannot show it.
      const isAsGiven = value !== undefined && typed.value === type && valued.value === shown
      if (named.value === "" && !(isAsGiven && name === "")) {
        if (valued.value === "") return undefined
        throw new Error("A property has no name.")
      }
      return [named.value, isAsGiven ? value : write(typed.value, valued.value, `The property "${named.value}"`)]
    })
    return row
  }
  for (const [name, value] of Object.entries(given.applicationProperties ?? {})) {
    if (!ofDeath.has(name)) list.append(property(name, value))
  }
  const elements = [
    h(
      "div",
      {},
      field("Body", body),
      h("label", { class: "row" }, "Body is", kinds)
    ),
    h("div", { class: "fields" }, ...inputs.map(({ input, label }) => field(label, input))),
    h(
      "div",
      { class: "fields" },
      field("Time to live", life, "ISO 8601 (PT1H) or words (1 hour); none: the entity's."),
      field("Schedule for", schedule, "At once where it is empty.")
    ),
    h(
      "fieldset",
      {},
      h("legend", {}, "Application properties"),
      list,
      add
    )
  ]
  /** What was said to be no JSON, and is sent all the same where it is asked for again. */
  let sentAnyway = /** @type {string | undefined} */ (undefined)
  const message = () => {
    /** @type {Record<string, any>} */
    const message = { ...rest }
    for (const { input, name, shown } of inputs) {
      if (input.value === shown) continue
      if (input.value === "") delete message[name]
      else message[name] = input.value
    }
    if (life.value.trim() === "") delete message["timeToLive"]
    else message["timeToLive"] = life.value.trim()
    if (schedule.value !== "") message["scheduledEnqueueTime"] = new Date(schedule.value).toISOString()
    // Made of entries: a property may be called __proto__.
    const properties = Object.fromEntries([...list.children].flatMap((row) => {
      const entry = said.get(row)?.()
      return entry === undefined ? [] : [entry]
    }))
    if (Object.keys(properties).length > 0) message["applicationProperties"] = properties
    const isNew = kinds.value !== kind || body.value !== shown
    const problem = isNew && kinds.value === "text" && saysJson(message["contentType"])
      ? problemOfJson(body.value)
      : undefined
    if (problem !== undefined && body.value !== sentAnyway) {
      sentAnyway = body.value
      throw new Error(
        `The content type says JSON, and the body is none: ${problem}. Once more, and it is sent as it is.`
      )
    }
    if (!isNew) {
      if (given.body !== undefined) message["body"] = given.body
    } else {
      // A browser ends lines with one sign, whatever they ended with.
      const edited = /\r\n/.test(text) && !/[^\r]\n/.test(text) ? body.value.replaceAll("\n", "\r\n") : body.value
      message["body"] = writeBody(kinds.value, edited)
    }
    return message
  }
  return {
    elements,
    message,
    focus: () => {
      body.focus()
      body.setSelectionRange(0, 0)
      body.scrollTop = 0
    }
  }
}
