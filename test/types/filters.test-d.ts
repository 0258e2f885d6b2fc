/** The types of filters over what a contract declares. */
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import { expectTypeOf, test } from "vitest"
import * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../src/ServiceBusEntity.ts"
import * as Filter from "../../src/ServiceBusFilter.ts"
import type * as ServiceBusRule from "../../src/ServiceBusRule.ts"

const Orders = ServiceBusEntity.topic("orders", {
  body: ServiceBusBody.text,
  properties: {
    region: Schema.Literals(["eu", "us"]),
    total: Schema.Finite,
    units: Schema.optionalKey(Schema.BigInt),
    due: Schema.optionalKey(Schema.DateTimeUtc),
    count: Schema.FiniteFromString,
    note: Schema.NullOr(Schema.String),
    weight: Schema.NullOr(Schema.Finite),
    isGift: Schema.Boolean
  }
})

test("a filter is one of ServiceBusRule", () => {
  expectTypeOf(Filter.where(Orders, ($) => Filter.equals($.region, "eu"))).toEqualTypeOf<ServiceBusRule.SqlFilter>()
  expectTypeOf(Filter.action(Orders, ($) => [Filter.set($.total, 1)])).toEqualTypeOf<ServiceBusRule.SqlAction>()
  expectTypeOf(Filter.correlation(Orders, {})).toEqualTypeOf<ServiceBusRule.CorrelationFilter>()
})

test("a wrong name does not compile", () => {
  // @ts-expect-error there is no such property
  Filter.where(Orders, ($) => Filter.equals($.regoin, "eu"))
  // @ts-expect-error nor such a one of Service Bus
  Filter.where(Orders, (_, message) => Filter.equals(message.label, "x"))
  // @ts-expect-error nor here
  Filter.correlation(Orders, { applicationProperties: { regoin: "eu" } })
})

test("a value of a wrong type does not compile", () => {
  Filter.where(Orders, ($) => Filter.equals($.count, 1))
  Filter.where(Orders, ($) => Filter.equals($.due, DateTime.makeUnsafe(0)))
  // @ts-expect-error it is none of its texts
  Filter.where(Orders, ($) => Filter.equals($.region, "mars"))
  // @ts-expect-error it is a number
  Filter.where(Orders, ($) => Filter.notEquals($.total, "1"))
  // @ts-expect-error one of them is a text
  Filter.where(Orders, ($) => Filter.isIn($.total, [1, "2"]))
  // @ts-expect-error null is equal to nothing: isNull
  Filter.where(Orders, ($) => Filter.equals($.note, null))
  // @ts-expect-error a number is like nothing
  Filter.where(Orders, ($) => Filter.like($.total, "1%"))
  // @ts-expect-error the option is escape
  Filter.where(Orders, ($) => Filter.like($.region, "a", { escap: "!" }))
  // @ts-expect-error it is not written as a number
  Filter.where(Orders, ($) => Filter.greaterThan($.count, 1))
  // @ts-expect-error no order of these
  Filter.where(Orders, ($) => Filter.lessThan($.isGift, true))
  // @ts-expect-error nothing is added to a text
  Filter.where(Orders, ($) => Filter.equals(Filter.add($.note, 1), 2))
  // @ts-expect-error a property is no condition
  Filter.where(Orders, ($) => $.isGift)
  // @ts-expect-error it is none of its texts
  Filter.correlation(Orders, { applicationProperties: { region: "mars" } })
})

test("properties are compared with each other where they are of one kind", () => {
  Filter.where(Orders, ($) => Filter.lessThan($.total, $.units))
  Filter.where(Orders, ($, message) => Filter.equals($.note, message.subject))
  // @ts-expect-error a number and a text
  Filter.where(Orders, ($) => Filter.equals($.total, $.note))
})

test("what messages must have cannot be removed, nor set to what they must not have", () => {
  Filter.action(
    Orders,
    ($, message) => [Filter.remove($.due), Filter.set(message.subject, "x"), Filter.set($.note, "x")]
  )
  // @ts-expect-error the service does not remove it
  Filter.action(Orders, (_, message) => [Filter.remove(message.subject)])
  // @ts-expect-error every message has one
  Filter.action(Orders, ($) => [Filter.remove($.total)])
  Filter.action(Orders, ($) => [Filter.set($.note, null)])
  // @ts-expect-error it would not decode
  Filter.action(Orders, ($) => [Filter.set($.region, "mars")])
  // @ts-expect-error nor would null
  Filter.action(Orders, ($) => [Filter.set($.region, null)])
  // @ts-expect-error the service puts no null in the place of a number
  Filter.action(Orders, ($) => [Filter.set($.weight, null)])
  // @ts-expect-error it might not decode
  Filter.action(Orders, ($) => [Filter.set($.region, $.note)])
})

test("a contract that declares none has those of Service Bus", () => {
  const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
  Filter.where(News, (_, message) => Filter.equals(message.subject, "x"))
  // @ts-expect-error it declares none
  Filter.where(News, ($) => Filter.equals($.region, "x"))
})

test("a subscription has those of its topic", () => {
  Filter.where(ServiceBusEntity.subscription(Orders, "eu"), ($) => Filter.greaterThan($.total, 1))
})
