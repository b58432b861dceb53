//go:build tools

// Package tools pins actionlint, so that `go build -mod=readonly` finds every checksum in go.sum.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
