//go:build !plan9

package auth

import (
	"errors"
	"syscall"
)

// isReset reports whether the other side has dropped the connection that err
// comes from, so that reading from it or writing to it fails.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, wsaReset)
}

// wsaReset is ECONNRESET as Windows says it, where syscall.ECONNRESET is a number
// of Go's own. No other system has an error of this number.
const wsaReset = syscall.Errno(10054)
