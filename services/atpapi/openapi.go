package atpapi

import (
	_ "embed" // of the document
)

// openAPI is the contract (OpenAPI 3.1.0), served as JSON. Tests hold it against the
// router and against every answer they get.
//
//go:embed openapi.yaml
var openAPI []byte
