/**
 * The page: who may see it, what it is made of, and what is shown for an address.
 */
import { ofConnectionString, onRefused, Problem, request, signedIn, signIn } from "./api.js"
import {
  button,
  closeDialogs,
  enable,
  field,
  forgetProblems,
  h,
  keepFocusIn,
  put,
  skip,
  tell,
  toastsElement
} from "./dom.js"
import { entityView } from "./entity.js"
import { here, to } from "./route.js"
import * as store from "./store.js"
import { entityTree } from "./tree.js"
import { views } from "./views.js"

/** A part of the page. @typedef {{ element: HTMLElement, update?: (changed: ReadonlySet<string>) => unknown, close?: () => void }} View */

const app = h("div")
document.body.append(app, toastsElement)

/** Asks for a key. @param {string} [why] */
const showLogin = (why = "") => {
  leave?.()
  store.stop()
  closeDialogs()
  forgetProblems()
  const whole = h("input", {
    name: "connectionString",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "Endpoint=sb://localhost;SharedAccessKeyName=…;SharedAccessKey=…"
  })
  const name = h("input", {
    name: "name",
    autocomplete: "username",
    value: signedIn()?.name ?? "RootManageSharedAccessKey"
  })
  const key = h("input", { name: "key", type: "password", autocomplete: "off" })
  const problem = h("div", { class: "problem", role: "alert" }, why)
  const submit = h("button", { type: "submit", class: "primary" }, "Show the broker")
  const tryIt = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault()
    submit.disabled = true
    put(problem)
    try {
      const given = whole.value.trim()
      // A connection string is taken wherever it was put.
      const user = given === ""
        ? ofConnectionString(key.value) ?? { name: name.value.trim(), key: key.value }
        : ofConnectionString(given)
      if (user === undefined) {
        throw new Error("There is no SharedAccessKeyName and SharedAccessKey in the connection string.")
      }
      signIn(user)
      await request("GET", "/clock")
      showShell()
    } catch (error) {
      signIn(undefined)
      put(problem, error instanceof Error ? error.message : String(error))
    } finally {
      enable(submit)
    }
  }
  put(
    app,
    h(
      "main",
      { class: "login" },
      h("h1", {}, "Service Bus emulator"),
      h(
        "p",
        {},
        "What is in this broker is shown to whoever has its key. The command prints it when it starts, in its connection string."
      ),
      h(
        "form",
        { submit: tryIt },
        field("Connection string", whole, "As it was printed; or give the two below."),
        field("Name of the policy", name),
        field("Key", key),
        problem,
        h("div", { class: "row end" }, submit)
      ),
      h("p", { class: "hint" }, "The key is kept in this tab until it is closed, and nowhere else.")
    )
  )
  whole.focus()
}

/** Ends what is shown of a broker. @type {(() => void) | undefined} */
let leave

const showShell = async () => {
  leave?.()
  const banner = h("div", { class: "banner", role: "alert" })
  const content = h("main", { tabIndex: -1, id: "content" })
  const links = new Map(
    [["", "Entities"], ...Object.entries(views).map(([name, { title }]) => [name, title])].map(([view = "", title]) => [
      view,
      h("a", { href: to(view === "" ? {} : { view }) }, title)
    ])
  )
  const user = signedIn()
  put(
    app,
    h(
      "div",
      { class: "shell" },
      h(
        "header",
        { class: "top" },
        skip(),
        h("h1", {}, "Service Bus emulator"),
        h("nav", { "aria-label": "Views", class: "grow" }, ...links.values()),
        h("span", { class: "faint", title: "The policy that is signed in" }, user?.name),
        button("Sign out", () => {
          signIn(undefined)
          showLogin()
        })
      ),
      banner,
      content
    )
  )
  const shell = /** @type {HTMLElement} */ (app.firstElementChild)
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let counting
  store.onLost((text) => {
    clearInterval(counting)
    if (text === undefined) {
      if (banner.childNodes.length > 0) tell("The broker answers again.")
      return keepFocusIn(banner, () => put(banner))
    }
    let left = Math.round(store.delay() / 1000)
    const when = h("span", {}, ` Trying again in ${left} s. `)
    keepFocusIn(banner, () => put(banner, text, when, button("Try now", () => void store.refresh())))
    counting = setInterval(() => {
      left = Math.max(0, left - 1)
      put(when, ` Trying again in ${left} s. `)
    }, 1000)
  })
  let unwatch = () => {}
  let show = () => {}
  const go = () => {
    closeDialogs()
    show()
  }
  /** @type {View | undefined} */
  let view
  leave = () => {
    leave = undefined
    clearInterval(counting)
    store.onLost(() => {})
    unwatch()
    removeEventListener("hashchange", go)
    view?.close?.()
  }
  await store.start()
  // Meanwhile the key was refused.
  if (!shell.isConnected) return
  const tree = entityTree()
  shell.insertBefore(tree.element, content)
  // Whoever has signed in goes on by the keyboard with the choice of an entity.
  if (document.activeElement === document.body) tree.element.focus()
  show = () => {
    forgetProblems()
    view?.close?.()
    const { entity, view: name = "" } = here()
    for (const [of, link] of links) {
      if (of === name) link.setAttribute("aria-current", "page")
      else link.removeAttribute("aria-current")
    }
    const other = Object.hasOwn(views, name) ? views[name] : undefined
    view = other?.make() ?? (entity === undefined ? start() : entityView(entity))
    const hadFocus = content.contains(document.activeElement)
    put(content, view.element)
    // Whoever has chosen a tab goes on from it.
    if (hadFocus) (/** @type {HTMLElement | null} */ (content.querySelector(".tabs [aria-current]")) ?? content).focus()
    document.title = `${other?.title ?? entity ?? "Entities"} · Service Bus emulator`
    tree.mark()
  }
  unwatch = store.watch((changed, isBack) => {
    tree.update(changed)
    if (isBack) show()
    else void view?.update?.(changed)
  })
  addEventListener("hashchange", go)
  show()
}

/** What is shown before an entity is chosen. */
const start = () => {
  const element = h("div")
  const update = () => keepFocusIn(element, draw)
  const draw = () => {
    const all = [...store.rows.values()]
    const dead = all.filter(({ deadLetter, transferDeadLetter }) => deadLetter + transferDeadLetter > 0)
    put(
      element,
      h("h2", {}, "Entities"),
      h(
        "p",
        {},
        all.length === 0
          ? "There are none yet. They come with the command's flags and files, by administration, or by a file that is loaded under Namespaces."
          : "Choose an entity to see its messages."
      ),
      dead.length > 0 && h("h3", {}, "Dead letters wait in"),
      dead.length > 0 &&
        h(
          "ul",
          {},
          ...dead.slice(0, 50).map(({ deadLetter, path, transferDeadLetter }) =>
            h(
              "li",
              {},
              h("a", { href: to({ entity: path, tab: deadLetter > 0 ? "dead" : "transfer" }) }, path),
              ` (${deadLetter + transferDeadLetter})`
            )
          )
        )
    )
  }
  update()
  return { element, update }
}

onRefused(() => {
  if (app.querySelector(".login") !== null) return
  signIn(undefined)
  showLogin("The key is not taken any more: the broker has another one, or the namespace is gone.")
})

if (signedIn() === undefined) showLogin()
else {
  void showShell().catch((error) => {
    if (!(error instanceof Problem)) throw error
  })
}
