/**
 * What the page shows beside entities: who is connected, what is to go wrong, what time it is, and the namespaces.
 */
import { get, ofConnectionString, post, Problem, request, signedIn, signIn } from "./api.js"
import { ask, button, counted, field, h, many, put, tell, time } from "./dom.js"
import { to } from "./route.js"
import { saveFile } from "./saving.js"
import { refresh, rows } from "./store.js"
import { asked, table } from "./tabs.js"

/** @param {unknown} error */
const wordsOf = (error) => error instanceof Error ? error.message : String(error)

/** Does something and tells what came of it. @param {() => Promise<string>} run */
const act = (run) => void run().then((text) => tell(text), (error) => tell(wordsOf(error), true))

/** Asks before what a file says takes the place of what is here. @param {string} text */
const askToLoad = (text) => {
  /** @type {any} */
  let dump
  try {
    dump = JSON.parse(text)
  } catch (error) {
    return tell(`The file is no JSON: ${wordsOf(error)}`, true)
  }
  const named = Array.isArray(dump?.entities) ? dump.entities : []
  const here = named.flatMap((/** @type {any} */ entity) => {
    const path = entity?.kind === "subscription" ? `${entity.topic}/Subscriptions/${entity.name}` : String(entity?.name)
    const row = rows.get(path)
    if (row === undefined) return []
    return [
      h(
        "li",
        {},
        `${path}: ${counted(row.active + row.scheduled + row.deadLetter + row.transferDeadLetter, "message")}${
          row.requiresSession ? ", and the states of its sessions" : ""
        }`
      )
    ]
  })
  ask("Load the file?", "Load", [
    h("p", {}, `Its entities (${many(named.length)}) become what it says, all of them or none.`),
    here.length === 0
      ? h("p", {}, "None of them is here yet.")
      : h("div", {}, h("p", {}, "These are here, and what they hold now is gone:"), h("ul", {}, ...here))
  ], async () => {
    await post("/load", {}, dump)
    await refresh()
    tell("The entities of the file are as it says.")
  }, here.length === 0 ? {} : { kind: "danger" })
}

/**
 * A view that is asked for again while somebody looks, as no count tells of its changes.
 * @param {{ element: HTMLElement, update: () => Promise<void>, close: () => void }} view
 * @param {ReadonlyArray<import("./dom.js").Child>} parts
 */
const regularly = (view, parts) => {
  const timer = setInterval(() => {
    if (!document.hidden) void view.update()
  }, 3000)
  return {
    element: h("div", {}, ...parts),
    close: () => {
      clearInterval(timer)
      view.close()
    }
  }
}

