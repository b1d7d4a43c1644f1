package bench_test

import (
	"context"
	"net"
	"sync"
)

// A wire counts the traffic of the connections to a server: bytes and round
// trips. A round trip begins when the client sends after it has received.
type wire struct {
	mu                    sync.Mutex
	speaking              bool
	trips, sent, received int64
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return wireConn{conn, w}, nil
}

// read returns the counts since the last call.
func (w *wire) read() (trips, sent, received int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	trips, sent, received = w.trips, w.sent, w.received
	w.trips, w.sent, w.received, w.speaking = 0, 0, 0, false
	return trips, sent, received
}

type wireConn struct {
	net.Conn
	wire *wire
}

func (c wireConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if !c.wire.speaking {
		c.wire.trips++
	}
	c.wire.speaking = true
	c.wire.sent += int64(n)
	return n, err
}

func (c wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	c.wire.speaking = c.wire.speaking && n == 0
	c.wire.received += int64(n)
	return n, err
}
