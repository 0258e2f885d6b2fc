/**
 * The second checklist: clients of other languages with the published command. Each program starts the command itself, as a test
 * suite of its language does, and knows of it what its line of JSON says. Every flag and every HTTP route is used by every
 * program. Nothing sleeps: time is moved by `POST /clock/advance`.
 */
import { join } from "node:path"

/** What a check starts the command with. */
export interface Start {
  readonly arguments: ReadonlyArray<string>
  readonly variables?: Readonly<Record<string, string>>
}

const config = join(import.meta.dirname, "../../examples/emulator-config")

const start = (...flags: ReadonlyArray<string>): Start => ({
  arguments: ["--json", "--port", "0", "--admin-port", "0", ...flags]
})

const orders = start("--queue", "orders")

const manual = start("--clock", "manual", "--queue", "orders", "--lock-duration", "30", "--https-port", "0")

/** What each check starts the command with, in the order of the table; in a folder are files of this client alone. */
export const startsIn = (folder: string): Readonly<Record<string, Start>> => ({
  // The line alone is all that a client needs.
  "command-plain": orders,
  // With a certificate of one's own.
  "command-tls": start(
    ...[
      "--queue",
      "orders",
      "--tls-port",
      "0",
      "--cert",
      join(folder, "cert.pem"),
      "--cert-key",
      join(folder, "key.pem")
    ]
  ),
  "command-web-socket": start(
    ...["--queue", "orders", "--websocket-port", "0"],
    ...["--host", "127.0.0.1", "--max-connections", "20", "--max-handshakes", "20"]
  ),
  "command-administration": start(
    ...["--queue", "orders", "--https-port", "0", "--write-cert", join(folder, "written.pem")]
  ),
  "command-identity": start(
    ...["--queue", "orders", "--key", "of-the-root", "--tls-port", "0", "--https-port", "0"],
    ...["--identity", "shop=shop-secret", "--role", "shop=sender@orders", "--identity", "billing=billing-secret"]
  ),
  "command-health": start("--queue", "orders", "--watch"),
  "command-stop": orders,
  // Entities by flags, variables and files.
  "command-entities": start(
    ...["--queue", "orders", "--max-delivery-count", "2", "--session-queue", "carts"],
    ...[
      "--topic",
      "empty",
      "--subscription",
      "news/all",
      "--rule",
      "news/finals/cup=round = 'final'; SET priority = 1"
    ],
    ...["--session-subscription", "news/keyed", "--duplicate-queue", "once", "--duplicate-topic", "unique"],
    ...["--subscription", "unique/all", "--duplicate-window", "60"]
  ),
  "command-variables": {
    arguments: [],
    variables: {
      EFFECT_SERVICE_BUS_JSON: "true",
      EFFECT_SERVICE_BUS_PORT: "0",
      EFFECT_SERVICE_BUS_ADMIN_PORT: "0",
      EFFECT_SERVICE_BUS_KEY: "of-a-container",
      EFFECT_SERVICE_BUS_QUEUE: "orders,carts",
      EFFECT_SERVICE_BUS_RULE: "news/finals/cup=round IN ('final', 'third')\nnews/rest/more=round IS NULL"
    }
  },
  "command-config": start("--config", join(config, "Config.json")),
  "command-template": start("--config", join(config, "main.json"), "--parameter", "stage=test"),
  // Namespaces.
  "command-namespaces": start("--queue", "orders", "--namespaces", "any"),
  "command-namespace-made": start("--queue", "orders"),
  // What outlives it.
  "command-data": start("--queue", "orders", "--data", join(folder, "data.db"), "--data-sync", "full"),
  // Time.
  "command-clock-lock": manual,
  "command-clock-schedule": manual,
  "command-clock-expiry": manual,
  // Messages and state over HTTP.
  "command-messages": orders,
  "command-scheduled": orders,
  "command-browse": start("--queue", "orders", "--session-queue", "carts", "--subscription", "news/sport"),
  "command-state": start("--queue", "orders", "--queue", "carts"),
  // Faults.
  "command-fault-busy": orders,
  "command-fault-cut": orders,
  "command-fault-lock": start("--queue", "orders", "--session-queue", "carts"),
  "command-fault-delay": orders,
  "command-faults-listed": orders
})

/** The names of the checks. */
export const commandChecks: ReadonlyArray<string> = Object.keys(startsIn(""))
