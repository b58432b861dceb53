package kine

import (
	"os"
	"strings"
	"testing"
)

func TestAConfigurationThatIsIncompleteOrMisspeltIsRefusedAndMakesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, text := range []string{"", "{}", `{"socket": "s"}`, `{"socket": "s", "endpoint": "sqlite://", "cafile": "c"}`} {
		if code := Run(strings.NewReader(text)); code != 1 {
			t.Errorf("%q: exit code %d", text, code)
		}
	}
	if made, err := os.ReadDir("."); err != nil || len(made) > 0 {
		t.Errorf("made %v, %v", made, err)
	}
}
