/**
 * A list of messages, by pages: looked through with the keyboard or by pointing, several chosen at once, and what is done to
 * those, each one's outcome told.
 *
 * The list is asked for again when its entity has changed; what is chosen and where the focus is stays by sequence number.
 */
import { get, inWords, post, Problem } from "./api.js"
import { cells, columns } from "./columns.js"
import { load, panel, reasonOf } from "./detail.js"
import { ask, button, counted, field, h, keepFocus, many, put, tell } from "./dom.js"
import { editor } from "./editor.js"
import { questions } from "./question.js"
import { here, remember } from "./route.js"
import { saveMessages } from "./saving.js"
import { refresh, rows } from "./store.js"

/** @typedef {import("./api.js").Summary} Summary */
/** @typedef {import("./api.js").Outcome} Outcome */

const last = "9007199254740991"

/** The entity of a dead-letter queue. @param {string} path */
const sourceOf = (path) => path.replace(/(\/\$Transfer)?\/\$DeadLetterQueue$/, "")

/**
 * Tells what came of something that was done to several; fails where it was done to none, so that a form with what was typed for
 * it stays.
 * @param {string} done
 * @param {ReadonlyArray<Outcome>} outcomes
 */
const tellOutcomes = (done, outcomes) => {
  const bad = outcomes.filter(({ isDone }) => !isDone)
  const good = outcomes.length - bad.length
  const lines = bad.slice(0, 6).map(({ problem, sequenceNumber }) => `${sequenceNumber}: ${inWords(problem ?? "")}`)
  if (bad.length > 6) lines.push(`and ${bad.length - 6} more`)
  const text = `${counted(bad.length, "message")} not ${done}:\n${lines.join("\n")}`
  if (good === 0 && bad.length > 0) throw new Error(text)
  tell(`${counted(good, "message")} ${done}.`)
  if (bad.length > 0) tell(text, true)
}

/** Whether a message that is open stands beside its list, and not below. */
const isBeside = () => matchMedia("(min-width: 64rem)").matches

/** Where messages can be sent to. @param {string} chosen */
const targets = (chosen) => {
  const paths = [...rows.values()].filter(({ kind }) => kind !== "subscription").map(({ path }) => path)
  if (!paths.includes(chosen)) paths.unshift(chosen)
  return h("select", { name: "to", value: chosen }, ...paths.map((path) => h("option", { value: path }, path)))
}

/**
 * A form for a new message.
 * @param {string} entity
 */
const askToSend = (entity) => {
  const form = editor()
  const copies = h("input", { type: "number", name: "copies", min: 1, max: 1000, value: "1" })
  const hint = "Each has the same body; a message id is for one alone."
  ask(`Send to ${entity}`, "Send", [...form.elements, field("How many", copies, hint)], async () => {
    const message = form.message()
    const count = Math.max(1, Math.min(1000, Number(copies.value) || 1))
    if (count > 1 && message["messageId"] !== undefined) {
      throw new Error("Several messages are sent without a message id.")
    }
    const { sequenceNumbers } = await post("/messages", { entity }, Array.from({ length: count }, () => message))
    tell(`${counted(sequenceNumbers.length, "message")} sent.`)
    void refresh()
  })
  form.focus()
}

/**
 * The list of an entity's messages.
 * @param {{ readonly entity: string, readonly kind: keyof typeof columns, readonly state?: string, readonly empty: string }} options
 */
