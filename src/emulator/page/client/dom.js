/**
 * Elements out of data. What comes from the broker becomes text nodes and values of attributes, never markup: no function here
 * takes any.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element; functions among its properties listen, and what is undefined or false is left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | ReadonlyArray<Child>)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export const h = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children)

/**
 * The same of a picture.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | ReadonlyArray<Child>)} children
 */
export const s = (tag, properties = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children)

/** Properties of elements that are no attributes. */
const own = new Set(["value", "checked", "disabled", "hidden", "indeterminate", "tabIndex", "selected"])

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, unknown>} properties
 * @param {ReadonlyArray<Child | ReadonlyArray<Child>>} children
 * @returns {E}
 */
const fill = (element, properties, children) => {
  // A value of a select is there once its options are.
  element.append(...children.flat().filter(isShown).map(String_))
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue
    if (typeof value === "function") element.addEventListener(name, /** @type {EventListener} */ (value))
    else if (own.has(name) && name in element) Object.assign(element, { [name]: value })
    else if (value !== false) element.setAttribute(name, value === true ? "" : String(value))
  }
  return element
}

/** @param {Child} child */
const isShown = (child) => child !== null && child !== undefined && child !== false

/** @param {Child} child */
const String_ = (child) => child instanceof Node ? child : String(child)

/**
 * Has an element have these children alone.
 * @param {Element} element
 * @param {...(Child | ReadonlyArray<Child>)} children
 */
export const put = (element, ...children) => element.replaceChildren(...children.flat().filter(isShown).map(String_))

/** @param {number} number */
export const many = (number) => number.toLocaleString("en")

/**
 * @param {number} number
 * @param {string} one
 */
export const counted = (number, one) => `${many(number)} ${one}${number === 1 ? "" : "s"}`

/** @param {number} bytes */
export const size = (bytes) =>
  bytes < 1024
    ? `${bytes} B`
    : bytes < 1024 * 1024
    ? `${(bytes / 1024).toFixed(1)} KiB`
    : `${(bytes / 1048576).toFixed(1)} MiB`

/** What time it is in the broker, less the time here, in milliseconds. */
let ahead = 0

/** @param {string} now */
export const setNow = (now) => {
  ahead = Date.parse(now) - Date.now()
}

/** The time of the broker. */
export const now = () => Date.now() + ahead

const two = (/** @type {number} */ number) => String(number).padStart(2, "0")

/**
 * A time of the broker: that of the day, with the day where it is another one, and all of it to point at.
 * @param {string | undefined} iso
 */
