package signature

import (
	"strings"
	"testing"
)

// The address of a confirmation has a token in it: errors, which are logged, do not.
func TestFetchHidesTheAddress(t *testing.T) {
	for _, address := range []string{"https://127.0.0.1:1/?Action=ConfirmSubscription&Token=s3cret", "https://[::1/?Token=s3cret"} {
		_, err := HTTPFetch()(t.Context(), address, 1)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}
