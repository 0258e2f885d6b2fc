/**
 * An entity, by tabs.
 */
import { deadLettersOf } from "./api.js"
import { h, keepFocusIn, many, put, size } from "./dom.js"
import { messageList } from "./messages.js"
import { here, to } from "./route.js"
import { rows } from "./store.js"
import { activity, rules, schedule, sessions, settings } from "./tabs.js"

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./main.js").View} View */

/** A tab: whether an entity has it, how many there are, and what is in it. @typedef {{ id: string, title: string, isThere?: (row: Row) => boolean, count?: (row: Row) => number, make: (row: Row) => View }} Tab */

/** @type {ReadonlyArray<Tab>} */
const tabs = [
  {
    id: "messages",
    title: "Messages",
    isThere: ({ kind }) => kind !== "topic",
    count: ({ active, scheduled }) => active + scheduled,
    make: ({ path }) => messageList({ entity: path, kind: "messages", empty: "No message is here." })
  },
  {
    id: "dead",
    title: "Dead letters",
    isThere: ({ kind }) => kind !== "topic",
    count: ({ deadLetter }) => deadLetter,
    make: ({ path }) =>
      messageList({ entity: deadLettersOf(path), kind: "dead", empty: "No message of this entity is a dead letter." })
  },
  {
    id: "transfer",
    title: "Transfer dead letters",
    isThere: ({ transferDeadLetter }) => transferDeadLetter > 0,
    count: ({ transferDeadLetter }) => transferDeadLetter,
    make: ({ path }) =>
      messageList({
        entity: deadLettersOf(`${path}/$Transfer`),
        kind: "dead",
        empty: "Nothing that was sent by way of this entity is a dead letter."
      })
  },
  {
    id: "scheduled",
    title: "Scheduled",
    isThere: ({ kind, scheduled }) => kind !== "subscription" || scheduled > 0,
    count: ({ scheduled }) => scheduled,
    make: ({ path }) => {
      const line = schedule(path)
      const list = messageList({ entity: path, kind: "scheduled", state: "scheduled", empty: "Nothing is scheduled." })
      return {
        element: h("div", {}, line.element, list.element),
        update: () => Promise.all([line.update(), list.update()]),
        close: () => {
          line.close()
          list.close()
        }
      }
    }
  },
  {
    id: "deferred",
    title: "Deferred",
    isThere: ({ kind }) => kind !== "topic",
    make: ({ path }) =>
      messageList({ entity: path, kind: "deferred", state: "deferred", empty: "Nothing is deferred." })
  },
  {
    id: "sessions",
    title: "Sessions",
    isThere: ({ requiresSession }) => requiresSession,
    make: ({ path }) => sessions(path)
  },
  {
    id: "rules",
    title: "Rules",
    isThere: ({ kind }) => kind === "subscription",
    make: ({ path }) => rules(path)
  },
  { id: "activity", title: "Activity", make: ({ path }) => activity(path) },
  { id: "settings", title: "Settings", make: ({ path }) => settings(path) }
]

/**
 * @param {string} path
 * @returns {View}
 */
export const entityView = (path) => {
  const element = h("div")
  const row = rows.get(path)
  if (row === undefined) {
    put(element, h("h2", {}, path), h("p", { class: "empty" }, "There is no such entity, or not any more."))
    return { element }
  }
  const { tab: asked } = here()
  const shown = tabs.filter(({ id, isThere }) => id === asked || isThere?.(row) !== false)
  const tab = shown.find(({ id }) => id === asked) ?? shown[0]
  const head = h("header")
  const counts = new Map(shown.map(({ id }) => [id, h("span", { class: "count", hidden: true })]))
  let view = tab?.make(row)
  put(
    element,
    head,
    h(
      "nav",
      { class: "tabs", "aria-label": `Parts of ${path}` },
      ...shown.map(({ id, title }) =>
        h(
          "a",
          { href: to({ entity: path, tab: id }), "aria-current": id === tab?.id ? "page" : undefined },
          title,
          " ",
          counts.get(id)
        )
      )
    ),
    view?.element
  )
  const draw = (/** @type {Row} */ now) => {
    put(
      head,
      h("h2", {}, path),
      h(
        "div",
        { class: "chips" },
        h("span", { class: "chip" }, now.kind),
        now.status !== "Active" && h("span", { class: "chip bad" }, now.status),
        now.requiresSession && h("span", { class: "chip" }, "sessions"),
        now.forwardTo !== undefined && h("span", { class: "chip" }, `forwards to ${now.forwardTo}`),
        h("span", { class: "chip" }, size(now.sizeInBytes)),
        h(
          "span",
          {
            class: "chip",
            title: "Since the broker started. In: what it took. Out: what was completed, or received and deleted."
          },
          `${many(now.enqueued)} in, ${many(now.completed + now.receivedAndDeleted)} out`
        )
      )
    )
    for (const { count, id } of shown) {
      const element = counts.get(id)
      const number = count?.(now)
      if (element === undefined || number === undefined) continue
      element.hidden = number === 0
      element.classList.toggle("dead", id === "dead" || id === "transfer")
      put(element, many(number))
    }
  }
  draw(row)
  return {
    element,
    update: (changed) => {
      const now = rows.get(path)
      if (!changed.has(path)) return
      if (now === undefined) {
        // Nothing asks for it any more.
        view?.close?.()
        view = undefined
        const gone = [h("h2", {}, path), h("p", { class: "empty" }, "This entity is gone.")]
        return keepFocusIn(element, () => put(element, gone))
      }
      draw(now)
      return view?.update?.(changed)
    },
    close: () => view?.close?.()
  }
}
