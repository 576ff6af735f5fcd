package access

import "reflect"

// Issuers are issuers by their terms. One that a guard has by the same terms goes on:
// its keys are not fetched again, nor are tokens of it verified again, so that a change
// elsewhere does not refuse tokens while an issuer is away. was may be nil.
func Issuers(was *Guard, terms []IssuerConfig, fetch Fetch) ([]*Issuer, error) {
	out := make([]*Issuer, 0, len(terms))
	for i := range terms {
		is := was.issuer(&terms[i])
		if is == nil {
			var err error
			if is, err = NewIssuer(terms[i], fetch); err != nil {
				return nil, err
			}
		}
		out = append(out, is)
	}
	return out, nil
}

// issuer is that with the same terms, nil where there is none.
func (g *Guard) issuer(terms *IssuerConfig) *Issuer {
	if g == nil {
		return nil
	}
	for _, is := range g.issuers {
		if reflect.DeepEqual(&is.cfg, terms) {
			return is
		}
	}
	return nil
}
