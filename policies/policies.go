// Package policies holds the shipped example policies and the JSON Schemas that
// every policy file must meet.
package policies

import "embed"

// Schemas has schema/<kind>.schema.json.
//
//go:embed schema/*.schema.json
var Schemas embed.FS

// Examples has the shipped policies, in the layout of a policies folder.
//
//go:embed sources partners ownership atp channels erp
var Examples embed.FS