export const time = (iso) => {
  if (iso === undefined) return h("span")
  const at = new Date(iso)
  const today = new Date(now())
  const day = at.toDateString() === today.toDateString()
    ? ""
    : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `
  const text = `${day}${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  return h("time", { datetime: iso, title: iso }, text)
}

/**
 * How far a time is from now, in words.
 * @param {string} iso
 */
export const distance = (iso) => {
  const millis = Date.parse(iso) - now()
  const seconds = Math.round(Math.abs(millis) / 1000)
  const text = seconds < 100
    ? `${seconds} s`
    : seconds < 6000
    ? `${Math.round(seconds / 60)} min`
    : seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} days`
  return millis >= 0 ? `in ${text}` : `${text} ago`
}

/**
 * A labelled input. A hint describes it, and is no part of its name.
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint]
 */
export const field = (label, control, hint) => {
  const labelled = h("label", {}, h("span", {}, label), control)
  if (hint === undefined) return h("div", { class: "field" }, labelled)
  const id = `hint-${++hints}`
  control.setAttribute("aria-describedby", id)
  return h("div", { class: "field" }, labelled, h("span", { class: "hint", id }, hint))
}

let hints = 0

/** A way past what comes before the content, seen by those who come to it with the keyboard. */
export const skip = () => button("Skip to the content", () => document.querySelector("main")?.focus(), "skip")

/**
 * @param {string} label
 * @param {() => void} click
 * @param {string} [kind]
 * @param {string} [key] Tells it from others of its row's words when it is made again.
 */
export const button = (label, click, kind = "", key = undefined) =>
  h("button", { type: "button", class: kind, click, "data-key": key }, label)

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" })

/**
 * Tells what came of something, by voice too.
 * @param {string} text
 * @param {boolean} [isBad]
 */
export const tell = (text, isBad = false) => {
  const toast = h("div", { class: isBad ? "toast bad" : "toast" }, h("span", {}, text))
  const dismiss = () => keepFocusIn(toasts, () => toast.remove())
  toast.append(button("Dismiss", dismiss, "plain"))
  toasts.append(toast)
  keepFocusIn(toasts, () => {
    while (toasts.children.length > 4) toasts.firstElementChild?.remove()
  })
  if (!isBad) setTimeout(dismiss, 8000)
}

/** What went wrong somewhere else is of no use any more. */
export const forgetProblems = () => {
  keepFocusIn(toasts, () => {
    for (const toast of [...toasts.querySelectorAll(".bad")]) toast.remove()
  })
}

/** Where it is told. */
export const toastsElement = toasts

/**
 * Asks in a dialog: `run` does what is asked for, and what it fails with stays in the dialog. Where something was changed in it,
 * it is given up only once that is asked for twice.
 * @param {string} title
 * @param {string} action
 * @param {ReadonlyArray<Child>} content
 * @param {() => Promise<unknown> | unknown} run
 * @param {{ readonly kind?: string, readonly beside?: ReadonlyArray<Child> }} [options]
 */
export const ask = (title, action, content, run, { beside = [], kind = "primary" } = {}) => {
  const problem = h("div", { class: "problem", role: "alert" })
  const submit = h("button", { type: "submit", class: kind }, action)
  const id = `dialog-${++dialogs}`
  const dialog = h("dialog", { "aria-labelledby": id })
  const said = () => JSON.stringify([...form.elements].map((each) => "value" in each && each.value))
  const isGivenUp = () => {
    if (cancel.textContent !== "Cancel" || said() === first) return true
    cancel.textContent = "Discard what was changed"
    put(problem, "What was changed here is lost then. Once more, and it is.")
    return false
  }
  const cancel = button("Cancel", () => isGivenUp() && dialog.close())
  const form = h(
    "form",
    {
      method: "dialog",
      keydown: (/** @type {KeyboardEvent} */ event) => {
        // Also out of a text of many lines.
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !submit.disabled) form.requestSubmit()
      },
      input: () => {
        if (cancel.textContent === "Cancel") return
        cancel.textContent = "Cancel"
        put(problem)
      },
      submit: async (/** @type {SubmitEvent} */ event) => {
        event.preventDefault()
        submit.disabled = true
        put(problem)
        try {
          await run()
          dialog.close()
        } catch (error) {
          const words = error instanceof Error ? error.message : String(error)
          // Whoever has closed the dialog meanwhile hears of it too.
          if (dialog.open) put(problem, words)
          else tell(words, true)
        } finally {
          enable(submit)
        }
      }
    },
    h("h2", { id }, title),
    ...content,
    h(
      "div",
      { class: "foot" },
      problem,
      h("div", { class: "row end" }, ...beside, cancel, submit)
    )
  )
  const first = said()
  dialog.append(form)
  dialog.addEventListener("cancel", (event) => {
    if (event.target === dialog && !isGivenUp()) event.preventDefault()
  })
  dialog.addEventListener("close", () => {
    dialog.remove()
    // The browser gave the focus back when it closed; this event comes later, when somebody may have moved the focus.
    keepFocus()
  })
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

let dialogs = 0

/** What is asked in a dialog is about the place from which it was opened: closes them where that is left. */
export const closeDialogs = () => {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close()
}

/** Gives the focus to the list, or else to what is shown or the login, where what had it is gone or takes it no more. */
export const keepFocus = () => {
  const { activeElement: active, body } = document
  if (active !== null && active !== body && active.isConnected && !active.matches(":disabled")) return
  const next = document.querySelector("#content [role=grid]:not([hidden]) tr[tabindex='0']") ??
    document.querySelector("#content, .login input")
  if (next instanceof HTMLElement) next.focus({ preventScroll: true })
}

const focusable = "a, button, input, select, textarea, [tabindex]"

/** What something is known by when it is made again: its key, the words of its row's first cell, and what it leads to or is called. */
const placeOf = (/** @type {Element} */ element) =>
  JSON.stringify([
    element.getAttribute("data-key"),
    element.closest("tr")?.firstElementChild?.textContent,
    element.getAttribute("href") ?? element.ariaLabel ?? element.textContent
  ])

/**
 * What is known by the same in an element, in its order.
 * @param {Element} element
 * @param {string} place
 */
const alike = (element, place) => [...element.querySelectorAll(focusable)].filter((each) => placeOf(each) === place)

/**
 * Changes what is in an element. What had the focus in it has it afterwards too, also where it was made again: of several that
 * are alike, the one that comes where that was. Where there is none, the focus goes where `keepFocus` says.
 * @param {Element} element
 * @param {() => void} change
 */
export const keepFocusIn = (element, change) => {
  const active = document.activeElement
  if (active === null || !element.contains(active)) return change()
  const place = placeOf(active)
  const at = alike(element, place).indexOf(active)
  change()
  if (document.activeElement !== document.body) return
  const now = alike(element, place)
  const same = now[at] ?? now.at(-1)
  if (same instanceof HTMLElement) same.focus({ preventScroll: true })
  keepFocus()
}

/**
 * Enables a button again, and gives it back the focus that the browser took from it, unless something else has that by now.
 * @param {HTMLButtonElement} submit
 */
export const enable = (submit) => {
  submit.disabled = false
  if (document.activeElement === document.body && submit.isConnected) submit.focus()
}
