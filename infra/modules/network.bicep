// A network for the apps' outgoing calls, so that firewalls can tell them from everybody else. Service endpoints, not
// private ones: they cost nothing, and the services keep their public addresses (docs/private-networking.md).
param location string
param tags object
param token string

@description('Whether there is one.')
param isFenced bool

var apps = ['field', 'control']
var name = 'vnet-${token}'
var endpoints = ['Microsoft.Storage', 'Microsoft.KeyVault']

resource network 'Microsoft.Network/virtualNetworks@2023-11-01' = if (isFenced) {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.71.0.0/16'] }
    // Flex Consumption wants a subnet of its own for each app, delegated to this.
    subnets: [for (app, i) in apps: {
      name: app
      properties: {
        addressPrefix: '10.71.${i}.0/24'
        delegations: [{ name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } }]
        serviceEndpoints: map(endpoints, endpoint => { service: endpoint })
      }
    }]
  }
}

var subnets = 'Microsoft.Network/virtualNetworks/subnets'
output subnetIds object = isFenced ? {
  field: [resourceId(subnets, network.name, 'field')]
  control: [resourceId(subnets, network.name, 'control')]
} : { field: [], control: [] }
