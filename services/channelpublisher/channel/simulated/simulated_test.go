package simulated_test

import (
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
	"github.com/stockweave/stockweave/services/channelpublisher/channel/channeltest"
	"github.com/stockweave/stockweave/services/channelpublisher/channel/simulated"
)

func TestContract(t *testing.T) {
	channeltest.Run(t, func(t *testing.T) channeltest.Subject {
		sim := simulate.NewChannel(simulate.ChannelOptions{Key: "secret"})
		url, stop, err := sim.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		c, err := simulated.New(channel.Settings{URL: url, Key: "secret", Timeout: 500 * time.Millisecond, AllowPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		return channeltest.Subject{
			Channel: c, SetByHand: sim.SetByHand,
			Shown: func(listing string) (inventory.Quantity, bool) {
				v, ok := sim.Value(listing)
				q, err := inventory.ParseQuantity(v.Quantity)
				return q, ok && err == nil
			},
			Fail: func(f channeltest.Fault) {
				sim.Fail(simulate.ChannelSet, map[channeltest.Fault]simulate.ChannelFault{
					channeltest.TimeoutAfter: simulate.ChannelHang, channeltest.ErrorAfter: simulate.ChannelErrorAfter,
					channeltest.ErrorBefore: simulate.ChannelErrorBefore, channeltest.Throttle: simulate.ChannelThrottle,
					channeltest.Refuse: simulate.ChannelRefuse, channeltest.Redirect: simulate.ChannelRedirect, channeltest.Huge: simulate.ChannelHuge,
				}[f])
			},
		}
	})
}

func TestBadSettings(t *testing.T) {
	for _, url := range []string{"", "shop.example", "ftp://shop.example", "http://", "http://user:pw@shop.example", "http://shop.example/#x", "http://%zz"} {
		if _, err := simulated.New(channel.Settings{URL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}
