/**
 * The clients of other languages that `npm run interop` has go through their checks. A new one is an item of the list, and a section
 * of `docs/emulator-clients.md`, which `clients.test.ts` compares with it.
 */
import { ServiceBusBody, ServiceBusEntity, ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { copyFileSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { build, here, needs, once, step } from "./prepare.ts"

/** A client, with what is known of it before anything is installed. */
export interface Client {
  readonly name: string
  /** The section of the page that is about it. */
  readonly section: string
  /** The folders and files, from here, that its programs consist of. */
  readonly sources: ReadonlyArray<string>
  /** Checks of its own, on a broker with these entities, in place of the checklist that all official clients go through. */
  readonly own?: { readonly checks: ReadonlyArray<string>; readonly entities: ReadonlyArray<Emulator.Entity> }
  /** Installs what it needs, and gives the programs that run it. */
  readonly prepare: () => Promise<Programs>
}

/** Each takes the names of checks. */
export interface Programs {
  readonly checklist: ReadonlyArray<string>
  /** For the checks of the command, where the client has them. */
  readonly command?: ReadonlyArray<string>
  /** The test suite of `examples/` in its language, and what it prints when its ten tests passed. */
  readonly suite?: { readonly command: ReadonlyArray<string>; readonly passed: RegExp }
}

/** Installs Python packages into a folder of the cache, and gives its interpreter. */
const venv = async (name: string, requirements: ReadonlyArray<string>) => {
  await needs("python3", "-c", "import sys, venv; sys.exit(sys.version_info < (3, 8))")
  const folder = await once(name, requirements, async (folder) => {
    rmSync(folder, { recursive: true, force: true })
    await step("python3 -m venv", ["python3", "-m", "venv", folder])
    const packages = requirements.flatMap((file) => ["-r", file])
    await step("pip install", [join(folder, "bin/python"), "-m", "pip", "install", "-q", ...packages])
  })
  return join(folder, "bin/python")
}

const python = (version: string): Client => ({
  name: `python-${version}`,
  section: "Python",
  sources: ["python", "../../examples/emulator-python"],
  prepare: async () => {
    const isNewest = version === "7.15"
    const interpreter = await venv(`python-${version}`, [
      `python/requirements-${version}.txt`,
      ...(isNewest ? ["../../examples/emulator-python/requirements.txt"] : [])
    ])
    const program = (name: string) => [interpreter, "-u", "-W", "ignore", `python/${name}.py`]
    if (!isNewest) return { checklist: program("interop") }
    const tests = join(here, "../../examples/emulator-python")
    return {
      checklist: program("interop"),
      command: program("command"),
      suite: {
        command: [interpreter, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-n", "4", tests],
        passed: /\b10 passed in /
      }
    }
  }
})

const go: Client = {
  name: "go-1.11",
  section: "Go",
  sources: ["go", "../../examples/emulator-go"],
  prepare: async () => {
    await needs("go", "version")
    const tests = "../../examples/emulator-go"
    const folder = await once("go", ["go", tests], async (folder) => {
      // Read-only folders, as Go makes them by default, could not be removed with the cache.
      const env = { GOMODCACHE: join(folder, "modules"), GOFLAGS: "-modcacherw -mod=readonly", GOTOOLCHAIN: "local" }
      await step("go mod download", ["go", "mod", "download"], { cwd: join(here, "go"), env })
      await step("go mod download", ["go", "mod", "download"], { cwd: join(here, tests), env })
      await build("go build", ["go", "build", "-o", join(folder, "interop"), "."], { cwd: join(here, "go"), env })
      await build("go test", ["go", "test", "-c", "-o", join(folder, "suite"), "."], { cwd: join(here, tests), env })
    })
    const program = [join(folder, "interop")]
    const suite = [join(folder, "suite"), "-test.v", "-test.parallel", "4"]
    return {
      checklist: program,
      command: program,
      suite: { command: suite, passed: /^(?:[^]*^--- PASS: ){10}[^]*^PASS$/m }
    }
  }
}

/** Compiles a project of Maven, and gives what runs its program. */
const maven = async (name: string, program: string): Promise<Programs> => {
  await needs("javac", "-version")
  await needs("mvn", "-v")
  const folder = await once(name, [name], async (folder) => {
    const options = [`-Dmaven.repo.local=${join(folder, "repository")}`, `-DcacheFolder=${folder}`]
    const mvn = ["mvn", "-q", "-B", "-f", `${name}/pom.xml`, ...options]
    // The first resolves what the second needs: its plugins as well, by doing nothing with them.
    await step("mvn dependency", [...mvn, "-Dmaven.main.skip", "compile", "dependency:build-classpath"])
    await build("mvn compile", [...mvn, "-o", "compile"])
  })
  const classPath = `${join(folder, "target/classes")}:${readFileSync(join(folder, "classpath"), "utf8").trim()}`
  return { checklist: ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classPath, program] }
}

const java: Client = {
  name: "java-7.17",
  section: "Java",
  sources: ["java"],
  prepare: () => maven("java", "Interop")
}

const javascript: Client = {
  name: "javascript-7.9",
  section: "JavaScript and TypeScript",
  sources: ["javascript"],
  prepare: () => {
    const program = [process.execPath, "javascript/interop.ts"]
    return Promise.resolve({ checklist: program, command: program })
  }
}

const lockDuration = "30 seconds"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.bytes })

