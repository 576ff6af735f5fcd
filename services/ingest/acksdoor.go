package ingest

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// mostAcks bounds the reads of acknowledgements under way: each looks at many records.
const mostAcks = 4

// getAcks gives a source's acknowledgements to whoever may send for it (Invariant 10).
func (s *server) getAcks(c echo.Context) error {
	name := inventory.Source(c.Param("source"))
	err := s.readAcks(c, name)
	s.count(name, "read", err)
	return err
}

func (s *server) readAcks(c echo.Context, name inventory.Source) error {
	release, err := s.slot()
	if err != nil {
		return err
	}
	defer release()
	r := c.Request()
	v, err := s.porter.admitReader(c.Response().Header(), r, name)
	if err != nil {
		return err
	}
	defer v.leave()
	free, err := s.place(s.asks)
	if err != nil {
		return err
	}
	defer free()
	r.SetPathValue("source", string(name))
	s.acks.Handler(func(_ http.ResponseWriter, status int, code, detail string) {
		if status == http.StatusServiceUnavailable {
			err = later(code, detail, int(s.cfg.RetryAfter.Seconds()))
			return
		}
		err = newProblem(status, code, detail)
	})(c.Response(), r)
	return err
}
