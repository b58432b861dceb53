//go:build tools

// Package tools pins versitygw, so that `go build -mod=readonly` finds every checksum in go.sum.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
