"""The service side: the REST API of api-version 2021-04-12."""
