/**
 * The entities, topics with their subscriptions under them, each with its counts.
 */
import { h, keepFocusIn, many, put, skip } from "./dom.js"
import { here, to } from "./route.js"
import { rows } from "./store.js"

/** @typedef {import("./api.js").Row} Row */

/** @param {string} a @param {string} b */
const byName = (a, b) => a.localeCompare(b, "en", { numeric: true })

/** As many as are shown at a time: a browser is slow with more, and nobody reads them. */
const most = 300

export const entityTree = () => {
  const filter = h("input", {
    type: "search",
    placeholder: "Find an entity",
    "aria-label": "Find an entity",
    input: () => draw(),
    keydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || first === undefined) return
      location.hash = to({ entity: first })
      document.querySelector("main")?.focus()
    }
  })
  /** The first that is called as was asked for. @type {string | undefined} */
  let first
  const past = skip()
  const list = h("ul")
  const note = h("p", { class: "hint" })
  const element = h("nav", { class: "tree", "aria-label": "Entities", tabIndex: -1 }, filter, list, note)
  /** @type {Map<string, { row: Row, item: HTMLElement, link: HTMLElement, counts: HTMLElement }>} */
  const shown = new Map()

  const countsOf = (/** @type {Row} */ row) => [
    row.kind !== "topic" && h("span", { class: "count", title: "Messages" }, many(row.active)),
    row.scheduled > 0 && h("span", { class: "count", title: "Scheduled" }, `${many(row.scheduled)} later`),
    row.deadLetter + row.transferDeadLetter > 0 &&
    h("span", { class: "count dead", title: "Dead letters" }, `${many(row.deadLetter + row.transferDeadLetter)} dead`)
  ]

  const itemOf = (/** @type {Row} */ row) => {
    const name = row.kind === "subscription" ? row.path.replace(/^.*\/Subscriptions\//i, "") : row.path
    const counts = h("span", { class: "row" }, ...countsOf(row))
    const link = h("a", { href: to({ entity: row.path }) }, h("span", { class: "name" }, name), counts)
    const item = h("li", {}, link)
    shown.set(row.path, { row, item, link, counts })
    return item
  }

  const draw = () => {
    const words = filter.value.toLowerCase()
    shown.clear()
    const all = [...rows.values()].filter(({ path }) => path.toLowerCase().includes(words))
      .toSorted((a, b) => byName(a.path, b.path))
    first = all[0]?.path
    const topics = new Map()
    /** @type {Array<HTMLElement>} */
    const items = []
    for (const row of all.slice(0, most)) {
      const [, topic] = row.kind === "subscription" ? /^(.*)\/Subscriptions\/[^/]*$/i.exec(row.path) ?? [] : []
      if (topic === undefined) {
        const item = itemOf(row)
        if (row.kind === "topic") topics.set(row.path, item)
        items.push(item)
        continue
      }
      let parent = topics.get(topic)
      if (parent === undefined) {
        const of = rows.get(topic)
        parent = of === undefined ? h("li", {}, topic) : itemOf(of)
        topics.set(topic, parent)
        items.push(parent)
      }
      let under = parent.querySelector("ul")
      if (under === null) {
        under = h("ul")
        parent.append(under)
      }
      under.append(itemOf(row))
    }
    keepFocusIn(list, () => {
      put(list, items)
      mark()
    })
    put(
      note,
      all.length > most
        ? `The first ${most} of ${many(all.length)}: find the others by a part of their name.`
        : all.length === 0 && (words === "" ? "There are no entities yet." : "No entity is called so.")
    )
  }

  const mark = () => {
    const { entity } = here()
    keepFocusIn(list, () => {
      past.remove()
      for (const [path, { link }] of shown) {
        if (path === entity) {
          link.setAttribute("aria-current", "page")
          // Whoever has chosen it is one step away from what is in it, however many others there are.
          link.after(past)
        } else link.removeAttribute("aria-current")
      }
    })
  }

  /** @param {ReadonlySet<string>} changed */
  const update = (changed) => {
    for (const path of changed) {
      const row = rows.get(path)
      const known = shown.get(path)
      // One has come or gone, or was never shown.
      if (row === undefined || known === undefined && shown.size < most) return draw()
      if (known !== undefined) put(known.counts, ...countsOf(row))
    }
  }

  draw()
  return { element, update, mark }
}
