package etcd

import (
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

func member(name, address string) *etcdserverpb.Member {
	return &etcdserverpb.Member{
		Name: name, PeerURLs: []string{"https://" + address + ":2380"}, ClientURLs: []string{"https://" + address + ":2379"},
	}
}

func TestJoinPlan(t *testing.T) {
	us := &Member{NodeName: "srv-2", Name: "srv-2-aa", Address: "10.0.0.2"}
	other := member("srv-1-bb", "10.0.0.1")
	for name, test := range map[string]struct {
		members []*etcdserverpb.Member
		cluster string
		add     bool
		err     error
	}{
		"new": {
			[]*etcdserverpb.Member{other},
			"srv-1-bb=https://10.0.0.1:2380,srv-2-aa=https://10.0.0.2:2380", true, nil,
		},
		"added and not started": {
			[]*etcdserverpb.Member{other, member("", "10.0.0.2")},
			"srv-1-bb=https://10.0.0.1:2380,srv-2-aa=https://10.0.0.2:2380", false, nil,
		},
		"its former member": {[]*etcdserverpb.Member{other, member("srv-2-cc", "10.0.0.9")}, "", false, ErrDuplicateName},
	} {
		cluster, add, err := us.joinPlan(test.members)
		if cluster != test.cluster || add != test.add || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v, %v", name, cluster, add, err)
		}
	}
}

func TestOnlyOthersWhoVoteAreAsked(t *testing.T) {
	learner := member("srv-3-dd", "10.0.0.3")
	learner.IsLearner = true
	urls := clientURLs([]*etcdserverpb.Member{member("srv-1-bb", "10.0.0.1"), member("", "10.0.0.2"), learner}, "10.0.0.2")
	if len(urls) != 1 || urls[0] != "https://10.0.0.1:2379" {
		t.Errorf("asked are %q", urls)
	}
}

func TestSurplusSnapshotsAreTheOldestOfTheirName(t *testing.T) {
	all := []Snapshot{}
	for _, name := range []string{"daily-srv-1-100", "on-demand-srv-1-150", "daily-srv-1-200", "daily-srv-1-300", "daily-srv-1-x-1"} {
		all = append(all, Snapshot{Name: name})
	}
	old := surplus(all, "daily-srv-1", 2)
	if len(old) != 1 || old[0].Name != "daily-srv-1-100" {
		t.Errorf("surplus are %v", old)
	}
	if old := surplus(all, "daily-srv-1", 9); len(old) != 0 {
		t.Errorf("surplus are %v", old)
	}
}
