// The rows of infra/roles.json on the hub and the topics, which exist only after the other roles, and those of the topics.
param principals object
param hubName string
param topicNames object
param storageName string

@description('Each topic whose subscriptions keep what they cannot deliver, to its principal.')
param topicPrincipals object

var table = loadJsonContent('../roles.json')
var customIds = toObject(items(table.custom), role => role.key, role => guid(resourceGroup().id, role.key))
var ids = union(table.builtIn, customIds)

var hubs = filter(table.assignments, row => row.kind == 'iothub')
resource hub 'Microsoft.Devices/IotHubs@2023-06-30' existing = {
  name: hubName
}
resource hubRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for row in hubs: {
  name: guid(hub.id, principals[row.who], row.role)
  scope: hub
  properties: {
    principalId: principals[row.who]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var topics = filter(table.assignments, row => row.kind == 'topic')
resource topicScopes 'Microsoft.EventGrid/topics@2025-02-15' existing = [for row in topics: {
  name: topicNames[row.name]
}]
resource topicRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (row, i) in topics: {
  name: guid(topicScopes[i].id, principals[row.who], row.role)
  scope: topicScopes[i]
  properties: {
    principalId: principals[row.who]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var letters = filter(table.assignments, row => row.who == 'topics')[0]
resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  name: '${storageName}/default/${letters.name}'
}
resource deadLetterRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for topic in ['reports', 'lifecycle', 'artifacts']: {
  name: guid(deadLetters.id, topicPrincipals[topic], letters.role)
  scope: deadLetters
  properties: {
    principalId: topicPrincipals[topic]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[letters.role])
  }
}]
