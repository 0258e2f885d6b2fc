/**
 * What an entity has beside its messages: sessions, rules with a place to try one, its last hour, and how it is set.
 */
import { get, post, request } from "./api.js"
import { facts } from "./detail.js"
import { ask, button, counted, distance, field, h, keepFocusIn, many, put, tell, time } from "./dom.js"
import { lines, mark, timeLine } from "./picture.js"
import { questions } from "./question.js"
import { to } from "./route.js"
import { bytesOf, shown } from "./value.js"

/** @typedef {import("./main.js").View} View */

/** @param {unknown} error */
const wordsOf = (error) => error instanceof Error ? error.message : String(error)

/**
 * A part of the page that asks for something and draws it, and again when it is to be up to date.
 * @template A
 * @param {() => Promise<A>} ask
 * @param {(answer: A) => ReadonlyArray<import("./dom.js").Child>} draw
 * @param {ReadonlyArray<import("./dom.js").Child>} [before]
 */
export const asked = (ask, draw, before = []) => {
  const content = h("div")
  const element = h("div", {}, ...before, content)
  let isClosed = false
  let last = ""
  const all = questions()
  const update = async () => {
    const isWanted = all.ask()
    try {
      const answer = await ask()
      if (isClosed || !isWanted()) return
      const text = JSON.stringify(answer)
      // What has not changed is not drawn again: somebody may be reading it, or have the focus in it.
      if (text === last) return
      last = text
      keepFocusIn(content, () => put(content, ...draw(answer)))
    } catch (error) {
      if (isClosed || !isWanted()) return
      last = ""
      keepFocusIn(content, () => put(content, h("div", { class: "problem", role: "alert" }, wordsOf(error))))
    }
  }
  void update()
  return {
    element,
    update,
    again: () => {
      last = ""
      all.forget()
      return update()
    },
    close: () => {
      isClosed = true
    }
  }
}

/**
 * A table.
 * @param {string} label
 * @param {ReadonlyArray<string>} columns
 * @param {ReadonlyArray<ReadonlyArray<import("./dom.js").Child>>} rows
 */
export const table = (label, columns, rows) =>
  h(
    "div",
    // What is wider than the page is scrolled with the keyboard too.
    { class: "scroll", tabIndex: 0, role: "region", "aria-label": label },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ...columns.map((column) =>
            h("th", { scope: "col" }, column === "" ? h("span", { class: "visually-hidden" }, "Actions") : column)
          )
        )
      ),
      h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell) => h("td", {}, cell)))))
    )
  )

/** @param {any} state */
const stateOf = (state) => {
  if (state === undefined) return h("span", { class: "faint" }, "none")
  const text = "json" in state
    ? JSON.stringify(state.json, null, 2)
    : "text" in state
    ? state.text
    : `${bytesOf(state)?.length} bytes: ${state.base64}`
  return h("pre", { class: "body", tabIndex: 0, "aria-label": "State" }, text.slice(0, 20_000))
}

/** @param {string} entity @returns {View} */
export const sessions = (entity) => {
  const pageSize = 100
  /** @type {string | undefined} */
  let after
  const { again, close, element, update } = asked(
    () => get("/sessions", { entity, after, max: pageSize }),
    (found) => [
      found.length === 0
        ? h(
          "p",
          { class: "empty" },
          after === undefined ? "No session has messages or state." : "There are no more sessions."
        )
        : table(
          `Sessions of ${entity}`,
          ["Session", "Messages", "Lock", "State", ""],
          found.map((/** @type {any} */ { lockedUntil, messages, sessionId, state, stateUpdatedAt }) => [
            sessionId,
            many(messages),
            lockedUntil === undefined ? "free" : h("span", {}, "held until ", time(lockedUntil)),
            h(
              "div",
              {},
              stateOf(state),
              stateUpdatedAt !== undefined && h("span", { class: "hint" }, "set ", time(stateUpdatedAt))
            ),
            lockedUntil !== undefined &&
            button(
              "End the lock",
              () =>
                void post("/locks/lose", {}, { entity, session: sessionId }).then(({ messages }) => {
                  tell(`The lock of ${sessionId} has ended; ${counted(messages, "message")} come again.`)
                  return again()
                }, (error) => tell(wordsOf(error), true))
            )
          ])
        ),
      h(
        "div",
        { class: "bar" },
        after !== undefined && button("First", () => {
          after = undefined
          void again()
        }),
        found.length === pageSize && button("Later →", () => {
          after = found.at(-1).sessionId
          void again()
        })
      )
    ]
  )
  return { element, update, close }
}

/** @param {any} filter */
const filterText = (filter) =>
  filter === "true" ? "all messages" : filter === "false" ? "no message" : "sql" in filter
    ? filter.sql + (filter.parameters === undefined ? "" : `  with ${JSON.stringify(filter.parameters)}`)
    : JSON.stringify(filter.correlation)

