// The online keys. Root and targets keys stay with their owners; ticket keys are a secret set after provisioning.
param location string
param tags object
param token string

@description('The subnets of the apps, where there are any: then the vault answers only them and the operators.')
param subnetIds object
param operators array

var keys = ['bins', 'snapshot', 'timestamp', 'intents', 'specs']

var subnets = union(subnetIds.field, subnetIds.control)

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: 'kv-${token}'
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    networkAcls: {
      defaultAction: empty(subnets) ? 'Allow' : 'Deny'
      bypass: 'AzureServices'
      ipRules: [for cidr in operators: { value: cidr }]
      virtualNetworkRules: [for subnet in subnets: { id: subnet }]
    }
  }
}

resource key 'Microsoft.KeyVault/vaults/keys@2023-07-01' = [for name in keys: {
  parent: vault
  name: name
  properties: { kty: 'EC', curveName: 'P-256', keyOps: ['sign', 'verify'] }
}]

output name string = vault.name
output uri string = vault.properties.vaultUri
