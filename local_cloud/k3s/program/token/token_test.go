package token

import "testing"

func TestSecureFormatRoundTrip(t *testing.T) {
	parsed, err := Parse(Format([]byte("ca"), "node", "se:cret"))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.User != "node" || parsed.Secret != "se:cret" {
		t.Errorf("parsed as %+v", parsed)
	}
	if err := parsed.CheckCA([]byte("ca")); err != nil {
		t.Error(err)
	}
	if err := parsed.CheckCA([]byte("another ca")); err == nil {
		t.Error("another CA was accepted")
	}
}

func TestShortFormatTrustsAnyCA(t *testing.T) {
	parsed, err := Parse("secret\n")
	if err != nil || parsed.Secret != "secret" || parsed.User != "" {
		t.Fatalf("parsed as %+v, %v", parsed, err)
	}
	if err := parsed.CheckCA([]byte("any")); err != nil {
		t.Error(err)
	}
}

func TestBrokenTokens(t *testing.T) {
	for _, text := range []string{"", "K10abc::server:secret", "K10", "K10" + Hash([]byte("ca")) + "::server"} {
		if parsed, err := Parse(text); err == nil {
			t.Errorf("%q was read as %+v", text, parsed)
		}
	}
}