/** An address without the host before it. @param {string} address */
const pathOf = (address) => address.replace(/^[a-z]+:\/\/[^/]*\//i, "")

/** One of the entities, or all. @param {string} all */
const entities = (all) =>
  h(
    "select",
    { name: "entity" },
    h("option", { value: "" }, all),
    ...[...rows.keys()].map((path) => h("option", { value: path }, path))
  )

const connections = () => {
  const list = asked(
    () => get("/connections"),
    (found) => [
      h(
        "p",
        {},
        `${counted(found.length, "connection")}, ${
          counted(found.flatMap((/** @type {any} */ { links }) => links).length, "link")
        }.`
      ),
      ...(found.length === 0 ?
        [h("p", { class: "empty" }, "No client is connected.")] :
        found.map((/** @type {any} */ { acceptedAt, containerId, hostname, links, product }) =>
          h(
            "section",
            { "aria-label": `Connection ${containerId}` },
            h("h3", {}, containerId || "a client without a name"),
            h("p", { class: "faint" }, [product, hostname].filter(Boolean).join(" · "), " · since ", time(acceptedAt)),
            links.length === 0
              ? h("p", { class: "faint" }, "It has no links.")
              : table(
                `Links of ${containerId}`,
                ["Link", "Client", "Entity", "Session", "Credit", "Waits to be written"],
                links.map((/** @type {any} */ { address, credit, name, pending, role, session }) => {
                  const path = pathOf(address).replace(/\/\$(DeadLetterQueue|management).*$/i, "")
                  return [
                    h("span", { class: "mono" }, name),
                    role === "sender" ? "sends" : "receives",
                    rows.has(path) ? h("a", { href: to({ entity: path }) }, pathOf(address)) : pathOf(address),
                    session,
                    many(credit),
                    pending > 0 ? many(pending) : ""
                  ]
                })
              )
          )
        ))
    ]
  )
  return regularly(list, [
    h(
      "header",
      {},
      h("h2", { class: "grow" }, "Connections"),
      button("Cut all…", () =>
        ask("Cut all connections?", "Cut", [
          h("p", {}, "Each is cut without a word, as by a network that fails. Clients that recover open new ones.")
        ], async () => {
          await post("/connections/drop", {}, {})
          tell("All connections were cut.")
          await list.again()
        }, { kind: "danger" }), "danger")
    ),
    list.element
  ])
}

const operations = [
  "send",
  "attach",
  "settle",
  "renew",
  "acceptSession",
  "delete",
  "listSessions",
  "request",
  "putToken",
  "administer"
]

/** What happens to an operation, and what each of these needs. @type {Record<string, { title: string, needs: ReadonlyArray<string> }>} */
const actions = {
  error: { title: "it is refused", needs: ["condition", "description"] },
  throttle: { title: "the broker is busy", needs: ["retryAfter"] },
  delay: { title: "it comes late", needs: ["delay", "when"] },
  drop: { title: "it is never answered", needs: ["when"] },
  loseLock: { title: "its lock is lost first", needs: [] },
  detach: { title: "its link is detached", needs: ["when", "condition", "description"] },
  endSession: { title: "its AMQP session ends", needs: ["when", "condition", "description"] },
  disconnect: { title: "its connection is cut", needs: ["when"] }
}

const faultForm = () => {
  const operation = h("input", { name: "operation", value: "send", list: "operations", autocomplete: "off" })
  const entity = entities("every entity")
  const action = h(
    "select",
    { name: "action", change: () => show() },
    ...Object.entries(actions).map(([name, { title }]) => h("option", { value: name }, title))
  )
  const times = h("input", { name: "times", value: "1", autocomplete: "off" })
  const probability = h("input", { name: "probability", type: "number", min: 0, max: 1, step: "any", value: "1" })
  const seed = h("input", { name: "seed", type: "number", step: 1, value: "0" })
  const inputs = {
    condition: h("input", {
      name: "condition",
      value: "com.microsoft:server-busy",
      list: "conditions",
      autocomplete: "off"
    }),
    description: h("input", { name: "description", autocomplete: "off" }),
    retryAfter: h("input", { name: "retryAfter", value: "2 seconds", autocomplete: "off" }),
    delay: h("input", { name: "delay", value: "3 seconds", autocomplete: "off" }),
    when: h(
      "select",
      { name: "when" },
      h("option", { value: "before" }, "before it is carried out"),
      h("option", { value: "after" }, "after it is carried out")
    )
  }
  const fields = {
    condition: field("Condition", inputs.condition),
    description: field("Description", inputs.description),
    retryAfter: field("Retry after", inputs.retryAfter),
    delay: field("Delay", inputs.delay),
    when: field("When", inputs.when)
  }
  const show = () => {
    for (const [name, each] of Object.entries(fields)) {
      each.hidden = actions[action.value]?.needs.includes(name) !== true
    }
  }
  show()
  return {
    elements: [
      h("datalist", { id: "operations" }, ...operations.map((value) => h("option", { value }))),
      h(
        "datalist",
        { id: "conditions" },
        ...[
          "com.microsoft:server-busy",
          "com.microsoft:timeout",
          "amqp:internal-error",
          "amqp:not-found",
          "amqp:unauthorized-access",
          "amqp:resource-limit-exceeded",
          "com.microsoft:message-lock-lost"
        ].map((value) => h("option", { value }))
      ),
      h(
        "div",
        { class: "fields" },
        field("Operation", operation, "Or a request by its name, such as com.microsoft:peek-message."),
        field("Of", entity),
        field("What happens", action),
        ...Object.values(fields),
        field("How often", times, "A number, or every."),
        field("With the probability", probability),
        field("Seed", seed, "The same seed strikes the same operations.")
      )
    ],
    fault: () => {
      const needs = actions[action.value]?.needs ?? []
      const value = (/** @type {keyof typeof inputs} */ name) =>
        needs.includes(name) && inputs[name].value.trim() !== "" ? { [name]: inputs[name].value.trim() } : {}
      const error = { ...value("condition"), ...value("description") }
      const often = times.value.trim()
      const likely = Number(probability.value)
      if (often !== "every" && !/^0*[1-9]\d*$/.test(often)) {
        throw new Error("How often: a whole number from 1 on, or the word every.")
      }
      if (!(likely > 0 && likely <= 1)) throw new Error("With the probability: a number above 0 and up to 1.")
      return {
        operation: operation.value.trim(),
        ...(entity.value === "" ? {} : { entity: entity.value }),
        ...(action.value === "error" ? {} : { action: action.value }),
        ...(needs.includes("condition") && "condition" in error ? { error } : {}),
        ...value("retryAfter"),
        ...value("delay"),
        ...value("when"),
        times: often === "every" ? often : Number(often),
        ...(likely === 1 ? {} : { probability: likely, seed: Number(seed.value) })
      }
    }
  }
}

/** What a fault does, in words. @param {any} fault */
const faultText = ({ action = "error", delay, error, retryAfter, when }) =>
  [
    actions[action]?.title ?? action,
    error?.condition,
    error?.description,
    delay !== undefined && `by ${delay} ms`,
    retryAfter !== undefined && `for ${retryAfter} ms`,
    when
  ].filter(Boolean).join(", ")

const faults = () => {
  const list = asked(
    () => get("/faults"),
    (found) => [
      found.length === 0
        ? h("p", { class: "empty" }, "Nothing is to go wrong.")
        : table(
          "Faults",
          ["Operation", "Entity", "What happens", "Struck", "Still to strike", ""],
          found.map((/** @type {any} */ { fault, hits, id, isSpent }) => [
            fault.operation,
            fault.entity ?? "every",
            faultText(fault),
            many(hits),
            isSpent ? "none" : fault.times === "every" ? "every" : many(fault.times - hits),
            button(
              "Take back",
              () =>
                act(async () => {
                  await request("DELETE", `/faults/${encodeURIComponent(id)}`)
                  await list.again()
                  return "The fault is taken back."
                }),
              "",
              id
            )
          ])
        )
    ]
  )
  const form = faultForm()
  const problem = h("div", { class: "problem", role: "alert" })
  const lock = entities("choose an entity")
  return regularly(list, [
    h(
      "header",
      {},
      h("h2", { class: "grow" }, "Faults"),
      button("Take all back", () =>
        act(async () => {
          await request("DELETE", "/faults")
          await list.again()
          return "All faults are taken back."
        }))
    ),
    list.element,
    h("h3", {}, "Have something go wrong"),
    h(
      "form",
      {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault()
          put(problem)
          try {
            await post("/faults", {}, form.fault())
            tell("The next operations that fit go wrong.")
            await list.again()
          } catch (error) {
            put(problem, wordsOf(error))
          }
        }
      },
      ...form.elements,
      problem,
      h("button", { type: "submit", class: "primary" }, "Add the fault")
    ),
    h("h3", {}, "At once"),
    h(
      "div",
      { class: "row" },
      h("label", { class: "row" }, "Entity", lock),
      button("End its locks", () =>
        act(async () => {
          if (lock.value === "") throw new Error("Choose an entity.")
          const { messages } = await post("/locks/lose", {}, { entity: lock.value })
          return `The locks have ended; ${counted(messages, "message")} will come again.`
        })),
      button("Detach its links", () =>
        act(async () => {
          if (lock.value === "") throw new Error("Choose an entity.")
          await post("/links/detach", {}, { entity: lock.value })
          return `The links of ${lock.value} were detached.`
        })),
      button("Detach all links…", () =>
        ask("Detach all links?", "Detach", [
          h("p", {}, "Each link of every client is detached. Clients that recover attach again.")
        ], async () => {
          await post("/links/detach", {}, {})
          tell("All links were detached.")
        }, { kind: "danger" }), "danger")
    )
  ])
}

