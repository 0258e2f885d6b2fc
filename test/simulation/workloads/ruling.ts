/** Makes and deletes rules of a subscription while messages flow, and writes down what was promised. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusRule from "../../../src/ServiceBusRule.ts"
import * as ServiceBusRuleManager from "../../../src/ServiceBusRuleManager.ts"
import { kinds, ruleOfKind } from "../rules.ts"
import { attempt, flat, operate, operateAside, resultOf, type World } from "../World.ts"

/** How many rules it makes before it deletes one. */
const most = 5

/** Changes the rules of a subscription until the time of faults is over. */
export const changeRules = (
  world: World,
  subscription: ServiceBusEntity.Subscription<unknown> | ServiceBusEntity.SessionSubscription<unknown, unknown, never>
) =>
  Effect.gen(function*() {
    const { history, rng } = world
    const { path } = subscription
    const known = [ServiceBusRule.defaultName]
    let count = 0
    const noted = <E, R>(what: "create" | "delete", name: string, effect: Effect.Effect<void, E, R>) =>
      Effect.suspend(() => {
        const op = history.op()
        history.add({ kind: "ruling", op, entity: path, what, name })
        return Effect.onExit(
          attempt(world, effect, op),
          (exit) => Effect.sync(() => history.add({ kind: "ruled", op, ...resultOf(flat(exit)) }))
        )
      })
    while (!world.isHealed()) {
      const made = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        const make = () => ServiceBusRuleManager.make(subscription)
        const manager = yield* yield* operateAside(world, "make a rule manager", make)
        // A manager lives for a while, and another one comes.
        for (let uses = rng.between(2, 12); uses > 0 && !world.isHealed(); uses--) {
          yield* Effect.sleep(rng.between(1, rng.pick([500, 5_000])))
          const choice = rng.between(0, 9)
          if (choice < 5 && known.length < most) {
            const kind = rng.pick(Object.keys(kinds).filter((each) => each !== ServiceBusRule.defaultName))
            const name = `${kind}-${++count}`
            const exit = yield* noted("create", name, manager.create(ruleOfKind(kind, name)))
            if (Exit.isSuccess(exit)) known.push(name)
          } else if (choice < 8 && known.length > 0) {
            const [name] = known.splice(rng.between(0, known.length - 1), 1)
            const exit = yield* noted("delete", name!, manager.delete(name!))
            // What cannot be known to be gone is deleted again later.
            if (Exit.isFailure(exit) && rng.chance(0.5)) known.push(name!)
          } else if (choice === 8) yield* operate(world, "get", manager.get(rng.pick([...known, "missing"])))
          else {
            const op = history.op()
            history.add({ kind: "listing", op, entity: path })
            const listed = yield* operate(world, "list", Stream.runCollect(manager.list))
            if (Exit.isSuccess(listed)) {
              history.add({ kind: "listed", op, names: listed.value.map(({ name }) => name) })
            }
          }
        }
      })))
      if (Exit.isFailure(made)) yield* Effect.sleep(rng.between(1, 2_000))
    }
  })
