package server

import (
	"slices"
	"testing"
)

func TestUserArgumentsTakeThePlaceOfOurs(t *testing.T) {
	merged := merge([]string{"--v=0", "--profiling=false"}, []string{"v=4", "--max-requests-inflight=800"})
	if !slices.Equal(merged, []string{"--profiling=false", "--v=4", "--max-requests-inflight=800"}) {
		t.Errorf("merged into %q", merged)
	}
}

func TestServiceAddressIsTheFirst(t *testing.T) {
	if address, err := serviceAddress("10.43.0.0/16"); err != nil || address.String() != "10.43.0.1" {
		t.Errorf("address is %v, %v", address, err)
	}
}
