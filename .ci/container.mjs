// Makes of the packed package what the Dockerfile of examples/emulator-container makes of it, in a folder, and runs it as a
// container is run: in namespaces of its own, as its user, with a root that is read only, as process 1. Its health check, the
// service of compose.yaml and a stop are tried on it. The base image is this machine's Node and shell, with the libraries that
// they need: no container engine has part in it.
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync
} from "node:fs"
import { dirname, join, resolve } from "node:path"
import { connect } from "node:tls"
import { inFolder, root, run } from "./outside.mjs"

const python = join(root, "test/interop/.cache/python-7.15/bin/python")
const example = "examples/emulator-container"

/** The instructions of a Dockerfile of one stage: their words, and what is written as JSON read. */
const instructionsOf = (text) =>
  text.replace(/^\s*#.*\n/gm, "").replace(/\\\n\s*/g, "").split("\n").filter((line) => line.trim() !== "").map(
    (line) => {
      const [, name, rest] = /^(\w+)\s+(.*)$/.exec(line)
      return { name, rest, list: rest.includes("[") ? JSON.parse(rest.slice(rest.indexOf("["))) : rest.split(/\s+/) }
    }
  )

/** A program of this machine in a folder that is to be a root, with the libraries that it loads. */
const bring = (folder, file, at) => {
  const libraries = Array.from(run("ldd", [file], "/").matchAll(/(?:=> )?(\/\S+) \(0x/g), ([, path]) => path)
  for (const [from, to] of [[file, at], ...libraries.map((path) => [path, path])]) {
    const target = join(folder, to)
    mkdirSync(dirname(target), { recursive: true })
    if (!existsSync(target)) copyFileSync(realpathSync(from), target)
  }
}

/** What is to be run of it. */
const build = (folder, context) => {
  bring(folder, process.execPath, "/usr/local/bin/node")
  for (const name of ["sh", "mkdir", "chown"]) bring(folder, `/bin/${name}`, `/bin/${name}`)
  const image = { env: { PATH: "/usr/local/bin:/bin" }, ports: [], directory: "/" }
  for (const { list, name, rest } of instructionsOf(readFileSync(join(context, example, "Dockerfile"), "utf8"))) {
    if (name === "WORKDIR") {
      image.directory = rest
      mkdirSync(join(folder, rest), { recursive: true })
    } else if (name === "COPY") {
      const to = list.at(-1)
      for (const from of list.slice(0, -1)) {
        const source = join(context, from)
        const target = resolve(join(folder, image.directory), to.endsWith("/") ? join(to, from.split("/").at(-1)) : to)
        cpSync(source, target, { recursive: statSync(source).isDirectory() })
      }
    } else if (name === "RUN") run("chroot", [folder, "/bin/sh", "-c", rest], "/")
    else if (name === "ENV") {
      for (const each of list) image.env[each.split("=")[0]] = each.slice(each.indexOf("=") + 1)
    } else if (name === "EXPOSE") image.ports = list
    else if (name === "USER") image.user = rest.split(":")
    else if (name === "STOPSIGNAL") image.stopSignal = rest
    else if (name === "HEALTHCHECK") image.health = list
    else if (name === "ENTRYPOINT") image.entrypoint = list
    else assert.ok(["ARG", "FROM"].includes(name), name)
  }
  return image
}

/** Runs a program in the image; what it is run for sees its ports, and nothing else sees it. */
const runIn = (folder, image, program, { env, user = image.user }, stdio) =>
  spawn("unshare", [
    ...["--pid", "--fork", "--kill-child", `--root=${folder}`, `--wd=${image.directory}`],
    ...["--setuid", user[0], "--setgid", user[1], ...program]
  ], { env: { ...image.env, ...env }, stdio })

/** A container: it is healthy when this returns. */
const start = async (folder, image, options) => {
  const isHealthy = async () => {
    const [code] = await once(runIn(folder, image, image.health, options, "inherit"), "close")
    return code === 0
  }
  assert.equal(await isHealthy(), false, "it is healthy before it is there")
  const child = runIn(folder, image, image.entrypoint, options, ["ignore", "pipe", "pipe"])
  let printed = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => printed += text)
  const ended = once(child, "close")
  while (!await isHealthy()) assert.equal(child.exitCode, null, printed)
  // Process 1 of its namespace, which only a signal reaches that it has a listener for.
  const first = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8"))
  const status = readFileSync(`/proc/${first}/status`, "utf8")
  assert.match(status, /^NSpid:\s.*\t1$/m)
  assert.match(status, new RegExp(`^Uid:\t${(options.user ?? image.user)[0]}\t`, "m"))
  return {
    printed: () => printed,
    stop: async () => {
      const began = performance.now()
      process.kill(first, image.stopSignal)
      const [code] = await ended
      assert.equal(code, 0, printed)
      // An engine waits so long until it kills.
      assert.ok(performance.now() - began < 10_000)
    }
  }
}