export const messageList = ({ empty, entity, kind, state }) => {
  const isDead = kind === "dead"
  const pageSize = 50
  /** @type {ReadonlyArray<Summary>} */
  let messages = []
  let hasEarlier = false
  let hasLater = false
  /** @type {{ from?: string, before?: string }} */
  let page = (({ before, from }) => before !== undefined ? { before } : from !== undefined ? { from } : {})(here())
  /** @type {Set<string>} */
  const chosen = new Set()
  /** Of a range: where it begins. @type {string | undefined} */
  let anchor
  /** Which row has the focus when the list gets it. @type {string | undefined} */
  let current
  /** @type {string | undefined} */
  let opened
  /** The buttons of what is open; none of what is not in the list any more. @type {ReadonlyArray<HTMLElement>} */
  let actions = []
  let isClosed = false
  const pages = questions()

  const body = h("tbody")
  const headings = h("tr")
  const all = h("input", {
    type: "checkbox",
    "aria-label": "Choose all of this page",
    tabIndex: -1,
    change: () => chooseAll(all.checked)
  })
  const table = h(
    "table",
    { role: "grid", class: "cards", "aria-multiselectable": "true", "aria-label": `Messages of ${entity}` },
    h("thead", {}, headings),
    body
  )
  // Before the first answer nobody knows.
  table.hidden = true
  const nothing = h("p", { class: "empty", hidden: true }, empty)
  const detail = h("section", { class: "detail", hidden: true, "aria-label": "A message" })
  const status = h("span", { class: "faint", role: "status" })
  const problem = h("div", { class: "problem", role: "alert" })
  const older = button("← Earlier", () => turn("earlier"))
  const newer = button("Later →", () => turn("later"))
  const first = button("First", () => show({}))
  const end = button("Last", () => show({ before: last }))
  for (const each of [older, newer, first, end]) each.disabled = true

  const rowOf = (
    /** @type {string} */ number
  ) => /** @type {HTMLElement | undefined} */ ([...body.children].find((row) =>
    row instanceof HTMLElement && row.dataset["number"] === number
  ))

  /** Asks for the page and shows it. @type {() => Promise<void>} */
  const reload = async () => {
    const isWanted = pages.ask()
    try {
      const answer = await get("/messages/page", { entity, ...page, max: pageSize, state })
      if (isClosed || !isWanted()) return
      put(problem)
      // What was on this page has gone: there may be some before it.
      if (answer.messages.length === 0 && answer.hasEarlier && page.before === undefined) {
        return await show({ before: last })
      }
      messages = answer.messages
      hasEarlier = answer.hasEarlier
      hasLater = answer.hasLater
      dropGone()
      draw()
      void lookAtOpened()
    } catch (error) {
      if (!isClosed && isWanted()) put(problem, error instanceof Error ? error.message : String(error))
    }
  }

  /** Chooses no longer what has gone from this page. */
  const dropGone = () => {
    const here = new Set(messages.map(({ sequenceNumber }) => sequenceNumber))
    const from = !hasEarlier ? 0n : BigInt(page.from ?? messages[0]?.sequenceNumber ?? last)
    const to = BigInt(hasLater ? messages.at(-1)?.sequenceNumber ?? 0 : last)
    for (const number of chosen) {
      if (!here.has(number) && from <= BigInt(number) && BigInt(number) <= to) chosen.delete(number)
    }
  }

  /** Says of what is open that it has gone, and leaves nothing to do to it. */
  const lookAtOpened = async () => {
    const number = opened
    if (actions.length === 0 || messages.some(({ sequenceNumber }) => sequenceNumber === number)) return
    const answer = await get("/messages/page", { entity, from: number, max: 1, state }).catch(() => undefined)
    if (answer === undefined || answer.messages[0]?.sequenceNumber === number || isClosed || opened !== number) return
    const hadFocus = actions.some((each) => each === document.activeElement)
    for (const each of actions) each.remove()
    actions = []
    detail.firstElementChild?.after(h("div", { class: "problem", role: "alert" }, "It is not in this list any more."))
    if (hadFocus) /** @type {HTMLElement | null} */ (detail.querySelector("#message-title"))?.focus()
  }

  const show = async (/** @type {{ from?: string, before?: string }} */ next) => {
    page = next
    current = undefined
    pages.forget()
    remember({ from: undefined, before: undefined, ...next })
    await reload()
    // Another page is read from its start.
    if (element.getBoundingClientRect().top < 0) element.scrollIntoView()
  }

  const turn = (/** @type {"earlier" | "later"} */ way) => {
    if (way === "earlier") return show({ before: messages[0]?.sequenceNumber ?? last })
    return show({ from: String(BigInt(messages.at(-1)?.sequenceNumber ?? "0") + 1n) })
  }

  /** The rows that are shown, by what they were made of: one that says the same stays, with what somebody does to it. */
  /** @type {Map<string, HTMLElement>} */
  let drawn = new Map()

  /**
   * The row of a message.
   * @param {Summary} message
   * @param {ReadonlyArray<string>} shownColumns
   * @param {Map<string, HTMLElement>} before
   */
  const rowFor = (message, shownColumns, before) => {
    const key = JSON.stringify([message, shownColumns])
    const row = before.get(key) ?? newRow(message, shownColumns)
    drawn.set(key, row)
    return row
  }

  /** @param {Summary} message @param {ReadonlyArray<string>} shownColumns */
  const newRow = (message, shownColumns) => {
    const number = message.sequenceNumber
    return h(
      "tr",
      { "data-number": number },
      h(
        "td",
        { class: "check" },
        h("input", {
          type: "checkbox",
          tabIndex: -1,
          "aria-label": `Choose message ${number}`,
          click: (/** @type {MouseEvent} */ event) => {
            event.stopPropagation()
            pick(number, event.shiftKey ? "range" : "toggle")
          }
        })
      ),
      h("td", { class: "number", "data-label": "Number" }, number),
      ...shownColumns.map((name) => {
        const [label = "", cell, style = ""] = cells[name] ?? []
        return h("td", { class: `${style} of-${name}`, "data-label": label }, cell?.(message))
      })
    )
  }

  const draw = () => {
    const focus = document.activeElement
    const hadFocus = body.contains(focus)
    const isHere = element.contains(focus)
    if (!messages.some(({ sequenceNumber }) => sequenceNumber === current)) {
      // What comes after the one that has gone is where that was.
      const after = messages.find(({ sequenceNumber }) => BigInt(sequenceNumber) > BigInt(current ?? 0))
      current = (after ?? messages.at(-1))?.sequenceNumber
    }
    // What none of them has takes no room.
    const shownColumns = columns[kind].filter((name) =>
      name !== "session" && name !== "subject" && name !== "id" ||
      messages.some(({ messageId, sessionId, subject }) =>
        ({ id: messageId, session: sessionId, subject })[name] !== undefined
      )
    )
    put(
      headings,
      h("th", { scope: "col" }, all),
      h("th", { scope: "col", class: "number" }, "Number"),
      ...shownColumns.map((name) =>
        h(
          "th",
          { scope: "col", class: `${cells[name]?.[2] === "number" ? "number " : ""}of-${name}` },
          cells[name]?.[0]
        )
      )
    )
    const before = drawn
    drawn = new Map()
    put(body, messages.map((message) => rowFor(message, shownColumns, before)))
    table.hidden = messages.length === 0
    nothing.hidden = messages.length > 0
    older.disabled = first.disabled = !hasEarlier
    newer.disabled = end.disabled = !hasLater
    mark()
    if (!isHere) return
    // What is put in again has lost it, also where it is the same as before.
    if (focus instanceof HTMLElement && focus.isConnected) focus.focus({ preventScroll: true })
    else if (hadFocus && current !== undefined) rowOf(current)?.focus()
    keepFocus()
  }

  /** Shows what is chosen, open and in focus. */
  const mark = () => {
    for (const row of body.children) {
      if (!(row instanceof HTMLElement)) continue
      const number = row.dataset["number"] ?? ""
      row.setAttribute("aria-selected", String(chosen.has(number)))
      row.classList.toggle("open", number === opened)
      row.tabIndex = number === current ? 0 : -1
      const box = row.querySelector("input")
      if (box !== null) box.checked = chosen.has(number)
    }
    const here = messages.filter(({ sequenceNumber }) => chosen.has(sequenceNumber)).length
    all.checked = here > 0 && here === messages.length
    all.indeterminate = here > 0 && here < messages.length
    put(status, chosen.size === 0 ? "" : `${many(chosen.size)} chosen`)
    for (const each of forChosen) each.disabled = chosen.size === 0
    if (element.contains(document.activeElement)) keepFocus()
  }

  const chooseAll = (/** @type {boolean} */ isOn) => {
    for (const { sequenceNumber } of messages) {
      if (isOn) chosen.add(sequenceNumber)
      else chosen.delete(sequenceNumber)
    }
    mark()
  }

  const pick = (/** @type {string} */ number, /** @type {"one" | "toggle" | "range"} */ how) => {
    if (how === "range") {
      const numbers = messages.map(({ sequenceNumber }) => sequenceNumber)
      // One of another page, or that has gone, is no beginning.
      if (anchor === undefined || !numbers.includes(anchor)) anchor = current ?? number
      const [a = 0, b = 0] = [numbers.indexOf(anchor), numbers.indexOf(number)].toSorted((x, y) => x - y)
      chosen.clear()
      for (const each of numbers.slice(a, b + 1)) chosen.add(each)
    } else {
      anchor = number
      if (how === "one") {
        chosen.clear()
        chosen.add(number)
      } else if (!chosen.delete(number)) chosen.add(number)
    }
    current = number
    mark()
  }

  const open = async (/** @type {string} */ number, moveFocus = false) => {
    opened = number
    remember({ message: number })
    mark()
    try {
      const message = await load(entity, number)
      if (isClosed || opened !== number) return
      actions = actionsOf(message)
      put(detail, ...panel(entity, message, actions, close))
      detail.hidden = false
      // Whoever has gone on meanwhile is not taken back.
      if (!moveFocus || rowOf(number)?.contains(document.activeElement) !== true) return
      const title = /** @type {HTMLElement | null} */ (detail.querySelector("#message-title"))
      title?.scrollIntoView({ block: isBeside() ? "nearest" : "start" })
      title?.focus({ preventScroll: true })
    } catch (error) {
      if (isClosed || opened !== number) return
      close()
      tell(error instanceof Error ? error.message : String(error), true)
    }
  }

  const close = () => {
    // The address is that of something else by now.
    if (isClosed) return
    const hadFocus = detail.contains(document.activeElement)
    detail.hidden = true
    actions = []
    put(detail)
    const was = opened
    opened = undefined
    remember({ message: undefined })
    mark()
    if (hadFocus && was !== undefined) rowOf(was)?.focus()
  }

  detail.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return
    event.preventDefault()
    close()
  })
  body.addEventListener("click", (event) => {
    const row = event.target instanceof Element ? event.target.closest("tr") : null
    const number = row?.dataset["number"]
    if (row === null || number === undefined) return
    // A text that somebody marks in it is no click.
    const selection = getSelection()
    if (!event.shiftKey && selection?.type === "Range" && selection.containsNode(row, true)) return
    if (event.shiftKey) pick(number, "range")
    else if (event.ctrlKey || event.metaKey) pick(number, "toggle")
    else {
      pick(number, "one")
      void open(number, !isBeside())
    }
    rowOf(number)?.focus({ preventScroll: true })
  })
  // Whatever has set the focus: a reader of the screen does so too.
  body.addEventListener("focusin", ({ target }) => {
    const number = target instanceof HTMLElement ? target.closest("tr")?.dataset["number"] : undefined
    if (number === undefined || number === current) return
    current = number
    mark()
  })
  body.addEventListener("mousedown", (event) => {
    if (event.shiftKey) event.preventDefault()
  })
  body.addEventListener("keydown", (event) => {
    if (
      current === undefined ||
      event.target instanceof HTMLInputElement && event.key !== "ArrowDown" && event.key !== "ArrowUp"
    ) return
    const numbers = messages.map(({ sequenceNumber }) => sequenceNumber)
    const at = numbers.indexOf(current)
    const step = (/** @type {number} */ to) => {
      const next = numbers[Math.max(0, Math.min(numbers.length - 1, to))]
      if (next === undefined) return
      if (event.shiftKey) pick(next, "range")
      else {
        current = next
        anchor = next
        mark()
      }
      rowOf(next)?.focus()
    }
    const keys = {
      ArrowDown: () => step(at + 1),
      ArrowUp: () => step(at - 1),
      Home: () => step(0),
      End: () => step(numbers.length - 1),
      PageDown: () => hasLater && turn("later"),
      PageUp: () => hasEarlier && turn("earlier"),
      " ": () => current !== undefined && pick(current, "toggle"),
      Enter: () => current !== undefined && open(current, true),
      Escape: () => {
        chosen.clear()
        anchor = undefined
        mark()
      },
      Delete: () => chosen.size > 0 && remove()
    }
    if (event.key === "a" && (event.ctrlKey || event.metaKey)) chooseAll(true)
    else if (event.key in keys && !event.ctrlKey && !event.metaKey && !event.altKey) {
      keys[/** @type {keyof typeof keys} */ (event.key)]()
    } else return
    event.preventDefault()
  })

  /**
   * Does something to messages, tells what came of it and looks again.
   * @param {string} path
   * @param {object} payload
   * @param {string} done
   */
  const act = async (path, payload, done) => {
    const { outcomes } = await post(path, { entity }, payload)
    await finish(done, outcomes)
  }

  /**
   * Asks for each by itself: what is scheduled may have come due meanwhile, or been taken back.
   * @param {string} path
   * @param {ReadonlyArray<string>} numbers
   * @param {object} payload
   * @param {string} done
   */
  const actOnEach = async (path, numbers, payload, done) => {
    /** @type {Array<Outcome>} */
    const outcomes = []
    for (const sequenceNumber of numbers) {
      try {
        await post(path, { entity }, { ...payload, sequenceNumbers: [sequenceNumber] })
        outcomes.push({ sequenceNumber, isDone: true })
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 404) throw error
        outcomes.push({ sequenceNumber, isDone: false, problem: error.message })
      }
    }
    await finish(done, outcomes)
  }

  /**
   * @param {string} done
   * @param {ReadonlyArray<Outcome>} outcomes
   */
  const finish = async (done, outcomes) => {
    for (const { isDone, problem = "", sequenceNumber } of outcomes) {
      if (isDone || /there is no (scheduled )?message \d+$/.test(problem)) chosen.delete(sequenceNumber)
    }
    if (outcomes.some((/** @type {Outcome} */ { isDone, sequenceNumber }) => isDone && sequenceNumber === opened)) {
      close()
    }
    const looked = Promise.all([reload(), refresh()])
    tellOutcomes(done, outcomes)
    await looked
  }

  /** Those that are chosen, or one, in their order. @param {string} [one] */
  const numbersOf = (one) => one === undefined ? [...chosen].toSorted((a, b) => BigInt(a) < BigInt(b) ? -1 : 1) : [one]

  const nameOf = (/** @type {ReadonlyArray<string>} */ numbers) =>
    numbers.length === 1 ? `message ${numbers[0]}` : counted(numbers.length, "message")

  const remove = (/** @type {string | undefined} */ one = undefined) => {
    const numbers = numbersOf(one)
    ask(
      `Delete ${nameOf(numbers)}?`,
      "Delete",
      [h("p", {}, "What is deleted is gone. A message that a receiver has locked stays.")],
      () => act("/messages/delete", { sequenceNumbers: numbers }, "deleted"),
      { kind: "danger" }
    )
  }

  const resend = (/** @type {string} */ one) => {
    const numbers = numbersOf(one)
    const to = targets(sourceOf(entity))
    ask(
      `Send ${nameOf(numbers)} again?`,
      "Send again",
      [
        field("Send to", to),
        h(
          "p",
          {},
          isDead
            ? "Each is sent as a new message, without the reason of its death, and leaves the dead-letter queue."
            : "Each is sent as a new message at once, and the one that was here is gone."
        )
      ],
      () =>
        act(
          "/messages/resend",
          { to: to.value, messages: numbers.map((sequenceNumber) => ({ sequenceNumber })) },
          `sent again to ${to.value}`
        )
    )
  }

  const edit = (/** @type {any} */ message) => {
    const form = editor(message)
    const to = targets(sourceOf(entity))
    const { sequenceNumber } = message
    ask(
      `Repair message ${sequenceNumber} and send it again`,
      "Send again",
      [
        reasonOf(entity, message),
        field(
          "Send to",
          to,
          isDead ? "The dead letter is gone once this is sent." : "The message that is here is gone once this is sent."
        ),
        ...form.elements
      ],
      () =>
        act(
          "/messages/resend",
          { to: to.value, messages: [{ sequenceNumber, message: form.message() }] },
          `sent again to ${to.value}`
        )
    )
    form.focus()
  }

  const bury = (/** @type {string} */ one) => {
    const numbers = numbersOf(one)
    const reason = h("input", { name: "reason", autocomplete: "off" })
    const description = h("textarea", { name: "description", rows: 3 })
    ask(
      `Dead-letter ${nameOf(numbers)}`,
      "Dead-letter",
      [field("Reason", reason), field("Description", description)],
      () =>
        act("/messages/dead-letter", {
          sequenceNumbers: numbers,
          ...(reason.value === "" ? {} : { reason: reason.value }),
          ...(description.value === "" ? {} : { description: description.value })
        }, "dead-lettered")
    )
  }

  const defer = (/** @type {string} */ one) =>
    void act("/messages/defer", { sequenceNumbers: numbersOf(one) }, "deferred").catch(failed)

  const deliver = async (/** @type {string} */ one) => {
    await actOnEach("/scheduled/deliver", numbersOf(one), {}, "enqueued")
  }

  const shift = (/** @type {string} */ one) => {
    const numbers = numbersOf(one)
    const by = h("input", { name: "by", placeholder: "5 minutes", autocomplete: "off" })
    const to = h("input", { name: "to", type: "datetime-local", step: 1 })
    ask(`Put ${nameOf(numbers)} off`, "Put off", [
      field("By", by, "Words (5 minutes, -1 hour) or ISO 8601 (PT5M); each is moved by as much."),
      field("Or to", to, "All of them to this time.")
    ], async () => {
      if (by.value.trim() === "" && to.value === "") throw new Error("Say by how much, or to when.")
      const change = by.value.trim() !== "" ? { by: by.value.trim() } : { to: new Date(to.value).toISOString() }
      await actOnEach("/scheduled/reschedule", numbers, change, "put off")
    })
  }

  const save = (/** @type {string} */ one) => void saveMessages(entity, numbersOf(one)).catch(failed)

  /** How many there are; undefined where no count says so. */
  const total = () => {
    const row = rows.get(sourceOf(entity))
    if (kind === "scheduled") return row?.scheduled
    if (kind === "messages") return row && row.active + row.scheduled
    return isDead ? entity.includes("/$Transfer/") ? row?.transferDeadLetter : row?.deadLetter : undefined
  }

  const purge = () => {
    const count = total()
    return ask(`Purge ${entity}?`, "Purge", [
      h(
        "p",
        {},
        `All ${state === undefined ? "messages" : `${state} messages`} here${
          count === undefined ? "" : ` (${many(count)})`
        } are deleted, but for those that a receiver has locked.`
      )
    ], async () => {
      const { messages } = await post("/messages/purge", { entity }, state === undefined ? {} : { state })
      tell(`${counted(messages, "message")} deleted.`)
      chosen.clear()
      close()
      await Promise.all([reload(), refresh()])
    }, { kind: "danger" })
  }

  const failed = (/** @type {unknown} */ error) => tell(error instanceof Error ? error.message : String(error), true)

  /** @type {ReadonlyArray<readonly [string, (one?: any) => void, ReadonlyArray<keyof typeof columns>, string?]>} */
  const offered = [
    ["Deliver now", (one) => void deliver(one).catch(failed), ["scheduled"], "primary"],
    ["Put off…", shift, ["scheduled"]],
    ["Send again…", resend, ["dead", "deferred", "messages"], isDead ? "primary" : ""],
    ["Defer", defer, ["messages"]],
    ["Dead-letter…", bury, ["messages", "deferred"]],
    ["Save", save, ["messages", "dead", "scheduled", "deferred"]],
    [kind === "scheduled" ? "Take back…" : "Delete…", remove, ["messages", "dead", "scheduled", "deferred"], "danger"]
  ]
  const mine = offered.filter(([, , kinds]) => kinds.includes(kind))
  const forChosen = mine.map(([label, run, , style]) => button(label, () => run(), style))
  const actionsOf = (/** @type {any} */ message) => [
    button("Repair and send again…", () => edit(message), "primary"),
    ...mine.map(([label, run, , style]) =>
      button(label, () => run(message.sequenceNumber), style === "danger" ? style : "")
    )
  ]

  const element = h(
    "div",
    { class: "split" },
    h(
      "div",
      {},
      h(
        "div",
        { class: "bar", role: "toolbar", "aria-label": "What is done to those that are chosen" },
        (kind === "messages" || rows.get(entity)?.kind === "topic") &&
          button("Send…", () => askToSend(entity), "primary"),
        ...forChosen,
        button("Purge…", purge, "danger"),
        status
      ),
      problem,
      h("div", { class: "scroll" }, table),
      nothing,
      h("div", { class: "bar pages", role: "group", "aria-label": "Pages" }, first, older, newer, end),
      h(
        "p",
        { class: "hint keys" },
        "Keys in the list: arrows move, Space and Shift choose, Ctrl+A all, Enter opens, Delete deletes, Page Up and Down turn."
      )
    ),
    detail
  )
  mark()
  void reload().then(() => {
    const { message } = here()
    if (message !== undefined) void open(message)
  })
  return {
    element,
    update: reload,
    close: () => {
      isClosed = true
    }
  }
}
