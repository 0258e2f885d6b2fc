/**
 * What a run holds of its process: fibers that have not ended, timers of Node, and listeners of the process. A fiber that waits
 * for something that will never come is one of them, whatever it waits for.
 */
import type * as Metric from "effect/Metric"

export interface Resources {
  readonly fibers: number
  readonly timers: number
  readonly listeners: number
}

/** Counts fibers, for those that have it in their context. */
export const countedFibers = () => {
  const fibers = { count: 0 }
  const service: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => {
      fibers.count++
    },
    recordFiberEnd: () => {
      fibers.count--
    }
  }
  return { fibers, service }
}

/** Counts the timers that are set from now on and neither fire nor are cleared. */
export const countedTimers = () => {
  const { clearInterval, clearTimeout, setInterval, setTimeout } = globalThis
  const active = new Map<unknown, number>()
  const set = (original: typeof setTimeout | typeof setInterval, isOnce: boolean) =>
    Object.assign((run: (...args: Array<unknown>) => void, millis?: number, ...args: Array<unknown>) => {
      const timer = original(
        (...given: Array<unknown>) => {
          if (isOnce) active.delete(timer)
          run(...given)
        },
        millis,
        ...args
      )
      active.set(timer, millis ?? 0)
      return timer
    }, original)
  const clear = (original: typeof clearTimeout) => (timer: NodeJS.Timeout) => {
    active.delete(timer)
    original(timer)
  }
  Object.assign(globalThis, {
    setTimeout: set(setTimeout, true),
    setInterval: set(setInterval, false),
    clearTimeout: clear(clearTimeout),
    clearInterval: clear(clearInterval)
  })
  return {
    /** Of at least so many milliseconds. */
    count: (least = 0): number => [...active.values()].filter((millis) => millis >= least).length,
    restore: () => {
      Object.assign(globalThis, { clearInterval, clearTimeout, setInterval, setTimeout })
    }
  }
}

/** How many listeners the process has. */
export const processListeners = (): number =>
  process.eventNames().reduce((sum, event) => sum + process.listenerCount(event), 0)
