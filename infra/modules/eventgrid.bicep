// Topics only: subscriptions whose target is a function are made after the code is deployed (scripts/azure/subscribe).
param location string
param tags object
param token string
param hubId string
param storageId string

// Dead letters pass the firewall of the data account with the topic's own identity only, not with one that is given to it.
var identity = { type: 'SystemAssigned' }

resource topics 'Microsoft.EventGrid/topics@2025-02-15' = [for name in ['reports', 'events']: {
  name: 'evgt-${name}-${token}'
  location: location
  tags: tags
  identity: identity
  properties: { inputSchema: 'CloudEventSchemaV1_0', disableLocalAuth: true }
}]

resource hubTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'evgst-hub-${token}'
  location: location
  tags: tags
  identity: identity
  properties: { source: hubId, topicType: 'Microsoft.Devices.IoTHubs' }
}

resource storageTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'evgst-storage-${token}'
  location: location
  tags: tags
  identity: identity
  properties: { source: storageId, topicType: 'Microsoft.Storage.StorageAccounts' }
}

output reportsId string = topics[0].id
output hubTopicId string = hubTopic.id
output storageTopicId string = storageTopic.id
output principals object = {
  reports: topics[0].identity.principalId
  lifecycle: hubTopic.identity.principalId
  artifacts: storageTopic.identity.principalId
}
output topicNames object = { reports: topics[0].name, events: topics[1].name }
output reportsEndpoint string = topics[0].properties.endpoint
output eventsEndpoint string = topics[1].properties.endpoint
output hubTopic string = hubTopic.name
output storageTopic string = storageTopic.name
