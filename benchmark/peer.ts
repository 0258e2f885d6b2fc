// One program of one peer in a process of its own: does it and writes what was measured as a line of JSON.
import { type Case, type Measured, Meter, type Peer, type Programs, type Timing } from "./measure.ts"

export interface Job extends Timing {
  readonly peer: Peer
  readonly case: Case
  readonly size: number
  readonly port: number
  readonly tcpPort: number
  readonly entity: string
}

/** A peer is loaded only where it works: what it loads is part of what it costs. */
const programsOf = async (peer: Peer): Promise<Programs> => {
  switch (peer) {
    case "ours":
      return (await import("./peers/ours.ts")).ours
    case "azure":
      return (await import("./peers/azure.ts")).azure
    case "azure-best":
      return (await import("./peers/azure.ts")).azureBest
    case "rhea":
      return (await import("./peers/rhea.ts")).rheaPeer
    case "tcp":
      return (await import("./peers/tcp.ts")).tcp
  }
}

export const run = async (job: Job): Promise<Measured> => {
  const meter = new Meter(job, job.size)
  const program = (await programsOf(job.peer))[job.case]
  if (program === undefined) throw new Error(`${job.peer} has no ${job.case}`)
  await program({ ...job, meter })
  return meter.result()
}

if (import.meta.main) {
  try {
    const measured = await run(JSON.parse(process.argv[2]!) as Job)
    process.stdout.write(`${JSON.stringify(measured)}\n`)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    process.exitCode = 1
  }
}