const clock = () => {
  const by = h("input", { name: "by", value: "5 minutes", autocomplete: "off" })
  const problem = h("div", { class: "problem", role: "alert" })
  const now = asked(
    () => get("/clock"),
    ({ now }) => [h("p", {}, "It is ", h("strong", {}, h("time", { datetime: now }, now)), " in the broker.")]
  )
  return regularly(now, [
    h("h2", {}, "Clock"),
    now.element,
    h(
      "form",
      {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault()
          put(problem)
          try {
            const { now: then } = await post("/clock/advance", {}, { by: by.value.trim() })
            tell(`It is ${then} now, and all that was due has happened.`)
            await Promise.all([now.again(), refresh()])
          } catch (error) {
            put(problem, wordsOf(error))
          }
        }
      },
      field(
        "Move it on by",
        by,
        "Words (5 minutes) or ISO 8601 (PT5M). Locks end, schedules come due and lives are over, each at its time."
      ),
      problem,
      h("button", { type: "submit", class: "primary" }, "Move on")
    )
  ])
}

/** Shows the namespace of a key. @param {import("./api.js").User} user */
const showNamespace = (user) => {
  signIn(user)
  location.hash = ""
  location.reload()
}

const namespaces = () => {
  const back = signedIn()?.back
  const name = h("input", { name: "namespace", autocomplete: "off", placeholder: "team-a" })
  const made = h("div", { role: "status" })
  const list = asked(
    () =>
      get("/namespaces").catch((error) => {
        if (!(error instanceof Problem && error.status === 403)) throw error
        return { problem: error.message }
      }),
    (found) => {
      const isOfServer = Array.isArray(found)
      making.hidden = !isOfServer
      if (!isOfServer) return [h("p", {}, found.problem)]
      return [table(
        "Namespaces",
        ["Name", "Connections", "Made", ""],
        found.map((/** @type {any} */ { connections, createdAt, isByUse, name }) => [
          name,
          many(connections),
          h("span", {}, time(createdAt), isByUse && h("span", { class: "faint" }, " by use")),
          name !== "default" && button("Remove…", () =>
            ask(`Remove the namespace ${name}?`, "Remove", [
              h("p", {}, "All that is in it is gone, and its connections are closed.")
            ], async () => {
              await request("DELETE", `/namespaces/${encodeURIComponent(name)}`)
              tell(`The namespace ${name} is gone.`)
              await list.again()
            }, { kind: "danger" }), "danger")
        ])
      )]
    }
  )
  const file = h("input", {
    type: "file",
    name: "dump",
    accept: "application/json,.json",
    "aria-label": "A file with the state of entities"
  })
  // Shown once the key is known to be one for it.
  const making = h(
    "div",
    { hidden: true },
    h("h3", {}, "Make one"),
    h(
      "form",
      {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault()
          try {
            const { connectionString, name: of } = await post("/namespaces", {}, { name: name.value.trim() })
            const user = ofConnectionString(connectionString)
            put(
              made,
              h(
                "p",
                { class: "good-ground" },
                `The namespace ${of} is there. Its clients connect with this, which is shown once:`
              ),
              h("pre", { class: "body", tabIndex: 0, "aria-label": "Connection string" }, connectionString),
              user !== undefined && button("Show that namespace", () => showNamespace({ ...user, back: signedIn() }))
            )
            await list.again()
          } catch (error) {
            put(made, h("div", { class: "problem" }, wordsOf(error)))
          }
        }
      },
      field("Name", name),
      h("button", { type: "submit", class: "primary" }, "Make it")
    ),
    made
  )
  return regularly(list, [
    h(
      "header",
      {},
      h("h2", { class: "grow" }, "Namespaces"),
      back !== undefined && button("Back to the namespace before", () => showNamespace(back))
    ),
    list.element,
    making,
    h("h3", {}, "The state of the namespace that is shown"),
    h(
      "div",
      { class: "row" },
      button("Save as a file", () =>
        act(async () => {
          saveFile("namespace.json", `${JSON.stringify(await get("/dump"), null, 2)}\n`)
          return "All entities are saved, with what is in them."
        })),
      file,
      button("Load the file…", () => {
        const [chosen] = file.files ?? []
        if (chosen === undefined) tell("Choose a file first.", true)
        else void chosen.text().then(askToLoad)
      }),
      button(
        "Reset…",
        () =>
          ask("Make the namespace what it was at first?", "Reset", [
            h("p", {}, "All messages are gone, entities and rules are as they were declared. Connections stay.")
          ], async () => {
            const { messages } = await post("/reset", {}, {})
            tell(`The namespace is what it was at first; ${counted(messages, "message")} are gone.`)
            await refresh()
          }, { kind: "danger" }),
        "danger"
      )
    ),
    h("p", { class: "hint" }, "What is loaded takes the place of the entities that it names, all of them or none.")
  ])
}

/** @type {Record<string, { title: string, make: () => import("./main.js").View }>} */
export const views = {
  connections: { title: "Connections", make: connections },
  faults: { title: "Faults", make: faults },
  clock: { title: "Clock", make: clock },
  namespaces: { title: "Namespaces", make: namespaces }
}
