// The Device Provisioning Service, made only where it is asked for: it tells devices that know no hub of this one.
param location string
param tags object
param token string
param hubName string
param hubHost string

var table = loadJsonContent('../roles.json')
var customIds = toObject(items(table.custom), role => role.key, role => guid(resourceGroup().id, role.key))
var ids = union(table.builtIn, customIds)
var rows = filter(table.assignments, row => row.kind == 'linkedhub')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-dps-${token}'
  location: location
  tags: tags
}

resource hub 'Microsoft.Devices/IotHubs@2023-06-30' existing = {
  name: hubName
}

resource hubRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for row in rows: {
  name: guid(hub.id, identity.id, row.role)
  scope: hub
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ids[row.role])
  }
}]

// Before version 2026-08-01 of the API a hub is linked by a connection string only, and shared policies are off here.
resource service 'Microsoft.Devices/provisioningServices@2026-11-01' = {
  name: 'dps-${token}'
  location: location
  tags: tags
  sku: { name: 'S1', capacity: 1 }
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    disableLocalAuth: true
    allocationPolicy: 'Hashed'
    iotHubs: [
      {
        hostName: hubHost
        location: location
        authenticationType: 'UserAssigned'
        selectedUserAssignedIdentityResourceId: identity.id
        applyAllocationPolicy: true
        allocationWeight: 1
      }
    ]
  }
  dependsOn: [hubRoles]
}

output name string = service.name
output idScope string = service.properties.idScope
