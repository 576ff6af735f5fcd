package stack

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/test/harness"
)

// Codecs reads schemas.v1 until every schema has its id.
func Codecs(t testing.TB, c *harness.Cluster) *event.Codecs {
	t.Helper()
	ids := event.NewIDs()
	cl := c.Client(t, kgo.ConsumeTopics(event.TopicSchemas), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ids.Complete() != nil {
		cl.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			id, err := event.DecodeSchemaID(rec.Value)
			if err != nil {
				t.Error(err)
				return
			}
			ids.Add(id)
		})
		if ctx.Err() != nil {
			t.Fatal(ids.Complete())
		}
	}
	codecs, err := event.NewCodecs(ids)
	if err != nil {
		t.Fatal(err)
	}
	return codecs
}
