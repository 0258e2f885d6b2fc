// `bicep build main.bicep` writes main.json, which `effect-service-bus emulator --config main.json` starts with.
param namespaceName string
param location string = resourceGroup().location
param stage string = 'test'

var lockDuration = 'PT30S'

resource serviceBus 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' = {
  name: namespaceName
  location: location
  sku: { name: 'Standard' }
}

resource shop 'Microsoft.ServiceBus/namespaces/authorizationRules@2022-10-01-preview' = {
  parent: serviceBus
  name: 'shop'
  properties: { rights: ['Send', 'Listen'] }
}

resource failed 'Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview' = {
  parent: serviceBus
  name: 'failed'
}

resource orders 'Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview' = {
  parent: serviceBus
  name: 'orders'
  properties: {
    lockDuration: lockDuration
    maxDeliveryCount: 5
    requiresDuplicateDetection: true
    forwardDeadLetteredMessagesTo: failed.name
    userMetadata: 'orders of ${stage}'
  }
}

resource news 'Microsoft.ServiceBus/namespaces/topics@2022-10-01-preview' = {
  parent: serviceBus
  name: 'news'

  resource archive 'subscriptions' = {
    name: 'archive'
  }

  resource sport 'subscriptions' = {
    name: 'sport'

    resource rule 'rules' = {
      name: 'sport'
      properties: {
        filterType: 'SqlFilter'
        sqlFilter: { sqlExpression: 'sys.Label = \'sport\'' }
      }
    }
  }
}
