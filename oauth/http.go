package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Limits of requests to a provider.
const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 1 << 20 // bytes
	maxRedirects   = 3
)

var (
	errNotHTTPS  = errors.New("oauth: not an https URL (http is allowed on a loopback address only)")
	errElsewhere = errors.New("oauth: the provider redirects to another host")
	errHuge      = errors.New("oauth: the provider's answer has more than 1 MiB")
)

// newClient returns a client with the limits, on the transport of another one.
func newClient(of *http.Client) *http.Client {
	transport := http.DefaultTransport
	if of != nil && of.Transport != nil {
		transport = of.Transport
	}
	return &http.Client{
		Transport: limited{transport},
		Timeout:   requestTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > maxRedirects {
				return errElsewhere
			}
			return nil
		},
	}
}

// limited is a transport that sends nothing without https, and reads at most maxAnswer bytes of
// an answer.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(r.URL.String()); err != nil {
		return nil, err
	}
	answer, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &limitedBody{ReadCloser: answer.Body, left: maxAnswer}
	}
	return answer, err
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errHuge
	}
	return n, err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// An API asks a provider with the access token of a login. Map gets one.
type API struct {
	client *http.Client
	token  string
}

// Get asks for a URL, and decodes the JSON of the answer into the value that v points to. An
// answer other than 200 is an error.
func (a *API) Get(ctx context.Context, url string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("oauth: a URL of the provider: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Accept", "application/json")
	body, err := read(a.client, r)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("oauth: the answer of %s is not the JSON that is expected", r.URL.Host)
	}
	return nil
}

// read sends a request and returns the body of the answer, if that is 200.
func read(client *http.Client, r *http.Request) ([]byte, error) {
	answer, err := client.Do(r)
	if err != nil {
		return nil, unanswered(r.URL.Host, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, unanswered(r.URL.Host, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s answers %d", errUnavailable, r.URL.Host, answer.StatusCode)
	}
	return body, nil
}

// unanswered says that a host gave no answer. The URL of a request is left out, because it may
// have a secret.
func unanswered(host string, err error) error {
	for _, known := range []error{errNotHTTPS, errElsewhere, errHuge, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %s: %w", errUnavailable, host, known)
		}
	}
	if timeout := (interface{ Timeout() bool })(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %s: %w", errUnavailable, host, context.DeadlineExceeded)
	}
	return fmt.Errorf("%w: %s cannot be reached", errUnavailable, host)
}
