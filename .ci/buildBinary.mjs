// npm run build:binary [-- --out FOLDER]
// Makes the command one executable with Node in it, for machines that have none: Node's own single executable application, of
// the Node that runs this, for the system and processor that it runs on. The licences of what is in it are in it too, as text
// that is not compressed, and beside it.
//
// All of it is one module: what the command loads when it is asked for is in it as well, and so is whatever it shows or serves,
// as long as that is a module. A file that is read from beside the command would not be found.
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { rolldown } from "rolldown"
import { licence, licences, licencesOf } from "./licences.mjs"
import { page } from "./page.mjs"

const root = resolve(import.meta.dirname, "..")
const { values } = parseArgs({ options: { out: { type: "string", default: join(root, "build") } } })

/** Runs a program, whose output is of interest where it fails. */
const run = (command, ...args) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, { encoding: "utf8" })
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(" ")} ended with ${status}\n${stdout}${stderr}`)
}

/** A CommonJS module, which is what Node 24 takes into an executable; returns what it was made of. */
const bundle = async (file) => {
  const bundle = await rolldown({
    input: join(root, "src/emulator/cli.ts"),
    platform: "node",
    plugins: [page],
    // effect looks for variables there that only a bundler for browsers gives.
    transform: { define: { "import.meta": "{}" } },
    onLog: (level, log) => {
      if (level === "warn") throw new Error(log.message)
    }
  })
  // Its `import()` are calls of `require`: with a code cache an executable has none of its own.
  const { output } = await bundle.write({
    file,
    format: "cjs",
    minify: true,
    codeSplitting: false,
    dynamicImportInCjs: false
  })
  await bundle.close()
  if (output.length !== 1) throw new Error(`it came to ${output.map(({ fileName }) => fileName).join(", ")}`)
  return output[0].moduleIds
}

/** Where a release of Node, and the package `node`, have it. */
const licenceOfNode = () => {
  const arch = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
  const folder = dirname(process.execPath)
  const candidates = [
    join(folder, "../node_modules", arch, "LICENSE"),
    join(folder, "../LICENSE"),
    join(folder, "LICENSE")
  ]
  const found = candidates.find((each) => existsSync(each))
  if (found === undefined) {
    throw new Error(`there is no LICENSE beside ${process.execPath}: use a Node as it was released`)
  }
  return licence(`Node.js ${process.versions.node}`, readFileSync(found, "utf8"))
}

const name = process.platform === "win32" ? "effect-service-bus.exe" : "effect-service-bus"
const executable = join(values.out, name)
const work = mkdtempSync(join(tmpdir(), "effect-service-bus-"))
try {
  const main = join(work, "cli.cjs")
  const modules = await bundle(main)
  const text = licences("The command is one executable with Node and parts of these packages in it.", [
    licence("effect-service-bus", readFileSync(join(root, "LICENSE"), "utf8")),
    ...licencesOf(modules),
    licenceOfNode()
  ])
  const licenceFile = join(work, "LICENSES.txt")
  writeFileSync(licenceFile, text)
  const config = join(work, "sea.json")
  const blob = join(work, "sea.blob")
  writeFileSync(
    config,
    JSON.stringify({
      main,
      output: blob,
      disableExperimentalSEAWarning: true,
      // What others set for Node is not meant for it, and no signal has it listen for a debugger.
      execArgvExtension: "none",
      execArgv: ["--disable-sigusr1"],
      // It is ready a quarter sooner; the cache is of this Node, which is the one that it goes into.
      useCodeCache: true,
      assets: { "LICENSES.txt": licenceFile }
    })
  )
  run(process.execPath, "--experimental-sea-config", config)
  mkdirSync(values.out, { recursive: true })
  // One that runs can be replaced, but not be written to.
  rmSync(executable, { force: true })
  copyFileSync(process.execPath, executable)
  const isMac = process.platform === "darwin"
  // A signature is of what was signed: Node's documentation has it taken away before, and another one put after.
  if (isMac) run("codesign", "--remove-signature", executable)
  run(
    process.execPath,
    join(root, "node_modules/postject/dist/cli.js"),
    executable,
    "NODE_SEA_BLOB",
    blob,
    "--sentinel-fuse",
    "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2",
    ...(isMac ? ["--macho-segment-name", "NODE_SEA"] : [])
  )
  if (isMac) run("codesign", "--sign", "-", executable)
  writeFileSync(join(values.out, "effect-service-bus.LICENSES.txt"), text)
  console.log(`${executable}: ${(statSync(executable).size / 1e6).toFixed(1)} MB`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
