package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"syscall"
	"time"
)

// Addresses holds the addresses of the processes. It is safe for use by many
// goroutines.
type addresses struct {
	mu   sync.Mutex
	next int
	list []string // one per process; empty if the process does not listen
}

func newAddresses(count int) *addresses { return &addresses{list: make([]string, count)} }

// set sets the address in a slot.
func (a *addresses) set(slot int, address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list[slot] = address
}

// turn returns all addresses in the order in which to try them. Each call
// begins with the next one.
func (a *addresses) turn() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = (a.next + 1) % len(a.list)
	var turn []string
	for i := range a.list {
		if address := a.list[(a.next+i)%len(a.list)]; address != "" {
			turn = append(turn, address)
		}
	}
	return turn
}

// proxyPatience is how long a process may take for a request with its body. A
// process that hangs still accepts connections, and would otherwise keep its
// clients for ever. proxyPatience is longer than the processes wait for their
// databases.
const proxyPatience = 25 * time.Second

// newProxy returns a proxy that hands requests to the processes in turn.
func newProxy(a *addresses, patience time.Duration) http.Handler {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http" // balancer sets the host
			r.SetXForwarded()         // replaces what the client has sent
		},
		Transport: &balancer{a, &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute}},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			status := http.StatusBadGateway
			switch {
			case errors.Is(err, errNobody):
				status = http.StatusServiceUnavailable
			case errors.Is(err, context.DeadlineExceeded):
				status = http.StatusGatewayTimeout
			}
			if !errors.Is(err, context.Canceled) { // the client is still there
				log.Error("no answer", slog.Int("status", status), slog.String("method", r.Method), slog.Any("error", err))
			}
			http.Error(w, http.StatusText(status), status)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
}

// errNobody means that no process accepts connections.
var errNobody = errors.New("no process accepts connections")

// A balancer is a transport that chooses a process for each request.
type balancer struct {
	addresses *addresses
	transport *http.Transport
}

// If a process refuses the connection, RoundTrip tries the next one, because
// nothing has been sent yet. If something has been sent, a request that may
// change something is not sent again, because the process may have acted on it.
// (http.Transport knows which requests those are. It repeats the others if the
// connection had just been closed.)
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, address := range b.addresses.turn() {
		out := r.Clone(r.Context())
		out.URL.Host = address
		if r.Body != nil {
			out.Body = io.NopCloser(r.Body) // the body is needed again if this process refuses
		}
		answer, err := b.transport.RoundTrip(out)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return answer, err
		}
	}
	return nil, errNobody
}