/** A rule in a form. */
const ruleForm = () => {
  const name = h("input", { name: "name", value: "new-rule", autocomplete: "off" })
  const kind = h(
    "select",
    { name: "filter", value: "sql", change: () => show() },
    h("option", { value: "sql" }, "SQL"),
    h("option", { value: "correlation" }, "Correlation"),
    h("option", { value: "true" }, "All messages"),
    h("option", { value: "false" }, "No message")
  )
  const sql = h("textarea", {
    name: "sql",
    rows: 3,
    spellcheck: "false",
    placeholder: "region = 'eu' AND sys.Label LIKE 'order%'"
  })
  const correlation = h("textarea", {
    name: "correlation",
    rows: 3,
    spellcheck: "false",
    placeholder: "{\"subject\": \"order\", \"applicationProperties\": {\"region\": \"eu\"}}"
  })
  const action = h("textarea", { name: "action", rows: 2, spellcheck: "false", placeholder: "SET priority = 1" })
  const sqlField = field("Filter", sql)
  const correlationField = field("Filter (JSON)", correlation)
  const show = () => {
    sqlField.hidden = kind.value !== "sql"
    correlationField.hidden = kind.value !== "correlation"
  }
  show()
  const json = (/** @type {string} */ text) => {
    try {
      return JSON.parse(text)
    } catch (error) {
      throw new Error(`The correlation filter is no JSON: ${wordsOf(error)}`, { cause: error })
    }
  }
  return {
    elements: [
      h("div", { class: "fields" }, field("Name", name), field("Kind of filter", kind)),
      sqlField,
      correlationField,
      field("Action (none where it is empty)", action)
    ],
    rule: () => ({
      name: name.value,
      filter: kind.value === "sql"
        ? { sql: sql.value }
        : kind.value === "correlation"
        ? { correlation: json(correlation.value) }
        : kind.value,
      ...(action.value.trim() === "" ? {} : { action: { sql: action.value } })
    })
  }
}

/** What came of trying a rule. @param {any} tried */
const triedText = ({ failed, matched, problem, tried }) => {
  if (problem !== undefined) {
    const place = problem.line === undefined ? "" : ` (line ${problem.line}, column ${problem.column})`
    return [h("div", { class: "problem" }, `The ${problem.part} is not usable${place}: ${problem.message}`)]
  }
  const line = (/** @type {any} */ { changes, entity, message, problem }) => [
    h("a", {
      href: to({
        entity: entity.replace(/\/\$DeadLetterQueue$/, ""),
        tab: entity.endsWith("/$DeadLetterQueue") ? "dead" : "messages",
        message: message.sequenceNumber
      })
    }, `${entity} ${message.sequenceNumber}`),
    message.subject,
    message.preview,
    problem ??
      Object.entries(changes ?? {}).map(([name, value]) =>
        value === null ? `${name} removed` : `${name} = ${shown(value)}`
      ).join("; ")
  ]
  return [
    h(
      "p",
      { class: "good-ground" },
      tried === 0
        ? "There are no messages to try it on: none is in the topic's subscriptions or their dead-letter queues."
        : `It takes ${many(matched.length)} of the last ${counted(tried, "message")}${
          failed.length > 0 ? `, and fails on ${many(failed.length)}` : ""
        }.`
    ),
    matched.length > 0 &&
    table("Messages that it takes", ["Message", "Subject", "Body", "Its action"], matched.slice(0, 50).map(line)),
    failed.length > 0 && h("h3", {}, "It fails on"),
    failed.length > 0 &&
    table("Messages that it fails on", ["Message", "Subject", "Body", "Why"], failed.slice(0, 50).map(line))
  ]
}

/** @param {string} entity @returns {View} */
export const rules = (entity) => {
  const form = ruleForm()
  const result = h("div", { role: "status" })
  const last = h("input", { type: "number", name: "max", min: 1, max: 1000, value: "100" })
  const asks = questions()
  const run = async (/** @type {() => Promise<ReadonlyArray<import("./dom.js").Child>>} */ action) => {
    const isWanted = asks.ask()
    try {
      const shown = await action()
      if (isWanted()) put(result, ...shown)
    } catch (error) {
      if (isWanted()) put(result, h("div", { class: "problem" }, wordsOf(error)))
    }
  }
  const tryIt = () =>
    run(async () => triedText(await post("/rules/try", { entity, max: Number(last.value) || 100 }, form.rule())))
  const add = () =>
    run(async () => {
      const rule = form.rule()
      await post("/rules", { entity }, rule)
      tell(`The rule ${rule.name} is there: it holds for what comes from now on.`)
      await list.again()
      return []
    })
  const list = asked(
    () => get("/rules", { entity }),
    (found) => [
      found.length === 0
        ? h("p", { class: "empty" }, "It has no rules, so nothing enters it.")
        : table(
          `Rules of ${entity}`,
          ["Rule", "Filter", "Action", ""],
          found.map((/** @type {any} */ { action, filter, name }) => [
            name,
            h("code", {}, filterText(filter)),
            h("code", {}, action?.sql),
            button(
              "Remove…",
              () =>
                ask(`Remove the rule ${name}?`, "Remove", [h("p", {}, "What it has taken stays.")], async () => {
                  await request("DELETE", "/rules", { entity, name })
                  tell(`The rule ${name} is gone.`)
                  await list.again()
                }, { kind: "danger" }),
              "danger"
            )
          ])
        )
    ]
  )
  const element = h(
    "div",
    {},
    list.element,
    h("h3", {}, "Try a rule"),
    h(
      "p",
      { class: "hint" },
      "It is evaluated by the broker on the last messages of the topic that are still in a subscription or its dead letters. Nothing changes by that."
    ),
    h(
      "form",
      {
        submit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault()
          void tryIt()
        }
      },
      ...form.elements,
      h(
        "div",
        { class: "row" },
        h("label", { class: "row" }, "On the last", last, "messages"),
        h("button", { type: "submit", class: "primary" }, "Try"),
        button("Add the rule", () => void add())
      )
    ),
    result
  )
  return { element, close: list.close }
}

