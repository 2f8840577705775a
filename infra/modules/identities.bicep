// One identity for each app, one for the hub's route. Event Grid's dead letters go by the topics' own.
param location string
param tags object
param token string

var names = ['field', 'control', 'hub']

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = [for name in names: {
  name: 'id-${name}-${token}'
  location: location
  tags: tags
}]

output fieldId string = identity[0].id
output fieldClient string = identity[0].properties.clientId
output fieldPrincipal string = identity[0].properties.principalId
output controlId string = identity[1].id
output controlClient string = identity[1].properties.clientId
output controlPrincipal string = identity[1].properties.principalId
output hubId string = identity[2].id
output hubPrincipal string = identity[2].properties.principalId
