// Builds the README's quick start out of the packed package with the bundlers that users have, and as a single executable,
// and runs each in an empty folder: nothing that is loaded at run time is beside it. The same program goes once more over
// TLS and WebSocket, so that `ws` is run too.
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { join } from "node:path"
import { devDependencies, inFolder, npm, quickStart, run } from "./outside.mjs"

const bundlers = [
  "esbuild@0.28.2",
  "rollup@4.68.8",
  "@rollup/plugin-commonjs@29.0.3",
  "@rollup/plugin-node-resolve@16.0.3",
  "rolldown@1.3.3",
  "vite@8.4.0",
  "webpack@5.113.0",
  "bun@1.4.5",
  "postject@1.0.0-alpha.6"
]

const quickStartTwice = () => {
  const block = quickStart().program
  // A CommonJS program has no top-level await.
  const program = block.replace(/^console\.log\(await (Effect\.runPromise\(.*\))\)$/m, "$1.then(print).then(again)")
  if (program === block) throw new Error("the quick start ends otherwise than it did")
  return `import { Layer } from "effect"
${program}
function print(order: Order | undefined) {
  console.log(JSON.stringify(order))
}
function again() {
  const Server = Emulator.layerServer({ entities: [Emulator.entity(Orders)], webSocketPort: 0 })
  const Client = Emulator.layerClientOver("webSocket").pipe(Layer.provideMerge(Server))
  return Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Client))).then(print)
}
`
}

const expected = "{\"id\":\"1\",\"total\":9.5}\n".repeat(2)

inFolder(({ folder, project, tarball }) => {
  const user = project("user")
  npm(["install", tarball(), `effect@${devDependencies.effect}`, ...bundlers], user)
  // What another package of the program brings, as `@azure/service-bus` does, must not come between.
  for (const other of ["rhea", "rhea-promise"]) {
    const at = join(user, "node_modules", other)
    rmSync(at, { recursive: true, force: true })
    mkdirSync(at)
    writeFileSync(join(at, "package.json"), JSON.stringify({ name: other, version: "3.0.4", main: "index.js" }))
    writeFileSync(join(at, "index.js"), `throw new Error("another ${other}")`)
  }
  writeFileSync(join(user, "main.ts"), quickStartTwice())
  writeFileSync(join(user, "main.mjs"), stripTypeScriptTypes(quickStartTwice()))
  const built = folder("built")
  const bin = (name) => join(user, "node_modules/.bin", name)

  const works = (name, file, command = process.execPath, args = [file]) => {
    // An empty folder for each: nothing of another build is beside it.
    const empty = folder(`run-${name}`)
    const at = join(empty, file)
    copyFileSync(join(built, file), at)
    if (command !== process.execPath) chmodSync(at, 0o755)
    const printed = run(command === process.execPath ? command : at, args, empty, { timeout: 60_000 })
    if (printed !== expected) throw new Error(`${name}: got ${printed}`)
    console.log(`bundled: ${name} runs`)
  }

  const esbuild = (...args) =>
    run(bin("esbuild"), ["main.ts", "--bundle", "--platform=node", "--log-level=warning", ...args], user)
  // Packages in CommonJS ask for Node's modules by require, which an ESM program has not by itself: docs/runtimes.md says so.
  const banner =
    "import { createRequire as __createRequire } from \"node:module\"; const require = __createRequire(import.meta.url);"
  esbuild("--format=esm", `--outfile=${join(built, "esbuild.mjs")}`, `--banner:js=${banner}`)
  works("esbuild, ESM", "esbuild.mjs")
  esbuild("--format=cjs", "--minify", `--outfile=${join(built, "esbuild.cjs")}`)
  works("esbuild, CommonJS, minified", "esbuild.cjs")

  writeFileSync(
    join(user, "rollup.config.mjs"),
    `import commonjs from "@rollup/plugin-commonjs"
import { nodeResolve } from "@rollup/plugin-node-resolve"
export default { plugins: [nodeResolve({ exportConditions: ["node"], preferBuiltins: true }), commonjs()], onwarn: () => {} }
`
  )
  // What the broker loads on its first request for control would be a file of its own: docs/runtimes.md says so.
  const inline = "--inlineDynamicImports"
  run(bin("rollup"), ["-c", "-i", "main.mjs", "-f", "es", inline, "-o", join(built, "rollup.mjs"), "--silent"], user)
  works("rollup", "rollup.mjs")

  run(
    bin("rolldown"),
    ["main.ts", "--platform", "node", "--format", "esm", "--no-code-splitting", "--file", join(built, "rolldown.mjs")],
    user
  )
  works("rolldown", "rolldown.mjs")

  writeFileSync(
    join(user, "vite.config.mjs"),
    `export default {
  logLevel: "error",
  ssr: { noExternal: true },
  build: { ssr: "main.ts", outDir: ${JSON.stringify(built)}, rollupOptions: { output: { entryFileNames: "vite.mjs" } } }
}
`
  )
  run(bin("vite"), ["build"], user)
  works("vite, SSR", "vite.mjs")

  writeFileSync(
    join(user, "webpack.mjs"),
    `import webpack from "webpack"
webpack({
  mode: "production",
  target: "node22",
  entry: "./main.mjs",
  output: { path: ${JSON.stringify(built)}, filename: "webpack.cjs" }
}, (error, stats) => {
  if (error || stats.hasErrors()) throw error ?? new Error(stats.toString("errors-only"))
})
`
  )
  run(process.execPath, ["webpack.mjs"], user)
  works("webpack", "webpack.cjs")

  // Its script fetches the binary where npm ran none.
  run(process.execPath, ["install.js"], join(user, "node_modules/bun"))
  run(bin("bun"), ["build", "--compile", "main.ts", "--outfile", join(built, "bun-orders")], user)
  works("bun, an executable", "bun-orders", join(built, "bun-orders"), [])

  // Node's own single executables; on macOS they want a signature besides, on Windows another tool.
  if (process.platform !== "linux") return console.log("bundled: a single executable is tried on Linux alone")
  const executable = join(built, "orders")
  writeFileSync(
    join(user, "sea.json"),
    JSON.stringify({ main: join(built, "esbuild.cjs"), output: "sea.blob", disableExperimentalSEAWarning: true })
  )
  run(process.execPath, ["--experimental-sea-config", "sea.json"], user)
  copyFileSync(process.execPath, executable)
  const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2"
  run(bin("postject"), [executable, "NODE_SEA_BLOB", "sea.blob", "--sentinel-fuse", fuse], user)
  works("a single executable", "orders", executable, [])
})
