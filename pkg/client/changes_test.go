package client

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// mute takes requests and never answers.
type mute struct{ asked int }

func (m *mute) RoundTrip(r *http.Request) (*http.Response, error) {
	m.asked++
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestChangesMute: a stream that is taken and never answered is given up as one that says
// nothing, and tried again.
func TestChangesMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mute{}
		c, err := New(Config{URL: "https://atp.example", HTTP: &http.Client{Transport: m}, Attempts: 3})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		var last error
		for _, err := range c.Changes(ctx, Watch{}) {
			last = err
		}
		if took := time.Since(began); last == nil || errors.Is(last, context.DeadlineExceeded) || m.asked != 3 || took > 5*time.Minute {
			t.Errorf("%v after %d tries and %v", last, m.asked, took)
		}
	})
}
