// Who is told, what of, and the workbook. Rules are data (alerts.json); each has a paragraph of its name in docs/monitoring.md.
param location string
param tags object
param token string
param workspaceId string
param scopes object
param email string

var rules = loadJsonContent('../alerts.json')
var page = 'docs/monitoring.md#'

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'groundswell'
    enabled: true
    emailReceivers: empty(email) ? [] : [{ name: 'operators', emailAddress: email, useCommonAlertSchema: true }]
  }
}

resource queries 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules.queries: {
  name: '${rule.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.title
    description: '${page}${rule.name}'
    severity: rule.severity
    enabled: true
    evaluationFrequency: rule.every
    windowSize: rule.window
    scopes: [workspaceId]
    // The workspace has no tables before the first record came.
    skipQueryValidation: true
    criteria: {
      allOf: [
        union(
          {
            query: join(rule.query, '\n')
            timeAggregation: rule.aggregation
            operator: rule.operator
            threshold: rule.threshold
            // One that has fired is told of again only after it was well: each campaign is to be one of its own.
            dimensions: empty(rule.split) ? [] : [{ name: rule.split, operator: 'Include', values: ['*'] }]
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          },
          empty(rule.measure) ? {} : { metricMeasureColumn: rule.measure }
        )
      ]
    }
    actions: { actionGroups: [people.id] }
  }
}]

resource metrics 'Microsoft.Insights/metricAlerts@2018-03-01' = [for rule in rules.metrics: {
  name: '${rule.name}-${rule.scope}-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: '${rule.title}: ${page}${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [scopes[rule.scope]]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'any'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: rule.namespace
          metricName: rule.metric
          timeAggregation: rule.aggregation
          operator: 'GreaterThan'
          threshold: 0
          dimensions: empty(rule.split) ? [] : [{ name: rule.split, operator: 'Include', values: ['*'] }]
        }
      ]
    }
    actions: [{ actionGroupId: people.id }]
  }
}]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'groundswell')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Groundswell'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string(union(loadJsonContent('../workbook.json'), { fallbackResourceIds: [workspaceId] }))
  }
}