/** @param {string} entity @returns {View} */
export const activity = (entity) => {
  const view = asked(
    () => get("/samples", { entity }),
    ({ interval, isKept, samples }) => {
      if (!isKept) return [h("p", { class: "empty" }, "A broker in memory keeps no history.")]
      if (samples.length < 2) {
        return [
          h(
            "p",
            { class: "empty" },
            `Nothing has happened here in the last hour, or less than ${interval * 2 / 1000} seconds ago.`
          )
        ]
      }
      const times = samples.map((/** @type {any} */ { at }) => Date.parse(at))
      const of = (/** @type {string} */ name, scale = 1) =>
        samples.map((/** @type {any} */ sample) => sample[name] * scale)
      const rate = 1000 / interval
      const latest = samples.at(-1)
      const sum = (/** @type {string} */ name) =>
        of(name).reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0)
      const minutes = Math.round((times.at(-1) - times[0]) / 60_000)
      const legend = (/** @type {ReadonlyArray<readonly [string, string]>} */ pairs) =>
        h("div", { class: "legend" }, ...pairs.map(([style, words]) => h("span", { class: "row" }, mark(style), words)))
      return [
        h("h3", {}, "Messages"),
        legend([["one", "active"], ["two", "dead letters"], ["three", "scheduled"]]),
        lines(
          times,
          [
            { values: of("active"), style: "one" },
            { values: of("deadLetter"), style: "two" },
            { values: of("scheduled"), style: "three" }
          ],
          `Messages over ${minutes} minutes: now ${latest.active} active, ${latest.deadLetter} dead letters, ${latest.scheduled} scheduled; at most ${
            Math.max(...of("active"))
          } active.`
        ),
        h("h3", {}, "Messages a second"),
        legend([["one", "in"], ["three", "out: completed, or received and deleted"]]),
        lines(
          times,
          [
            { values: of("received", rate), style: "one" },
            { values: of("completed", rate), style: "three" }
          ],
          `Messages a second over ${minutes} minutes: ${sum("received")} came in and ${
            sum("completed")
          } went out in all.`
        ),
        h(
          "p",
          { class: "hint" },
          `A sample every ${interval / 1000} seconds, for an hour: ${many(sum("received"))} in, ${
            many(sum("completed"))
          } out.`
        )
      ]
    }
  )
  const timer = setInterval(() => {
    if (!document.hidden) void view.update()
  }, 5000)
  return {
    element: view.element,
    close: () => {
      clearInterval(timer)
      view.close()
    }
  }
}

/** The time line over what is scheduled. @param {string} entity */
export const schedule = (entity) =>
  asked(
    () => get("/messages/page", { entity, state: "scheduled", max: 1000 }),
    ({ hasLater, messages }) => {
      if (messages.length === 0) return []
      const instants = messages.map((/** @type {any} */ { scheduledEnqueueTime }) => Date.parse(scheduledEnqueueTime))
      const first = new Date(Math.min(...instants)).toISOString()
      const words = `${hasLater ? "The first 1,000" : counted(messages.length, "message")} scheduled, the next one ${
        distance(first)
      }, the last one ${distance(new Date(Math.max(...instants)).toISOString())}.`
      return [timeLine(instants, words), h("p", { class: "hint" }, words)]
    }
  )

/** @param {string} entity @returns {View} */
export const settings = (entity) => {
  const { close, element, update } = asked(
    () => get("/settings", { entity }),
    ({ accessedAt, counters, createdAt, entity, updatedAt }) => [
      h("h3", {}, "Options"),
      facts(Object.entries(entity.options ?? {}).map(([name, value]) => [name, String(value)])),
      h("h3", {}, "Times"),
      facts([["Created", time(createdAt)], ["Changed", time(updatedAt)], ["Used", time(accessedAt)]]),
      h("h3", {}, "What has happened since the broker started"),
      facts(
        Object.entries(counters).map(([name, value]) => [
          name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
          many(Number(value))
        ])
      )
    ]
  )
  return { element, update, close }
}
