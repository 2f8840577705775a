// Deployed after the code (scripts/azure/subscribe): a function must exist before anything can be delivered to it.
param fieldApp string
param storageName string
param reportsTopic string
param hubTopic string
param storageTopic string

@secure()
param artifactsHook string

var table = loadJsonContent('local/cloud.json').eventGrid.subscriptions
var reports = filter(table, one => one.topic == 'reports')[0]
var lifecycle = filter(table, one => one.topic == 'hub-lifecycle')[0]
var functions = resourceId('Microsoft.Web/sites', fieldApp)

var deadLetters = {
  identity: { type: 'SystemAssigned' }
  deadLetterDestination: {
    endpointType: 'StorageBlob'
    properties: {
      resourceId: resourceId('Microsoft.Storage/storageAccounts', storageName)
      blobContainerName: reports.deadLetterContainer
    }
  }
}

resource reportsSource 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: reportsTopic
}

resource rolloutReports 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: reportsSource
  name: reports.name
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    destination: { endpointType: 'AzureFunction', properties: { resourceId: '${functions}/functions/${reports.function}' } }
    filter: { includedEventTypes: reports.includedEventTypes }
    retryPolicy: {
      maxDeliveryAttempts: reports.retry.maxDeliveryAttempts
      eventTimeToLiveInMinutes: reports.retry.eventTimeToLiveMinutes
    }
    deadLetterWithResourceIdentity: deadLetters
  }
}

resource hubSource 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: hubTopic
}

resource deviceLifecycle 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: hubSource
  name: lifecycle.name
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: { endpointType: 'AzureFunction', properties: { resourceId: '${functions}/functions/${lifecycle.function}' } }
    filter: { includedEventTypes: lifecycle.includedEventTypes }
    retryPolicy: {
      maxDeliveryAttempts: lifecycle.retry.maxDeliveryAttempts
      eventTimeToLiveInMinutes: lifecycle.retry.eventTimeToLiveMinutes
    }
    deadLetterWithResourceIdentity: deadLetters
  }
}

resource storageSource 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: storageTopic
}

resource artifacts 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: storageSource
  name: 'artifacts'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: { endpointType: 'WebHook', properties: { endpointUrl: artifactsHook } }
    filter: {
      includedEventTypes: ['Microsoft.Storage.BlobCreated']
      subjectBeginsWith: '/blobServices/default/containers/incoming/'
    }
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
    deadLetterWithResourceIdentity: deadLetters
  }
}
