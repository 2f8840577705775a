// One of the two function apps of the same code; the other one's functions are switched off.
@allowed(['field', 'control'])
param app string
param location string
param tags object
param token string
param pythonVersion string
param identityId string
param clientId string

@description('The one subnet that its calls come from, or none.')
param subnetIds array

@description('Who may call it: IPv4 ranges, or addresses without a mask. Empty: anybody.')
param callers array
param storageName string
param hostName string
param busHost string
param eventHubsHost string
param hubHost string
param vaultUri string
param vaultName string
param insightsConnection string
param reportsEndpoint string
param eventsEndpoint string
param hubTier string
param hubUnits string
param authMode string
param entraTenantId string
param entraAudience string

var functions = loadJsonContent('../apps.json')
var elsewhere = app == 'field' ? functions.control : functions.field
var switchedOff = toObject(elsewhere, name => 'AzureWebJobs.${name}.Disabled', name => 'true')
var blobHost = 'https://${storageName}.blob.${environment().suffixes.storage}'

var settings = {
  AzureWebJobsStorage__accountName: hostName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${clientId};Authorization=AAD'
  AZURE_CLIENT_ID: clientId
  PYTHON_ENABLE_OPENTELEMETRY: 'true'
  PYTHON_THREADPOOL_THREAD_COUNT: '16'
  Storage__blobServiceUri: blobHost
  Storage__queueServiceUri: 'https://${storageName}.queue.${environment().suffixes.storage}'
  Storage__tableServiceUri: 'https://${storageName}.table.${environment().suffixes.storage}'
  Storage__credential: 'managedidentity'
  Storage__clientId: clientId
  ServiceBus__fullyQualifiedNamespace: busHost
  ServiceBus__credential: 'managedidentity'
  ServiceBus__clientId: clientId
  EventHub__fullyQualifiedNamespace: eventHubsHost
  EventHub__credential: 'managedidentity'
  EventHub__clientId: clientId
  IotHub__hostName: hubHost
  TWIN_CHANGES_HUB: 'twin-changes'
  REPORTS_TOPIC_ENDPOINT: reportsEndpoint
  EVENTS_TOPIC_ENDPOINT: eventsEndpoint
  HUB_TIER: hubTier
  HUB_UNITS: hubUnits
  TWIN_WRITER: 'patch'
  KEYS_URI: vaultUri
  ROOT_FILE: '1.root.json'
  TRUST_POLICY: 'trust.toml'
  // By name: of a SecretUri without a version it is told both ways whether it must end with a slash, and the wrong one stays at an old version.
  TICKET_KEYS: '@Microsoft.KeyVault(VaultName=${vaultName};SecretName=ticket-keys)'
  LINK_LIFETIME_S: '600'
  RECONCILE_QUIET_S: '1800'
  AUTH_MODE: authMode
  ENTRA_TENANT_ID: entraTenantId
  ENTRA_AUDIENCE: entraAudience
  ENTRA_ISSUER: ''
  ENTRA_JWKS_URI: ''
  RETENTION_DAYS: '0'
  BANDWIDTH_BYTES_PER_S: ''
  DOWNLOAD_BASE_URL: ''
}

var people = [for (cidr, i) in callers: {
  name: 'range-${i}'
  ipAddress: contains(cidr, '/') ? cidr : '${cidr}/32'
  action: 'Allow'
  priority: 100 + i
}]
// What Event Grid delivers comes to the field app from outside, too.
var events = [{ name: 'event-grid', tag: 'ServiceTag', ipAddress: 'AzureEventGrid', action: 'Allow', priority: 90 }]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${app}-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-${app}-${token}'
  location: location
  tags: union(tags, { 'azd-service-name': app })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetIds) ? null : subnetIds[0]
    siteConfig: {
      minTlsVersion: '1.2'
      ipSecurityRestrictionsDefaultAction: empty(people) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: app == 'field' && !empty(people) ? union(events, people) : people
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: 'https://${hostName}.blob.${environment().suffixes.storage}/deployments'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      scaleAndConcurrency: { instanceMemoryMB: 2048, maximumInstanceCount: 100, triggers: { http: { perInstanceConcurrency: 16 } } }
      runtime: { name: 'python', version: pythonVersion }
    }
  }

  resource config 'config' = {
    name: 'appsettings'
    properties: union(settings, switchedOff)
  }
}

output name string = site.name
output url string = 'https://${site.properties.defaultHostName}'
