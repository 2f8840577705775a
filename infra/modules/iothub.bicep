// The hub, its endpoint by identity, and the route of what devices report. Without the condition it would carry our own writes, too.
param location string
param tags object
param token string
param tier string
param units int

@description('From where devices and apps may come. Empty: from anywhere.')
param allowed array
param identityId string
param eventHubsHost string

// Elsewhere a hub cannot be told (docs/azure.md); where it can, only when it is made.
var refusesOldTls = contains(['eastus', 'southcentralus', 'westus2', 'usgovarizona', 'usgovvirginia'], location)

var route = loadJsonContent('../local/cloud.json').iotHub.routes[0]

resource hub 'Microsoft.Devices/IotHubs@2023-06-30' = {
  name: 'iot-${token}'
  location: location
  tags: tags
  sku: { name: tier, capacity: units }
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    disableLocalAuth: true
    minTlsVersion: refusesOldTls ? '1.2' : null
    networkRuleSets: {
      defaultAction: empty(allowed) ? 'Allow' : 'Deny'
      // Nothing is routed there, and it takes only keys.
      applyToBuiltInEventHubEndpoint: true
      ipRules: [for (cidr, i) in allowed: { filterName: 'range-${i}', action: 'Allow', ipMask: cidr }]
    }
    routing: {
      endpoints: {
        eventHubs: [
          {
            name: route.eventHub
            authenticationType: 'identityBased'
            identity: { userAssignedIdentity: identityId }
            endpointUri: 'sb://${eventHubsHost}'
            entityPath: route.eventHub
          }
        ]
      }
      routes: [
        {
          name: route.name
          source: route.source
          condition: route.condition
          endpointNames: [route.eventHub]
          isEnabled: true
        }
      ]
    }
  }
}

output id string = hub.id
output name string = hub.name
output host string = hub.properties.hostName
