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

// Addresses are where the processes listen. They are safe for use by many
// goroutines.
type addresses struct {
	mu   sync.Mutex
	next int
	list []string // in a slot for each process; empty where none listens
}

func newAddresses(count int) *addresses { return &addresses{list: make([]string, count)} }

// set sets the address in a slot.
func (a *addresses) set(slot int, address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list[slot] = address
}

// turn returns all addresses, in the order in which they are to be tried. Each
// call begins with another one.
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

// proxyPatience is how long a process may take for a request, with its body: one
// that hangs still takes connections, and would keep its clients for ever. It is
// longer than the processes wait for their databases.
const proxyPatience = 25 * time.Second

// newProxy returns a proxy that hands requests to the processes in turn.
func newProxy(a *addresses, patience time.Duration) http.Handler {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http" // balancer says where
			r.SetXForwarded()         // in place of what the client has sent
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
			if !errors.Is(err, context.Canceled) { // the client has not gone
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

// errNobody says that no process takes connections.
var errNobody = errors.New("no process takes connections")

// A balancer is a transport that finds a process for each request.
type balancer struct {
	addresses *addresses
	transport *http.Transport
}

// RoundTrip tries the next process if one refuses the connection, since nothing
// has been sent then. Where something has, a request that may change something is
// sent only once: whether it did is not known. (http.Transport knows which those
// are, and sends others again that were sent on a connection just closed.)
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, address := range b.addresses.turn() {
		out := r.Clone(r.Context())
		out.URL.Host = address
		if r.Body != nil {
			out.Body = io.NopCloser(r.Body) // it is needed again if this one refuses
		}
		answer, err := b.transport.RoundTrip(out)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return answer, err
		}
	}
	return nil, errNobody
}
