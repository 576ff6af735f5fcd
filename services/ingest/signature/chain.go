package signature

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Certificates of one file, and those above it that are asked for.
const (
	maxChain  = 8
	maxAbove  = 3
	gov       = "aws-us-gov"
	chinaPart = "aws-cn"
)

// signers are the names that a certificate of SNS may have for a topic. SNS signs under
// one name for most regions, under one of the region in others, and for both of
// GovCloud under that of the western one.
func signers(topic string) []string {
	arn := strings.Split(topic, ":")
	if len(arn) != 6 {
		return nil
	}
	partition, region, domain := arn[1], arn[3], ".amazonaws.com"
	if partition == chinaPart {
		domain += ".cn"
	}
	names := []string{"sns" + domain, "sns." + region + domain, "sns-" + region + domain, "sns-signing." + region + domain}
	if partition == gov {
		names = append(names, "sns-us-gov-west-1"+domain)
	}
	return names
}

// issuer is where Amazon Trust Services keeps the certificates of its authorities
// (RFC 5280 §4.2.2.1, caIssuers). What comes from there, by HTTP, proves nothing by
// itself: it has to lead to a root.
var issuer = regexp.MustCompile(`^http://crt\.[a-z0-9-]{1,32}\.amazontrust\.com/[A-Za-z0-9._-]{1,64}\.(cer|crt|p7c|der)$`)

// chain reads a file of certificates, the first of which signs messages: it must be valid
// now, under one of names, and lead to a root. An authority in between that the file has
// not is asked for at Amazon.
func (c *certificates) chain(ctx context.Context, file []byte, names []string, now time.Time) (*x509.Certificate, error) {
	all, err := parseAll(file)
	if err != nil {
		return nil, err
	}
	leaf, above := all[0], x509.NewCertPool()
	for _, more := range all[1:] {
		above.AddCert(more)
	}
	if !slices.ContainsFunc(names, func(name string) bool { return leaf.VerifyHostname(name) == nil }) {
		return nil, fmt.Errorf("%w: its names are none of SNS for the topic", ErrBad)
	}
	// Not for TLS: it signs messages.
	opts := x509.VerifyOptions{Roots: c.roots, Intermediates: above, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	from := all[len(all)-1]
	for asked := 0; ; asked++ {
		_, err := leaf.Verify(opts)
		if err == nil {
			return leaf, nil
		}
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown || asked == maxAbove {
			return nil, fmt.Errorf("%w: %w", ErrBad, err)
		}
		i := slices.IndexFunc(from.IssuingCertificateURL, issuer.MatchString)
		if i < 0 {
			return nil, fmt.Errorf("%w: %w", ErrBad, err)
		}
		der, err := c.fetch(ctx, from.IssuingCertificateURL[i], maxAnswer)
		if err != nil {
			return nil, fmt.Errorf("%w: fetching the certificate of %s: %w", ErrUnavailable, hostOf(from.IssuingCertificateURL[i]), err)
		}
		if from, err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%w: reading the certificate of an authority: %w", ErrBad, err)
		}
		above.AddCert(from)
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// parseAll reads certificates in PEM.
func parseAll(file []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			break
		}
		file = rest
		if block.Type != "CERTIFICATE" || len(all) == maxChain {
			return nil, fmt.Errorf("%w: not a file of certificates", ErrBad)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: reading a certificate: %w", ErrBad, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no certificate", ErrBad)
	}
	return all, nil
}
