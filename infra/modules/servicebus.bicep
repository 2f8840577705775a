// Every queue as the local cloud has it: sessions, duplicate detection, locks and deliveries.
param location string
param tags object
param token string

var queues = loadJsonContent('../local/servicebus.json').UserConfig.Namespaces[0].Queues

resource bus 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' = {
  name: 'sb-${token}'
  location: location
  tags: tags
  sku: { name: 'Standard', tier: 'Standard' }
  properties: { disableLocalAuth: true, minimumTlsVersion: '1.2' }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview' = [for q in queues: {
  parent: bus
  name: q.Name
  properties: {
    requiresSession: q.Properties.RequiresSession
    requiresDuplicateDetection: q.Properties.RequiresDuplicateDetection
    duplicateDetectionHistoryTimeWindow: q.Properties.DuplicateDetectionHistoryTimeWindow
    lockDuration: q.Properties.LockDuration
    maxDeliveryCount: q.Properties.MaxDeliveryCount
    defaultMessageTimeToLive: q.Properties.DefaultMessageTimeToLive
    deadLetteringOnMessageExpiration: q.Properties.DeadLetteringOnMessageExpiration
  }
}]

output id string = bus.id
output name string = bus.name
output host string = '${bus.name}.servicebus.windows.net'