/** The variables that compose.yaml gives to its services. */
const composed = (context) => {
  const text = readFileSync(join(context, example, "compose.yaml"), "utf8")
  const variables = Array.from(text.matchAll(/^ {6}([A-Z_]+): (\S+)$/gm), ([, name, value]) => [name, value])
  const of = (isBroker) => Object.fromEntries(variables.filter(([name]) => name.startsWith("EFFECT_") === isBroker))
  return { emulator: of(true), orders: of(false) }
}

const connects = (port, certificate) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: "emulator", port, ca: certificate }, () => {
      socket.destroy()
      resolve()
    })
    socket.on("error", reject)
  })

const inside = async (work) => {
  const [folder, context] = [join(work, "root"), join(work, "package")]
  const shell = (command) => run("sh", ["-c", command], "/")
  const image = build(folder, context)
  assert.deepEqual(image.ports, ["5672", "5300"])
  // The service finds the broker by the name that it has in the file.
  const hosts = join(work, "hosts")
  writeFileSync(hosts, "127.0.0.1 localhost emulator\n")
  const volume = join(work, "volume")
  mkdirSync(volume)
  chownSync(volume, 1000, 1000)
  shell(`ip link set lo up && hostname emulator && mount --bind ${hosts} /etc/hosts`)
  shell(`mount --bind ${folder} ${folder} && mount -o remount,ro,bind ${folder}`)
  assert.throws(() => writeFileSync(join(folder, "opt/file"), ""), { code: "EROFS" })

  const { emulator, orders } = composed(context)
  const broker = await start(folder, image, { env: emulator })
  assert.match(broker.printed(), /^Listening on 0\.0\.0\.0:5672 with orders, news, news\/all\n/)
  const health = await fetch("http://emulator:5300/health")
  assert.equal(health.status, 200)
  if (existsSync(python)) {
    const billed = run(python, [join(context, example, "orders.py")], work, { env: orders, timeout: 60_000 })
    assert.equal(billed, "billed order 1\nbilled order 2\nbilled order 3\n")
  } else console.log("container: LEFT OUT the service of compose.yaml, which npm run interop installs the client for")
  await broker.stop()
  console.log("container: healthy on its ports, of use to the service of compose.yaml, stopped in time")

  // A platform may give it a user that no image knows.
  const others = await start(folder, image, { env: { EFFECT_SERVICE_BUS_PORT: "5680" }, user: ["12345", "0"] })
  assert.match(others.printed(), /^Listening on 0\.0\.0\.0:5680 with no entities yet\n/)
  await others.stop()
  console.log("container: runs as any user")

  shell(`mount --bind ${volume} ${join(folder, "data")}`)
  const env = {
    ...emulator,
    EFFECT_SERVICE_BUS_TLS_PORT: "5671",
    EFFECT_SERVICE_BUS_WRITE_CERT: "/data/emulator.pem",
    EFFECT_SERVICE_BUS_DATA: "/data/broker.db"
  }
  const secured = await start(folder, image, { env })
  await connects(5671, readFileSync(join(volume, "emulator.pem"), "utf8"))
  const headers = { authorization: `Basic ${btoa(`RootManageSharedAccessKey:${env.EFFECT_SERVICE_BUS_KEY}`)}` }
  const messages = "http://emulator:5300/messages?entity=orders"
  const put = await fetch(messages, { method: "POST", headers, body: JSON.stringify([{ body: "kept" }]) })
  assert.equal(put.status, 200)
  await secured.stop()
  console.log("container: writes its certificate to a volume, which is good for its name")
  const again = await start(folder, image, { env })
  const [message] = await (await fetch(messages, { headers })).json()
  assert.deepEqual(message.body, { text: "kept" })
  await again.stop()
  console.log("container: keeps on the volume what the next one goes on with")
}

const at = process.argv.indexOf("--inside")
if (at > 0) await inside(process.argv[at + 1])
else {
  const namespaces = ["--mount", "--net", "--uts", "--fork", "--kill-child"]
  if (process.platform !== "linux" || spawnSync("unshare", [...namespaces, "ip", "link"]).status !== 0) {
    console.log("container: LEFT OUT, this machine gives no namespaces to whoever runs this (unshare), or has no ip")
  } else {
    inFolder(({ folder, tarball }) => {
      const work = folder("work")
      mkdirSync(join(work, "root"))
      run("tar", ["-xzf", tarball(), "-C", work], work)
      const { status } = spawnSync(
        "unshare",
        [...namespaces, process.execPath, import.meta.filename, "--inside", work],
        {
          stdio: "inherit",
          timeout: 120_000
        }
      )
      assert.equal(status, 0)
    })
  }
}
