// Who may do what: the table infra/roles.json, each row at the narrowest scope Azure has for it.
param principals object

@description('Without the kind of a principal, one that was made a moment ago may not be found.')
param deployerType string
param storageName string
param hostNames object
param busName string
param eventHubsName string
param vaultName string
param insightsName string

var table = loadJsonContent('../roles.json')
var rows = table.assignments

resource custom 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [for role in items(table.custom): {
  name: guid(resourceGroup().id, role.key)
  properties: {
    roleName: '${role.key} (${resourceGroup().name})'
    type: 'CustomRole'
    permissions: [{ actions: [], notActions: [], dataActions: role.value, notDataActions: [] }]
    assignableScopes: [resourceGroup().id]
  }
}]

var customIds = toObject(items(table.custom), role => role.key, role => guid(resourceGroup().id, role.key))
var ids = union(table.builtIn, customIds)

var hosts = filter(rows, row => row.kind == 'host')
resource hostScopes 'Microsoft.Storage/storageAccounts@2023-05-01' existing = [for row in hosts: {
  name: hostNames[row.who]
}]
resource hostRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (row, i) in hosts: {
  name: guid(hostScopes[i].id, principals[row.who], row.role)
  scope: hostScopes[i]
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var accounts = filter(rows, row => row.kind == 'account')
resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}
resource accountRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for row in accounts: {
  name: guid(account.id, principals[row.who], row.role)
  scope: account
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var containers = filter(rows, row => row.kind == 'container' && row.who != 'topics')
resource containerScopes 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = [for row in containers: {
  name: '${storageName}/default/${row.name}'
}]
resource containerRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (row, i) in containers: {
  name: guid(containerScopes[i].id, principals[row.who], row.role)
  scope: containerScopes[i]
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var tables = filter(rows, row => row.kind == 'table')
resource tableScopes 'Microsoft.Storage/storageAccounts/tableServices/tables@2023-05-01' existing = [for row in tables: {
  name: '${storageName}/default/${row.name}'
}]
resource tableRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (row, i) in tables: {
  name: guid(tableScopes[i].id, principals[row.who], row.role)
  scope: tableScopes[i]
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var queues = filter(rows, row => row.kind == 'queue')
resource queueScopes 'Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview' existing = [for row in queues: {
  name: '${busName}/${row.name}'
}]
resource queueRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (row, i) in queues: {
  name: guid(queueScopes[i].id, principals[row.who], row.role)
  scope: queueScopes[i]
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var eventHubs = filter(rows, row => row.kind == 'eventhub')
resource eventHubScopes 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' existing = [for row in eventHubs: {
  name: '${eventHubsName}/${row.name}'
}]
resource eventHubRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (row, i) in eventHubs: {
  name: guid(eventHubScopes[i].id, principals[row.who], row.role)
  scope: eventHubScopes[i]
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var keys = filter(rows, row => row.kind == 'key')
resource keyScopes 'Microsoft.KeyVault/vaults/keys@2023-07-01' existing = [for row in keys: {
  name: '${vaultName}/${row.name}'
}]
resource keyRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (row, i) in keys: {
  name: guid(keyScopes[i].id, principals[row.who], row.role)
  scope: keyScopes[i]
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
  dependsOn: [custom]
}]

// A secret exists only after the deployer has set it: the vault holds this one secret, and its keys are not covered.
var vaults = filter(rows, row => row.kind == 'vault')
resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}
resource vaultRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for row in vaults: {
  name: guid(vault.id, principals[row.who], row.role)
  scope: vault
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

var watched = filter(rows, row => row.kind == 'insights')
resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}
resource insightsRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for row in watched: {
  name: guid(insights.id, principals[row.who], row.role)
  scope: insights
  properties: {
    principalId: principals[row.who]
    principalType: row.who == 'deployer' ? deployerType : 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]
