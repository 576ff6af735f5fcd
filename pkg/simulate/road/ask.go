package road

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// ATP is the part of an ATP answer that is compared.
type ATP struct {
	Version   int64  `json:"version"`
	ATP       string `json:"atp"`
	Locations []struct {
		Location string            `json:"location"`
		States   map[string]string `json:"states"`
		Reserved string            `json:"reserved"`
		ATP      string            `json:"atp"`
	} `json:"locations"`
}

// Ask asks an atp-api, by its base URL, about an item.
func Ask(ctx context.Context, client *http.Client, api string, k inventory.Key) (*ATP, error) {
	u := fmt.Sprintf("%s/v1/atp/%s?entity=%s", api, url.PathEscape(string(k.Item)), url.QueryEscape(string(k.Entity)))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", k, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", k, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for %s: status %d", k, resp.StatusCode)
	}
	var a ATP
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return nil, fmt.Errorf("asking for %s: %w", k, err)
	}
	return &a, nil
}
