// One identity for each app, one for the hub's route, one for Event Grid's dead letters.
param location string
param tags object
param token string

var names = ['field', 'control', 'hub', 'events']

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
output eventsId string = identity[3].id
output eventsPrincipal string = identity[3].properties.principalId
