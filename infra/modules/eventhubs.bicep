// Twin changes: the hub's built-in endpoint takes only SAS, so it writes to an event hub by identity.
param location string
param tags object
param token string

@description('Where the namespace tells how much comes in: the alert relay-silence holds it against what is carried on.')
param workspaceId string

var hub = loadJsonContent('../local/cloud.json').eventHubs[0]

resource hubs 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: 'evhns-${token}'
  location: location
  tags: tags
  sku: { name: 'Standard', tier: 'Standard', capacity: 1 }
  // One unit takes 1,000 events a second; hubs from S3 x 5 on report more, and get more units by themselves.
  properties: { disableLocalAuth: true, minimumTlsVersion: '1.2', isAutoInflateEnabled: true, maximumThroughputUnits: 4 }
}

resource changes 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: hubs
  name: hub.name
  properties: { partitionCount: hub.partitions, messageRetentionInDays: 7 }
}

resource counts 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: hubs
  properties: { workspaceId: workspaceId, metrics: [{ category: 'AllMetrics', enabled: true }] }
}

output name string = hubs.name
output host string = '${hubs.name}.servicebus.windows.net'
