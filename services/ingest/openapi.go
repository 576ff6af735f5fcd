package ingest

import (
	_ "embed" // of the document
)

// openAPI is the contract of the door (OpenAPI 3.1.0). A test holds it against the
// router, and every problem against what it lists.
//
//go:embed openapi.json
var openAPI []byte
