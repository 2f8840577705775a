// The data account, and one account for each app's host: what a host may do to its own account is wide.
param location string
param tags object
param token string

@description('Of the data account. What the hosts keep can be made anew: theirs stay locally redundant.')
param sku string

@description('For how many days nobody can change or delete a published package. The policy is made unlocked.')
param packageRetentionDays int = 365

@description('Whether somebody has locked it since.')
param isPolicyLocked bool

@description('The subnets of the apps, where there are any: then accounts answer only them and whoever is named below.')
param subnetIds object
param operators array

@description('Where devices fetch packages from. Empty: anywhere, and then the data account stays open.')
param devices array

var contents = loadJsonContent('../local/cloud.json').storage

var appSubnets = union(subnetIds.field, subnetIds.control)

resource data 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'st${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    defaultToOAuthAuthentication: true
    networkAcls: {
      defaultAction: empty(appSubnets) || empty(devices) ? 'Allow' : 'Deny'
      // Event Grid writes dead letters, as a trusted service with a role.
      bypass: 'AzureServices'
      ipRules: [for cidr in union(operators, devices): { value: cidr, action: 'Allow' }]
      virtualNetworkRules: [for subnet in appSubnets: { id: subnet, action: 'Allow' }]
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: data
  name: 'default'
  properties: { deleteRetentionPolicy: { enabled: true, days: 14 } }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [for name in contents.containers: {
  parent: blobs
  name: name
  properties: { publicAccess: 'None' }
}]

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: blobs
  name: 'packages'
}

// Only the packages: metadata holds timestamp.json, which is overwritten every day.
// One that is locked cannot be written again, not even as it is.
resource immutable 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2023-05-01' = if (!isPolicyLocked) {
  parent: packages
  name: 'default'
  properties: { immutabilityPeriodSinceCreationInDays: packageRetentionDays, allowProtectedAppendWrites: false }
  dependsOn: [containers]
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2023-05-01' = {
  parent: data
  name: 'default'
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2023-05-01' = [for name in contents.tables: {
  parent: tableService
  name: name
}]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: data
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'drop-old-logs'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['logs/', 'quarantine/', 'dead-events/'] }
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 90 } } }
          }
        }
      ]
    }
  }
  dependsOn: [blobs]
}

var apps = ['field', 'control']

resource hosts 'Microsoft.Storage/storageAccounts@2023-05-01' = [for app in apps: {
  name: 'st${substring(app, 0, 3)}${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      defaultAction: empty(subnetIds[app]) ? 'Allow' : 'Deny'
      bypass: 'AzureServices'
      virtualNetworkRules: map(subnetIds[app], subnet => { id: subnet, action: 'Allow' })
    }
  }
}]

resource hostBlobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = [for (app, i) in apps: {
  parent: hosts[i]
  name: 'default'
}]

resource deployments 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [for (app, i) in apps: {
  parent: hostBlobs[i]
  name: 'deployments'
}]

output id string = data.id
output name string = data.name
output hostNames object = { field: hosts[0].name, control: hosts[1].name }
