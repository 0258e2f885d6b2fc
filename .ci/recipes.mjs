// node .ci/recipes.mjs [node] [java] [python] [files] [go]
// Compiles the recipes for Testcontainers of docs/emulator-containers.md with the libraries that they are for, and has the
// Dockerfile and the Compose file of examples/emulator-container read by BuildKit's parser and linter and by Compose's own
// loader: no container engine is needed for that. A language whose toolchain or packages this machine cannot have is left out,
// which is said; what does not compile fails.
import { spawn } from "node:child_process"
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { devDependencies, root } from "./outside.mjs"

const here = join(root, "test/interop/containers")
const cache = join(root, "test/interop/.cache/containers")
const page = readFileSync(join(root, "docs/emulator-containers.md"), "utf8")

/** The block of the page in a language. */
const block = (language) => new RegExp(`\n## Testcontainers\n[^]*?\`\`\`${language}\n([^]*?)\`\`\``).exec(page)[1]

class LeftOut extends Error {}

const run = (cwd, command, args, { env = {}, timeout = 600_000 } = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      timeout,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => output += text)
    child.once("error", (error) => reject(new Error(`${command}: ${error.message}`)))
    child.once("close", (code, signal) =>
      code === 0
        ? resolve(output)
        : reject(new Error(`${command} ${args.join(" ")} ended with ${code ?? signal}\n${output}`)))
  })

/** Gets what is needed: where that fails the machine cannot have it. */
const get = (...what) =>
  run(...what).catch((error) => {
    throw new LeftOut(error.message.trim().split("\n").slice(-2).join(" | ").slice(0, 300))
  })

const folder = (name) => {
  const made = join(cache, name)
  mkdirSync(made, { recursive: true })
  return made
}

const node = async () => {
  const at = folder("node")
  writeFileSync(join(at, "package.json"), JSON.stringify({ name: "recipes", private: true, type: "module" }))
  const packages = ["testcontainers@12.2.0", `@types/node@${devDependencies["@types/node"]}`]
  await get(at, "npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", ...packages])
  writeFileSync(join(at, "recipe.mts"), block("mts"))
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const options = [
    "--ignoreConfig",
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "NodeNext",
    "--target",
    "ES2022",
    "--types",
    "node"
  ]
  await run(at, process.execPath, [tsc, ...options, "recipe.mts"])
}

const java = async () => {
  const at = folder("java")
  copyFileSync(join(here, "java/pom.xml"), join(at, "pom.xml"))
  const repository = `-Dmaven.repo.local=${join(at, "repository")}`
  const mvn = ["-q", "-B", repository, "dependency:build-classpath", "-Dmdep.outputFile=classpath"]
  await get(at, "mvn", mvn)
  writeFileSync(join(at, "Broker.java"), block("java"))
  const classPath = readFileSync(join(at, "classpath"), "utf8").trim()
  await run(at, "javac", [
    "-Xlint:all,-serial",
    "-Werror",
    "-proc:none",
    "-d",
    "classes",
    "-cp",
    classPath,
    "Broker.java"
  ])
}

const python = async () => {
  const at = folder("python")
  await get(at, "python3", ["-m", "venv", "venv"])
  await get(at, "venv/bin/python", ["-m", "pip", "install", "-q", "-r", join(here, "python/requirements.txt")])
  writeFileSync(join(at, "recipe.py"), block("py"))
  await run(at, "venv/bin/python", ["-m", "mypy", "--strict", "--follow-imports=silent", "recipe.py"])
}

/** Read-only folders, as Go makes them by default, could not be removed with the cache. */
const goEnv = { GOMODCACHE: join(cache, "modules"), GOFLAGS: "-modcacherw -mod=readonly", GOTOOLCHAIN: "local" }

const goModule = async (name) => {
  const at = folder(name)
  for (const file of ["go.mod", "go.sum"]) copyFileSync(join(here, name, file), join(at, file))
  await get(at, "go", ["mod", "download"], { env: goEnv })
  return at
}

const files = async () => {
  const at = await goModule("files")
  copyFileSync(join(here, "files/main.go"), join(at, "main.go"))
  const example = join(root, "examples/emulator-container")
  const paths = [join(example, "Dockerfile"), join(example, "compose.yaml")]
  const said = await run(at, "go", ["run", ".", ...paths], { env: goEnv })
  const expected = [
    "emulator",
    "emulator is asked by [\"CMD\" \"node\"]",
    "orders",
    "orders after emulator is service_healthy"
  ]
  if (said !== `${expected.join("\n")}\n`) throw new Error(`compose.yaml is read as\n${said}`)
}

const go = async () => {
  const at = await goModule("go")
  writeFileSync(join(at, "orders.go"), block("go"))
  await run(at, "go", ["build", "."], { env: goEnv })
}

const recipes = {
  node: ["the recipe for Node, by TypeScript", node],
  java: ["the recipe for Java, by javac", java],
  python: ["the recipe for Python, by mypy", python],
  files: ["Dockerfile by BuildKit's parser and linter, compose.yaml by Compose's loader", files],
  go: ["the recipe for Go, by its compiler", go]
}

const asked = process.argv.slice(2)
const chosen = Object.entries(recipes).filter(([name]) => asked.length === 0 || asked.includes(name))
if (chosen.length < asked.length) {
  throw new Error(`it takes ${Object.keys(recipes).join(", ")}, not ${asked.join(", ")}`)
}

const results = await Promise.all(chosen.map(async ([, [name, compile]]) => {
  try {
    await compile()
    console.log(`recipes: ${name}`)
    return true
  } catch (error) {
    const isLeftOut = error instanceof LeftOut
    console.log(`recipes: ${isLeftOut ? "LEFT OUT" : "NOT OK"} ${name}: ${error.message}`)
    return isLeftOut
  }
}))
process.exitCode = results.every(Boolean) ? 0 : 1
