// Everything Groundswell needs in one resource group. What the code also knows (queues, containers, tables, routes)
// is read from infra/local, so that the local cloud and Azure cannot differ.
targetScope = 'subscription'

@minLength(1)
@maxLength(32)
param environmentName string

param location string

@description('Object id of the person who deploys: may set the ticket keys.')
param deployerId string

@allowed(['User', 'ServicePrincipal'])
param deployerType string = 'User'

@allowed(['3.12', '3.13'])
param pythonVersion string = '3.13'

@description('How the data account keeps its copies. Where a region has no zones: Standard_LRS or Standard_GRS. Choose before the first time.')
@allowed(['Standard_ZRS', 'Standard_LRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@allowed(['S1', 'S2', 'S3'])
param hubTier string = 'S1'

param hubUnits string = '1'

@allowed(['keys', 'entra'])
param authMode string = 'keys'

param entraTenantId string = ''
param entraAudience string = ''

@description('open: identity is the only wall. fenced: the apps get a network, and vault and storage answer nobody else.')
@allowed(['open', 'fenced'])
param network string = 'open'

@description('From where people may call the operators API and, when fenced, the vault and the data account: IPv4 ranges with commas between. Empty: from anywhere.')
param operatorRanges string = ''

@description('From where devices may call the field app and, when fenced, fetch packages. Empty: from anywhere.')
param deviceRanges string = ''

@description('From where the hub may be reached by devices and by the apps, whose addresses change: only behind a NAT gateway.')
param hubRanges string = ''

@description('Whether there is a Device Provisioning Service, with which devices enrol. It is billed by the registration.')
@allowed(['off', 'on'])
param dps string = 'off'

@description('locked: the immutability policy of the packages was locked, and stays as it is.')
@allowed(['open', 'locked'])
param packagePolicy string = 'open'

@description('Who is told when something is wrong; nobody when empty.')
param alertEmail string = ''

// Single addresses without a mask, as storage takes them; the apps, which want one, put it there.
var operators = map(filter(split(operatorRanges, ','), one => !empty(trim(one))), one => replace(trim(one), '/32', ''))
var devices = map(filter(split(deviceRanges, ','), one => !empty(trim(one))), one => replace(trim(one), '/32', ''))
var hubCallers = map(filter(split(hubRanges, ','), one => !empty(trim(one))), one => replace(trim(one), '/32', ''))

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2024-07-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: { location: location, tags: tags, token: token }
}

module fence 'modules/network.bicep' = {
  name: 'fence'
  scope: group
  params: { location: location, tags: tags, token: token, isFenced: network == 'fenced' }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    sku: storageSku
    subnetIds: fence.outputs.subnetIds
    isPolicyLocked: packagePolicy == 'locked'
    operators: operators
    devices: devices
  }
}

module servicebus 'modules/servicebus.bicep' = {
  name: 'servicebus'
  scope: group
  params: { location: location, tags: tags, token: token }
}

module eventhubs 'modules/eventhubs.bicep' = {
  name: 'eventhubs'
  scope: group
  params: { location: location, tags: tags, token: token, workspaceId: monitoring.outputs.workspaceId }
}

module keyvault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    subnetIds: fence.outputs.subnetIds
    operators: operators
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: { location: location, tags: tags, token: token }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    workspaceId: monitoring.outputs.workspaceId
    scopes: {
      bus: servicebus.outputs.id
      reports: eventgrid.outputs.reportsId
      lifecycle: eventgrid.outputs.hubTopicId
      artifacts: eventgrid.outputs.storageTopicId
    }
    email: alertEmail
  }
}

module eventgrid 'modules/eventgrid.bicep' = {
  name: 'eventgrid'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    hubId: iothub.outputs.id
    storageId: storage.outputs.id
  }
}

// The hub checks that it may write to its endpoint when it is made, so it comes after the roles.
module roles 'modules/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    principals: {
      field: identities.outputs.fieldPrincipal
      control: identities.outputs.controlPrincipal
      hub: identities.outputs.hubPrincipal
      deployer: deployerId
    }
    deployerType: deployerType
    storageName: storage.outputs.name
    hostNames: storage.outputs.hostNames
    busName: servicebus.outputs.name
    eventHubsName: eventhubs.outputs.name
    vaultName: keyvault.outputs.name
    insightsName: monitoring.outputs.insightsName
  }
}

module iothub 'modules/iothub.bicep' = {
  name: 'iothub'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    tier: hubTier
    units: int(hubUnits)
    allowed: hubCallers
    identityId: identities.outputs.hubId
    eventHubsHost: eventhubs.outputs.host
  }
  dependsOn: [roles]
}

// Roles on what exists only after the hub.
module lateRoles 'modules/late-roles.bicep' = {
  name: 'lateRoles'
  scope: group
  params: {
    principals: {
      field: identities.outputs.fieldPrincipal
      control: identities.outputs.controlPrincipal
    }
    hubName: iothub.outputs.name
    topicNames: eventgrid.outputs.topicNames
    topicPrincipals: eventgrid.outputs.principals
    storageName: storage.outputs.name
  }
  dependsOn: [roles]
}

module provisioning 'modules/provisioning.bicep' = if (dps == 'on') {
  name: 'provisioning'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    hubName: iothub.outputs.name
    hubHost: iothub.outputs.host
  }
  dependsOn: [roles]
}

module apps 'modules/app.bicep' = [for app in ['field', 'control']: {
  name: 'app-${app}'
  scope: group
  params: {
    app: app
    location: location
    tags: tags
    token: token
    pythonVersion: pythonVersion
    identityId: app == 'field' ? identities.outputs.fieldId : identities.outputs.controlId
    clientId: app == 'field' ? identities.outputs.fieldClient : identities.outputs.controlClient
    storageName: storage.outputs.name
    hostName: storage.outputs.hostNames[app]
    busHost: servicebus.outputs.host
    eventHubsHost: eventhubs.outputs.host
    hubHost: iothub.outputs.host
    vaultUri: keyvault.outputs.uri
    vaultName: keyvault.outputs.name
    insightsConnection: monitoring.outputs.connection
    reportsEndpoint: eventgrid.outputs.reportsEndpoint
    eventsEndpoint: eventgrid.outputs.eventsEndpoint
    subnetIds: fence.outputs.subnetIds[app]
    callers: app == 'field' ? devices : operators
    hubTier: hubTier
    hubUnits: hubUnits
    authMode: authMode
    entraTenantId: entraTenantId
    entraAudience: entraAudience
  }
  dependsOn: [roles, lateRoles]
}]

output AZURE_RESOURCE_GROUP string = group.name
output FIELD_APP string = apps[0].outputs.name
output CONTROL_APP string = apps[1].outputs.name
output FIELD_URL string = apps[0].outputs.url
output CONTROL_URL string = apps[1].outputs.url
output KEY_VAULT string = keyvault.outputs.name
output IOT_HUB string = iothub.outputs.name
output DPS_NAME string = dps == 'on' ? provisioning.outputs.name : ''
output DPS_ID_SCOPE string = dps == 'on' ? provisioning.outputs.idScope : ''
output STORAGE_ACCOUNT string = storage.outputs.name
output REPORTS_TOPIC string = eventgrid.outputs.topicNames.reports
output HUB_TOPIC string = eventgrid.outputs.hubTopic
output STORAGE_TOPIC string = eventgrid.outputs.storageTopic
