/** The entities that the broker is killed with, as Microsoft's Config.json, and what becomes of a message that is sent to each. */

const properties = { LockDuration: "PT5M", MaxDeliveryCount: 1000 }

/** How many sessions each client sends to. */
export const sessionCount = 4

/** What `--config` reads. */
export const config = {
  UserConfig: {
    Namespaces: [{
      Name: "durable",
      Queues: [
        { Name: "orders", Properties: properties },
        { Name: "inbox", Properties: { ...properties, ForwardTo: "orders" } },
        { Name: "carts", Properties: { ...properties, RequiresSession: true } },
        { Name: "later", Properties: properties },
        {
          Name: "once",
          Properties: {
            ...properties,
            RequiresDuplicateDetection: true,
            DuplicateDetectionHistoryTimeWindow: "PT1H"
          }
        },
        { Name: "copies", Properties: properties }
      ],
      Topics: [{
        Name: "news",
        Subscriptions: [
          {
            Name: "a",
            Properties: properties,
            Rules: [{
              Name: "a",
              Properties: { FilterType: "Sql", SqlFilter: { SqlExpression: "kind = 'a'" } }
            }]
          },
          { Name: "all", Properties: properties },
          { Name: "copied", Properties: { ...properties, ForwardTo: "copies" } }
        ]
      }]
    }]
  }
}

/** Where a message of a topic or a queue arrives. */
export const placesOf = (entity: string, kind: string): ReadonlyArray<string> =>
  entity === "inbox"
    ? ["orders"]
    : entity === "news"
    ? [...(kind === "a" ? ["news/Subscriptions/a"] : []), "news/Subscriptions/all", "copies"]
    : [entity]

/** Queues and subscriptions that messages are received from, but those with sessions. */
export const places: ReadonlyArray<string> = [
  "orders",
  "later",
  "once",
  "copies",
  "news/Subscriptions/a",
  "news/Subscriptions/all"
]

export const sessionPlace = "carts"