/** A topic with a subscription to all of it, and one to some. */
const news = [
  Emulator.entity(News),
  Emulator.entity(ServiceBusEntity.subscription(News, "all"), { lockDuration }),
  Emulator.entity(ServiceBusEntity.subscription(News, "finals"), {
    lockDuration,
    rules: [ServiceBusRule.make("cup", ServiceBusRule.sql("round = 'final'"))]
  })
]

const queues = (...names: ReadonlyArray<string>) => names.map((name) => Emulator.entity(name, { lockDuration }))

const celery: Client = {
  name: "celery-5.7",
  section: "Celery",
  sources: ["celery"],
  // It makes its queues itself.
  own: {
    checks: ["celery-task", "celery-retry", "celery-long-task", "celery-countdown", "celery-purge"],
    entities: []
  },
  prepare: async () => {
    const interpreter = await venv("celery", ["celery/requirements.txt"])
    return { checklist: [interpreter, "-u", "-W", "ignore", "celery/interop.py"] }
  }
}

const proton: Client = {
  name: "proton-0.40",
  section: "Qpid Proton",
  sources: ["proton"],
  own: {
    checks: [
      "proton-blocking",
      "proton-handler",
      "proton-outcomes",
      "proton-topic",
      "proton-scheduled",
      "proton-session",
      "proton-claims",
      "proton-tls"
    ],
    entities: [
      ...queues("orders", "handled", "outcomes", "scheduled", "claims", "tls"),
      ...news,
      Emulator.entity("sessions", { requiresSession: true, lockDuration })
    ]
  },
  prepare: async () => {
    const interpreter = await venv("proton", ["proton/requirements.txt"])
    return { checklist: [interpreter, "-u", "-W", "ignore", "proton/interop.py"] }
  }
}

const spring: Client = {
  name: "spring-6.1",
  section: "Spring and JMS",
  sources: ["spring"],
  own: {
    checks: ["spring-listener", "spring-dead-letter", "spring-jms-queue", "spring-jms-topic", "spring-jms-azure"],
    entities: [...queues("orders", "failures", "jobs", "azure"), ...news]
  },
  prepare: () => maven("spring", "interop.Interop")
}

const rust: Client = {
  name: "rust-0.25",
  section: "Rust",
  sources: ["rust"],
  own: {
    checks: [
      "rust-send-receive",
      "rust-outcomes",
      "rust-batch",
      "rust-schedule",
      "rust-session",
      "rust-topic",
      "rust-tls",
      "rust-web-socket",
      "rust-identity",
      "rust-amqp"
    ],
    entities: [
      ...queues("orders", "outcomes", "batch", "schedule", "tls", "web-socket", "identity", "amqp"),
      ...news,
      Emulator.entity("sessions", { requiresSession: true, lockDuration })
    ]
  },
  prepare: async () => {
    await needs("cargo", "--version")
    const folder = await once("rust", ["rust"], async (folder) => {
      const env = { CARGO_HOME: join(folder, "home"), CARGO_TARGET_DIR: join(folder, "target") }
      await step("cargo fetch", ["cargo", "fetch", "--locked"], { cwd: join(here, "rust"), env })
      await build("cargo build", ["cargo", "build", "--quiet", "--locked", "--offline"], {
        cwd: join(here, "rust"),
        env
      })
      copyFileSync(join(folder, "target/debug/interop"), join(folder, "interop"))
      // What it was made of has most of a gigabyte.
      for (const made of Object.values(env)) rmSync(made, { recursive: true })
    })
    return { checklist: [join(folder, "interop")] }
  }
}

const dapr: Client = {
  name: "dapr-1.18",
  section: "Dapr",
  sources: ["dapr"],
  own: {
    checks: [
      "dapr-topics",
      "dapr-dead-letter",
      "dapr-bulk",
      "dapr-sessions",
      "dapr-scheduled",
      "dapr-queues",
      "dapr-binding"
    ],
    // It makes all others itself.
    entities: queues("orders")
  },
  prepare: async () => {
    await needs("go", "version")
    const folder = await once("dapr", ["dapr"], async (folder) => {
      const modules = join(folder, "modules")
      const env = { GOMODCACHE: modules, GOFLAGS: "-modcacherw -mod=readonly", GOTOOLCHAIN: "local" }
      const cwd = join(here, "dapr")
      // Of the modules that it names, it brings those that are imported.
      await step("go list", ["go", "list", "-deps", "."], { cwd, env })
      await build("go build", ["go", "build", "-o", join(folder, "interop"), "."], { cwd, env })
      // Close to a gigabyte.
      rmSync(modules, { recursive: true })
    })
    return { checklist: [join(folder, "interop")] }
  }
}

/** All of them, in the order of the table. */
export const clients: ReadonlyArray<Client> = [
  javascript,
  python("7.15"),
  python("7.13"),
  python("7.11"),
  python("7.8"),
  go,
  java,
  celery,
  proton,
  dapr,
  spring,
  // Its build takes longest.
  rust
]
