//go:build !plan9

package auth

import (
	"errors"
	"syscall"
)

// isReset reports whether err says that the other side has dropped the connection, so
// that reading or writing fails.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, wsaReset)
}

// wsaReset is the number that Windows has for ECONNRESET. There, syscall.ECONNRESET is
// a number of Go's own. No other system has an error of this number.
const wsaReset = syscall.Errno(10054)
